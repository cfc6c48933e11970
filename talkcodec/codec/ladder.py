"""Which rung, size, frame rate and quality a rate affords (docs/base-layer.md has the measurement)."""

from dataclasses import dataclass, replace

from talkcodec.codec.base import BaseConfig
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.errors import ConfigError
from talkcodec.picture import DEFAULT_QUALITY

__all__ = [
    "LADDER",
    "Step",
    "cheaper",
    "config_for_rate",
    "config_for_rung",
    "faster",
    "larger",
    "slower",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One step, good from `bitrate_bps` upwards. quality: where the search for the rate begins. blind: only where
    nobody looks ahead, as in a call: there a keyframe shows the first picture, not the one most like all others."""

    bitrate_bps: int
    rung: Rung
    size: int
    fps: float
    quality: float
    still_quality: int
    blind: bool = False


LADDER = (
    Step(0, Rung.MOTION, 0, 0, 0, 25),
    Step(2_800, Rung.HYBRID, 96, 6.25, 5, 25),
    Step(5_000, Rung.HYBRID, 128, 8.34, 5, 30),
    Step(8_500, Rung.HYBRID, 128, 8.34, 22, 40),
    Step(13_000, Rung.HYBRID, 128, 12.5, 25, 50),
    Step(14_000, Rung.VIDEO, 256, 8.34, 12, 25, blind=True),
    Step(22_000, Rung.VIDEO, 256, 12.5, 20, 25),
    Step(70_000, Rung.VIDEO, 256, 25, 20, 25),
)
"""From the bottom up."""

_LAST = (
    Step(0, Rung.HYBRID, 128, 8.34, 0, 20),
    *(Step(0, Rung.HYBRID, 96, 6.25, 0, still) for still in (20, 15, 10)),
    Step(0, Rung.HYBRID, 80, 5, 0, 10),
)
"""The hybrid rung at its cheapest: where no other step of it meets the rate, as in short recordings."""

KEYFRAME_SHARE = 0.15
"""Of the rate, for keyframes that only quality asks for; the fresh starts of the base come on top."""

_BYTES_PER_QUALITY = 65
"""A keyframe picture of 256 px has about so many times its quality: 1400 to 1800 bytes at 25, 2900 to 3400 at 45; one
of 64 px about a quarter of that."""


def config_for_rate(
    bitrate_bps: float, config: EncoderConfig, picture_size: int, rung: Rung | None = None, ahead: bool = False
) -> EncoderConfig:
    """The configuration for a rate, all of the stream included; rung: None lets the ladder choose. ahead: whether what
    comes is known.

    Sizes are those of pictures of 256 px, and scale with picture_size. A quality of keyframes other than the default is
    kept. Raises ConfigError for a rate below 1 kbit/s.
    """
    if bitrate_bps < 1000:
        raise ConfigError(f"bitrate is {bitrate_bps:.0f} bit/s, expected at least 1000")
    steps = [step for step in LADDER if (rung is None or step.rung is rung) and not (ahead and step.blind)]
    step = [step for step in steps if step.bitrate_bps <= bitrate_bps or step is steps[0]][-1]
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


_SIZES = (*sorted({step.size for step in (*LADDER, *_LAST) if step.rung is Rung.HYBRID}), 256)
_FPS = (5, 6.25, 8.34, 12.5, 25)


def larger(config: EncoderConfig, picture_size: int, any_rung: bool) -> list[EncoderConfig]:
    """The same with larger base pictures, one size after another; in the video rung in the end."""
    found = []
    for size in _SIZES:
        whole = size == _SIZES[-1]
        scaled = picture_size if whole else _scaled(size, picture_size)
        if scaled > config.base.size and (any_rung or not whole):
            rung = Rung.VIDEO if whole else config.rung
            found.append(replace(config, rung=rung, base=replace(config.base, size=scaled)))
    return found


def faster(config: EncoderConfig) -> list[EncoderConfig]:
    """The same with the next two higher rates of base pictures."""
    above = [fps for fps in _FPS if fps > config.base.fps]
    return [replace(config, base=replace(config.base, fps=fps)) for fps in above[:2]]


def slower(config: EncoderConfig) -> EncoderConfig | None:
    """The same with the next lower rate of base pictures; None at the lowest."""
    below = [fps for fps in _FPS if fps < config.base.fps]
    return replace(config, base=replace(config.base, fps=below[-1])) if below else None


def _base_of(step: Step, picture_size: int) -> BaseConfig:
    return BaseConfig(size=_scaled(step.size, picture_size), fps=step.fps, quality=step.quality)


def _scaled(size: int, picture_size: int) -> int:
    return max(16, size * picture_size // 256 // 2 * 2)
