"""The report's tables as plain values, and how they are written as HTML and as Markdown."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from eval.compare import LOWER_IS_BETTER, bd_rate, break_even
from eval.research import PUBLISHED
from eval.rows import Row
from eval.summary import Interval, Mean

__all__ = [
    "METRICS",
    "Table",
    "anchor_codecs",
    "bd_rate_table",
    "break_even_table",
    "clip_bd_rate_table",
    "clip_table",
    "curve_points",
    "kbps",
    "points_table",
    "research_table",
    "row_points",
]

METRICS = {
    "l1": ("L1", 4),
    "psnr_db": ("PSNR dB", 2),
    "ssim": ("SSIM", 3),
    "ms_ssim": ("MS-SSIM", 3),
    "akd_px": ("AKD px", 2),
    "aed": ("AED", 3),
    "mkr": ("MKR", 3),
}
"""Metric to its name and the digits that are shown."""

COMPARED = ("l1", "psnr_db", "ssim", "ms_ssim", "akd_px", "aed")
ALL_ANCHORS = "the best of all"
LOST_FACES_WARNING = 0.05


@dataclass(frozen=True)
class Table:
    """A titled table of texts; `note` explains it."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def html(self) -> str:
        """The table with its title and note, as HTML."""
        note = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(self.note))
        head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in self.header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in self.rows)
        return (
            f"<h2>{escape(self.title)}</h2>\n<p>{note}</p>\n<div class=wide><table><thead><tr>{head}"
            f"</tr></thead><tbody>\n{body}</tbody></table></div>\n"
        )

    def markdown(self) -> str:
        """The same as Markdown."""
        lines = [f"## {self.title}", "", self.note, "", _line(self.header), _line(["---"] * len(self.header))]
        return "\n".join([*lines, *(_line(row) for row in self.rows)]) + "\n"


def points_table(means: Sequence[Mean]) -> Table:
    """Every operating point: rates and strict scores with intervals."""
    names = [*(name for name, _ in METRICS.values()), "jitter", "flicker"]
    header = ["point", "payload", "keyframe", "wire up", "wire both", *names]
    rows = []
    for mean in sorted(means, key=_order):
        rates = [kbps(mean.rate(name)) for name in ("payload_bps", "keyframe_bps", "wire_up_bps", "wire_bps")]
        scores = [_interval(mean.strict[metric], digits) for metric, (_, digits) in METRICS.items()]
        rows.append([mean.label, *rates, *scores, f"{mean.jitter_px.mean:.2f}", _number(mean.flicker.mean)])
    reference = means[0].jitter_reference_px.mean if means else math.nan
    steady = next((m.flicker_reference.mean for m in means if m.flicker_reference.count), math.nan)
    note = (
        "Strict mode: frame 0 left out, mean over clips, 95 % bootstrap interval over clips in brackets. Rates in "
        "kbit/s over the measured frames, the keyframe included; `keyframe` is its part of the payload. `wire both` "
        "counts headers and acknowledgements both ways. AKD and AED are means over frames in which a face was found; "
        f"MKR is the share in which it was lost. Jitter in px a frame squared; the true clips have {reference:.2f}. "
        f"Flicker in levels of 255 along the true motion; the true clips have {_number(steady)}."
    )
    return Table("All operating points", note, header, rows)


def bd_rate_table(means: Sequence[Mean], tested: str, rate: str) -> Table:
    """BD-rate of the talkcodec curve `tested` against every anchor's best points."""
    rows = []
    test = [mean for mean in means if mean.curve == tested]
    anchors = anchor_codecs(means)
    for codec in [*anchors, ALL_ANCHORS]:
        anchor = [mean for mean in means if mean.codec == codec or (codec == ALL_ANCHORS and mean.codec in anchors)]
        cells = []
        for metric in COMPARED:
            result = bd_rate(curve_points(anchor, rate, metric), curve_points(test, rate, metric), metric)
            cells.append(f"refused ({result.reason})" if result.percent is None else f"{result.percent:+.0f} %")
        rows.append([codec, *cells])
    note = (
        f"Mean rate difference of `{tested}` at equal quality, negative is cheaper ({_rate_name(rate)}). Each anchor "
        "is the best of its sizes and frame rates at every rate, the last row the best of all. Refused where the "
        "curves share too little quality: nothing is extrapolated."
    )
    return Table(f"BD-rate, {_rate_name(rate)}", note, ["anchor", *(METRICS[m][0] for m in COMPARED)], rows)


def clip_bd_rate_table(rows: Sequence[Row], tested: str, rate: str) -> Table:
    """BD-rate of the talkcodec curve `tested` against all anchors' best points on each clip, over the clips."""
    kept = [row for row in rows if not row.error]
    codecs = anchor_codecs(kept)
    anchors = [row for row in kept if row.codec in codecs]
    ours = [row for row in kept if row.curve == tested]
    clips = sorted({row.clip for row in ours})
    pairs = [[[row for row in of if row.clip == clip] for of in (anchors, ours)] for clip in clips]
    columns = []
    for metric in COMPARED:
        results = [
            bd_rate(row_points(theirs, rate, metric), row_points(own, rate, metric), metric) for theirs, own in pairs
        ]
        columns.append(_spread([result.percent for result in results]))
    names = ("mean", "median", "middle half", "dearest", "dearer than the best of all", "refused")
    cells = [[name, *column] for name, *column in zip(names, *columns, strict=True)]
    note = (
        "The same, but each clip's curve beside the best of all anchors on that clip, averaged over the clips that are "
        f"not refused ({_rate_name(rate)}). Above, means over clips are compared: there an anchor of constant quality "
        f"gives hard clips many times the rate of easy ones, `{tested}` all the same."
    )
    header = ["over clips", *(METRICS[m][0] for m in COMPARED)]
    return Table(f"BD-rate clip by clip, {_rate_name(rate)}", note, header, cells)


def _spread(percents: Sequence[float | None]) -> list[str]:
    known = [percent for percent in percents if percent is not None]
    refused = f"{len(percents) - len(known)} of {len(percents)}"
    if not known:
        return [*["-"] * 5, refused]
    low, middle, high = np.percentile(known, [25, 50, 75])
    return [
        f"{np.mean(known):+.0f} %",
        f"{middle:+.0f} %",
        f"{low:+.0f} to {high:+.0f} %",
        f"{max(known):+.0f} %",
        f"{sum(percent > 0 for percent in known)} of {len(known)}",
        refused,
    ]


def break_even_table(means: Sequence[Mean], subject: Mean, rate: str) -> Table:
    """The rate that each anchor needs for the quality of `subject`."""
    rows = []
    for codec in anchor_codecs(means):
        anchor = [mean for mean in means if mean.codec == codec]
        cells = []
        for metric in COMPARED:
            result = break_even(curve_points(anchor, rate, metric), subject.strict[metric].mean, metric)
            if result.rate is not None:
                cells.append(f"{kbps(result.rate)} ({result.rate / subject.rate(rate):.1f}x)")
            elif result.beyond:
                cells.append(f"{'under' if result.beyond == 'below' else 'over'} {kbps(result.bound)}")
            else:
                cells.append("-")
        rows.append([codec, *cells])
    note = (
        f"kbit/s ({_rate_name(rate)}) at which each anchor is as good as `{subject.label}`, which needs "
        f"{kbps(subject.rate(rate))}; below that rate talkcodec is the better choice by this metric. `over` is the "
        "highest rate measured, at which the anchor is still worse; `under` the lowest, at which it is already better."
    )
    return Table(f"Break-even rate, {_rate_name(rate)}", note, ["anchor", *(METRICS[m][0] for m in COMPARED)], rows)


def research_table(means: Sequence[Mean]) -> Table:
    """Published figures beside ours, in the papers' mode."""
    rows = [[p.system, "published", f"{p.l1:.3f}", f"{p.akd_px:.3f}", f"{p.aed:.3f}", p.source] for p in PUBLISHED]
    for mean in means:
        if mean.codec in ("talkcodec", "copy") and mean.settings.get("quality") in (-1, 45):
            values = [f"{mean.paper[m]:.3f}" for m in ("l1", "akd_px", "aed")]
            rows.append([mean.label, "measured here", *values, f"{mean.clips} clips, {mean.frames} frames"])
    note = (
        "Paper mode: frame 0 included, all frames weighted alike, AKD per coordinate, AED of the whole picture. "
        "Published figures are VoxCeleb's test set with face-alignment and OpenFace; ours are other clips with other "
        "instruments, so that the columns show an order of magnitude, not a ranking. quality -1 is the papers' own "
        "condition: the true first picture, motion unquantised."
    )
    return Table("The research line", note, ["system", "", "L1", "AKD px", "AED", "source"], rows)


def clip_table(rows: Sequence[Row], subject: Mean) -> Table:
    """Every clip at one point, beside copying the keyframe, worst AKD first."""
    copies = {row.clip: row for row in rows if row.codec == "copy" and row.settings.get("quality") != -1}
    lines = []
    chosen = [row for row in rows if row.point == subject.point and not row.error]
    for row in sorted(chosen, key=lambda row: -(row.strict["akd_px"] or math.inf)):
        copied = copies.get(row.clip)
        cells = [row.clip, str(row.frames), kbps(row.rates["payload_bps"])]
        for metric in ("l1", "psnr_db", "akd_px", "aed", "mkr"):
            digits = METRICS[metric][1]
            cells.append(_value(row.strict[metric], digits))
            if metric in ("l1", "akd_px"):
                cells.append(_value(copied.strict[metric], digits) if copied else "-")
        lines.append(cells)
    header = ["clip", "frames", "payload kbit/s", "L1", "copy", "PSNR dB", "AKD px", "copy", "AED", "MKR"]
    note = f"`{subject.label}`, worst landmarks first; `copy` repeats the decoded keyframe."
    return Table("Every clip", note, header, lines)


def _order(mean: Mean) -> tuple[bool, bool, str, str, float]:
    """Copying first, then talkcodec, then the anchors; within a curve by rate."""
    return mean.codec != "copy", mean.codec != "talkcodec", mean.codec, mean.curve, mean.rate("payload_bps")


def curve_points(means: Sequence[Mean], rate: str, metric: str) -> list[tuple[float, float]]:
    """(rate, metric) of points; those that lost more than 5 % of the faces are no measurement of landmarks."""
    faces = metric in ("akd_px", "akd_ocular", "aed")
    usable = [m for m in means if not faces or not m.strict["mkr"].mean > LOST_FACES_WARNING]
    return [(mean.rate(rate), mean.strict[metric].mean) for mean in usable]


def row_points(rows: Sequence[Row], rate: str, metric: str) -> list[tuple[float, float]]:
    """(rate, value) of each row that has the metric."""
    return [(row.rates[rate], row.strict[metric]) for row in rows if row.strict[metric] is not None]


def anchor_codecs(measured: Sequence[Mean] | Sequence[Row]) -> list[str]:
    """The conventional codecs that were measured."""
    return list(dict.fromkeys(each.codec for each in measured if each.codec not in ("copy", "talkcodec")))


def _rate_name(rate: str) -> str:
    return {
        "payload_bps": "payload",
        "message_bps": "all that is coded, envelopes too",
        "wire_bps": "on the wire, both ways",
        "wire_up_bps": "on the wire, one way",
    }[rate]


def kbps(bps: float) -> str:
    """Bits a second as the tables write them."""
    return f"{bps / 1000:.1f}"


def _interval(interval: Interval, digits: int) -> str:
    if interval.count == 0:
        return "-"
    return f"{interval.mean:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _value(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


assert set(LOWER_IS_BETTER) >= {"l1", "akd_px", "aed", "mkr"}
