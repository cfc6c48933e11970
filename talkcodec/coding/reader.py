"""Units to access units: parsed once, against what this end holds."""

from typing import Any

from talkcodec.bitstream import (
    CodedUnit,
    Hello,
    KeyframeUnit,
    Layer,
    MotionState,
    dequantise,
    load_table,
    parse_base,
    parse_keyframe,
    parse_motion,
)
from talkcodec.coding.held import HeldReferences
from talkcodec.coding.unit import AccessUnit
from talkcodec.types import Motion

__all__ = ["UnitReader"]


class UnitReader:
    """Parses the units of one stream; the counterpart of UnitWriter.

    `held` is what this end holds (`Decoder.held`): whoever decodes a keyframe's picture stores it there. A unit that is
    damaged, or predicted from what is not held, raises and changes nothing.
    """

    def __init__(self, hello: Hello, held: HeldReferences[Any]) -> None:
        """`hello` is the sending end's. Raises MismatchError for a table that is not known."""
        self._table = load_table(hello.table_id, hello.keypoints, hello.jacobians)
        self._steps, self.time_base = hello.steps, hello.time_base
        self.held = held

    def keyframe(self, data: bytes) -> KeyframeUnit:
        """The values of a serialized keyframe unit. Raises BitstreamError."""
        return parse_keyframe(data, self._table, self._steps)

    def unit(self, coded: CodedUnit, keyframe: KeyframeUnit | None = None) -> AccessUnit:
        """The values of a unit, and of the keyframe that came with it; its state is kept for later ones.

        A keyframe must be held already. Raises BitstreamError for damaged bytes, StateError when the unit is predicted
        from what is not held.
        """
        self.held.use(coded.reference_id)
        if coded.layer is Layer.BASE:
            base = parse_base(coded.payload)
            self.held.forget_unit(coded.sequence)
            return AccessUnit(coded.timestamp, coded.reference_id, keyframe=keyframe, base=base)
        parsed = parse_motion(
            coded.payload, sequence=coded.sequence, timestamp=coded.timestamp, reference_id=coded.reference_id,
            lookup=self.held, table=self._table, steps=self._steps,
        )  # fmt: skip
        self.held.add_unit(coded.sequence, parsed.state)
        return AccessUnit(coded.timestamp, coded.reference_id, parsed.state, keyframe)

    def motion(self, state: MotionState) -> Motion:
        """The motion that a state stands for."""
        return dequantise(state, self._table, self._steps)
