"""What arrived and what did not: loss, reordering and jitter as in RFC 3550, appendix A, for motion units."""

from dataclasses import dataclass

from talkcodec.clock import CLOCK_HZ, seq16_add, seq16_diff, time32_diff

__all__ = ["ArrivalSummary", "Arrivals"]


@dataclass(frozen=True, slots=True)
class ArrivalSummary:
    """Counts since the previous summary and the state now; `bitmap` bit i set: highest_sequence - i arrived."""

    highest_sequence: int
    bitmap: int
    received: int
    lost: int
    jitter_ms: float


_MAX_DROPOUT = 3000
_MAX_MISORDER = 100


class Arrivals:
    """Follows the sequence numbers of one stream of motion units; memory is one integer.

    A number far from the expected is ignored unless the next one follows it (RFC 3550, appendix A.1): one damaged or
    hostile unit does not carry the count away.
    """

    def __init__(self, bitmap_bits: int = 64) -> None:
        self._bits = bitmap_bits
        self._mask = (1 << bitmap_bits) - 1
        self._highest: int | None = None
        self._bitmap = 0
        self._expected_total = 0
        self._received_total = 0
        self._expected_prior = 0
        self._received_prior = 0
        self._jitter_ms = 0.0
        self._last: tuple[int, float] | None = None
        self._stranger: int | None = None
        self.duplicates = 0

    @property
    def highest_sequence(self) -> int | None:
        """The newest sequence number seen, None before the first."""
        return self._highest

    def add(self, sequence: int, timestamp: int, now_ms: float, timed: bool = True) -> bool:
        """Count one unit; False when it is a repetition or too old to tell.

        timestamp: 90 kHz, wrapped. now_ms: arrival, on any steady clock. timed: False for units that waited for
        others of their bundle, whose times say nothing about the network.
        """
        if self._highest is None:
            self._highest, self._bitmap = sequence, 1
            self._expected_total = 1
        else:
            ahead = seq16_diff(sequence, self._highest)
            if not -_MAX_MISORDER <= ahead <= _MAX_DROPOUT:
                if sequence != self._stranger:
                    self._stranger = seq16_add(sequence, 1)
                    return False
                self._highest, self._bitmap, ahead = sequence, 0, 1  # the peer counts from elsewhere now
            self._stranger = None
            if ahead > 0:
                self._bitmap = ((self._bitmap << min(ahead, self._bits)) | 1) & self._mask
                self._highest = sequence
                self._expected_total += ahead
            else:
                bit = 1 << -ahead
                if -ahead >= self._bits or self._bitmap & bit:
                    self.duplicates += 1
                    return False
                self._bitmap |= bit
        self._received_total += 1
        if timed:
            self._update_jitter(timestamp, now_ms)
        return True

    def _update_jitter(self, timestamp: int, now_ms: float) -> None:
        # RFC 3550, section 6.4.1: J += (|D| - J) / 16
        if self._last is not None:
            media_ms = time32_diff(timestamp, self._last[0]) * 1000 / CLOCK_HZ
            deviation_ms = abs((now_ms - self._last[1]) - media_ms)
            self._jitter_ms += (min(deviation_ms, 10_000.0) - self._jitter_ms) / 16
        self._last = (timestamp, now_ms)

    @property
    def jitter_ms(self) -> float:
        """Smoothed interarrival jitter in milliseconds."""
        return self._jitter_ms

    @property
    def lost_total(self) -> int:
        """Units that never arrived, late ones not counted as lost; never negative."""
        return max(0, self._expected_total - self._received_total)

    @property
    def received_total(self) -> int:
        """Units that arrived once."""
        return self._received_total

    def arrived(self, sequence: int) -> bool:
        """True when `sequence` is known to have arrived."""
        if self._highest is None:
            return False
        behind = seq16_diff(self._highest, sequence)
        return 0 <= behind < self._bits and bool(self._bitmap >> behind & 1)

    def missing(self) -> tuple[int, ...]:
        """Sequence numbers within the bitmap that have not arrived, newest first."""
        if self._highest is None:
            return ()
        span = min(self._bits, self._expected_total)
        return tuple(seq16_add(self._highest, -i) for i in range(span) if not self._bitmap >> i & 1)

    def summary(self) -> ArrivalSummary | None:
        """Counts since the last call, as a receiver report needs them; None before anything arrived."""
        if self._highest is None:
            return None
        expected = self._expected_total - self._expected_prior
        received = self._received_total - self._received_prior
        self._expected_prior, self._received_prior = self._expected_total, self._received_total
        return ArrivalSummary(self._highest, self._bitmap, received, max(0, expected - received), self._jitter_ms)
