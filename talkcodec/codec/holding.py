"""A running stream at a rate: what is coded next is chosen by what was coded last, since a call cannot code twice."""

from dataclasses import replace
from math import log

from talkcodec.codec.base import BaseConfig
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.codec.ladder import KEYFRAME_SHARE, cheaper, config_for_rate
from talkcodec.codec.search import GROWTH_WITH_QUALITY, half

__all__ = ["RateHolder"]

_ENVELOPE_BYTES = 13
"""Of a message with one base unit."""

_WINDOW_S, _URGENT_S = 4.0, 1.5
"""So long the bytes are counted before the quality is changed, which costs a fresh start of the base; and so long where
they are far too many."""

_OVER, _FAR_OVER, _UNDER = 1.15, 1.6, 0.75

_FALL = 0.75
"""A rate that falls below this share of what it was is met at once."""

_LARGEST_STEP = 15.0

_DEARER, _BAN_S, _LONGEST_BAN_S = 1.3, 30.0, 480.0
"""Where the video rung did not fit, it is tried again at a rate so many times higher, or so much later; after each time
that it did not fit again, twice as much later."""

_KEPT = 1.15
"""The video rung is left at a rate so many times lower than the one from which on it is taken."""


class RateHolder:
    """Keeps base pictures to a rate by their quality, and by a lower step of the ladder where quality 0 takes too much.

    What was learned of each size and frame rate is kept when the rate changes, and used when it comes back.
    """

    def __init__(self, config: EncoderConfig, picture_size: int) -> None:
        """config: what `aim` begins from, whatever it has chosen since."""
        self._asked, self._size = config, picture_size
        self._bitrate_bps: float | None = None
        self._known: dict[tuple[int, float], float] = {}
        self._any_rung, self._now_s = False, 0.0
        self._no_video_below_bps, self._no_video_until_s, self._ban_s = 0.0, 0.0, _BAN_S
        self._top = self._config = config
        self._bytes, self._since_s = 0, float("inf")  # counted since then

    def aim(self, bitrate_bps: float, rung: Rung | None) -> EncoderConfig:
        """The configuration for a rate, in this rung, None for the ladder's. Raises ConfigError below 1 kbit/s."""
        top = config_for_rate(bitrate_bps, self._asked, self._size, rung)
        self._any_rung = rung is None
        leaves_video = self._any_rung and self._config.rung is Rung.VIDEO and top.rung is Rung.HYBRID
        if leaves_video and self._config.base.quality == 0:
            self._ban_video(bitrate_bps)
        elif leaves_video:
            above = config_for_rate(_KEPT * bitrate_bps, self._asked, self._size)
            top = above if above.rung is Rung.VIDEO else top
        if self._any_rung and top.rung is Rung.VIDEO and self._banned(bitrate_bps):
            top = config_for_rate(bitrate_bps, self._asked, self._size, Rung.HYBRID)
        same = (top.rung, _kind(top.base)) == (self._top.rung, _kind(self._top.base))
        if not same or self._bitrate_bps is None:
            self._config = replace(top, base=self._remembered(top.base))
            self._since_s = float("inf")
        else:
            base = self._config.base
            if bitrate_bps < _FALL * self._bitrate_bps:  # a narrow network does not wait; `took` finds the rest
                step = log(bitrate_bps / self._bitrate_bps) / GROWTH_WITH_QUALITY
                base = replace(base, quality=half(base.quality + step))
                self._since_s = float("inf")
            self._config = replace(top, base=base)
        self._top, self._bitrate_bps = top, bitrate_bps
        return self._config

    def took(self, size_bytes: int, time_s: float) -> EncoderConfig | None:
        """A base picture took so many bytes; how the next are to be coded, None when as before. Where the video rung
        takes too much at its slowest and coarsest, that is the hybrid rung, if the ladder chose.

        Fresh starts that the other end asks for count, so that a network that loses much is not sent more than others;
        those that a change brings do not.
        """
        self._now_s = max(self._now_s, time_s)
        if self._bitrate_bps is None:
            return None
        if time_s < self._since_s:
            self._since_s, self._bytes = time_s, 0
            return None
        self._bytes += size_bytes
        elapsed_s = time_s - self._since_s
        if elapsed_s < _URGENT_S:
            return None
        base = self._config.base
        allowed_bps = (1 - KEYFRAME_SHARE) * self._bitrate_bps - 8 * _ENVELOPE_BYTES * base.fps
        ratio = max(8 * self._bytes, 1) / elapsed_s / max(allowed_bps, 8 * 8 * base.fps)
        if elapsed_s < _WINDOW_S and ratio < _FAR_OVER:
            return None
        self._since_s, self._bytes = time_s, 0
        if ratio <= _OVER and base.quality >= self._top.base.quality and self._video_is_due():
            return self.aim(self._bitrate_bps, None)
        if _UNDER <= ratio <= _OVER:
            return None
        step = min(_LARGEST_STEP, max(-_LARGEST_STEP, -log(ratio) / GROWTH_WITH_QUALITY))
        quality = half(base.quality + step)
        changed = replace(base, quality=quality)
        if changed == base and ratio > _OVER:
            lower = [step.base for step in cheaper(self._config, self._size) if _kind(step.base) != _kind(base)]
            if not lower and self._any_rung and self._config.rung is Rung.VIDEO:
                self._ban_video(self._bitrate_bps)
                return self.aim(self._bitrate_bps, None)
            changed = self._remembered(lower[0]) if lower else base
        elif ratio < _UNDER and _kind(base) != _kind(self._top.base) and quality > self._top.base.quality:
            changed = self._remembered(self._top.base)
        self._known[_kind(base)] = quality
        if changed == base:
            return None
        self._config, self._since_s = replace(self._config, base=changed), float("inf")
        return self._config

    def _ban_video(self, bitrate_bps: float) -> None:
        if self._banned(bitrate_bps):
            return
        self._no_video_below_bps = _DEARER * bitrate_bps
        self._no_video_until_s = self._now_s + self._ban_s
        self._ban_s = min(_LONGEST_BAN_S, 2 * self._ban_s)

    def _banned(self, bitrate_bps: float) -> bool:
        return bitrate_bps < self._no_video_below_bps and self._now_s < self._no_video_until_s

    def _video_is_due(self) -> bool:
        """Whether the ladder has the video rung at this rate, and it may be tried again."""
        assert self._bitrate_bps is not None
        if not self._any_rung or self._top.rung is not Rung.HYBRID or self._banned(self._bitrate_bps):
            return False
        return config_for_rate(self._bitrate_bps, self._asked, self._size).rung is Rung.VIDEO

    def _remembered(self, base: BaseConfig) -> BaseConfig:
        return replace(base, quality=self._known.get(_kind(base), base.quality))


def _kind(base: BaseConfig) -> tuple[int, float]:
    return base.size, base.fps
