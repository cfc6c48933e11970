"""The quality with which base pictures take as many bytes as they may."""

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import NamedTuple

from talkcodec.codec.base import BaseConfig

__all__ = ["GROWTH_WITH_QUALITY", "Fit", "fit_quality", "half"]


class Fit(NamedTuple):
    """A configuration and the bytes that were measured with it."""

    base: BaseConfig
    size_bytes: int


_TOLERANCE = 0.03
"""So close to the target the search ends; a step of quality is 2 to 3 % of the bytes."""

_PASSES = 8


def fit_quality(config: BaseConfig, target_bytes: float, measure: Callable[[BaseConfig], int]) -> Fit:
    """The quality, in halves, with which pictures come closest to a number of bytes. measure: their bytes.

    Bytes grow about exponentially with the quality, which guides the search: two or three passes as a rule,
    more in noise, whose bytes grow tenfold from quality 0 to 20.
    """
    seen: dict[float, int] = {}
    quality = config.quality
    for _ in range(_PASSES):
        if quality in seen:
            break
        seen[quality] = measure(replace(config, quality=quality))
        if abs(seen[quality] / target_bytes - 1) <= _TOLERANCE:
            break
        quality = _next_quality(seen, target_bytes)
    best = min(seen, key=lambda q: abs(log(seen[q] / target_bytes)))
    return Fit(replace(config, quality=best), seen[best])


GROWTH_WITH_QUALITY = 0.045
"""Natural logarithm of the bytes' growth with one step of quality, as long as two passes have not told it."""


def _next_quality(seen: dict[float, int], target_bytes: float) -> float:
    below = [q for q in seen if seen[q] <= target_bytes]
    above = [q for q in seen if seen[q] > target_bytes]
    nearest = max(below) if below else min(above)
    growth = GROWTH_WITH_QUALITY
    pair = [max(below), min(above)] if below and above else sorted(seen, key=lambda q: abs(q - nearest))[:2]
    if len(pair) == 2 and (slope := log(seen[pair[1]] / seen[pair[0]]) / (pair[1] - pair[0])) > 0:
        growth = slope
    guess = nearest + log(target_bytes / seen[nearest]) / growth
    if below and above:
        guess = min(max(guess, max(below) + 0.5), min(above) - 0.5)
        if min(above) - max(below) <= 0.5:
            return nearest
    return half(guess)


def half(quality: float) -> float:
    """The nearest quality that there is: halves from 0 to 100."""
    return min(100.0, max(0.0, round(2 * quality) / 2))
