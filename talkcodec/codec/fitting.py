"""A recording at a rate: segment by segment, the quality with which it takes the bytes that it may have."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from talkcodec.clock import CLOCK_HZ
from talkcodec.codec.base import BaseConfig, Pace
from talkcodec.codec.choice import ReferenceChoice, keyframe_picture
from talkcodec.codec.config import EncoderConfig
from talkcodec.codec.crop import CroppedPicture
from talkcodec.codec.ladder import cheaper, fit_quality
from talkcodec.picture import open_still
from talkcodec.types import Crop, Picture

__all__ = ["SEGMENT_S", "RateFitter", "in_segments"]

SEGMENT_S = 60.0
"""So much is held in memory and searched at once: 150 MB at 12.5 pictures a second."""

_ENVELOPE_BYTES = 6
"""Of a unit in a recording: time, layer, lengths, and its share of the record."""

_END_BYTES = 60
"""Index and trailer."""

_PLENTY, _ENOUGH = 28, 8
"""Quality of base pictures from which bits are worth more in the next step, and what it must have there. At 17 kbit/s
four clips of 29 to 35 gain 0.2 to 1.8 dB in the video rung, at 10 to 18; of two with 19 and 20 one loses 0.2 and one
gains 0.3, at 5.5."""

_FAIR_SHARE, _FAIR_QUALITY = 0.35, 20
"""Keyframes with more of the bytes than this are made at a lower quality, down to this one. At 6 kbit/s the 3 s of
grid-swiz3n go from 32.9 to 33.9 dB, the 7 s of img-d12-liveport from 25.3 to 26.2."""

_OVER = 0.05
"""So much more than its share a segment may take; else the base layer steps down the ladder."""

TimedPicture = tuple[float, CroppedPicture]


def in_segments(frames: Iterable[TimedPicture], seconds: float) -> Iterator[tuple[list[TimedPicture], bool]]:
    """The frames in pieces of so many seconds, and with each whether it is the last piece."""
    segment: list[TimedPicture] = []
    for frame in frames:
        if segment and frame[0] - segment[0][0] >= seconds:
            yield segment, False
            segment = []
        segment.append(frame)
    if segment:
        yield segment, True


class RateFitter:
    """Chooses how one segment after another is coded; what one missed, the next makes good.

    That is the quality of the base pictures, and a lower step of the ladder where quality 0 takes too much.
    """

    def __init__(self, bitrate_bps: float, config: EncoderConfig, above: Sequence[EncoderConfig] = ()) -> None:
        """above: dearer steps, from the cheapest up. The first segment climbs to them, and the others stay there, as
        long as its base pictures are better than they need to be for their size."""
        self._bitrate_bps, self._config, self._above = bitrate_bps, config, list(above)
        self._last = config.base
        self._start_s: float | None = None
        self._crop: Crop | None = None

    def fit(
        self, segment: Sequence[TimedPicture], end_s: float, spent_bytes: int, choice: ReferenceChoice | None = None
    ) -> EncoderConfig:
        """The configuration for a segment that ends at `end_s`; `spent_bytes` were written before it.

        choice: what its keyframes show, None for the pictures at which they are made.
        """
        chosen = self._fit(segment, end_s, spent_bytes, choice)
        above, self._above = self._above, []
        for step in above:
            same = (chosen.base.size, chosen.base.fps) == (self._config.base.size, self._config.base.fps)
            if not same or chosen.base.quality < _PLENTY:
                break
            tried = RateFitter(self._bitrate_bps, step)
            climbed = tried._fit(segment, end_s, spent_bytes, choice)
            if climbed.base.quality < _ENOUGH or climbed.base.fps < step.base.fps:
                break
            self._config, self._last, chosen = step, climbed.base, climbed
        return chosen

    def _fit(
        self, segment: Sequence[TimedPicture], end_s: float, spent_bytes: int, choice: ReferenceChoice | None
    ) -> EncoderConfig:
        overhead = 0
        if self._start_s is None:
            self._start_s, overhead = segment[0][0], _END_BYTES
        allowed = (end_s - self._start_s) * self._bitrate_bps / 8 - spent_bytes - overhead
        spare = _OVER * (end_s - segment[0][0]) * self._bitrate_bps / 8
        moved = self._moved(segment, choice)
        chosen = _with_fair_keyframes(self._config, moved, allowed)
        for step in (chosen, *cheaper(chosen, segment[0][1].picture.shape[0])):
            pictures = [cut for _, cut in coded_of(segment, step.base)]
            fixed = _ENVELOPE_BYTES * len(pictures) + _keyframe_bytes(moved, step)
            same = (self._last.size, self._last.fps) == (step.base.size, step.base.fps)
            start = self._last if same else step.base
            fitted = fit_quality(pictures, start, max(allowed - fixed, 8.0 * len(pictures)))
            chosen = replace(step, base=fitted.base)
            if fitted.size_bytes + fixed <= allowed + spare:
                break
        self._last = chosen.base
        return chosen

    def _moved(self, segment: Sequence[TimedPicture], choice: ReferenceChoice | None) -> list[Picture]:
        """What keyframes will show that are made at the first picture, and where the crop moves."""
        moved = []
        for number, (_, cut) in enumerate(segment):
            if cut.crop != self._crop:
                moved.append(choice.at(number) if choice else cut.picture)
                self._crop = cut.crop
        return moved


def _with_fair_keyframes(config: EncoderConfig, pictures: Sequence[Picture], allowed: float) -> EncoderConfig:
    """At a lower quality of keyframes where they would take too much of the bytes, as in a film of a few seconds."""
    while config.still_quality > _FAIR_QUALITY and _keyframe_bytes(pictures, config) > _FAIR_SHARE * allowed:
        config = replace(config, still_quality=max(_FAIR_QUALITY, config.still_quality - 5))
    return config


_TRIED = 8
"""Keyframes of a segment whose size is measured; the others are taken to be like those."""


def _keyframe_bytes(pictures: Sequence[Picture], config: EncoderConfig) -> float:
    still = open_still(config.still)
    tried = pictures[:: -(-len(pictures) // _TRIED) or 1]
    sizes = [len(still.encode(keyframe_picture(picture, config), config.still_quality)) + 40 for picture in tried]
    return len(pictures) * sum(sizes) / max(1, len(sizes))


def coded_of(segment: Sequence[TimedPicture], base: BaseConfig) -> list[TimedPicture]:
    """The frames of a segment that the base layer codes; the last one as if it ended the recording."""
    pace = Pace(base.fps)
    coded = []
    for number, (time_s, cut) in enumerate(segment):
        timestamp = round(time_s * CLOCK_HZ)
        if number == len(segment) - 1 or pace.wants(timestamp):
            pace.took(timestamp)
            coded.append((time_s, cut))
    return coded
