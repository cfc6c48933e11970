"""When a frame is due: media time to local time, with a delay that follows the network's jitter."""

from collections import deque

from talkcodec.clock import CLOCK_HZ, time32_diff

__all__ = ["MediaTime", "PlayoutClock"]


class MediaTime:
    """Unwraps 32-bit 90 kHz timestamps into ticks that never wrap, counted from the first one seen."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._ticks = 0

    def unwrap(self, timestamp: int) -> int:
        """Ticks of `timestamp`, which lies within half the wrap (6.6 hours) of the previous one."""
        if self._last is None:
            self._last = timestamp
        ticks = self._ticks + time32_diff(timestamp, self._last)
        if ticks > self._ticks:
            self._ticks, self._last = ticks, timestamp
        return ticks

    def wrap(self, ticks: int) -> int:
        """The 32-bit timestamp of unwrapped `ticks`."""
        assert self._last is not None, "no timestamp was seen yet"
        return (self._last + ticks - self._ticks) & 0xFFFFFFFF


EXCESS_MS, EXCESS_FALL = 40.0, 0.2
"""What the delay is more than this above the wanted one, as after a slow start, falls by this share a second more."""


class PlayoutClock:
    """Deadline = media time + smallest recent transit + delay.

    Transit is arrival minus media time, on two clocks with unknown offset: its smallest recent value stands for a
    packet that waited nowhere, so clock drift is followed. The delay covers `quantile` of how much later than
    that the units were, between `minimum_ms` and `maximum_ms`; it rises at once and falls slowly, because every
    change of it is seen as a stutter.
    """

    WINDOW_MS = 10_000.0
    SAMPLES = 512
    UPDATE_MS = 200.0

    def __init__(
        self,
        minimum_ms: float = 10.0,
        maximum_ms: float = 400.0,
        margin_ms: float = 8.0,
        quantile: float = 0.98,
        fall_ms_per_s: float = 15.0,
    ) -> None:
        self._minimum, self._maximum, self._margin = minimum_ms, maximum_ms, margin_ms
        self._quantile, self._fall = quantile, fall_ms_per_s
        self._samples: deque[tuple[float, float, float]] = deque(maxlen=self.SAMPLES)  # (now, transit, need)
        self._others: deque[tuple[float, float]] = deque(maxlen=self.SAMPLES)  # (now, need) of sound
        self._length_ms = 0.0  # of its packets
        self._base = 0.0
        self._delay = minimum_ms
        self._updated: float | None = None

    @property
    def started(self) -> bool:
        """False before the first observation."""
        return self._updated is not None

    @property
    def delay_ms(self) -> float:
        """How long a unit that waited nowhere is held."""
        return self._delay

    @property
    def transit_ms(self) -> float:
        """Smallest recent arrival minus media time; a latency where both clocks are the same."""
        return self._base

    def reset(self) -> None:
        """Forget the past: the media clock jumped."""
        self._samples.clear()
        self._others.clear()
        self._updated = None
        self._delay = self._minimum

    def observe(self, ticks: int, needed_ticks: int, now_ms: float) -> None:
        """A unit of media time `ticks` arrived; the first frame that needs it is that of `needed_ticks`."""
        media_ms, needed_ms = (x * 1000 / CLOCK_HZ for x in (ticks, needed_ticks))
        self._samples.append((now_ms, now_ms - media_ms, now_ms - needed_ms))
        if self._updated is None or now_ms - self._updated >= self.UPDATE_MS or now_ms - media_ms < self._base:
            self._update(now_ms)

    def observe_other(self, ticks: int, now_ms: float, length_ms: float = 0.0) -> None:
        """Something else of media time `ticks`, such as sound, is ready now; frames wait for it. length_ms: of the
        packet that it came in. Sound and units waited for longer ones before: with a shorter one that is past."""
        if length_ms < self._length_ms:
            self._others.clear()
            self._samples = deque(((at, transit, transit) for at, transit, _ in self._samples), maxlen=self.SAMPLES)
        self._length_ms = length_ms
        self._others.append((now_ms, now_ms - ticks * 1000 / CLOCK_HZ))

    def _update(self, now_ms: float) -> None:
        while self._samples and now_ms - self._samples[0][0] > self.WINDOW_MS:
            self._samples.popleft()
        while self._others and now_ms - self._others[0][0] > self.WINDOW_MS:
            self._others.popleft()
        self._base = min(transit for _, transit, _ in self._samples)
        need = self._high([need for _, _, need in self._samples])
        if self._others:
            need = max(need, self._high([need for _, need in self._others]))
        wanted = need - self._base + self._margin
        wanted = min(self._maximum, max(self._minimum, wanted))
        elapsed_s = 0.0 if self._updated is None else (now_ms - self._updated) / 1000
        fall = self._fall + EXCESS_FALL * max(0.0, self._delay - wanted - EXCESS_MS)
        self._delay = max(wanted, self._delay - fall * elapsed_s) if self.started else wanted
        self._updated = now_ms

    def _high(self, values: list[float]) -> float:
        return sorted(values)[min(len(values) - 1, int(self._quantile * len(values)))]

    def deadline_ms(self, ticks: int) -> float:
        """Local time at which the frame of media time `ticks` is due."""
        return ticks * 1000 / CLOCK_HZ + self._base + self._delay
