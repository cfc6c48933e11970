"""Comparing rate-distortion curves: BD-rate with an overlap check, and the rate at which an anchor breaks even."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

__all__ = ["LOWER_IS_BETTER", "BdRate", "BreakEven", "bd_rate", "break_even", "front", "value_at"]

LOWER_IS_BETTER = frozenset({"l1", "akd_px", "akd_ocular", "aed", "mkr"})

MINIMUM_POINTS = 3
MINIMUM_OVERLAP = 0.25

Curve = Sequence[tuple[float, float]]
"""(rate, metric) pairs; rates in any unit, positive."""


@dataclass(frozen=True)
class BdRate:
    """percent: mean rate difference of the tested curve at equal quality, negative is cheaper; None when refused.

    overlap: share of the tested curve's quality range that the reference curve covers. reason: why it was refused.
    """

    percent: float | None
    overlap: float
    reason: str = ""


@dataclass(frozen=True)
class BreakEven:
    """The rate at which an anchor reaches a given quality.

    rate: None when the measured curve does not bracket it; then `bound` is the end of the curve, and `beyond` says
    "below" (the anchor is better even there) or "above" (it is worse even there).
    """

    rate: float | None
    bound: float = math.nan
    beyond: str = ""


def front(curve: Curve, metric: str) -> list[tuple[float, float]]:
    """The points that no other beats in both rate and quality, rate ascending, quality strictly improving."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    best, kept = -math.inf, []
    for rate, value in sorted(curve, key=lambda point: (point[0], -sign * point[1])):
        if math.isfinite(value) and rate > 0 and sign * value > best:
            kept.append((rate, value))
            best = sign * value
    return kept


def bd_rate(reference: Curve, tested: Curve, metric: str) -> BdRate:
    """Bjontegaard rate difference (VCEG-M33, 2001) of `tested` over `reference`, piecewise cubic in log rate.

    Curves are reduced to their fronts first. Nothing is extrapolated: fewer than 3 points on a front, or less than a
    quarter of the tested quality range in common, is refused with a reason.
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    fronts = [front(reference, metric), front(tested, metric)]
    if min(map(len, fronts)) < MINIMUM_POINTS:
        return BdRate(None, 0.0, f"{len(fronts[0])} and {len(fronts[1])} points")
    qualities = [np.array([sign * value for _, value in points]) for points in fronts]
    low, high = max(q[0] for q in qualities), min(q[-1] for q in qualities)
    overlap = max(0.0, float((high - low) / (qualities[1][-1] - qualities[1][0])))
    if overlap < MINIMUM_OVERLAP:
        return BdRate(None, overlap, f"{overlap:.0%} overlap")
    mean_log = [
        _mean_log_rate(quality, np.log([rate for rate, _ in points]), low, high)
        for quality, points in zip(qualities, fronts, strict=True)
    ]
    return BdRate(100 * (math.exp(mean_log[1] - mean_log[0]) - 1), overlap)


def break_even(anchor: Curve, quality: float, metric: str) -> BreakEven:
    """The rate at which `anchor` reaches `quality`, linear in log rate between the points of its front."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    points = front(anchor, metric)
    if not points or not math.isfinite(quality):
        return BreakEven(None)
    values = [sign * value for _, value in points]
    if sign * quality < values[0]:
        return BreakEven(None, points[0][0], "below")
    if sign * quality > values[-1]:
        return BreakEven(None, points[-1][0], "above")
    log_rates = np.log([rate for rate, _ in points])
    return BreakEven(float(np.exp(np.interp(sign * quality, values, log_rates))))


def value_at(curve: Curve, rate: float, metric: str) -> float | None:
    """What the front of `curve` has at a rate, linear in log rate; None beyond its ends."""
    points = front(curve, metric)
    if not points or not points[0][0] <= rate <= points[-1][0]:
        return None
    rates, values = zip(*points, strict=True)
    return float(np.interp(math.log(rate), np.log(rates), values))


def _mean_log_rate(
    quality: npt.NDArray[np.float64], log_rate: npt.NDArray[np.float64], low: float, high: float
) -> float:
    return float(PchipInterpolator(quality, log_rate).integrate(low, high)) / (high - low)
