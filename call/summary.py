"""What a call was: how long, at what rate, how much in all."""

from dataclasses import dataclass

__all__ = ["Summary", "Tally"]


@dataclass(frozen=True, slots=True)
class Summary:
    """From when both were there to the end; bytes on the wire with all headers, up is away from here."""

    seconds: float
    up_bytes: int
    down_bytes: int

    @property
    def kbps(self) -> tuple[float, float]:
        """Mean rates, up and down."""
        seconds = max(1.0, self.seconds)
        return self.up_bytes * 8 / 1000 / seconds, self.down_bytes * 8 / 1000 / seconds


class Tally:
    """Counts from its first reading on."""

    def __init__(self, now_s: float, up_bytes: int, down_bytes: int) -> None:
        self._first = self._last = (now_s, up_bytes, down_bytes)

    def read(self, now_s: float, up_bytes: int, down_bytes: int) -> None:
        """The counters at this time."""
        self._last = (now_s, up_bytes, down_bytes)

    def summary(self, now_s: float) -> Summary:
        """Up to now; the bytes up to the last reading."""
        first, last = self._first, self._last
        return Summary(now_s - first[0], last[1] - first[1], last[2] - first[2])
