"""Motion on its way out: which held state each unit is predicted from, and which units share a message."""

from collections import deque
from dataclasses import dataclass

from talkcodec.bitstream import (
    BundledUnit,
    HeldStates,
    MotionBundle,
    MotionState,
    MotionSteps,
    MotionTable,
    MotionUnit,
    ReceiverReport,
    TimeBase,
    serialize_motion,
)
from talkcodec.clock import seq16_add, seq16_diff
from talkcodec.session.limits import Limits

__all__ = ["Acknowledged", "MotionSender"]


class Acknowledged:
    """Sequence numbers of units that the receiver is known to hold and still holds, from its reports."""

    def __init__(self, distance: int) -> None:
        self._distance = distance
        self._held: deque[int] = deque(maxlen=distance)

    def report(self, report: ReceiverReport, sent_next: int) -> None:
        """Take a report; what it says about units never sent is ignored. `sent_next`: the next sequence number."""
        for bit in range(63, -1, -1):
            if report.received >> bit & 1:
                self._add(seq16_add(report.highest_sequence, -1 - bit), sent_next)
        self._add(report.highest_sequence, sent_next)

    def _add(self, sequence: int, sent_next: int) -> None:
        behind = seq16_diff(sent_next, sequence)
        if not 1 <= behind <= self._distance or (self._held and seq16_diff(sequence, self._held[-1]) <= 0):
            return
        self._held.append(sequence)

    def newest(self, sequence: int) -> int | None:
        """The newest held unit from which unit `sequence` may be predicted, None when there is none in reach."""
        if self._held and not 1 <= seq16_diff(sequence, self._held[-1]) <= self._distance:
            self._held.clear()  # out of reach for good: the number will mean another unit after the wrap
        return self._held[-1] if self._held else None


@dataclass(frozen=True, slots=True)
class _Pending:
    reference_id: int
    timestamp: int
    state: MotionState
    since_ms: float


class MotionSender:
    """Turns states into bundles that any receiver of the reports can decode, whatever else is lost.

    The first unit of a bundle is predicted from the newest acknowledged unit or from the keyframe, whichever is
    shorter; later units of the same bundle may also use the one before them, since they arrive together or not
    at all. Drop policy: at most `bundle` frames wait; when the channel is busy the oldest is dropped before it is
    given a sequence number, so that the receiver sees a lower rate and no loss. Motion on a reference that the
    receiver has not acknowledged is dropped too.
    """

    def __init__(
        self, table: MotionTable, steps: MotionSteps, time_base: TimeBase, limits: Limits, first_sequence: int = 0
    ) -> None:
        self._table, self._steps, self._time_base = table, steps, time_base
        self._sent = HeldStates(units=limits.states + 1)
        self._acknowledged = Acknowledged(limits.states)
        self._pending: deque[_Pending] = deque()
        self._next = first_sequence
        self._references: deque[int] = deque(maxlen=limits.references)  # acknowledged, oldest first
        self.dropped_stale = 0
        self.units_sent = 0

    @property
    def started(self) -> bool:
        """True once the receiver holds a reference."""
        return bool(self._references)

    @property
    def pending(self) -> int:
        """Frames waiting for their bundle."""
        return len(self._pending)

    def offer_keyframe(self, reference_id: int, state: MotionState) -> None:
        """Remember a keyframe's own state; it is used once `use_reference` names it."""
        if reference_id in self._references:  # the id names another picture from now on
            self._references.remove(reference_id)
        self._sent.add_keyframe(reference_id, state)

    def use_reference(self, reference_id: int) -> None:
        """The receiver holds this keyframe: motion may name it from now on."""
        if reference_id in self._references:
            self._references.remove(reference_id)
        self._references.append(reference_id)

    def acknowledge(self, report: ReceiverReport) -> None:
        """The receiver reported which units it holds."""
        self._acknowledged.report(report, self._next)

    def add(self, reference_id: int, timestamp: int, state: MotionState, bundle: int, now_ms: float) -> None:
        """One frame's motion on a reference; frames beyond `bundle` push the oldest waiting one out."""
        if reference_id not in self._references:
            return
        self._pending.append(_Pending(reference_id, timestamp, state, now_ms))
        while len(self._pending) > bundle:
            self._pending.popleft()
            self.dropped_stale += 1

    def waiting_ms(self, now_ms: float) -> float:
        """How long the oldest pending frame has waited."""
        return now_ms - self._pending[0].since_ms if self._pending else 0.0

    def take(self) -> MotionBundle | None:
        """The pending frames that share the first one's reference as one bundle; None when there are none."""
        if not self._pending:
            return None
        first = self._pending[0]
        sequence = self._next
        units: list[BundledUnit] = []
        before = first.timestamp
        while self._pending and self._pending[0].reference_id == first.reference_id:
            frame = self._pending.popleft()
            delta = self._time_base.to_wire(frame.timestamp) - self._time_base.to_wire(before)
            delta &= (1 << self._time_base.bits) - 1
            units.append(BundledUnit(delta, self._serialize(frame, alone=not units)))
            before = frame.timestamp
        self.units_sent += len(units)
        return MotionBundle(first.reference_id, sequence, self._time_base.to_wire(first.timestamp), tuple(units))

    def _serialize(self, frame: _Pending, alone: bool) -> bytes:
        sequence = self._next
        predictors = {0}
        held = self._acknowledged.newest(sequence)
        if held is not None:
            predictors.add(seq16_diff(sequence, held))
        if not alone:
            predictors.add(1)
        coded = (
            serialize_motion(
                MotionUnit(sequence, frame.timestamp, frame.reference_id, predictor, frame.state),
                self._sent,
                self._table,
                self._steps,
            )
            for predictor in predictors
        )
        payload = min(coded, key=len)
        self._sent.add_unit(sequence, frame.state)
        self._next = seq16_add(sequence, 1)
        return payload
