"""A piece of a recording that is coded as often as it takes to meet a rate."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt

from talkcodec.bitstream import BasePicture
from talkcodec.clock import CLOCK_HZ
from talkcodec.codec.base import BaseConfig, BaseEncoder, Pace
from talkcodec.codec.choice import ReferenceChoice, keyframe_picture
from talkcodec.codec.config import EncoderConfig
from talkcodec.codec.crop import CroppedPicture
from talkcodec.codec.ladder import cheaper
from talkcodec.codec.search import fit_quality
from talkcodec.picture import open_still, quality_step
from talkcodec.types import Picture

__all__ = ["Coded", "Fitted", "Segment", "TimedPicture", "coded_bytes", "in_segments"]

_ENVELOPE_BYTES = 6
"""Of a unit in a recording: time, layer, lengths, and its share of the record."""

_KEYFRAMES = 8
"""So many of a segment are measured; the others are taken to be like those."""

_HOPELESS = 1.5
"""Times what it may take: what is expected to take more is not tried."""

_FEWEST = 50
"""Frames that say enough of a segment."""

TimedPicture = tuple[float, CroppedPicture]

Coded = dict[int, BasePicture]
"""Base pictures, by the number of the picture of the segment that they code; the first is among them."""


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


@dataclass(frozen=True, slots=True)
class Fitted:
    """A configuration of a segment. share: of the bytes that it may have, taken; keyframes: by keyframes alone."""

    config: EncoderConfig
    share: float
    keyframes: float


@dataclass(frozen=True, slots=True)
class Segment:
    """frames: all that were captured, with their times in seconds; moved: what its keyframes show, made at the first of
    them and where the crop moves; choice: what chose that, None for the frames themselves.

    allowed: bytes that it may have; most: times those, what it may take in the end. size: of the model's pictures.
    part: of the keyframes' bytes, so much counts: in the beginning of a segment they are there for all of it.
    """

    frames: Sequence[TimedPicture]
    moved: Sequence[Picture]
    choice: ReferenceChoice | None
    allowed: float
    most: float
    size: int
    part: float = 1.0
    _coded: dict[tuple[BaseConfig, int], Coded] = field(default_factory=dict)

    def beginning(self, seconds: float) -> "Segment":
        """So much of it, at the same rate; itself where it is no longer than that, or too few frames are."""
        start_s, last_s = self.frames[0][0], self.frames[-1][0]
        count = sum(time_s - start_s < seconds for time_s, _ in self.frames)
        if count == len(self.frames) or count < _FEWEST:
            return self
        length_s = (last_s - start_s) * len(self.frames) / (len(self.frames) - 1)
        part = (self.frames[count][0] - start_s) / length_s
        return replace(self, frames=self.frames[:count], allowed=part * self.allowed, part=part, _coded={})

    def fit(self, config: EncoderConfig, start: BaseConfig | None = None, fall: bool = True) -> Fitted:
        """The quality for it, at a cheaper step where quality 0 takes too much. start: where the search begins, where
        sizes and frame rates are the same. fall: else no cheaper step is looked at."""
        steps = [config, *(cheaper(config, self.size) if fall else ())]
        found: Fitted | None = None
        for step in steps:
            count, keyframes = len(self._numbers(step.base)), self._keyframe_bytes(step)
            if found is not None and step is not steps[-1]:
                base = (found.share - found.keyframes) * sqrt(_cost(step) / _cost(found.config))
                if base + keyframes / self.allowed > max(_HOPELESS, self.most):
                    continue
            fixed = _ENVELOPE_BYTES * count + keyframes
            same = start is not None and (start.size, start.fps) == (step.base.size, step.base.fps)
            begin = start if start is not None and same else step.base
            fit = fit_quality(begin, max(self.allowed - fixed, 8.0 * count), self._base_bytes)
            share = (fit.size_bytes + fixed) / self.allowed
            found = Fitted(replace(step, base=fit.base), share, keyframes / self.allowed)
            if share <= self.most:
                break
        assert found is not None
        return found

    def coded(self, base: BaseConfig) -> Coded:
        """Its base pictures, coded so; kept, since steps that differ in their keyframes have the same, and some
        qualities too."""
        key = replace(base, quality=0), quality_step(base.quality)
        if key not in self._coded:
            self._coded[key] = _code([(n, self.frames[n][1]) for n in self._numbers(base)], base)
        return self._coded[key]

    def _base_bytes(self, base: BaseConfig) -> int:
        return coded_bytes(self.coded(base))

    def _numbers(self, base: BaseConfig) -> list[int]:
        """Which frames the base layer codes; the last one as if it ended the recording."""
        pace = Pace(base.fps)
        numbers = []
        for number, (time_s, _) in enumerate(self.frames):
            timestamp = round(time_s * CLOCK_HZ)
            if number == len(self.frames) - 1 or pace.wants(timestamp):
                pace.took(timestamp)
                numbers.append(number)
        return numbers

    def _keyframe_bytes(self, config: EncoderConfig) -> float:
        still = open_still(config.still)
        tried = self.moved[:: -(-len(self.moved) // _KEYFRAMES) or 1]
        sizes = [len(still.encode(keyframe_picture(picture, config), config.still_quality)) + 40 for picture in tried]
        return self.part * len(self.moved) * sum(sizes) / max(1, len(sizes))


def _code(pictures: Iterable[tuple[int, CroppedPicture]], base: BaseConfig) -> Coded:
    encoder = BaseEncoder(base)
    try:
        return {number: encoder.encode(cut.picture, 0, cut.crop) for number, cut in pictures}
    finally:
        encoder.close()


def coded_bytes(coded: Coded) -> int:
    """Bytes of base pictures, units' headers included."""
    return sum(len(unit.data) + (8 if unit.start else 1) for unit in coded.values())


def _cost(config: EncoderConfig) -> float:
    return config.base.size**2 * config.base.fps
