"""Sound beside the pictures: Opus packets out on an RTP track, samples in, both tied to the frames' clock."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet

from talkcodec.bitstream import SoundClock
from talkcodec.clock import CLOCK_HZ, ticks
from talkcodec.media import OPUS_RATE_HZ
from talkcodec.types import PlayedSound

__all__ = ["OutgoingSound", "SoundReceiver"]

_FRAME_SAMPLES = OPUS_RATE_HZ // 50
_GAP_S = 0.2
_DRIFT_S = 0.01
_CLOCK_EVERY_S = 5.0


class OutgoingSound(MediaStreamTrack):
    """The track to the peer: packets as they come from `push`. Drop policy: 10 wait, the oldest leaves first.

    A SoundClock ties the packets to the frames' clock: with the first one, after each gap, and every five seconds where
    a microphone's clock drifts. `keep_alive` says it every five seconds in any case, which also tells the peer that we
    are there while microphone and camera are off.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets: deque[tuple[int, bytes]] = deque(maxlen=10)
        self._arrived = asyncio.Event()
        self._announce: Callable[[SoundClock], None] | None = None
        self._first_s: float | None = None
        self._position = 0
        self._told: tuple[int, float] | None = None  # position and its time, as told last
        self._told_at_s = float("-inf")

    def start(self, announce: Callable[[SoundClock], None]) -> None:
        """The handshake is done: packets count from now on; `announce` sends a SoundClock."""
        self._announce = announce

    def push(self, packet: bytes, captured_s: float) -> None:
        """20 ms of sound and their time on the monotonic clock."""
        if self._announce is None or self.readyState != "live":
            return
        if self._first_s is None:
            self._first_s, self._told = captured_s, None
        wanted = round((captured_s - self._first_s) * OPUS_RATE_HZ)
        gap = abs(wanted - self._position) > _GAP_S * OPUS_RATE_HZ  # silence, or the microphone was off
        if gap:
            self._position = max(self._position, wanted)
        if self._told is None or gap or (self._silent() and self._drift_s(captured_s, self._told) > _DRIFT_S):
            self._tell(self._position, captured_s)
        self._packets.append((self._position, packet))
        self._position += _FRAME_SAMPLES
        self._arrived.set()

    def keep_alive(self) -> None:
        """To be called now and then: says the clock when it was not said for a while."""
        if self._silent():
            now_s = time.monotonic()
            first_s = now_s if self._first_s is None else self._first_s
            self._tell(round((now_s - first_s) * OPUS_RATE_HZ), now_s)

    def _silent(self) -> bool:
        return time.monotonic() - self._told_at_s >= _CLOCK_EVERY_S

    def _drift_s(self, captured_s: float, told: tuple[int, float]) -> float:
        """How far what was told last is from the truth."""
        return abs((self._position - told[0]) / OPUS_RATE_HZ - (captured_s - told[1]))

    def _tell(self, position: int, captured_s: float) -> None:
        if self._announce is not None:
            self._told, self._told_at_s = (position, captured_s), time.monotonic()
            self._announce(SoundClock(position & 0xFFFFFFFF, ticks(captured_s)))

    async def recv(self) -> "Packet[Any]":
        """The next packet, as soon as it is there."""
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        position, data = self._packets.popleft()
        packet: Packet[Any] = Packet(data)
        packet.pts, packet.time_base = position, Fraction(1, OPUS_RATE_HZ)
        return packet

    def stop(self) -> None:
        """End the track; whoever waits for a packet is woken."""
        super().stop()
        self._arrived.set()


class SoundReceiver:
    """Takes the frames of the peer's track and puts them on the frames' clock, once that is known.

    Frames that come before the SoundClock wait; at most 100 of 20 ms, the oldest leaves first.
    """

    def __init__(self, on_sound: Callable[[PlayedSound], None], failed: Callable[[Exception], None]) -> None:
        """on_sound: called on the event loop with 20 ms each; what it raises goes to `failed`."""
        self._on_sound, self._failed = on_sound, failed
        self._clock: SoundClock | None = None
        self._waiting: deque[tuple[int, AudioFrame, float]] = deque(maxlen=100)
        self._task: asyncio.Task[None] | None = None
        self.frames_received = 0

    def set_clock(self, clock: SoundClock) -> None:
        """Position and time of one sample; positions count from the first sample received."""
        self._clock = clock
        while self._waiting:
            self._deliver(*self._waiting.popleft())

    def attach(self, track: MediaStreamTrack) -> None:
        """Read this track until it ends."""
        self._task = asyncio.ensure_future(self._read(track))

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if not isinstance(frame, AudioFrame) or frame.pts is None:
                continue
            self.frames_received += 1
            arrived_s = time.monotonic()
            if self._clock is None:
                self._waiting.append((frame.pts, frame, arrived_s))
                continue
            try:
                self._deliver(frame.pts, frame, arrived_s)
            except Exception as error:  # nobody awaits this task while the call lasts
                self._failed(error)
                return

    def _deliver(self, position: int, frame: AudioFrame, arrived_s: float) -> None:
        assert self._clock is not None
        samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))  # (n, channels), packed s16
        mono = samples.astype(np.int32).mean(axis=1).astype(np.int16)
        offset = (position - self._clock.position) * CLOCK_HZ // OPUS_RATE_HZ
        self._on_sound(PlayedSound(mono, (self._clock.timestamp + offset) & 0xFFFFFFFF, arrived_s))
