"""The one Opus encoder and the one decoder: frames of samples with their places in, packets out, and back."""

from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np

from talkcodec.errors import ConfigError
from talkcodec.types import SoundArray

__all__ = ["OPUS_RATE_HZ", "SPEECH_BPS", "OpusDecoder", "OpusEncoder", "OpusPacket"]

OPUS_RATE_HZ = 48_000
SPEECH_BPS = 16_000
FRAMES_MS = (2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0)
APPLICATIONS = ("voip", "audio", "lowdelay")


class OpusPacket(NamedTuple):
    """A packet and the place of its first sample at 48 kHz; the encoder's look-ahead makes it lie a little earlier
    than what went in."""

    position: int
    data: bytes


LOOK_AHEAD_SAMPLES = 312
"""How much earlier a packet's sound lies than the samples that completed it."""
HANDED_OVER_SAMPLES = 400
"""Of the sound before a new encoder's first frame: the look-ahead and a short rise. With more, the encoder predicts
from what a decoder that changes its bandwidth has forgotten."""


class OpusEncoder:
    """Sound at 48 kHz into Opus packets, one a frame. Places may jump forward: a gap stays a gap.

    channels: 1 or 2. frame_ms: 2.5, 5, 10, or 20 to 120 in steps of 20. application: "voip" for speech, "audio" for
    music, "lowdelay". Raises ConfigError for other values.
    """

    def __init__(
        self, bitrate_bps: int = SPEECH_BPS, channels: int = 1, *, frame_ms: float = 20.0, application: str = "voip"
    ) -> None:
        if channels not in (1, 2) or frame_ms not in FRAMES_MS or application not in APPLICATIONS:
            raise ConfigError(
                f"Opus: got {channels} channels, frames of {frame_ms:g} ms for {application!r}; expected 1 or 2, one "
                f"of {FRAMES_MS} ms, one of {APPLICATIONS}"
            )
        if not 500 <= bitrate_bps <= 512_000:
            raise ConfigError(f"Opus: got {bitrate_bps} bit/s, expected 500 to 512000")
        self.frame_samples = round(OPUS_RATE_HZ * frame_ms / 1000)
        self._layout = "mono" if channels == 1 else "stereo"
        codec: Any = av.AudioCodecContext.create("libopus", "w")
        codec.sample_rate, codec.layout, codec.format = OPUS_RATE_HZ, self._layout, "s16"
        codec.bit_rate = bitrate_bps
        codec.options = {"application": application, "frame_duration": f"{frame_ms:g}"}
        self._codec = codec

    def follow(self, before: SoundArray, position: int) -> None:
        """To be called before the first frame, which lies at `position` and goes on from what another encoder coded:
        without the end of `before` the look-ahead would be heard as 6.5 ms of silence. Mono only."""
        end = before[-HANDED_OVER_SAMPLES:].astype(np.float64)
        rise = max(1, len(end) - LOOK_AHEAD_SAMPLES)
        frame = np.zeros(self.frame_samples, np.int16)
        if len(end):
            frame[-len(end) :] = np.rint(end * np.minimum(np.arange(1, len(end) + 1) / rise, 1))
        self.encode(frame, position - self.frame_samples)

    def encode(self, samples: SoundArray, position: int) -> list[OpusPacket]:
        """What is complete with a frame of `frame_samples`, (n,) int16 or (n, channels), at a place that only rises."""
        assert len(samples) == self.frame_samples
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=self._layout
        )
        frame.sample_rate, frame.time_base, frame.pts = OPUS_RATE_HZ, Fraction(1, OPUS_RATE_HZ), position
        return [OpusPacket(packet.pts or 0, bytes(packet)) for packet in self._codec.encode(frame)]


class OpusDecoder:
    """Opus packets of a call, one after the other, into samples. The state goes on over packets that are missing."""

    def __init__(self) -> None:
        codec: Any = av.AudioCodecContext.create("libopus", "r")
        codec.sample_rate, codec.layout, codec.format = OPUS_RATE_HZ, "stereo", "s16"
        self._codec, self._position = codec, 0

    def decode(self, data: bytes) -> SoundArray:
        """A packet of at most 120 ms -> (n,) int16 mono at 48 kHz; nothing for what is no packet."""
        packet: Any = av.Packet(data)
        packet.pts, packet.time_base = self._position, Fraction(1, OPUS_RATE_HZ)
        try:
            frames = self._codec.decode(packet)
        except (av.FFmpegError, ValueError):
            return np.zeros(0, np.int16)
        parts = [frame.to_ndarray().reshape(-1, 2).astype(np.int32).sum(1) // 2 for frame in frames]
        samples = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        self._position += len(samples)
        return samples.astype(np.int16)
