"""Tables that look for defeats: rates and clips at which talkcodec is worse than a conventional codec."""

from collections.abc import Sequence

from eval.compare import break_even, value_at
from eval.report.tables import METRICS, Table, anchor_codecs, curve_points, kbps, row_points
from eval.rows import Row
from eval.summary import Mean, summarise

__all__ = ["clips_beside_anchor_table", "rates_beside_best_table"]

CHECKED = ("psnr_db", "ssim", "akd_px", "aed")

MOST_OVER = 0.03
"""So much more rate than the best conventional point is a defeat."""

MOST_BELOW_DB = 0.3
"""So much less PSNR than the anchor at the same rate is a defeat."""


def rates_beside_best_table(means: Sequence[Mean], tested: str, rate: str, rate_name: str) -> Table:
    """For each point of the curve `tested`, how much more rate it takes than the best anchor of the same quality."""
    codecs = anchor_codecs(means)
    anchors = [mean for mean in means if mean.codec in codecs]
    rows, defeats = [], 0
    for mean in sorted((m for m in means if m.curve == tested), key=lambda m: m.rate(rate)):
        cells = []
        for metric in CHECKED:
            result = break_even(curve_points(anchors, rate, metric), mean.strict[metric].mean, metric)
            if result.rate is None and result.beyond != "below":
                cells.append("better than all" if result.beyond else "-")
                continue
            over = mean.rate(rate) / (result.rate or result.bound) - 1  # beyond the least anchor: at least so much
            defeats += over > MOST_OVER
            cells.append(_marked(f"{100 * over:+.0f} %", over > MOST_OVER))
        rows.append([mean.label, kbps(mean.rate(rate)), *cells])
    note = (
        f"How much more rate `{tested}` takes than the best of all anchors, at any size and frame rate, "
        f"at the same quality; negative is cheaper ({rate_name}). "
        f"{_times(defeats)} it takes over {100 * MOST_OVER:.0f} % more."
    )
    return Table(f"At every rate, {rate_name}", note, ["point", "kbit/s", *(METRICS[m][0] for m in CHECKED)], rows)


def clips_beside_anchor_table(rows: Sequence[Row], tested: str, anchor: str, rate: str) -> Table:
    """Every clip's PSNR at every point of the curve `tested`, less that of the anchor at the same rate."""
    ours = [row for row in rows if row.curve == tested and not row.error]
    labels = {mean.point: mean.label for mean in sorted(summarise(ours), key=lambda mean: mean.rate(rate))}
    lines, defeats = [], 0
    for clip in sorted({row.clip for row in ours}):
        anchors = [row for row in rows if row.clip == clip and row.codec == anchor and not row.error]
        theirs = row_points(anchors, rate, "psnr_db")
        cells = []
        for point in labels:
            row = next((r for r in ours if r.clip == clip and r.point == point), None)
            value = None if row is None else row.strict["psnr_db"]
            other = None if row is None else value_at(theirs, row.rates[rate], "psnr_db")
            if value is None or other is None:
                cells.append("-")
                continue
            below = value - other < -MOST_BELOW_DB
            defeats += below
            cells.append(_marked(f"{value - other:+.2f}", below))
        lines.append([clip, *cells])
    note = (
        f"PSNR in dB, less that of {anchor} at the same rate, the best of its sizes and frame rates on that clip, "
        "linear in the logarithm of the rate between its points; a dash where its points do not reach. "
        f"{_times(defeats)} it is over {MOST_BELOW_DB} dB worse."
    )
    return Table(f"Every clip beside {anchor}", note, ["clip", *labels.values()], lines)


def _marked(text: str, defeat: bool) -> str:
    return f"**{text}**" if defeat else text


def _times(count: int) -> str:
    return {0: "Nowhere", 1: "Once"}.get(count, f"{count} times")
