"""Base pictures of a call in order, each once: what came early waits, and a gap is noticed. Time is an argument."""

from dataclasses import dataclass

from talkcodec.bitstream.base import BASE_NUMBERS
from talkcodec.clock import seq16_diff
from talkcodec.coding import AccessUnit

__all__ = ["BaseOrder", "NumberedUnit"]


@dataclass(frozen=True, slots=True)
class NumberedUnit:
    """An access unit with a base picture, and the number of its unit in the call."""

    sequence: int
    unit: AccessUnit


class BaseOrder:
    """Each picture needs the one before it, so one that is ahead waits until the gap closes or a start comes.

    Drop policy: at most `LIMIT` wait, the oldest leaves; what lies before a picture that was let go is too late.
    """

    LIMIT = 16
    LATE = 128
    """Numbers that lie further back are of a peer that counts from elsewhere now."""

    def __init__(self) -> None:
        self._expected: int | None = None  # number of the next picture, None: only a start will do
        self._newest: int | None = None  # sequence of the last one that was let go
        self._start: int | None = None  # sequence of the last start that was let go
        self._waiting: list[NumberedUnit] = []
        self._gap_ms: float | None = None

    @property
    def waiting(self) -> int:
        """Pictures that wait for one before them."""
        return len(self._waiting)

    @property
    def missing(self) -> int:
        """Pictures between the last that was let go and the first that waits; 0 where that is not known."""
        if not self._waiting or self._expected is None or self._waiting[0].unit.base is None:
            return 0
        return (self._waiting[0].unit.base.number - self._expected) % BASE_NUMBERS

    @property
    def gap_since_ms(self) -> float | None:
        """Since when a picture is missing; None while none is."""
        return self._gap_ms

    def add(self, sequence: int, unit: AccessUnit, now_ms: float) -> list[NumberedUnit]:
        """A picture came; those that can be decoded now, in order."""
        assert unit.base is not None
        item = NumberedUnit(sequence, unit)
        if self._newest is not None and -self.LATE < seq16_diff(sequence, self._newest) <= 0:
            return []
        ready: list[NumberedUnit] = []
        if unit.base.start is not None:
            self._let_go(item, ready)
        elif all(other.sequence != sequence for other in self._waiting):
            self._waiting.append(item)
            self._waiting.sort(key=lambda other: seq16_diff(other.sequence, sequence))
            del self._waiting[: -self.LIMIT]
        self._let_go_waiting(ready)
        if not self._waiting:
            self._gap_ms = None
        elif self._gap_ms is None:
            self._gap_ms = now_ms
        return ready

    def failed(self, sequence: int, now_ms: float) -> None:
        """A picture that was let go did not decode: those after it will not either, until a start."""
        if self._start is None or seq16_diff(sequence, self._start) >= 0:
            self._expected = None
            self._gap_ms = now_ms if self._gap_ms is None else self._gap_ms

    def _let_go(self, item: NumberedUnit, ready: list[NumberedUnit]) -> None:
        base = item.unit.base
        assert base is not None
        if base.start is not None:
            self._start, self._gap_ms = item.sequence, None
        self._newest, self._expected = item.sequence, (base.number + 1) % BASE_NUMBERS
        ready.append(item)

    def _let_go_waiting(self, ready: list[NumberedUnit]) -> None:
        newest = self._newest
        if newest is not None:
            self._waiting = [item for item in self._waiting if seq16_diff(item.sequence, newest) > 0]
        while self._waiting and self._waiting[0].unit.base is not None:
            if self._waiting[0].unit.base.number != self._expected:
                return
            self._let_go(self._waiting.pop(0), ready)
            self._gap_ms = None
