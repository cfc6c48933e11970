"""Put the report together: which sections, in which order, from which rows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from eval.instruments import LandmarkInstrument
from eval.points import make_point
from eval.report import plots
from eval.report.checks import clips_beside_anchor_table, rates_beside_best_table
from eval.report.page import Section, page
from eval.report.strips import FilmStrip, film_strips
from eval.report.tables import (
    Table,
    bd_rate_table,
    break_even_table,
    clip_bd_rate_table,
    clip_table,
    points_table,
    research_table,
)
from eval.rows import Row
from eval.summary import Mean, common_clips, summarise
from talkcodec.errors import UsageError

__all__ = ["KEPT", "ReportConfig", "build_report"]

KEPT = ("<!-- kept by hand -->", "<!-- end of what is kept by hand -->")
"""What stands between the first two such lines of the Markdown page stays there when the page is written anew."""

_RATES = {"message_bps": "all that is coded, envelopes too", "wire_bps": "on the wire, both ways"}


@dataclass(frozen=True)
class ReportConfig:
    """html, markdown, figures: what to write and where, None leaves it out.

    clips: files or folders; with them the page has film strips of the best, median and worst clip, and of those named
    in `strips`, which alone go into `figures` and `markdown` (clips have licences); best, median and worst are names
    too. landmarks: finds eyes and mouth, which the strips then enlarge.
    commands: how the results were made, shown beside them. subject: label of the talkcodec point that the tables of
    break-even rates and clips speak of; the default settings when empty.
    """

    html: Path | None = None
    markdown: Path | None = None
    figures: Path | None = None
    clips: tuple[Path, ...] = ()
    strips: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    subject: str = ""
    landmarks: LandmarkInstrument | None = None
    extra: tuple[Table, ...] = field(default=())


def build_report(rows: Sequence[Row], config: ReportConfig) -> list[Path]:
    """Write what `config` asks for; returns the files. Raises UsageError when no row has scores."""
    by_hand = _kept(config.markdown)
    kept, left_out = common_clips(rows)
    means = summarise(kept)
    if not means:
        raise UsageError("no clip was measured at every point; nothing to report (see the errors in the results)")
    subject = _subject(means, config.subject)
    tables = _tables(kept, means, subject)
    figures = {f"rd-{rate.removesuffix('_bps')}": plots.draw_rd(means, rate) for rate in _RATES}
    about = _about(kept, left_out, rows)
    film, skipped = film_strips(kept, subject, config.clips, config.strips, config.landmarks)
    about += [f"No film strip of {title}: --clips does not name it." for title in skipped]
    written = []
    if config.html is not None:
        config.html.parent.mkdir(parents=True, exist_ok=True)
        config.html.write_text(_html(about, figures, tables, film, config), encoding="utf-8")
        written.append(config.html)
    if config.figures is not None:
        written += plots.save_figures(figures, config.figures)
        for strip in film:
            if strip.name in config.strips:
                written.append(config.figures / f"strip-{strip.name}.jpg")
                written[-1].write_bytes(strip.picture)
    if config.markdown is not None:
        config.markdown.parent.mkdir(parents=True, exist_ok=True)
        config.markdown.write_text(_markdown(about, by_hand, tables, figures, film, config), encoding="utf-8")
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
            tables += [bd_rate_table(means, subject.curve, rate), clip_bd_rate_table(rows, subject.curve, rate)]
    if subject is not None:
        for rate, name in _RATES.items():
            tables.append(rates_beside_best_table(means, subject.curve, rate, name))
        tables.append(clips_beside_anchor_table(rows, subject.curve, "av1", "message_bps"))
    tables.append(research_table(means))
    if subject is not None:
        tables.append(clip_table(rows, subject))
    return tables


def _about(kept: Sequence[Row], left_out: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """What was measured with what, and what is missing."""
    clips = {row.clip: row.frames for row in kept}
    instruments = {f"{name} (sha256 {digest[:16]})" for row in kept for name, digest in row.instruments.items()}
    weights = {f"{row.settings['model']} ({row.model_sha256[:16]})" for row in kept if row.model_sha256}
    digests = {digest for row in kept for digest in row.restoration_sha256.split("+") if digest}
    weights |= {f"restoration ({digest[:16]})" for digest in digests}
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
    figures: dict[str, Figure],
    tables: list[Table],
    film: list[FilmStrip],
    config: ReportConfig,
) -> str:
    sections = [Section.text("What was measured", about, "\n".join(config.commands))]
    for figure, rate in zip(figures.values(), _RATES.values(), strict=True):
        caption = (
            "Mean over clips; bars are 95 % bootstrap intervals. Hollow: the face was lost in over 5 % of frames. "
        )
        caption += "128x128 is coded at that size and enlarged."
        sections.append(Section.svg(f"Rate and quality, {rate}", caption, plots.to_svg(figure)))
    sections += [Section.table(table) for table in tables]
    sections += [Section.table(table) for table in config.extra]
    sections += [Section.picture(strip.title, strip.caption, strip.picture) for strip in film]
    return page("talkcodec: bitrate and quality", sections)


def _markdown(
    about: list[str],
    by_hand: list[str],
    tables: list[Table],
    figures: dict[str, Figure],
    film: list[FilmStrip],
    config: ReportConfig,
) -> str:
    parts = ["# Results", "", *(f"- {line}" for line in about), "", *by_hand]
    if config.commands:
        parts += ["To repeat this page:", "", "```", *config.commands, "```", ""]
    if config.figures is not None and config.markdown is not None:
        folder = Path(os.path.relpath(config.figures.resolve(), config.markdown.parent.resolve())).as_posix()
        for name, rate in zip(figures, _RATES.values(), strict=True):
            parts += [f"![Rate and quality, {rate}]({folder}/{name}.png)", ""]
        for strip in film:
            if strip.name in config.strips:
                parts += [f"![{strip.title}]({folder}/strip-{strip.name}.jpg)", "", strip.caption, ""]
    parts += [table.markdown() for table in (*tables, *config.extra)]
    return "\n".join(parts)


def _kept(page: Path | None) -> list[str]:
    """The part of a page that is kept by hand, with its comments; nothing of a page that has none, or is not there."""
    first, last = KEPT
    text = page.read_text(encoding="utf-8") if page is not None and page.exists() else ""
    if first not in text:
        return []
    before, _, rest = text.partition(first)
    kept, end, _ = rest.partition(last)
    if not end:
        raise UsageError(f"{page}: {first!r} in line {before.count(chr(10)) + 1} has no {last!r} after it; write that")
    return [first + kept + last, ""]
