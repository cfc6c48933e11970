"""What is left of the picture's rate, for what may be sent twice. No I/O, no clock."""

from math import inf

__all__ = ["Allowance"]


class Allowance:
    """Fills with `bps`, which may be set at any time, and empties with all that is sent; inf: everything is afforded.

    At most `SAVED_S` of the rate are saved, and as much is owed: what cannot wait is sent in any case.
    """

    SAVED_S = 2.0

    def __init__(self) -> None:
        self.bps = inf
        self._bytes = 0.0
        self._at_ms: float | None = None

    def took(self, size_bytes: float, now_ms: float) -> None:
        """So much was sent."""
        self._fill(now_ms)
        self._bytes -= size_bytes

    def affords(self, size_bytes: float, now_ms: float) -> bool:
        """Whether so much more is within the rate."""
        self._fill(now_ms)
        return self.bps == inf or size_bytes <= self._bytes

    def _fill(self, now_ms: float) -> None:
        if self.bps == inf:
            return
        most = self.SAVED_S * self.bps / 8
        since_ms = now_ms if self._at_ms is None else self._at_ms
        self._bytes = min(most, max(-most, self._bytes) + self.bps * (now_ms - since_ms) / 8000)
        self._at_ms = now_ms
