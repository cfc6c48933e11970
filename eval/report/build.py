"""Put the report together: which sections, in which order, from which rows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt

from eval.clips import find_clips, read_clip
from eval.points import make_point
from eval.rd import code_point
from eval.report import plots, strips
from eval.report.page import Section, page
from eval.report.tables import (
    Table,
    bd_rate_table,
    break_even_table,
    clip_table,
    points_table,
    research_table,
)
from eval.rows import Row
from eval.summary import Mean, common_clips, summarise
from talkcodec.errors import TalkcodecError, UsageError

__all__ = ["ReportConfig", "build_report"]

_RATES = {"payload_bps": "payload", "wire_bps": "on the wire, both ways"}


@dataclass(frozen=True)
class ReportConfig:
    """html, markdown, figures: what to write and where, None leaves it out. clips: files or folders for film strips.

    commands: how the results were made, shown beside them. subject: label of the talkcodec point that the tables of
    break-even rates and clips speak of; the default settings when empty.
    """

    html: Path | None = None
    markdown: Path | None = None
    figures: Path | None = None
    clips: tuple[Path, ...] = ()
    commands: tuple[str, ...] = ()
    subject: str = ""
    extra: tuple[Table, ...] = field(default=())


def build_report(rows: Sequence[Row], config: ReportConfig) -> list[Path]:
    """Write what `config` asks for; returns the files. Raises UsageError when no row has scores."""
    kept, left_out = common_clips(rows)
    means = summarise(kept)
    if not means:
        raise UsageError("no clip was measured at every point; nothing to report (see the errors in the results)")
    subject = _subject(means, config.subject)
    tables = _tables(kept, means, subject)
    figures = {f"rd-{rate.removesuffix('_bps')}": plots.draw_rd(means, rate) for rate in _RATES}
    about = _about(kept, left_out, rows)
    written = []
    if config.html is not None:
        config.html.parent.mkdir(parents=True, exist_ok=True)
        config.html.write_text(_html(about, figures, tables, kept, subject, config), encoding="utf-8")
        written.append(config.html)
    if config.figures is not None:
        written += plots.save_figures(figures, config.figures)
    if config.markdown is not None:
        config.markdown.write_text(_markdown(about, tables, figures, config), encoding="utf-8")
        written.append(config.markdown)
    for figure in figures.values():
        plt.close(figure)
    return written


def _subject(means: Sequence[Mean], label: str) -> Mean | None:
    """The talkcodec point that is looked at closely; None when there is none."""
    wanted = label or make_point("talkcodec").label
    ours = [mean for mean in means if mean.codec == "talkcodec"]
    if label and label not in {mean.label for mean in ours}:
        raise UsageError(f"no point {label!r} in the results; there are {', '.join(mean.label for mean in ours)}")
    return next((mean for mean in ours if mean.label == wanted), ours[0] if ours else None)


def _tables(rows: list[Row], means: list[Mean], subject: Mean | None) -> list[Table]:
    tables = [points_table(means)]
    if subject is not None:
        for rate in _RATES:
            tables.append(break_even_table(means, subject, rate))
        for rate in _RATES:
            tables.append(bd_rate_table(means, subject.curve, rate))
    tables.append(research_table(means))
    if subject is not None:
        tables.append(clip_table(rows, subject))
    return tables


def _about(kept: Sequence[Row], left_out: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """What was measured with what, and what is missing."""
    clips = {row.clip: row.frames for row in kept}
    instruments = {f"{name} (sha256 {digest[:16]})" for row in kept for name, digest in row.instruments.items()}
    weights = {f"{row.settings['model']} ({row.model_sha256[:16]})" for row in kept if row.model_sha256}
    lines = [
        f"{len(clips)} clips, {sum(clips.values())} frames in all, {kept[0].size}x{kept[0].size} pixels.",
        f"Instruments: {', '.join(sorted(instruments)) or 'none'}; identity on each {kept[0].identity_every}. frame.",
        f"Weights: {', '.join(sorted(weights)) or 'none'}. talkcodec {', '.join(sorted({r.version for r in kept}))}.",
    ]
    if left_out:
        lines.append(f"Left out, because not every point was measured on them: {', '.join(left_out)}.")
    errors = {f"{row.clip}, {row.label}: {row.error}" for row in rows if row.error}
    lines += [f"Not measured: {error}." for error in sorted(errors)[:20]]
    if len(errors) > 20:
        lines.append(f"... and {len(errors) - 20} more that failed.")
    return lines


def _html(
    about: list[str],
    figures: dict[str, plt.Figure],
    tables: list[Table],
    rows: list[Row],
    subject: Mean | None,
    config: ReportConfig,
) -> str:
    sections = [Section.text("What was measured", about, "\n".join(config.commands))]
    for figure, rate in zip(figures.values(), _RATES.values(), strict=True):
        caption = (
            "Mean over clips; bars are 95 % bootstrap intervals. Hollow: the face was lost in over 5 % of frames. "
        )
        caption += "Dashed: coded at 128x128 and enlarged; dotted: half the frame rate."
        sections.append(Section.svg(f"Rate and quality, {rate}", caption, plots.to_svg(figure)))
    sections += [Section.table(table) for table in tables]
    sections += [Section.table(table) for table in config.extra]
    if subject is not None and config.clips:
        sections += _film_strips(rows, subject, config)
    return page("talkcodec: bitrate and quality", sections)


def _film_strips(rows: list[Row], subject: Mean, config: ReportConfig) -> list[Section]:
    """Best, median and worst clip by landmarks, coded again; beside them the anchor of the nearest payload rate."""
    paths = {path.stem: path for path in find_clips(list(config.clips))}
    ours = [row for row in rows if row.point == subject.point]
    sections = []
    for rank, name in strips.extreme_clips(ours).items():
        row = next(row for row in ours if row.clip == name)
        anchors = [r for r in rows if r.clip == name and r.codec not in ("copy", "talkcodec") and not r.error]
        shown = [row, *sorted(anchors, key=lambda r: abs(r.rates["payload_bps"] - row.rates["payload_bps"]))[:1]]
        try:
            clip = read_clip(paths[name], row.frames, row.size)
            lines = [("true", clip.frames)]
            for each in shown:
                frames, _ = code_point(clip, make_point(each.codec, **each.settings))
                lines.append((f"{each.label}: {each.rates['payload_bps'] / 1000:.1f} kbit/s", frames))
        except (KeyError, TalkcodecError) as error:
            sections.append(Section.text(f"The {rank} clip, {name}", [f"no film strip: {error}"]))
            continue
        caption = f"AKD {row.strict['akd_px']:.2f} px, L1 {row.strict['l1']:.4f}. Instants spread evenly over the clip."
        sections.append(Section.picture(f"The {rank} clip: {name}", caption, strips.png(strips.film_strip(lines))))
    return sections


def _markdown(about: list[str], tables: list[Table], figures: dict[str, plt.Figure], config: ReportConfig) -> str:
    parts = ["# Results", "", *(f"- {line}" for line in about), ""]
    if config.commands:
        parts += ["To repeat this page:", "", "```", *config.commands, "```", ""]
    if config.figures is not None and config.markdown is not None:
        for name, rate in zip(figures, _RATES.values(), strict=True):
            path = os.path.relpath(config.figures / f"{name}.png", config.markdown.parent)
            parts += [f"![Rate and quality, {rate}]({Path(path).as_posix()})", ""]
    parts += [table.markdown() for table in (*tables, *config.extra)]
    return "\n".join(parts)
