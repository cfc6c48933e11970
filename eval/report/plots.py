"""Rate-distortion plots: logarithmic rate, one curve a codec and variant, bootstrap intervals as bars."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.tables import LOST_FACES_WARNING, METRICS
from eval.summary import Mean

__all__ = ["PLOTTED", "draw_rd", "save_figures", "to_svg"]

PLOTTED = ("l1", "psnr_db", "ms_ssim", "akd_px", "aed", "mkr")

_COLOURS = {"talkcodec": "#c0392b", "x264": "#7f8c8d", "x265": "#2c3e50", "vp8": "#e67e22", "vp9": "#27ae60",
            "av1": "#2980b9"}  # fmt: skip
_AXES = {"message_bps": "coded, envelopes too, kbit/s", "wire_bps": "on the wire, both ways, kbit/s"}


def draw_rd(means: Sequence[Mean], rate: str, metrics: Sequence[str] = PLOTTED) -> Figure:
    """One panel a metric over one rate; hollow marks lost the face in more than 5 % of the frames."""
    columns = min(3, len(metrics))
    lines = -(-len(metrics) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.6 * columns, 3.7 * lines), squeeze=False)
    for panel, metric in zip(axes.flat, metrics, strict=False):
        _panel(panel, means, rate, metric)
    for panel in axes.flat[len(metrics) :]:
        panel.axis("off")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=7, frameon=False)
    legend_lines = -(-len(labels) // 4)
    figure.tight_layout(rect=(0, 0.03 + 0.16 * legend_lines / (3.7 * lines), 1, 1))
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element to be put into a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def save_figures(figures: dict[str, Figure], folder: Path) -> list[Path]:
    """Write each figure as NAME.svg and NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        for suffix in ("svg", "png"):
            path = folder / f"{name}.{suffix}"
            figure.savefig(path, dpi=80, metadata={"Date": None} if suffix == "svg" else None)
            written.append(path)
    return written


def _panel(panel: Axes, means: Sequence[Mean], rate: str, metric: str) -> None:
    curves: dict[str, list[Mean]] = {}
    for mean in means:
        if mean.codec != "copy" and mean.rate(rate) > 0 and mean.value(metric) is not None:
            curves.setdefault(mean.curve, []).append(mean)
    for curve, points in curves.items():
        points = sorted(points, key=lambda mean: mean.rate(rate))
        codec = points[0].codec
        rates = [mean.rate(rate) / 1000 for mean in points]
        values = [mean.strict[metric] for mean in points]
        colour = _COLOURS.get(codec, "#8e44ad")
        panel.errorbar(
            rates,
            [value.mean for value in values],
            yerr=[[v.mean - v.low for v in values], [v.high - v.mean for v in values]],
            color=colour,
            linestyle=_style(points[0]),
            linewidth=2 if codec == "talkcodec" else 1.1,
            elinewidth=0.5,
            alpha=1 if codec == "talkcodec" else 0.8,
            label=curve,
        )
        for mean, kbps, value in zip(points, rates, values, strict=True):
            lost = mean.strict["mkr"].mean > LOST_FACES_WARNING
            panel.plot(kbps, value.mean, "o", color=colour, markersize=4, markerfacecolor="white" if lost else colour)
    for mean in means:
        if mean.codec == "copy" and mean.settings["quality"] != -1 and mean.value(metric) is not None:
            floor = mean.strict[metric].mean
            panel.axhline(floor, color="black", linewidth=0.8, linestyle=":", label="copy the keyframe")
    panel.set_xscale("log")
    panel.set_xticks([1, 2, 5, 10, 20, 50], labels=["1", "2", "5", "10", "20", "50"])
    panel.minorticks_off()
    panel.set_xlabel(_AXES[rate], fontsize=8)
    panel.set_title(METRICS[metric][0], fontsize=10)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.25)


def _style(mean: Mean) -> str:
    """Dashed: coded small; dotted: half the frame rate."""
    if mean.settings.get("every", 1) > 1:
        return ":" if not mean.settings.get("size") else "-."
    return "--" if mean.settings.get("size") else "-"
