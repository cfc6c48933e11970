"""Access units to units: which held state each one is predicted from, its number, and which share a message."""

from collections import deque
from typing import Any

from talkcodec.bitstream import (
    BasePicture,
    BundledUnit,
    Hello,
    KeyframeUnit,
    Layer,
    MotionBundle,
    MotionState,
    MotionUnit,
    ReceiverReport,
    load_table,
    serialize_base,
    serialize_keyframe,
    serialize_motion,
)
from talkcodec.bitstream.messages import MAX_BUNDLE_BYTES, MAX_BUNDLE_UNITS
from talkcodec.bitstream.motion import MAX_DISTANCE
from talkcodec.clock import seq16_add, seq16_diff
from talkcodec.coding.held import HeldReferences
from talkcodec.coding.unit import AccessUnit

__all__ = ["UnitWriter"]


class UnitWriter:
    """Predicts, numbers, bundles and serialises the access units of one stream.

    The first unit of a bundle is predicted from the newest acknowledged unit or from the keyframe, whichever is
    shorter; later units of the same bundle may also use the one before them, since they arrive together or not at all.
    So any receiver of the reports can decode what arrives, whatever else is lost.

    `held` says what the other end holds and is the encoder's own (`Encoder.held`): whoever hears of acknowledgements
    calls `held.hold` for a keyframe and `acknowledge` for units. Units wait until `take`.
    """

    def __init__(
        self, hello: Hello, held: HeldReferences[Any], *, first_sequence: int = 0, distance: int = MAX_DISTANCE
    ) -> None:
        """`hello` is this end's own. distance: how far back a unit is predicted at most, in sequence numbers.

        Raises MismatchError for a table that is not known.
        """
        self._table = load_table(hello.table_id, hello.keypoints, hello.jacobians)
        self._steps, self._time_base = hello.steps, hello.time_base
        self.held = held
        self._distance = distance
        self._acknowledged: deque[int] = deque(maxlen=distance)
        self._pending: deque[AccessUnit] = deque()
        self._next = first_sequence
        self._last_motion: int | None = None

    @property
    def next_sequence(self) -> int:
        """The number of the next unit that is taken."""
        return self._next

    @property
    def pending(self) -> int:
        """Units waiting to be taken."""
        return len(self._pending)

    def keyframe(self, unit: KeyframeUnit) -> bytes:
        """The serialized keyframe unit. Raises UsageError for fields out of range."""
        return serialize_keyframe(unit, self._table, self._steps)

    def add(self, unit: AccessUnit) -> None:
        """Let the unit's droppable layers wait for their bundle; its reference must be held. Raises StateError."""
        self.held.use(unit.reference_id)
        if unit.motion is not None or unit.base is not None:
            self._pending.append(unit)

    def drop_oldest(self) -> AccessUnit:
        """Take back the unit that has waited longest: it has no number yet, so no loss is seen."""
        return self._pending.popleft()

    def take(self) -> MotionBundle | None:
        """The waiting units that share the first one's reference, as one bundle; None when there is nothing to send.

        A reference that the other end lost meanwhile takes its units with it.
        """
        while self._pending and self._pending[0].reference_id not in self.held:
            self._pending.popleft()
        if not self._pending:
            return None
        first = self._pending[0]
        sequence, before, size = self._next, first.timestamp, 0
        units: list[BundledUnit] = []
        while (
            self._pending
            and self._pending[0].reference_id == first.reference_id
            and len(units) < MAX_BUNDLE_UNITS - 1  # an access unit has at most two layers in a bundle
            and size <= MAX_BUNDLE_BYTES
        ):
            unit = self._pending.popleft()
            for layer, value in ((Layer.MOTION, unit.motion), (Layer.BASE, unit.base)):
                if value is None:
                    continue
                if isinstance(value, BasePicture):
                    payload = serialize_base(value)
                    self.held.forget_unit(self._next)
                    self._next = seq16_add(self._next, 1)
                else:
                    payload = self._motion(unit, value, bundled=len(units))
                delta = self._time_base.to_wire(unit.timestamp) - self._time_base.to_wire(before)
                units.append(BundledUnit(delta & ((1 << self._time_base.bits) - 1), payload, layer))
                before, size = unit.timestamp, size + len(payload)
        return MotionBundle(first.reference_id, sequence, self._time_base.to_wire(first.timestamp), tuple(units))

    def acknowledge(self, report: ReceiverReport) -> None:
        """The other end says which units it holds; what it says of units that were never sent, or long ago, is not
        believed."""
        for bit in range(63, -1, -1):
            if report.received >> bit & 1:
                self.acknowledge_unit(seq16_add(report.highest_sequence, -1 - bit))
        self.acknowledge_unit(report.highest_sequence)

    def acknowledge_unit(self, sequence: int) -> None:
        """The other end holds the state of this unit: later ones may be predicted from it."""
        if not 1 <= seq16_diff(self._next, sequence) <= self._distance or self.held.unit_state(sequence) is None:
            return
        if self._acknowledged and seq16_diff(sequence, self._acknowledged[-1]) <= 0:
            return
        self._acknowledged.append(sequence)

    def acknowledge_all(self) -> None:
        """Everything that was taken counts as held, as in a file."""
        if self._last_motion is not None:
            self.acknowledge_unit(self._last_motion)

    def forget_units(self) -> None:
        """Predict from no earlier unit again, as after a keyframe in a file, where decoding can start."""
        self._acknowledged.clear()
        self.held.forget_units()

    def _newest_held(self) -> int | None:
        newest = self._acknowledged[-1] if self._acknowledged else None
        if newest is None:
            return None
        if not 1 <= seq16_diff(self._next, newest) <= self._distance or self.held.unit_state(newest) is None:
            self._acknowledged.clear()  # out of reach for good: the number will mean another unit after the wrap
            return None
        return newest

    def _motion(self, unit: AccessUnit, state: MotionState, bundled: int) -> bytes:
        """The payload of a motion unit, `bundled` of this bundle's units standing before it."""
        sequence = self._next
        predictors = {0}
        held = self._newest_held()
        if held is not None:
            predictors.add(seq16_diff(sequence, held))
        last = self._last_motion
        back = 0 if last is None or self.held.unit_state(last) is None else seq16_diff(sequence, last)
        if 1 <= back <= bundled:
            predictors.add(back)
        payload = min(
            (
                serialize_motion(
                    MotionUnit(sequence, unit.timestamp, unit.reference_id, predictor, state),
                    self.held, self._table, self._steps,
                )
                for predictor in sorted(predictors)
            ),
            key=len,
        )  # fmt: skip
        self.held.add_unit(sequence, state)
        self._last_motion = sequence
        self._next = seq16_add(sequence, 1)
        return payload
