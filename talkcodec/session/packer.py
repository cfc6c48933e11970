"""Motion on its way out: which frames wait for their bundle, when it leaves, and what is dropped."""

from collections import deque

from talkcodec.bitstream import MotionBundle
from talkcodec.coding import AccessUnit, UnitWriter
from talkcodec.session.rate import SendPlan

__all__ = ["Packer"]


class Packer:
    """Lets frames wait in the writer until their bundle is complete, or overdue.

    Drop policy: at most `plan.bundle` frames wait; when the transport is busy the oldest is dropped before it is given
    a sequence number, so that the receiver sees a lower rate and no loss. Motion on a reference that the receiver has
    not acknowledged is dropped too.
    """

    LEAST_WAIT_MS = 5.0

    def __init__(self, writer: UnitWriter, capture_fps: float, slack_ms: float) -> None:
        """slack_ms: a bundle leaves incomplete when its frames come this much later than planned."""
        self._writer, self._frame_ms, self._slack_ms = writer, 1000 / capture_fps, slack_ms
        self._since_ms: deque[float] = deque()  # when each waiting frame came
        self.dropped_stale = 0

    def add(self, unit: AccessUnit, plan: SendPlan, now_ms: float) -> None:
        """One frame's motion; frames beyond the plan's bundle push the oldest waiting one out."""
        if unit.reference_id not in self._writer.held:
            return
        self._writer.add(unit)
        self._since_ms.append(now_ms)
        while self._writer.pending > plan.bundle:
            self._writer.drop_oldest()
            self._since_ms.popleft()
            self.dropped_stale += 1

    def due(self, plan: SendPlan, now_ms: float) -> MotionBundle | None:
        """The bundle that leaves now: a complete one, or one that has waited long enough."""
        if not self._since_ms or (self._writer.pending < plan.bundle and self._wait_ms(plan, now_ms) > 0):
            return None
        bundle = self._writer.take()
        while len(self._since_ms) > self._writer.pending:
            self._since_ms.popleft()
        return bundle

    def next_due_ms(self, plan: SendPlan, now_ms: float) -> float | None:
        """When an incomplete bundle leaves; None when nothing waits."""
        return now_ms + max(self.LEAST_WAIT_MS, self._wait_ms(plan, now_ms)) if self._since_ms else None

    def _wait_ms(self, plan: SendPlan, now_ms: float) -> float:
        planned_ms = (plan.bundle - 1) * plan.every * self._frame_ms
        return self._since_ms[0] + planned_ms + self._slack_ms - now_ms
