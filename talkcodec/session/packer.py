"""Units on their way out: which wait for their bundle, when it leaves, and what is dropped."""

from collections import deque

from talkcodec.bitstream import Layer, MotionBundle
from talkcodec.coding import AccessUnit, UnitWriter
from talkcodec.session.rate import SendPlan

__all__ = ["Packer"]


class Packer:
    """Lets frames wait in the writer until their bundle is complete, or overdue.

    Drop policy: at most `plan.bundle` frames wait; when the transport is busy the oldest is dropped before it is given
    a sequence number, so that the receiver sees a lower rate and no loss. Units on a reference that the receiver has
    not acknowledged are dropped too. A base picture does not wait for a bundle, and is dropped only behind a busy
    transport, with all that wait: those after it would be of no use.

    hold_ms: may be set where packets of sound carry units: whatever waits then leaves with the next packet in one
    message, which costs no time, since it could not leave before; and by itself after so long without a packet.
    """

    LEAST_WAIT_MS = 5.0
    BASE_WAITING = 4
    SPARE = 2
    """Packets and frames do not keep step: so many more units may wait for a packet than are planned."""

    def __init__(self, writer: UnitWriter, capture_fps: float, slack_ms: float) -> None:
        """slack_ms: a bundle leaves incomplete when its frames come this much later than planned."""
        self._writer, self._frame_ms, self._slack_ms = writer, 1000 / capture_fps, slack_ms
        self._since_ms: deque[float] = deque()  # when each waiting frame came
        self._base_waiting = 0
        self.hold_ms: float | None = None
        self.dropped_stale = 0

    def add(self, unit: AccessUnit, plan: SendPlan, now_ms: float) -> bool:
        """One frame; frames beyond the plan's bundle push the oldest waiting one out. False: a base picture was
        dropped."""
        if unit.reference_id not in self._writer.held:
            return unit.base is None
        if unit.base is not None and self._base_waiting >= self.BASE_WAITING:
            self._drop(0)
            return False
        self._writer.add(unit)
        self._since_ms.append(now_ms)
        self._base_waiting += unit.base is not None
        if not self._base_waiting:
            self._drop(plan.bundle if self.hold_ms is None else plan.bundle + self.SPARE)
        return True

    def _drop(self, most: int) -> None:
        while self._writer.pending > most:
            self._writer.drop_oldest()
            self._since_ms.popleft()
            self.dropped_stale += 1
        if not most:
            self._base_waiting = 0

    def due(self, plan: SendPlan, now_ms: float, leaving: bool = False) -> MotionBundle | None:
        """The bundle that leaves now: a complete one, or one that has waited long enough. leaving: a packet of sound
        is about to."""
        complete = self._base_waiting or self._writer.pending >= plan.bundle
        if self.hold_ms is not None:
            complete = complete and leaving
        if not self._since_ms or (not complete and self._wait_ms(plan, now_ms) > 0):
            return None
        bundle = self._writer.take()
        if bundle is not None:
            self._base_waiting -= sum(unit.layer is Layer.BASE for unit in bundle.units)
        if not self._writer.pending:
            self._base_waiting = 0
        while len(self._since_ms) > self._writer.pending:
            self._since_ms.popleft()
        return bundle

    def next_due_ms(self, plan: SendPlan, now_ms: float) -> float | None:
        """When an incomplete bundle leaves; None when nothing waits."""
        return now_ms + max(self.LEAST_WAIT_MS, self._wait_ms(plan, now_ms)) if self._since_ms else None

    def _wait_ms(self, plan: SendPlan, now_ms: float) -> float:
        if self.hold_ms is not None:
            return self._since_ms[0] + self.hold_ms - now_ms
        planned_ms = (plan.bundle - 1) * plan.every * self._frame_ms
        return self._since_ms[0] + planned_ms + self._slack_ms - now_ms
