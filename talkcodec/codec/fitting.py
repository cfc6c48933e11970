"""A recording at a rate: segment by segment, the quality with which it takes the bytes that it may have."""

from collections.abc import Iterable, Iterator, Sequence

from talkcodec.clock import CLOCK_HZ
from talkcodec.codec.base import BaseConfig, Pace
from talkcodec.codec.config import EncoderConfig
from talkcodec.codec.crop import CroppedPicture
from talkcodec.codec.ladder import fit_quality
from talkcodec.picture import open_still
from talkcodec.types import Picture

__all__ = ["SEGMENT_S", "RateFitter", "in_segments"]

SEGMENT_S = 60.0
"""So much is held in memory and searched at once: 150 MB at 12.5 pictures a second."""

_ENVELOPE_BYTES = 6
"""Of a unit in a recording: time, layer, lengths, and its share of the record."""

_END_BYTES = 60
"""Index and trailer."""

TimedPicture = tuple[float, CroppedPicture]


def in_segments(frames: Iterable[TimedPicture], seconds: float) -> Iterator[list[TimedPicture]]:
    """The frames in pieces of so many seconds."""
    segment: list[TimedPicture] = []
    for frame in frames:
        if segment and frame[0] - segment[0][0] >= seconds:
            yield segment
            segment = []
        segment.append(frame)
    if segment:
        yield segment


class RateFitter:
    """Chooses the quality of the base layer for one segment after another; what one missed, the next makes good."""

    def __init__(self, bitrate_bps: float, config: EncoderConfig) -> None:
        self._bitrate_bps, self._config = bitrate_bps, config
        self._start_s: float | None = None

    def fit(self, segment: Sequence[TimedPicture], end_s: float, spent_bytes: int, base: BaseConfig) -> BaseConfig:
        """The base layer's configuration for a segment that ends at `end_s`; `spent_bytes` were written before it."""
        pictures = [cut.picture for _, cut in coded_of(segment, base)]
        overhead = _ENVELOPE_BYTES * len(pictures)
        if self._start_s is None:
            self._start_s = segment[0][0]
            overhead += _END_BYTES + self._keyframe_bytes(pictures[0])
        left = (end_s - self._start_s) * self._bitrate_bps / 8 - spent_bytes - overhead
        return fit_quality(pictures, base, max(left, 8.0 * len(pictures)))

    def _keyframe_bytes(self, picture: Picture) -> int:
        still = open_still(self._config.still)
        return len(still.encode(picture, self._config.still_quality)) + 40


def coded_of(segment: Sequence[TimedPicture], base: BaseConfig) -> list[TimedPicture]:
    """The frames of a segment that the base layer codes."""
    pace = Pace(base.fps)
    coded = []
    for time_s, cut in segment:
        timestamp = round(time_s * CLOCK_HZ)
        if pace.wants(timestamp):
            pace.took(timestamp)
            coded.append((time_s, cut))
    return coded
