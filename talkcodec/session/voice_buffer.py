"""Sound packets in the order in which they are to be decoded, and where one is missing: no I/O, no clock.

A lost packet must cost its own sound and nothing else. When the next packet is there, or overdue, what is missing is
given up at once and made up by the listener's decoder; nothing waits for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from talkcodec.clock import seq16_diff, time32_diff

__all__ = ["VoiceBuffer", "VoiceCounts", "VoicePiece"]

SAMPLES_PER_MS = 48
LONGEST_SAMPLES = 120 * SAMPLES_PER_MS
"""Of one Opus packet."""


@dataclass(frozen=True, slots=True)
class VoicePiece:
    """A packet to decode, or, without one, `samples` to make up; position at 48 kHz, from the first
    packet of the stream."""

    position: int
    packet: bytes | None
    samples: int = 0


@dataclass(frozen=True, slots=True)
class VoiceCounts:
    """Packets so far: that came, came too late or twice, and were made up for; concealed_samples: how much that was."""

    received: int = 0
    late: int = 0
    concealed: int = 0
    concealed_samples: int = 0


class VoiceBuffer:
    """Feed packets with their RTP numbers as they come; `due` gives what can be decoded now.

    How long an early packet waits for one that it overtook follows the jitter of the arrivals, from `LEAST_WAIT_MS` to
    `LONGEST_WAIT_MS`. Drop policy: at most `WAITING` packets wait; numbers that jump further than `JUMP` begin anew.
    """

    WAITING = 64
    JUMP = 512
    LEAST_WAIT_MS, LONGEST_WAIT_MS = 12.0, 160.0
    FIRST_JITTER_MS = 12.0
    PLAYED_MS, LONGEST_LATE_MS = 20.0, 500.0
    """So long before it is to be heard, and no longer than this behind the others, what is late may still come."""
    CONCEALED_MS = 240.0
    """After so long without a packet there is silence: the other side says nothing, or the network is down."""
    STEP_MS = 2000.0
    """Sound's time that falls by more, or is later by more, has begun anew: as when a browser changes its source."""

    def __init__(self, heard_ms: Callable[[int], float | None] = lambda position: None) -> None:
        """heard_ms: when the sample of a position is to be heard, on the clock of `push`; None where nothing says so,
        and it is heard at once."""
        self._heard_ms = heard_ms
        self._waiting: dict[int, tuple[int, bytes, float]] = {}  # number -> position, packet, arrival
        self._origin: tuple[int, int] | None = None  # RTP number and time of the first packet
        self._newest = (0, 0)  # unwrapped
        self._next = 0
        self._position = 0  # where the next piece begins
        self._frame = 20 * SAMPLES_PER_MS
        self._assumed = 0  # packets in a row that were given up before a later one came
        self._given_up = 0  # the first that was made up for before a later one came
        self._skipped = False  # what lies before the next packet was lost, it is no pause
        self._ahead_ms: float | None = None  # local time minus sound's time, of the quickest packet
        self._jitter_ms = self.FIRST_JITTER_MS
        self._received = self._late = self._concealed = self._concealed_samples = self._strangers = 0

    @property
    def counts(self) -> VoiceCounts:
        """Totals so far."""
        return VoiceCounts(self._received, self._late, self._concealed, self._concealed_samples)

    @property
    def wait_ms(self) -> float:
        """How long a packet may be overdue before it counts as lost."""
        return min(self.LONGEST_WAIT_MS, max(self.LEAST_WAIT_MS, 5 * self._jitter_ms))

    def push(self, number: int, timestamp: int, packet: bytes, now_ms: float) -> None:
        """A packet with its RTP sequence number (16 bits) and timestamp (32 bits, 48 kHz)."""
        if self._origin is None:
            self._origin, self._newest = (number, timestamp), (0, 0)
        index = self._newest[0] + seq16_diff(number, (self._origin[0] + self._newest[0]) & 0xFFFF)
        position = self._newest[1] + time32_diff(timestamp, (self._origin[1] + self._newest[1]) & 0xFFFFFFFF)
        if abs(index - self._next) > self.JUMP:
            self._strangers += 1
            if self._strangers < 4:
                return
            self._begin_anew(index, position)
        self._strangers = 0
        if index > self._newest[0]:
            self._newest = (index, position)
        self._observe(position, now_ms)
        returned = self._next - self._assumed <= index < self._next and position >= self._position
        if returned:  # nothing was lost: the other side had paused
            self._next, self._assumed, self._skipped = index, 0, False
        if self._given_up <= index < self._next or returned:  # the way has become longer
            self._ahead_ms = max(self._ahead_ms or 0.0, now_ms - position / SAMPLES_PER_MS)
        if index < self._next or index in self._waiting:
            self._late += 1
            return
        self._received += 1
        self._waiting[index] = (position, packet, now_ms)
        if len(self._waiting) > self.WAITING:
            del self._waiting[max(self._waiting)]

    def due(self, now_ms: float) -> VoicePiece | None:
        """What is to be decoded or made up next, if it can be now: ask again, after `decoded`, until there is none."""
        while self._waiting:
            if self._next in self._waiting:
                position, packet, _ = self._waiting[self._next]
                missing = position - self._position
                if self._skipped and 0 < missing <= self.CONCEALED_MS * SAMPLES_PER_MS:
                    return self._made_up(missing)
                del self._waiting[self._next]
                self._next, self._assumed, self._skipped = self._next + 1, 0, False
                stepped_back = position < self._position - self.STEP_MS * SAMPLES_PER_MS
                self._position = position if stepped_back else max(self._position, position)
                return VoicePiece(position, packet)
            if now_ms < self._patience_ms():
                return None
            self._next, self._skipped = min(self._waiting), True
        if self._may_assume and now_ms >= self._overdue_ms():
            if not self._assumed:
                self._given_up = self._next
            self._assumed, self._next, self._skipped = self._assumed + 1, self._next + 1, True
            return self._made_up(self._frame)
        return None

    def decoded(self, samples: int) -> None:
        """How long the packet was that `due` gave last; 0 when it could not be decoded."""
        self._position += samples
        if 10 * SAMPLES_PER_MS <= samples <= LONGEST_SAMPLES:
            self._frame = samples

    def next_due_ms(self) -> float | None:
        """When `due` may have something without a new packet."""
        if self._waiting:
            return self._patience_ms()
        return self._overdue_ms() if self._may_assume else None

    @property
    def _may_assume(self) -> bool:
        return self._received > 0 and self._assumed * self._frame < self.CONCEALED_MS * SAMPLES_PER_MS

    def _patience_ms(self) -> float:
        return min(arrived for _, _, arrived in self._waiting.values()) + self.wait_ms

    def _overdue_ms(self) -> float:
        assert self._ahead_ms is not None
        expected_ms = self._ahead_ms + self._position / SAMPLES_PER_MS
        heard_ms = self._heard_ms(self._position) or 0.0  # with the pictures, which may be later than any sound
        return max(expected_ms + self.wait_ms, min(heard_ms - self.PLAYED_MS, expected_ms + self.LONGEST_LATE_MS))

    def _made_up(self, samples: int) -> VoicePiece:
        piece = VoicePiece(self._position, None, samples)
        self._concealed += 1
        self._concealed_samples += samples
        self._position += samples
        return piece

    def _observe(self, position: int, now_ms: float) -> None:
        transit_ms = now_ms - position / SAMPLES_PER_MS
        if self._ahead_ms is None or transit_ms > self._ahead_ms + self.STEP_MS:
            self._ahead_ms = transit_ms
        late_ms = max(0.0, transit_ms - self._ahead_ms)
        self._ahead_ms = min(transit_ms, self._ahead_ms + 0.02 * late_ms)  # follows clocks that drift apart
        self._jitter_ms += (min(late_ms, self.LONGEST_WAIT_MS) - self._jitter_ms) / 16

    def _begin_anew(self, index: int, position: int) -> None:
        self._waiting.clear()
        self._newest, self._next, self._position = (index, position), index, position
        self._assumed, self._skipped, self._ahead_ms = 0, False, None
