"""Sound beside the pictures: samples out as Opus on an RTP track, packets in as samples, both on the frames' clock."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import Packet

from talkcodec.bitstream import SoundClock
from talkcodec.bitstream.opus_padding import EMPTY_PACKET
from talkcodec.clock import CLOCK_HZ, ticks, time32_diff
from talkcodec.errors import ConfigError
from talkcodec.media import OPUS_RATE_HZ, OpusDecoder, OpusEncoder
from talkcodec.media.concealment import Concealment
from talkcodec.media.opus import HANDED_OVER_SAMPLES, LOOK_AHEAD_SAMPLES
from talkcodec.media.sound import BLOCK_SAMPLES
from talkcodec.session.sound_way import SoundWay
from talkcodec.session.voice_buffer import VoiceBuffer, VoiceCounts, VoicePiece
from talkcodec.types import PlayedSound, SoundArray

__all__ = ["OutgoingSound", "SoundConfig", "SoundReceiver"]

_EMPTY_SAMPLES = OPUS_RATE_HZ // 400
_GAP_S = 0.2
_DRIFT_S = 0.01
_CLOCK_EVERY_S = 5.0
_PATIENCE_S = 0.04
"""When the next packet of sound is so much overdue, one without sound takes the messages that wait."""


@dataclass(frozen=True, slots=True)
class SoundConfig:
    """bitrate_bps: of the voice, 6000 to 64000. frame_ms: 20 to 120 of sound in a packet, in steps of 20: each has
    53 bytes around it, and the first sample in it waits for the last."""

    bitrate_bps: int = 16_000
    frame_ms: int = 20

    def __post_init__(self) -> None:
        if not 6_000 <= self.bitrate_bps <= 64_000 or self.frame_ms not in range(20, 121, 20):
            raise ConfigError(
                f"sound: got {self.bitrate_bps} bit/s in packets of {self.frame_ms} ms, expected 6000 to 64000 and 20 "
                "to 120 in steps of 20"
            )


class OutgoingSound(MediaStreamTrack):
    """The track to the peer: samples as they come from `push`, coded. Drop policy: 10 packets wait, the oldest leaves
    first.

    A SoundClock ties the packets to the frames' clock: with the first one, after each gap, and every five seconds where
    a microphone's clock drifts. `keep_alive` says it every five seconds in any case, which also tells the peer that we
    are there while microphone and camera are off.
    """

    kind = "audio"

    def __init__(
        self,
        config: SoundConfig = SoundConfig(),
        dress: Callable[[bytes], bytes] = lambda packet: packet,
    ) -> None:
        """dress: every packet passes through it as it leaves, and may grow."""
        super().__init__()
        self._config, self._dress = config, dress
        self._encoder = OpusEncoder(config.bitrate_bps, frame_ms=config.frame_ms)
        self._samples: SoundArray = np.zeros(0, np.int16)  # what waits for the rest of its frame
        self._coded: SoundArray = np.zeros(0, np.int16)  # the end of what was coded last
        self._packets: deque[tuple[int, bytes]] = deque(maxlen=10)
        self._arrived = asyncio.Event()
        self._carries = False
        self._announce: Callable[[SoundClock], None] | None = None
        self._first_s: float | None = None
        self._position = 0  # of the next sample
        self._sent_to = 0  # where the last packet ends
        self._left_s = float("-inf")
        self._told: tuple[int, float] | None = None  # position and its time, as told last
        self._told_at_s = float("-inf")
        self.coded_bytes = 0

    @property
    def config(self) -> SoundConfig:
        """How the voice is coded at present."""
        return self._config

    def start(self, announce: Callable[[SoundClock], None]) -> None:
        """The handshake is done: samples count from now on; `announce` sends a SoundClock."""
        self._announce = announce

    def code(self, config: SoundConfig) -> None:
        """Another rate or frame from the next packet on, by a new encoder; the listener's decoder goes on."""
        if config != self._config:
            self._config = config
            self._encoder = OpusEncoder(config.bitrate_bps, frame_ms=config.frame_ms)
            if len(self._coded):
                self._encoder.follow(self._coded, self._position - len(self._samples))
            self._code_full_frames()

    def push(self, samples: SoundArray, captured_s: float) -> None:
        """20 ms of sound, (960,) int16 mono, and their time on the monotonic clock."""
        if self._announce is None or self.readyState != "live":
            return
        if self._first_s is None:
            self._first_s, self._told = captured_s, None
        wanted = round((captured_s - self._first_s) * OPUS_RATE_HZ)
        gap = abs(wanted - self._position) > _GAP_S * OPUS_RATE_HZ
        if gap and wanted > self._position:  # silence, or the microphone was off
            self._finish_frame()
            self._position = max(self._position, wanted)
        elif gap:  # its clock is fast, or frames were filled up: places only rise, so the time is told anew
            self._first_s = captured_s - self._position / OPUS_RATE_HZ
        if self._told is None or gap or (self._silent() and self._drift_s(captured_s, self._told) > _DRIFT_S):
            self._tell(self._position, captured_s)
        self._samples = np.concatenate([self._samples, np.asarray(samples, np.int16).reshape(-1)])
        self._position += len(samples)
        self._code_full_frames()

    def _code_full_frames(self) -> None:
        size = self._encoder.frame_samples
        while len(self._samples) >= size:
            start = self._position - len(self._samples)
            frame, self._samples = self._samples[:size], self._samples[size:]
            self._coded = frame[-HANDED_OVER_SAMPLES:]
            for packet in self._encoder.encode(frame, start):
                self._packets.append((start, packet.data))
                self.coded_bytes += len(packet.data)
                self._arrived.set()

    def _finish_frame(self) -> None:
        """What waits leaves, filled up with silence."""
        if len(self._samples):
            missing = self._encoder.frame_samples - len(self._samples)
            self._samples = np.concatenate([self._samples, np.zeros(missing, np.int16)])
            self._position += missing
            self._code_full_frames()

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
            self._announce(SoundClock((position + LOOK_AHEAD_SAMPLES) & 0xFFFFFFFF, ticks(captured_s)))

    def carry(self) -> None:
        """A message waits for a packet: one leaves soon, with sound or without."""
        self._carries = True
        self._arrived.set()

    async def recv(self) -> "Packet[Any]":
        """The next packet, as soon as it is there."""
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            wait_s = None
            if self._carries:
                wait_s = self._left_s + self._config.frame_ms / 1000 + _PATIENCE_S - time.monotonic()
                if wait_s <= 0 and len(self._samples):  # the microphone fell silent within a frame
                    self._finish_frame()
                    break
                if wait_s <= 0:
                    self._packets.append((max(self._sent_to, self._position), EMPTY_PACKET))
                    self._position = max(self._sent_to, self._position) + _EMPTY_SAMPLES
                    break
            try:
                await asyncio.wait_for(self._arrived.wait(), wait_s)
            except TimeoutError:
                continue
        position, data = self._packets.popleft()
        self._carries, self._left_s = False, time.monotonic()
        self._sent_to = max(self._sent_to, position + _EMPTY_SAMPLES)
        packet: Packet[Any] = Packet(self._dress(data))
        packet.pts, packet.time_base = position, Fraction(1, OPUS_RATE_HZ)
        return packet

    def stop(self) -> None:
        """End the track; whoever waits for a packet is woken."""
        super().stop()
        self._arrived.set()


class SoundReceiver:
    """Takes the peer's RTP packets, and puts their sound on the frames' clock once that is known.

    What comes before the SoundClock waits; at most 100 blocks of 20 ms, the oldest leaves first.
    """

    def __init__(self, on_sound: Callable[[PlayedSound], None], failed: Callable[[Exception], None]) -> None:
        """on_sound: called on the event loop with 20 ms each; what it raises goes to `failed`."""
        self._on_sound, self._failed = on_sound, failed
        self.due_ms: Callable[[int], float | None] = lambda timestamp: None
        """When sound of a 90 kHz time is to be heard, on the monotonic clock; may be set."""
        self._buffer, self._decoder, self._concealment = VoiceBuffer(self._heard_ms), OpusDecoder(), Concealment()
        self.way = SoundWay()
        self.packet_ms = 0.0
        """Of the packet of sound that came last."""
        self._clock: SoundClock | None = None
        self._waiting: deque[tuple[int, SoundArray, float]] = deque(maxlen=100)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counts(self) -> VoiceCounts:
        """Packets so far."""
        return self._buffer.counts

    def set_clock(self, clock: SoundClock) -> None:
        """Position and time of one sample; positions count from the first sample received."""
        self._clock = clock
        while self._waiting:
            self._deliver(*self._waiting.popleft())

    def packet(self, data: bytes, number: int, timestamp: int) -> None:
        """An RTP packet's payload, sequence number and timestamp."""
        now_ms = time.monotonic() * 1000
        self.way.packet(number, timestamp, len(data), now_ms)
        self._buffer.push(number, timestamp, data, now_ms)
        self._play()

    async def close(self) -> None:
        """Stop making up what no longer comes."""
        if self._timer is not None:
            self._timer.cancel()

    def _play(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now_s = time.monotonic()
        try:
            while (piece := self._buffer.due(now_s * 1000)) is not None:
                self._take(piece, now_s)
        except Exception as error:  # nobody awaits this while the call lasts
            self._failed(error)
            return
        due_ms = self._buffer.next_due_ms()
        if due_ms is not None:
            self._timer = self._loop.call_later(max(0.002, due_ms / 1000 - now_s), self._play)

    def _take(self, piece: VoicePiece, now_s: float) -> None:
        if piece.packet is None:
            samples = self._concealment.lost(piece.samples)
        else:
            samples = self._decoder.decode(piece.packet)
            self._buffer.decoded(len(samples))
            if len(samples) <= _EMPTY_SAMPLES:  # it carried something else
                return
            self.packet_ms = len(samples) * 1000 / OPUS_RATE_HZ
            samples = self._concealment.received(samples)
        for start in range(0, len(samples), BLOCK_SAMPLES):
            block = (piece.position + start, samples[start : start + BLOCK_SAMPLES], now_s)
            if self._clock is None:
                self._waiting.append(block)
            else:
                self._deliver(*block)

    def _deliver(self, position: int, samples: SoundArray, arrived_s: float) -> None:
        assert self._clock is not None
        self._on_sound(PlayedSound(samples, self._time(self._clock, position), arrived_s))

    @staticmethod
    def _time(clock: SoundClock, position: int) -> int:
        after = time32_diff(position & 0xFFFFFFFF, clock.position)  # a day's samples do not fit 32 bits
        return (clock.timestamp + after * CLOCK_HZ // OPUS_RATE_HZ) & 0xFFFFFFFF

    def _heard_ms(self, position: int) -> float | None:
        return None if self._clock is None else self.due_ms(self._time(self._clock, position))
