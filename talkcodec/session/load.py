"""How often to show a frame on a machine that is slow at generating: every frame, or every second, third, ... of them;
and whether to make it in a cheaper way.

A cadence that can be held looks better than one with holes at random, and nothing waits for the generator.
"""

import math
from collections import deque

from talkcodec.clock import CLOCK_HZ

__all__ = ["LoadControl"]


class LoadControl:
    """Feed the work of each frame, read `every`. Time is an argument: milliseconds, steady.

    Down: the generator had no time left in the last `WINDOW_MS`; a passing spike is shorter than that. At once to the
    cadence that leaves it some, by a third at most, and not below one frame in `SLOWEST_MS`.
    Up: after a calm time, to where nine tenths of its frames leave a quarter of the period, but at most by half. When
    that was wrong the next calm time is twice as long, up to `LONGEST_CALM_MS`.
    """

    WINDOW_MS = 700.0
    BUSY = 0.95
    ROOM = 0.85
    STEP = 3
    SETTLE_FRAMES = 8  # of a slower cadence are not judged: what waited before is worked off in them
    ROOM_ABOVE = 0.75
    SLOWEST_MS = 500.0
    CALM_MS = 4000.0
    LONGEST_CALM_MS = 64_000.0
    REGRET_MS = 8000.0
    LIGHT_BELOW_MS = 125.0
    LIGHT_MS = 8000.0

    def __init__(self, period_ticks: int) -> None:
        """period_ticks: 90 kHz ticks between captured frames."""
        self._period_ms = period_ticks * 1000 / CLOCK_HZ
        self._slowest = max(1, int(self.SLOWEST_MS / self._period_ms))
        self._slowest_dear = max(1, int(self.LIGHT_BELOW_MS / self._period_ms))
        self._every = 1
        self._light = False
        self._light_from_ms = 0.0
        self._light_ms = self.LIGHT_MS
        self._dear_again_ms: float | None = None
        self._calm_ms = self.CALM_MS
        self._raised_ms: float | None = None
        self._settled_ms = 0.0
        self._restart()

    def _restart(self) -> None:
        self._works: deque[tuple[float, float]] = deque()  # (end, work) of the last WINDOW_MS
        self._works_from_ms: float | None = None
        self._busy_ms = 0.0
        self._calm_from_ms: float | None = None
        self._calm_works: list[float] = []  # since then

    @property
    def every(self) -> int:
        """Of so many captured frames one is to be shown."""
        return self._every

    @property
    def light(self) -> bool:
        """Whether frames are to be made in the cheaper way."""
        return self._light

    def worked(self, work_ms: float, now_ms: float, cheaper: bool = False) -> int:
        """A frame took `work_ms` and is done now; returns `every` from now on. cheaper: there is a cheaper way to make
        frames like it, whether it was made so or not."""
        if now_ms - work_ms < self._settled_ms:
            return self._every
        if self._light and (not cheaper or now_ms - self._light_from_ms >= self._light_ms):
            self._make_dear(now_ms)
            return self._every
        self._works.append((now_ms, work_ms))
        self._busy_ms += work_ms
        if self._works_from_ms is None:
            self._works_from_ms = now_ms - work_ms
        since_ms = now_ms - self.WINDOW_MS
        while self._works[0][0] <= since_ms:
            self._busy_ms -= self._works.popleft()[1]
        first_end_ms, first_work_ms = self._works[0]
        before_ms = max(0.0, since_ms - (first_end_ms - first_work_ms))  # work of the first frame before the window
        if self._works_from_ms <= since_ms and self._busy_ms - before_ms >= self.BUSY * self.WINDOW_MS:
            self._go_down(now_ms, cheaper)
        elif self._every > 1:
            self._look_up(work_ms, now_ms)
        return self._every

    def _go_down(self, now_ms: float, cheaper: bool) -> None:
        mean_ms = self._busy_ms / len(self._works)
        needed = max(self._every + 1, math.ceil(mean_ms / (self.ROOM * self._period_ms)))
        if cheaper and not self._light and needed > self._slowest_dear:
            self._make_light(now_ms)
            return
        if self._every == self._slowest:
            self._calm_from_ms = None
            return
        wanted = min(needed, self.STEP * self._every, self._slowest)
        regretted = self._raised_ms is not None and now_ms - self._raised_ms < self.REGRET_MS
        self._calm_ms = min(2 * self._calm_ms, self.LONGEST_CALM_MS) if regretted else self.CALM_MS
        self._change(wanted, now_ms)

    def _make_light(self, now_ms: float) -> None:
        regretted = self._dear_again_ms is not None and now_ms - self._dear_again_ms < self.REGRET_MS
        self._light_ms = min(2 * self._light_ms, self.LONGEST_CALM_MS) if regretted else self.LIGHT_MS
        self._light, self._light_from_ms, self._calm_ms = True, now_ms, self.CALM_MS
        self._change(1, now_ms)

    def _make_dear(self, now_ms: float) -> None:
        self._light, self._dear_again_ms = False, now_ms
        self._change(max(self._every, self._slowest_dear), now_ms)

    def _change(self, every: int, now_ms: float) -> None:
        self._every = every
        self._settled_ms = now_ms + self.SETTLE_FRAMES * every * self._period_ms
        self._restart()

    def _look_up(self, work_ms: float, now_ms: float) -> None:
        if self._calm_from_ms is None:
            self._calm_from_ms, self._calm_works = now_ms, []
        self._calm_works.append(work_ms)
        if now_ms - self._calm_from_ms < self._calm_ms:
            return
        self._calm_from_ms = None
        frames = len(self._calm_works)
        if frames * self._every * self._period_ms < self._calm_ms / 2:
            return  # a pause says nothing about this machine
        needed = sorted(self._calm_works)[int(0.9 * frames)] / (self.ROOM_ABOVE * self._period_ms)
        wanted = max((self._every + 1) // 2, math.ceil(needed))
        if wanted < self._every:
            self._every = wanted
            self._raised_ms = now_ms
            self._restart()
