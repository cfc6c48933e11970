"""Rates and percentiles over the last seconds, for the status line, the statistics file and the tests."""

import threading
from collections import deque

from talkcodec.clock import CLOCK_HZ, time32_diff

__all__ = ["LipSync", "Percentiles", "RateMeter"]


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


class LipSync:
    """How far apart a frame and the sound of the same instant are played. From any thread."""

    def __init__(self) -> None:
        self.error_ms = Percentiles(512)
        self._lock = threading.Lock()
        self._sound: tuple[int, float] | None = None  # 90 kHz time, when it is played

    def sound(self, timestamp: int, played_ms: float) -> None:
        """Sound of this media time is played then."""
        with self._lock:
            self._sound = (timestamp, played_ms)

    def picture(self, timestamp: int, shown_ms: float) -> None:
        """A frame of this media time is shown then."""
        with self._lock:
            if self._sound is not None:
                sound_ms = self._sound[1] + time32_diff(timestamp, self._sound[0]) * 1000 / CLOCK_HZ
                if abs(shown_ms - sound_ms) < 5000:
                    self.error_ms.add(abs(shown_ms - sound_ms))
