"""Sound beside the pictures: Opus packets out on an RTP track at their time, samples in tied to the frames' clock."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet

from talkcodec.bitstream import SoundClock
from talkcodec.clock import CLOCK_HZ, ticks
from talkcodec.errors import TalkcodecError
from talkcodec.media import OPUS_RATE_HZ, SoundPacket
from talkcodec.types import PlayedSound

__all__ = ["SoundReceiver", "SoundTrack"]

logger = logging.getLogger(__name__)

_READ_AHEAD = 25
_LATE_S = 0.1


class SoundTrack(MediaStreamTrack):
    """Sends a source's Opus packets unchanged, each at its time. Silent until `start`.

    Drop policy: packets more than 100 ms late are skipped. Memory: 25 packets are read ahead, in a thread.
    A live source's packets are sent as they come, none ahead.
    """

    kind = "audio"

    def __init__(self, packets: Iterator[SoundPacket], live: bool = False) -> None:
        """packets: times count from the start that `start` gives, as those of the pictures."""
        super().__init__()
        self._source, self._live = packets, live
        self._start_s = 0.0
        self._ahead: deque[SoundPacket] = deque()
        self._started = asyncio.Event()
        self._first: float | None = None
        self._announce: Callable[[SoundClock], None] = lambda clock: None
        self._thread = ThreadPoolExecutor(1, "sound")
        self.packets_sent = 0
        self.bytes_sent = 0

    def start(self, start_s: float, announce: Callable[[SoundClock], None]) -> None:
        """The handshake is done. start_s: time 0 of the source on the monotonic clock; `announce` sends the
        SoundClock of the first packet."""
        self._start_s, self._announce = start_s, announce
        self._started.set()

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._started.set()
        with suppress(RuntimeError):  # stopped before
            self._thread.submit(getattr(self._source, "close", lambda: None))  # gives a microphone back
        self._thread.shutdown(wait=False)

    async def recv(self) -> "Packet[Any]":
        """The next packet, when it is time for it."""
        await self._started.wait()
        while True:
            if self.readyState != "live":
                raise MediaStreamError
            if not self._ahead:
                await self._read()
            packet = self._ahead.popleft()
            wait_s = self._start_s + packet.time_s - time.monotonic()
            if wait_s < -_LATE_S and not self._live:
                continue
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            return self._send(packet)

    async def _read(self) -> None:
        try:
            read = await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: list(islice(self._source, 1 if self._live else _READ_AHEAD))
            )
        except TalkcodecError as error:
            logger.warning("%s: the call goes on without sound", error)
            self.stop()
            raise MediaStreamError from error
        except RuntimeError as error:  # the thread is gone: stopped
            raise MediaStreamError from error
        if not read:
            self.stop()
            raise MediaStreamError
        self._ahead.extend(read)

    def _send(self, packet: SoundPacket) -> "Packet[Any]":
        if self._first is None:
            self._first = packet.time_s
            self._announce(SoundClock(0, ticks(self._start_s + packet.time_s)))
        self.packets_sent += 1
        self.bytes_sent += len(packet.data)
        sent: Packet[Any] = Packet(packet.data)
        sent.pts = round((packet.time_s - self._first) * OPUS_RATE_HZ)
        sent.time_base = Fraction(1, OPUS_RATE_HZ)
        return sent


class SoundReceiver:
    """Takes the frames of the peer's track and puts them on the frames' clock, once that is known.

    Frames that come before the SoundClock wait; at most 100 of 20 ms, the oldest leaves first.
    """

    def __init__(self, on_sound: Callable[[PlayedSound], None]) -> None:
        self._on_sound = on_sound
        self._clock: SoundClock | None = None
        self._waiting: deque[tuple[int, AudioFrame, float]] = deque(maxlen=100)
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
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
            else:
                self._deliver(frame.pts, frame, arrived_s)

    def _deliver(self, position: int, frame: AudioFrame, arrived_s: float) -> None:
        assert self._clock is not None
        samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))  # (n, channels), packed s16
        mono = samples.astype(np.int32).mean(axis=1).astype(np.int16)
        offset = (position - self._clock.position) * CLOCK_HZ // OPUS_RATE_HZ
        self._on_sound(PlayedSound(mono, (self._clock.timestamp + offset) & 0xFFFFFFFF, arrived_s))
