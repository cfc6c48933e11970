"""Which rung, size, frame rate and quality a rate affords (docs/base-layer.md has the measurement)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import NamedTuple

from talkcodec.codec.base import BaseConfig, BaseEncoder
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.codec.crop import CroppedPicture
from talkcodec.errors import ConfigError
from talkcodec.picture import DEFAULT_QUALITY

__all__ = [
    "LADDER",
    "Fit",
    "Step",
    "base_bytes",
    "cheaper",
    "config_for_rate",
    "config_for_rung",
    "dearer",
    "fit_quality",
]


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
    Step(2_800, Rung.HYBRID, 96, 6.25, 5, 25),
    Step(5_000, Rung.HYBRID, 128, 8.34, 5, 30),
    Step(8_500, Rung.HYBRID, 128, 8.34, 22, 40),
    Step(13_000, Rung.HYBRID, 128, 12.5, 25, 50),
    Step(22_000, Rung.VIDEO, 256, 12.5, 20, 25),
    Step(70_000, Rung.VIDEO, 256, 25, 20, 25),
)
"""From the bottom up."""

_LAST = (Step(0, Rung.HYBRID, 96, 6.25, 0, 10), Step(0, Rung.HYBRID, 80, 5, 0, 10))
"""The hybrid rung at its cheapest: where no other step of it meets the rate, as in short recordings."""

_DEAREST = 4
"""Times a rate: no step from so much more on is tried, whatever stands still."""

KEYFRAME_SHARE = 0.15
"""Of the rate, for keyframes that only quality asks for; the fresh starts of the base come on top."""

_BYTES_PER_QUALITY = 65
"""A keyframe picture of 256 px has about so many times its quality: 1400 to 1800 bytes at 25, 2900 to 3400 at 45; one
of 64 px about a quarter of that."""


def config_for_rate(
    bitrate_bps: float, config: EncoderConfig, picture_size: int, rung: Rung | None = None
) -> EncoderConfig:
    """The configuration for a rate, all of the stream included; rung: None lets the ladder choose.

    Sizes are those of pictures of 256 px, and scale with picture_size. A quality of keyframes other than the default is
    kept. Raises ConfigError for a rate below 1 kbit/s.
    """
    return _config_of(_steps_for(bitrate_bps, rung)[0], bitrate_bps, config, picture_size)


def dearer(bitrate_bps: float, config: EncoderConfig, picture_size: int) -> list[EncoderConfig]:
    """The steps above the one that `config_for_rate` takes, from the cheapest up; what hardly moves can afford them."""
    steps = [step for step in _steps_for(bitrate_bps, None)[1:] if step.bitrate_bps <= _DEAREST * bitrate_bps]
    return [_config_of(step, bitrate_bps, config, picture_size) for step in steps]


def _steps_for(bitrate_bps: float, rung: Rung | None) -> list[Step]:
    """The step for a rate, and those above it."""
    if bitrate_bps < 1000:
        raise ConfigError(f"bitrate is {bitrate_bps:.0f} bit/s, expected at least 1000")
    steps = [step for step in LADDER if rung is None or step.rung is rung]
    passed = [number for number, step in enumerate(steps) if step.bitrate_bps <= bitrate_bps]
    return steps[max(passed, default=0) :]


def _config_of(step: Step, bitrate_bps: float, config: EncoderConfig, picture_size: int) -> EncoderConfig:
    quality = step.still_quality if config.still_quality == DEFAULT_QUALITY else config.still_quality
    keyframe_bytes = _BYTES_PER_QUALITY * max(quality, 10) * picture_size / 256
    interval_s = min(3600.0, 8 * keyframe_bytes / (KEYFRAME_SHARE * bitrate_bps))
    if step.rung is Rung.MOTION:
        interval_s = max(config.min_keyframe_interval_s, interval_s)
        return replace(config, rung=step.rung, still_quality=quality, min_keyframe_interval_s=interval_s)
    return replace(
        config,
        rung=step.rung,
        base=_base_of(step, picture_size),
        still_quality=quality,
        min_keyframe_interval_s=max(config.min_keyframe_interval_s, interval_s),
    )


def config_for_rung(rung: Rung, config: EncoderConfig, picture_size: int) -> EncoderConfig:
    """The configuration of a rung without a rate: base pictures of half the size, or in the video rung of the whole."""
    size = picture_size if rung is Rung.VIDEO else max(16, picture_size // 4 * 2)
    return replace(config, rung=rung, base=replace(config.base, size=size))


def cheaper(config: EncoderConfig, picture_size: int) -> list[EncoderConfig]:
    """Where a rate can go that `config` does not reach at quality 0, from the dearest down; it stays in its rung.

    The hybrid rung has the lower steps of the ladder; the video rung keeps its size and takes fewer pictures a second.
    """
    steps = [step for step in (*LADDER, *_LAST) if step.rung is Rung.HYBRID]
    found: list[EncoderConfig] = []
    for step in sorted(steps, key=lambda s: (s.size**2 * s.fps, s.still_quality), reverse=True):
        base, still = _base_of(step, picture_size), min(config.still_quality, step.still_quality)
        if config.rung is Rung.VIDEO:
            base, still = replace(config.base, fps=step.fps), config.still_quality
        last = found[-1] if found else config
        same = (base.size, base.fps) == (last.base.size, last.base.fps)
        if base.size <= last.base.size and base.fps <= last.base.fps and (not same or still < last.still_quality):
            found.append(replace(config, base=base, still_quality=still))
    return found


def _base_of(step: Step, picture_size: int) -> BaseConfig:
    size = max(16, step.size * picture_size // 256 // 2 * 2)
    return BaseConfig(size=size, fps=step.fps, quality=step.quality)


def base_bytes(pictures: Sequence[CroppedPicture], config: BaseConfig) -> int:
    """Bytes of these pictures, one after another, as the base layer codes them, units' headers included."""
    encoder = BaseEncoder(config)
    try:
        units = [encoder.encode(cut.picture, 0, cut.crop) for cut in pictures]
    finally:
        encoder.close()
    return sum(len(unit.data) + (8 if unit.start else 1) for unit in units)


class Fit(NamedTuple):
    """A configuration and the bytes that were measured with it."""

    base: BaseConfig
    size_bytes: int


def fit_quality(
    pictures: Sequence[CroppedPicture],
    config: BaseConfig,
    target_bytes: float,
    tolerance: float = 0.03,
    measure: Callable[[Sequence[CroppedPicture], BaseConfig], int] = base_bytes,
    passes: int = 5,
) -> Fit:
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
    return Fit(replace(config, quality=best), seen[best])


_GROWTH = 0.045
"""Natural logarithm of the bytes' growth with one step of quality, as long as two passes have not told it."""


def _next_quality(seen: dict[float, int], target_bytes: float) -> float:
    below = [q for q in seen if seen[q] <= target_bytes]
    above = [q for q in seen if seen[q] > target_bytes]
    nearest = max(below) if below else min(above)
    growth = _GROWTH
    pair = [max(below), min(above)] if below and above else sorted(seen, key=lambda q: abs(q - nearest))[:2]
    if len(pair) == 2 and (slope := log(seen[pair[1]] / seen[pair[0]]) / (pair[1] - pair[0])) > 0:
        growth = slope
    guess = nearest + log(target_bytes / seen[nearest]) / growth
    if below and above:
        guess = min(max(guess, max(below) + 0.5), min(above) - 0.5)
        if min(above) - max(below) <= 0.5:
            return nearest
    return min(100.0, max(0.0, round(2 * guess) / 2))
