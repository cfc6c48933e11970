"""Motion units: one frame's motion as a residual to a named state (docs/bitstream.md, section 6).

A unit never refers to "the packet before": it names the keyframe's own state or one earlier unit, and its sender names
only what it knows the receiver to hold. So a lost unit costs its own frame and nothing else.
"""

from dataclasses import dataclass
from typing import Protocol

from talkcodec.bitstream.coefficients import best_profile, checked_state, decode_vector, encode_vector, scales_of
from talkcodec.bitstream.rangecoder import FREQUENCY_BITS, RangeDecoder, RangeEncoder
from talkcodec.bitstream.states import MotionState, MotionSteps
from talkcodec.bitstream.tables import MotionTable, scale_shift
from talkcodec.clock import seq16_add
from talkcodec.errors import BitstreamError, StateError, UsageError

__all__ = [
    "MAX_DISTANCE",
    "MAX_MOTION_BYTES",
    "MotionUnit",
    "StateLookup",
    "parse_motion",
    "serialize_motion",
]

MAX_DISTANCE = 255
"""A unit may be predicted from the keyframe (0) or from one up to 255 before it."""

MAX_MOTION_BYTES = 4096
"""No unit is longer: 384 coefficients, each escaped."""

# Distance symbol: 0 is the keyframe, 1 to 14 the distance, 15 that eight bits follow. Counts out of 2**14.
_DISTANCE_FREQUENCIES = (1024, 6144, 2048, 1536, 1536, 768, 768, 512, 512, 320, 256, 256, 128, 128, 128, 320)
_DISTANCE_CUMULATIVE = tuple(sum(_DISTANCE_FREQUENCIES[:index]) for index in range(len(_DISTANCE_FREQUENCIES) + 1))
_FAR = len(_DISTANCE_FREQUENCIES) - 1
assert _DISTANCE_CUMULATIVE[-1] == 1 << FREQUENCY_BITS


@dataclass(frozen=True, slots=True)
class MotionUnit:
    """The motion of one frame.

    sequence: of the unit, 16 bits, wraps. timestamp: 90 kHz, as the caller counts it.
    reference_id: the keyframe to animate, 0 to 255.
    predictor: 0 for the keyframe's own state, n > 0 for the unit with sequence - n; at most 255.
    """

    sequence: int
    timestamp: int
    reference_id: int
    predictor: int
    state: MotionState

    def __post_init__(self) -> None:
        if not 0 <= self.sequence <= 0xFFFF:
            raise UsageError(f"sequence is {self.sequence}, expected 0 to 65535")
        if not 0 <= self.reference_id <= 0xFF:
            raise UsageError(f"reference_id is {self.reference_id}, expected 0 to 255")
        if not 0 <= self.predictor <= MAX_DISTANCE:
            raise UsageError(f"predictor is {self.predictor}, expected 0 to {MAX_DISTANCE}")


class StateLookup(Protocol):
    """Who holds the states that units are predicted from."""

    def keyframe_state(self, reference_id: int) -> MotionState | None:
        """The keyframe's own state, or None when it is not held."""
        ...

    def unit_state(self, sequence: int) -> MotionState | None:
        """The state of the unit with this sequence, or None when it is not held."""
        ...


def predictor_state(lookup: StateLookup, sequence: int, reference_id: int, predictor: int) -> MotionState:
    """The state that a unit names; raises StateError when it is not held."""
    if predictor == 0:
        state = lookup.keyframe_state(reference_id)
        name = f"keyframe {reference_id}"
    else:
        named = seq16_add(sequence, -predictor)
        state = lookup.unit_state(named)
        name = f"unit {named}"
    if state is None:
        raise StateError(f"unit {sequence} is predicted from {name}, which is not held")
    return state


def serialize_motion(unit: MotionUnit, lookup: StateLookup, table: MotionTable, steps: MotionSteps) -> bytes:
    """The payload of a unit: predictor, profile index, residual. Sequence, timestamp and reference travel outside.

    Raises StateError when the predictor is not held, UsageError for a state of another length.
    """
    predicted = predictor_state(lookup, unit.sequence, unit.reference_id, unit.predictor)
    if not len(unit.state.values) == len(predicted.values) == table.coefficients:
        raise UsageError(f"states have {len(unit.state.values)} and {len(predicted.values)} coefficients,"
                         f" the table expects {table.coefficients}")  # fmt: skip
    residual = [value - base for value, base in zip(unit.state.values, predicted.values, strict=True)]
    profile = best_profile(residual, table.profiles, table.profile_costs, scale_shift(table, steps), table)
    return _serialize(unit.predictor, profile, residual, table, steps)


def parse_motion(
    data: bytes,
    *,
    sequence: int,
    timestamp: int,
    reference_id: int,
    lookup: StateLookup,
    table: MotionTable,
    steps: MotionSteps,
) -> MotionUnit:
    """The unit with this payload. The caller adds its state to `lookup` if it keeps it.

    Raises BitstreamError for bytes that serialize_motion would not write, StateError when the predictor is not held.
    """
    if len(data) > MAX_MOTION_BYTES:
        raise BitstreamError(f"motion unit has {len(data)} bytes, at most {MAX_MOTION_BYTES} are allowed")
    decoder = RangeDecoder(data)
    predictor = decoder.decode(_DISTANCE_CUMULATIVE)
    if predictor == _FAR:
        predictor = decoder.decode_bits(8)
        if predictor < _FAR:
            raise BitstreamError(f"distance {predictor} is coded the long way; the unit is damaged")
    predicted = predictor_state(lookup, sequence, reference_id, predictor)
    profile = decoder.decode(table.profile_cumulative)
    residual = decode_vector(decoder, scales_of(table.profiles[profile], scale_shift(table, steps)).tolist(), table)
    if _serialize(predictor, profile, residual, table, steps) != data:
        raise BitstreamError("motion unit is cut, or has bytes to spare")
    values = checked_state([base + value for base, value in zip(predicted.values, residual, strict=True)])
    return MotionUnit(sequence, timestamp, reference_id, predictor, MotionState(values))


def _serialize(predictor: int, profile: int, residual: list[int], table: MotionTable, steps: MotionSteps) -> bytes:
    encoder = RangeEncoder()
    symbol = min(predictor, _FAR)
    encoder.encode(_DISTANCE_CUMULATIVE[symbol], _DISTANCE_FREQUENCIES[symbol])
    if symbol == _FAR:
        encoder.encode_bits(predictor, 8)
    cumulative = table.profile_cumulative
    encoder.encode(cumulative[profile], cumulative[profile + 1] - cumulative[profile])
    encode_vector(encoder, residual, scales_of(table.profiles[profile], scale_shift(table, steps)).tolist(), table)
    return encoder.finish()
