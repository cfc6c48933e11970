"""Which rung, size, frame rate and quality a rate affords (docs/base-layer.md has the measurement)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log

from talkcodec.codec.base import BaseConfig, BaseEncoder
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.errors import ConfigError
from talkcodec.types import Crop, Picture

__all__ = ["LADDER", "Step", "base_bytes", "config_for_rate", "fit_quality"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step, good from `bitrate_bps` upwards. quality: where the search for the rate begins."""

    bitrate_bps: int
    rung: Rung
    size: int
    fps: float
    quality: float
    still_quality: int


LADDER = (
    Step(0, Rung.MOTION, 0, 0, 0, 25),
    Step(2_800, Rung.HYBRID, 96, 8.34, 5, 25),
    Step(4_500, Rung.HYBRID, 128, 8.34, 10, 30),
    Step(6_000, Rung.HYBRID, 128, 12.5, 10, 35),
    Step(12_000, Rung.HYBRID, 128, 25, 15, 45),
    Step(18_000, Rung.VIDEO, 256, 25, 10, 25),
)
"""From the bottom up."""


def config_for_rate(
    bitrate_bps: float, config: EncoderConfig, picture_size: int, rung: Rung | None = None
) -> EncoderConfig:
    """The configuration for a rate, all of the stream included; rung: None lets the ladder choose.

    Sizes are those of pictures of 256 px, and scale with picture_size. Raises ConfigError for a rate below 1 kbit/s.
    """
    if bitrate_bps < 1000:
        raise ConfigError(f"bitrate is {bitrate_bps:.0f} bit/s, expected at least 1000")
    steps = [step for step in LADDER if rung is None or step.rung is rung]
    step = max((s for s in steps if s.bitrate_bps <= bitrate_bps), key=lambda s: s.bitrate_bps, default=steps[0])
    if step.rung is Rung.MOTION:
        return replace(config, rung=step.rung, still_quality=step.still_quality)
    size = max(16, step.size * picture_size // 256 // 2 * 2)
    base = BaseConfig(size=size, fps=step.fps, quality=step.quality)
    return replace(config, rung=step.rung, base=base, still_quality=step.still_quality)


def base_bytes(pictures: Sequence[Picture], config: BaseConfig) -> int:
    """Bytes of these pictures, one after another, as the base layer codes them, units' headers included."""
    encoder = BaseEncoder(config)
    try:
        units = [encoder.encode(picture, 0, Crop(0, 0, 1)) for picture in pictures]
    finally:
        encoder.close()
    return sum(len(unit.data) + (8 if unit.start else 1) for unit in units)


def fit_quality(
    pictures: Sequence[Picture],
    config: BaseConfig,
    target_bytes: float,
    tolerance: float = 0.03,
    measure: Callable[[Sequence[Picture], BaseConfig], int] = base_bytes,
    passes: int = 5,
) -> BaseConfig:
    """The quality, in halves, with which these pictures come closest to a number of bytes.

    Bytes grow about exponentially with the quality, which guides the search: two or three passes as a rule.
    """
    seen: dict[float, int] = {}
    quality = config.quality
    for _ in range(passes):
        if quality in seen:
            break
        seen[quality] = measure(pictures, replace(config, quality=quality))
        if abs(seen[quality] / target_bytes - 1) <= tolerance:
            break
        quality = _next_quality(seen, target_bytes)
    best = min(seen, key=lambda q: abs(log(seen[q] / target_bytes)))
    return replace(config, quality=best)


_GROWTH = 0.045
"""Natural logarithm of the bytes' growth with one step of quality, as long as two passes have not told it."""


def _next_quality(seen: dict[float, int], target_bytes: float) -> float:
    below = [q for q in seen if seen[q] <= target_bytes]
    above = [q for q in seen if seen[q] > target_bytes]
    nearest = max(below) if below else min(above)
    growth = _GROWTH
    if below and above and seen[min(above)] > seen[max(below)]:
        growth = log(seen[min(above)] / seen[max(below)]) / (min(above) - max(below))
    guess = nearest + log(target_bytes / seen[nearest]) / growth
    if below and above:
        guess = min(max(guess, max(below) + 0.5), min(above) - 0.5)
        if min(above) - max(below) <= 0.5:
            return nearest
    return min(100.0, max(0.0, round(2 * guess) / 2))
