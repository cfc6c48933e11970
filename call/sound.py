"""Sound between the page and the peer: microphone to Opus packets, the peer's samples to a track, both on one clock."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet

from talkcodec.bitstream import SoundClock
from talkcodec.clock import ticks
from talkcodec.media.opus import OPUS_RATE_HZ, SPEECH_BPS, OpusEncoder

__all__ = ["FRAME_SAMPLES", "MicrophoneCoder", "OutgoingSound", "PageSound"]

FRAME_SAMPLES = OPUS_RATE_HZ // 50
MICROPHONE_DELAY_S = 0.06
"""aiortc hands a sound frame on when three more have come: what arrives is so much older than what is seen."""

_GAP_S = 0.2
_CLOCK_EVERY_S = 5.0
_SILENT_PEAK = 64
"""Of 32768: -54 dB, below any room with a person in it."""
_HANG_OVER = 15
"""So many silent frames are still sent, so that no word is cut."""


class MicrophoneCoder:
    """PCM frames of the page to Opus packets of 20 ms, mono, for voice; silence is left out."""

    def __init__(self, bitrate_bps: int = SPEECH_BPS) -> None:
        self._opus = OpusEncoder(bitrate_bps)
        self._resampler = av.AudioResampler("s16", "mono", OPUS_RATE_HZ, frame_size=FRAME_SAMPLES)
        self._samples = self._silent = 0

    def encode(self, frame: AudioFrame, arrived_s: float) -> list[tuple[float, bytes]]:
        """(capture time on the monotonic clock, packet) of all that is complete; nothing for silence."""
        coded = []
        frame.pts = None
        for piece in self._resampler.resample(frame):
            samples = piece.to_ndarray().reshape(-1)
            self._silent = self._silent + 1 if np.abs(samples).max(initial=0) < _SILENT_PEAK else 0
            if self._silent > _HANG_OVER:
                continue
            coded += [packet.data for packet in self._opus.encode(samples, self._samples)]
            self._samples += len(samples)
        captured_s = arrived_s - MICROPHONE_DELAY_S
        return [(captured_s, packet) for packet in coded]


class OutgoingSound(MediaStreamTrack):
    """The track to the peer: packets as they come from `push`. Drop policy: 10 wait, the oldest leaves first.

    Every five seconds, and after each gap, a SoundClock ties the packets to the frames' clock; it also tells the peer
    that we are there while microphone and camera are off.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets: deque[tuple[int, bytes]] = deque(maxlen=10)
        self._arrived = asyncio.Event()
        self._announce: Callable[[SoundClock], None] | None = None
        self._first_s: float | None = None
        self._position = 0
        self._clock_s = float("-inf")

    def start(self, announce: Callable[[SoundClock], None]) -> None:
        """The handshake is done: packets count from now on; `announce` sends a SoundClock."""
        self._announce = announce

    def push(self, packet: bytes, captured_s: float) -> None:
        """20 ms of sound and their time on the monotonic clock."""
        if self._announce is None or self.readyState != "live":
            return
        if self._first_s is None:
            self._first_s, self._clock_s = captured_s, float("-inf")
        wanted = round((captured_s - self._first_s) * OPUS_RATE_HZ)
        if abs(wanted - self._position) > _GAP_S * OPUS_RATE_HZ:  # silence, or the microphone was off
            self._position = max(self._position, wanted)
            self._clock_s = float("-inf")
        self._tell(self._position, captured_s)
        self._packets.append((self._position, packet))
        self._position += FRAME_SAMPLES
        self._arrived.set()

    def keep_alive(self) -> None:
        """To be called now and then: says the clock when no packet did for a while."""
        now_s = time.monotonic()
        first_s = now_s if self._first_s is None else self._first_s
        self._tell(round((now_s - first_s) * OPUS_RATE_HZ), now_s)

    def _tell(self, position: int, captured_s: float) -> None:
        now_s = time.monotonic()
        if self._announce is not None and now_s - self._clock_s >= _CLOCK_EVERY_S:
            self._clock_s = now_s
            self._announce(SoundClock(position & 0xFFFFFFFF, ticks(captured_s)))

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._arrived.set()

    async def recv(self) -> "Packet[Any]":
        """The next packet."""
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        position, data = self._packets.popleft()
        packet: Packet[Any] = Packet(data)
        packet.pts, packet.time_base = position, Fraction(1, OPUS_RATE_HZ)
        return packet


class PageSound(MediaStreamTrack):
    """The track to the page: the peer's samples when they are due, silence between.

    Drop policy: two seconds wait at most; what is due more than 100 ms ago is skipped.
    """

    kind = "audio"
    LATE_S = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._ahead: deque[tuple[float, npt.NDArray[np.int16]]] = deque(maxlen=100)
        self._start_s: float | None = None
        self._frames = 0

    def play(self, samples: npt.NDArray[np.int16], due_s: float) -> None:
        """(n,) samples, mono, 48 kHz, and when the first is to be heard, monotonic clock."""
        self._ahead.append((due_s, samples))

    async def recv(self) -> AudioFrame:
        """The next 20 ms, in real time."""
        if self.readyState != "live":
            raise MediaStreamError
        now_s = time.monotonic()
        if self._start_s is None or now_s - self._start_s - self._frames * 0.02 > 1.0:  # the loop was held up
            self._start_s, self._frames = now_s, 0
        wait_s = self._start_s + self._frames * 0.02 - now_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        frame = AudioFrame.from_ndarray(self._take(time.monotonic()).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.time_base = OPUS_RATE_HZ, Fraction(1, OPUS_RATE_HZ)
        frame.pts = round(self._start_s * 50) * FRAME_SAMPLES + self._frames * FRAME_SAMPLES
        self._frames += 1
        return frame

    def _take(self, now_s: float) -> npt.NDArray[np.int16]:
        taken = np.zeros(FRAME_SAMPLES, np.int16)
        filled = 0
        while self._ahead and filled < FRAME_SAMPLES:
            due_s, samples = self._ahead[0]
            if due_s < now_s - self.LATE_S:
                self._ahead.popleft()
                continue
            if due_s > now_s + 0.02:
                break
            count = min(len(samples), FRAME_SAMPLES - filled)
            taken[filled : filled + count] = samples[:count]
            filled += count
            self._ahead.popleft()
            if count < len(samples):
                self._ahead.appendleft((due_s + count / OPUS_RATE_HZ, samples[count:]))
        return taken
