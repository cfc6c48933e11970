"""The sound of a file, as samples or Opus packets. Its time stamps rule: gaps stay gaps, what changes is resampled."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from talkcodec.media.container import Damage, decoded_frames, first_frame_s, open_input, sound_stream
from talkcodec.media.opus import OPUS_RATE_HZ, SPEECH_BPS, OpusEncoder
from talkcodec.media.reader import CLOCK_RESTART_S
from talkcodec.types import SoundArray

__all__ = ["BLOCK_SAMPLES", "SoundBlock", "SoundPacket", "SoundTimeline", "read_opus", "read_sound"]

logger = logging.getLogger(__name__)

TOLERANCE_S = 0.05
"""Containers round times; only what lies further from its place than this is put there."""

BLOCK_SAMPLES = OPUS_RATE_HZ // 50

_GRID = 8
"""Places are multiples of so many samples, which are whole ticks of 90 kHz."""


class SoundPacket(NamedTuple):
    """One Opus packet, 48 kHz; times in seconds."""

    time_s: float
    duration_s: float
    data: bytes


class SoundBlock(NamedTuple):
    """20 ms of sound, (960, channels) int16 at 48 kHz, and their time in seconds."""

    time_s: float
    samples: SoundArray


class SoundTimeline:
    """Decoded sound of any rate and layout, with times, into blocks of 20 ms.

    A step back of less than a second is an overlap, of which the earlier sound stands; a longer one is a clock that
    began anew, and the sound goes on from where it was.
    """

    def __init__(
        self,
        channels: int = 1,
        *,
        tolerance_s: float = TOLERANCE_S,
        restart_s: float = CLOCK_RESTART_S,
    ) -> None:
        """tolerance_s: what lies no further from its place follows what was before. restart_s: a clock that falls by
        more has begun anew."""
        self._channels, self._tolerance_s, self._restart_s = channels, tolerance_s, restart_s
        self._layout = "mono" if channels == 1 else "stereo"
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[int, str, str] | None = None
        self._clock_s = 0.0  # of the next frame, if nothing is missing
        self._moved_s = 0.0  # by clocks that began anew
        self._end = 0  # place of the next sample out of the resampler
        self._start = 0  # place of the first that waits
        self._waiting: SoundArray = np.zeros((0, channels), np.int16)
        self._coded_to = 0

    @property
    def end_s(self) -> float:
        """Time of the end of all sound so far."""
        return self._clock_s

    def add(self, frame: av.AudioFrame, time_s: float | None) -> Iterator[SoundBlock]:
        """The blocks that are complete with a frame; times below 0 are left out. None: it follows the one before."""
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        time_s = self._clock_s if time_s is None else time_s + self._moved_s
        if self._resampler is not None and time_s < self._clock_s - self._restart_s:
            self._moved_s += self._clock_s - time_s
            time_s = self._clock_s
        if self._resampler is None or abs(time_s - self._clock_s) > self._tolerance_s:
            yield from self.finish()
            self._clock_s = time_s
            self._end = round(time_s * OPUS_RATE_HZ / _GRID) * _GRID
        if self._resampler is None or kind != self._kind:
            self._flush_resampler()
            self._kind = kind
            self._resampler = av.AudioResampler("s16", self._layout, OPUS_RATE_HZ)
        self._clock_s += frame.samples / frame.sample_rate
        frame.pts = None
        self._take(self._resampler.resample(frame))
        yield from self._blocks()

    def finish(self) -> Iterator[SoundBlock]:
        """The last block, filled up with silence."""
        self._flush_resampler()
        missing = -len(self._waiting) % BLOCK_SAMPLES
        self._waiting = np.concatenate([self._waiting, np.zeros((missing, self._channels), np.int16)])
        yield from self._blocks()

    def _flush_resampler(self) -> None:
        if self._resampler is not None:
            self._take(self._resampler.resample(None))
            self._resampler = None

    def _take(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            samples = np.asarray(frame.to_ndarray(), np.int16).reshape(-1, self._channels)
            early = min(max(self._coded_to - self._end, 0), len(samples))  # it was heard already, or lies before 0
            if not len(self._waiting):
                self._start = self._end + early
            self._end += len(samples)
            self._waiting = np.concatenate([self._waiting, samples[early:]])

    def _blocks(self) -> Iterator[SoundBlock]:
        while len(self._waiting) >= BLOCK_SAMPLES:
            yield SoundBlock(self._start / OPUS_RATE_HZ, self._waiting[:BLOCK_SAMPLES])
            self._waiting = self._waiting[BLOCK_SAMPLES:]
            self._start += BLOCK_SAMPLES
            self._coded_to = self._start


def read_opus(
    path: Path | str, bitrate_bps: int = SPEECH_BPS, channels: int = 1, *, track: int | None = None
) -> Iterator[SoundPacket]:
    """As `read_sound`, in Opus packets of 20 ms."""
    encoder = OpusEncoder(bitrate_bps, channels)
    for block in read_sound(path, channels, track=track):
        for packet in encoder.encode(block.samples, round(block.time_s * OPUS_RATE_HZ)):
            if packet.position >= 0:  # the encoder's look-ahead lies before the start
                yield SoundPacket(packet.position / OPUS_RATE_HZ, BLOCK_SAMPLES / OPUS_RATE_HZ, packet.data)


def read_sound(path: Path | str, channels: int = 1, *, track: int | None = None) -> Iterator[SoundBlock]:
    """A sound track of a file in blocks of 20 ms, by default the default one; nothing when the file has none.

    track: 1 for the first. Times count from the first picture that can be decoded, so they fit those of MediaReader.
    What is damaged is left out with a warning. Raises MediaError when the file cannot be opened or has no such track.
    """
    path = Path(path)
    with open_input(path) as container:
        stream = sound_stream(container, track)
        if stream is None:
            return
        zero_s = first_frame_s(path)
        timeline = SoundTimeline(channels)
        damage = Damage()
        for frame in decoded_frames(container, stream, damage):
            try:
                yield from timeline.add(frame, None if frame.time is None else frame.time - zero_s)
            except (av.FFmpegError, ValueError) as error:  # a layout that nobody can mix down
                damage.add(error)
                if damage.given_up:
                    break
        yield from timeline.finish()
        if damage.given_up:
            logger.warning("the sound of %s is damaged: read up to %.2f s (%s)", path, timeline.end_s, damage.last)
        elif damage.packets:
            logger.warning("the sound of %s: %s", path, damage.summary)
