"""What to show at each instant: the jitter buffer, interpolation, concealment, and the count of all three.

Frames are shown on a regular grid of media time, whatever the rate of units: that of the captured frames, or
every second, third, ... of them where generating is slow. For each grid point:

    exact       its own unit arrived in time, or it lies between two units that follow each other
                (sent at a lower rate on purpose, as base pictures are, interpolated)
    concealed   its unit is missing: interpolated across the gap, or extrapolated for at most `conceal_ms`; a base
                picture stays as it is. What comes after a longer gap is shown up to `conceal_ms` early
    frozen      nothing to go by any more, or the machine was late: the previous picture stays
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from talkcodec.clock import CLOCK_HZ, seq16_add, seq16_gt
from talkcodec.coding import CONCEAL_MS, extrapolate_motion, mix_drive
from talkcodec.errors import ConfigError
from talkcodec.session.playout_clock import MediaTime, PlayoutClock
from talkcodec.types import Drive, Kind

__all__ = ["JitterBuffer", "PlayedFrames", "PlayoutConfig", "Shown", "TimedUnit"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlayoutConfig:
    """period_ticks: 90 kHz ticks between shown frames. conceal_ms: longest extrapolation before freezing.
    interpolate_ms: widest distance of two units that is interpolated. units: cap of the jitter buffer; when it is
    full the unit furthest in the future leaves. Delays as in PlayoutClock."""

    period_ticks: int = CLOCK_HZ // 25
    conceal_ms: float = CONCEAL_MS
    interpolate_ms: float = 220.0
    units: int = 128
    minimum_delay_ms: float = 10.0
    maximum_delay_ms: float = 400.0

    def __post_init__(self) -> None:
        if not CLOCK_HZ // 120 <= self.period_ticks <= CLOCK_HZ:
            raise ConfigError(f"period_ticks: got {self.period_ticks}, expected 750 (120 fps) to 90000 (1 fps)")
        if self.units < 8 or self.conceal_ms < 0 or not 0 <= self.minimum_delay_ms <= self.maximum_delay_ms:
            raise ConfigError("playout: expected units >= 8, conceal_ms >= 0, 0 <= minimum <= maximum_delay_ms")


@dataclass(frozen=True, slots=True)
class TimedUnit(Generic[T]):
    """A unit as the jitter buffer needs it; timestamp 90 kHz, wrapped; sequence 16 bits, wrapped.

    reference: what the caller keeps of the reference that is driven; drive: with what, one layer."""

    sequence: int
    timestamp: int
    reference: T
    drive: Drive


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """One frame to show: generate it with `drive` on `reference`, or, when frozen, keep the picture."""

    kind: Kind
    timestamp: int
    reference: T
    drive: Drive
    interpolated: bool
    deadline_ms: float


@dataclass(frozen=True, slots=True)
class PlayedFrames:
    """Running counts. `exact` includes `interpolated`; `late` units arrived after their frame was shown; `left_out`:
    captured frames that were not shown because one in `JitterBuffer.every` is."""

    exact: int = 0
    concealed: int = 0
    frozen: int = 0
    interpolated: int = 0
    late: int = 0
    left_out: int = 0

    @property
    def shown(self) -> int:
        """All frames shown, each counted once."""
        return self.exact + self.concealed + self.frozen


class JitterBuffer(Generic[T]):
    """Jitter buffer and playout of one stream. Feed `push`, ask `due` at `next_deadline_ms`."""

    STRANGERS = 8  # units in a row with impossible times before we believe that the media clock jumped
    AHEAD_MS = 3000.0

    def __init__(self, config: PlayoutConfig) -> None:
        self._config = config
        self.every = 1  # of so many captured frames one is shown
        self._clock = PlayoutClock(config.minimum_delay_ms, config.maximum_delay_ms)
        self._restart()
        self._counts = PlayedFrames()

    def _restart(self) -> None:
        self._time = MediaTime()
        self._clock.reset()
        self._waiting: OrderedDict[int, TimedUnit[T]] = OrderedDict()  # by ticks, kept sorted
        self._past: tuple[tuple[int, TimedUnit[T]], ...] = ()  # up to two newest units that are due
        self._next: int | None = None
        self._open = 0  # the first frame that is neither shown nor left out
        self._strangers = 0

    @property
    def counts(self) -> PlayedFrames:
        """Frames shown so far."""
        return self._counts

    @property
    def delay_ms(self) -> float:
        """Present delay of the jitter buffer."""
        return self._clock.delay_ms

    @property
    def transit_ms(self) -> float:
        """Smallest recent arrival minus media time (a latency where both ends share a clock)."""
        return self._clock.transit_ms

    @property
    def buffered(self) -> int:
        """Units waiting."""
        return len(self._waiting)

    def push(self, unit: TimedUnit[T], now_ms: float) -> bool:
        """Take a unit that arrived; False when it is dropped (late, repeated, or of an impossible time)."""
        ticks = self._time.unwrap(unit.timestamp)
        if self._clock.started and abs(now_ms + self._clock.delay_ms - self._clock.deadline_ms(ticks)) > self.AHEAD_MS:
            self._strangers += 1
            if self._strangers < self.STRANGERS:
                return False
            self._restart()
            ticks = self._time.unwrap(unit.timestamp)
        self._strangers = 0
        self._clock.observe(ticks, self._needed(ticks, unit), now_ms)
        if self._next is None:
            self._next = self._open = ticks
        half = self._config.period_ticks // 2
        if ticks < self._open - half:
            self._counts = replace(self._counts, late=self._counts.late + 1)
            self._remember(ticks, unit)
            return False
        if ticks in self._waiting:
            return False
        self._waiting[ticks] = unit
        for later in [t for t in self._waiting if t > ticks]:
            self._waiting.move_to_end(later)
        if len(self._waiting) > self._config.units:
            self._waiting.popitem()
        return True

    def sound_due_ms(self, timestamp: int) -> float | None:
        """When sound of this time is due, with its frame; None where nothing says so yet."""
        if not self._clock.started:
            return None
        return self._clock.deadline_ms(self._time.unwrap(timestamp))

    def sound_ready(self, timestamp: int, now_ms: float, packet_ms: float = 0.0) -> float | None:
        """Sound of this time can be played from now on: frames wait for it. packet_ms: the length of its packet.
        Returns when its frame is due."""
        if not self._clock.started:
            return None
        ticks = self._time.unwrap(timestamp)
        if abs(now_ms - self._clock.deadline_ms(ticks)) > self.AHEAD_MS:
            return None
        self._clock.observe_other(ticks, now_ms, packet_ms)
        return self._clock.deadline_ms(ticks)

    def _needed(self, ticks: int, unit: TimedUnit[T]) -> int:
        """Media time of the first frame that cannot be shown without `unit`."""
        before = [(t, u) for t, u in (*self._past, *self._waiting.items()) if t < ticks]
        if before:
            previous_ticks, previous = max(before, key=lambda item: item[0])
            if self._follows(previous, unit) and ticks - previous_ticks <= self._span(self._config.interpolate_ms):
                return min(ticks, previous_ticks + self._config.period_ticks)
        return ticks

    @staticmethod
    def _span(milliseconds: float) -> int:
        return round(milliseconds * CLOCK_HZ / 1000)

    @staticmethod
    def _follows(earlier: "TimedUnit[T]", later: "TimedUnit[T]") -> bool:
        return later.sequence == seq16_add(earlier.sequence, 1)

    def _remember(self, ticks: int, unit: TimedUnit[T]) -> None:
        if all(t != ticks for t, _ in self._past):
            self._past = tuple(sorted((*self._past, (ticks, unit)), key=lambda item: item[0])[-2:])

    def next_deadline_ms(self) -> float | None:
        """When `due` has a frame again; None before the first unit."""
        return None if self._next is None else self._clock.deadline_ms(self._next)

    def due(self, now_ms: float) -> Shown[T] | None:
        """The newest frame whose deadline has passed, None when there is none.

        Frames that should have been shown since the last call but were not, because we were called too late,
        count as frozen: the viewer saw the old picture in their place.
        """
        if self._next is None or now_ms < self._clock.deadline_ms(self._next):
            return None
        period = self._config.period_ticks
        step = self.every * period
        behind = int((now_ms - self._clock.deadline_ms(self._next)) * CLOCK_HZ / 1000) // step
        count = self._counts
        left_out = count.left_out + (self.every - 1) * (behind + 1)
        self._counts = replace(count, frozen=count.frozen + behind, left_out=left_out)
        ticks = self._next + behind * step
        self._next, self._open = ticks + step, ticks + period
        while self._waiting:
            first = next(iter(self._waiting))
            if first >= ticks + (period + 1) // 2:
                break
            self._remember(first, self._waiting.pop(first))
        return self._choose(ticks)

    def _choose(self, ticks: int) -> Shown[T] | None:
        if not self._past:
            return None
        newest_ticks, newest = self._past[-1]
        span = self._span(self._config.interpolate_ms)
        if abs(newest_ticks - ticks) <= self._config.period_ticks // 2:
            return self._show(Kind.EXACT, ticks, newest, newest.drive)
        if self._waiting:
            later_ticks, later = next(iter(self._waiting.items()))
            if later_ticks - newest_ticks <= max(span, self._span(self._config.conceal_ms)):
                share = (ticks - newest_ticks) / (later_ticks - newest_ticks)
                planned = self._follows(newest, later) and later_ticks - newest_ticks <= span
                drive = mix_drive(newest.drive, later.drive, share, later.reference is newest.reference)
                return self._show(Kind.EXACT if planned else Kind.CONCEALED, ticks, newest, drive, planned)
            if later_ticks - ticks <= self._span(self._config.conceal_ms) < ticks - newest_ticks:
                return self._show(Kind.CONCEALED, ticks, later, later.drive)  # what is there comes early
        age = ticks - newest_ticks
        if age > self._span(self._config.conceal_ms):
            return self._show(Kind.FROZEN, ticks, newest, newest.drive)
        return self._show(Kind.CONCEALED, ticks, newest, self._extrapolate(age))

    def _extrapolate(self, age: int) -> Drive:
        newest_ticks, newest = self._past[-1]
        before_ticks, before = self._past[0]
        last, earlier = newest.drive.motion, before.drive.motion
        if before.reference is not newest.reference or not seq16_gt(newest.sequence, before.sequence):
            return newest.drive
        if last is None or earlier is None:
            return newest.drive  # a base picture stays
        step_ms, age_ms = ((ticks * 1000 / CLOCK_HZ) for ticks in (newest_ticks - before_ticks, age))
        return Drive(extrapolate_motion(earlier, last, step_ms, age_ms, self._config.conceal_ms))

    def _show(self, kind: Kind, ticks: int, unit: TimedUnit[T], drive: Drive, interpolated: bool = False) -> Shown[T]:
        count = self._counts
        self._counts = replace(
            count,
            exact=count.exact + (kind is Kind.EXACT),
            concealed=count.concealed + (kind is Kind.CONCEALED),
            frozen=count.frozen + (kind is Kind.FROZEN),
            interpolated=count.interpolated + interpolated,
        )
        deadline_ms = self._clock.deadline_ms(ticks)
        return Shown(kind, self._time.wrap(ticks), unit.reference, drive, interpolated, deadline_ms)
