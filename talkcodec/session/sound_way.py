"""How long packets of sound wait in queues on their way, told from their own times: no I/O, no clock.

A packet leaves when its last sample was spoken, which is when the next one's first sample was. So arrival less that
time, less the least of it lately, is what it took beyond that; clocks need not agree. It is known when the next packet
is there. A slow way takes long for a packet without any queue: only what goes beyond the packet's own length, so that
the next one waits for it, counts.
"""

from collections import deque

from talkcodec.clock import seq16_diff, time32_diff

__all__ = ["SoundWay"]

SAMPLES_PER_MS = 48
HEADER_BYTES = 50
"""IPv4 20, UDP 8, RTP 12, authentication tag 10."""


class SoundWay:
    """Feed every packet as it comes. What came late by itself, as with jitter, is no queue: the least of `PACKETS` in a
    row counts. The least of all is forgotten after one to two windows, as routes and clocks change. Eight that
    take the same are on a way that has become longer: a queue grows or drains."""

    PACKETS = 3
    BURST = 3
    WINDOW_MS = 10_000.0
    FRESH_MS = 2_000.0
    STEADY_MS, STEADY_PACKETS = 12.0, 8
    SHORTEST_MS, LONGEST_MS = 10.0, 120.0
    """Of the sound in a packet; others hold none, or there was a pause."""

    def __init__(self) -> None:
        self._last: tuple[int, int, float, float] | None = None  # number, time, unwrapped ms, arrival
        self._beyond: deque[float] = deque(maxlen=self.PACKETS)  # arrival less time and length, of the latest
        self._steady: deque[float] = deque(maxlen=self.STEADY_PACKETS)
        self._least: tuple[float, float] = (float("inf"), float("inf"))  # in this window and the one before
        self._window_ms = self._measured_ms = float("-inf")
        self._busy_bytes, self._busy_ms = 0, 0.0
        self.bursts = 0
        """How often `BURST` packets in a row or more did not come before one that did."""

    def packet(self, number: int, timestamp: int, size_bytes: int, now_ms: float) -> None:
        """A packet with its RTP number (16 bits), time (32 bits, 48 kHz) and payload came now."""
        if self._last is None:
            self._last = (number, timestamp, 0.0, now_ms)
            return
        last, last_timestamp, last_ms, arrived_ms = self._last
        ahead, length_ms = seq16_diff(number, last), time32_diff(timestamp, last_timestamp) / SAMPLES_PER_MS
        if ahead <= 0:
            return
        self.bursts += ahead > self.BURST
        self._last = (number, timestamp, last_ms + length_ms, now_ms)
        if ahead == 1 and self.SHORTEST_MS <= length_ms <= self.LONGEST_MS:
            self._took(arrived_ms - (last_ms + length_ms), length_ms, now_ms)
            if self._beyond[-1] > min(self._least):  # this one had come up behind the last, and nothing lay between
                self._busy_bytes += size_bytes + HEADER_BYTES
                self._busy_ms += now_ms - arrived_ms

    def _took(self, wait_ms: float, length_ms: float, now_ms: float) -> None:
        if now_ms - self._window_ms > self.WINDOW_MS:
            self._window_ms, self._least = now_ms, (float("inf"), self._least[0])
        self._least = (min(self._least[0], wait_ms), self._least[1])
        self._beyond.append(wait_ms - length_ms)
        self._steady.append(wait_ms)
        if len(self._steady) == self.STEADY_PACKETS and max(self._steady) - min(self._steady) < self.STEADY_MS:
            self._least = (min(self._steady), float("inf"))
        self._measured_ms = now_ms

    def queue_ms(self, now_ms: float) -> float | None:
        """How long packets wait for those before them at present; None where that is not known."""
        if len(self._beyond) < self.PACKETS or now_ms - self._measured_ms > self.FRESH_MS:
            return None
        return max(0.0, min(self._beyond) - min(self._least))

    def take_rate_bps(self) -> float:
        """What the way carries a second, from packets close behind one another since this was asked last; 0 where
        there were none."""
        rate_bps = 8000 * self._busy_bytes / self._busy_ms if self._busy_ms > 0 else 0.0
        self._busy_bytes, self._busy_ms = 0, 0.0
        return rate_bps
