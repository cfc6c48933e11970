"""From rows to means over clips, with bootstrap intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.points import make_point
from eval.rows import Row

__all__ = ["Interval", "Mean", "bootstrap_mean", "common_clips", "frame_weighted", "summarise"]


@dataclass(frozen=True)
class Interval:
    """A mean over clips and its 95 % bootstrap interval; NaN when nothing was measured."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Mean:
    """One operating point over all its clips. Intervals resample clips, so they speak of other clips of this kind."""

    codec: str
    curve: str
    label: str
    point: str
    settings: Mapping[str, Any]
    clips: int
    frames: int
    rates: Mapping[str, Interval]
    strict: Mapping[str, Interval]
    paper: Mapping[str, float]
    jitter_px: Interval
    jitter_reference_px: Interval
    flicker: Interval
    flicker_reference: Interval
    bits_per_pixel: float

    def rate(self, name: str) -> float:
        """Mean bits a second of one count (see eval.wire)."""
        return self.rates[name].mean

    def value(self, metric: str) -> float | None:
        """Mean of a strict metric; None when it was not measured."""
        mean = self.strict[metric].mean
        return None if math.isnan(mean) else mean


def summarise(rows: Sequence[Row]) -> list[Mean]:
    """Means of each point, in the order in which points first appear. Rows with an error are left out."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if not row.error:
            groups.setdefault(row.point, []).append(row)
    return [_mean(group) for group in groups.values()]


def common_clips(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Rows of the clips that every point was measured on, and the names of the other clips, which would bias means."""
    points = {row.point for row in rows}
    measured: dict[str, set[str]] = {}
    for row in rows:
        measured.setdefault(row.clip, set())
        if not row.error:
            measured[row.clip].add(row.point)
    left_out = sorted(clip for clip, seen in measured.items() if seen != points)
    return [row for row in rows if row.clip not in left_out], left_out


def bootstrap_mean(values: Sequence[float | None], resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean and percentile bootstrap interval (Efron, 1979); None and NaN are left out. The same values give the
    same.
    """
    known = np.array([value for value in values if value is not None and not math.isnan(value)], np.float64)
    if known.size == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    draws = np.random.default_rng(seed).integers(0, known.size, (resamples, known.size))
    means: npt.NDArray[np.float64] = known[draws].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(known.mean()), float(low), float(high), known.size)


def frame_weighted(rows: Sequence[Row], metric: str) -> float:
    """The papers' mean: over all frames of all clips together; NaN when nothing was measured."""
    pairs = [(row.paper[metric], row.frames) for row in rows if row.paper.get(metric) is not None]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else math.nan


def _mean(rows: list[Row]) -> Mean:
    first = rows[0]
    point = make_point(first.codec, **first.settings)
    metrics = ("l1", "psnr_db", "ssim", "ms_ssim", "akd_px", "akd_ocular", "aed", "mkr")
    pixels_a_second = [row.fps * row.size**2 for row in rows]
    bits = [row.rates["payload_bps"] / rate for row, rate in zip(rows, pixels_a_second, strict=True)]
    return Mean(
        codec=first.codec,
        curve=point.curve,
        label=point.label,
        point=first.point,
        settings=first.settings,
        clips=len(rows),
        frames=sum(row.frames for row in rows),
        rates={name: bootstrap_mean([row.rates[name] for row in rows]) for name in first.rates},
        strict={name: bootstrap_mean([row.strict[name] for row in rows]) for name in metrics},
        paper={name: frame_weighted(rows, name) for name in metrics},
        jitter_px=bootstrap_mean([row.jitter_px for row in rows]),
        jitter_reference_px=bootstrap_mean([row.jitter_reference_px for row in rows]),
        flicker=bootstrap_mean([row.flicker for row in rows]),
        flicker_reference=bootstrap_mean([row.flicker_reference for row in rows]),
        bits_per_pixel=float(np.mean(bits)),
    )
