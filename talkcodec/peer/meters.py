"""Rates and percentiles over the last seconds, for the status line, the statistics file and the tests."""

from collections import deque

__all__ = ["Percentiles", "RateMeter"]


class RateMeter:
    """Units a second of a running total, over a sliding window."""

    def __init__(self, window_s: float = 3.0) -> None:
        self._window = window_s
        self._points: deque[tuple[float, float]] = deque()

    def update(self, total: float, now_s: float) -> float:
        """Note the total; return its present rate a second."""
        self._points.append((now_s, total))
        while len(self._points) > 2 and now_s - self._points[0][0] > self._window:
            self._points.popleft()
        first_s, first = self._points[0]
        return (total - first) / (now_s - first_s) if now_s > first_s else 0.0


class Percentiles:
    """Percentiles of the last `count` values."""

    def __init__(self, count: int = 256) -> None:
        self._values: deque[float] = deque(maxlen=count)

    def add(self, value: float) -> None:
        """Note a value."""
        self._values.append(value)

    def __len__(self) -> int:
        return len(self._values)

    def at(self, share: float) -> float | None:
        """The value below which `share` in [0, 1] of them lie; None when there are none."""
        if not self._values:
            return None
        ordered = sorted(self._values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
