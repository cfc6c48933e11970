"""Keyframe units: a coded picture, where it was cropped, and the motion state that it shows (docs/bitstream.md, 7).

The state is sent, never detected again by the receiver: two float networks would not agree on it.
"""

from dataclasses import dataclass

from talkcodec.bitstream import wire
from talkcodec.bitstream.coefficients import best_profile, checked_state, decode_vector, encode_vector, scales_of
from talkcodec.bitstream.motion import MAX_MOTION_BYTES
from talkcodec.bitstream.rangecoder import RangeDecoder, RangeEncoder
from talkcodec.bitstream.states import MotionState, MotionSteps
from talkcodec.bitstream.tables import MotionTable, scale_shift
from talkcodec.errors import BitstreamError, UsageError
from talkcodec.types import Crop

__all__ = ["MAX_KEYFRAME_BYTES", "MAX_PICTURE_SIZE", "KeyframeUnit", "parse_keyframe", "serialize_keyframe"]

MAX_KEYFRAME_BYTES = 256 * 1024
MAX_PICTURE_SIZE = 2048
MAX_CAPTURED_SIZE = 16384

_HEADER_BYTES = 64


@dataclass(frozen=True, slots=True)
class KeyframeUnit:
    """A new reference picture.

    reference_id: 0 to 255, names it from now on. still_codec: id of the picture coding (1 AV1, 2 WebP, 3 JPEG).
    width, height: of the coded picture, 1 to 2048. crop: the square of the captured frame that it shows, in captured
    pixels; it may hang over the edge. captured_size: (width, height) of the captured frame, 1 to 16384.
    state: the motion of the picture itself. picture: the coded bytes, 1 B to 256 KiB with all the rest.
    """

    reference_id: int
    still_codec: int
    width: int
    height: int
    crop: Crop
    captured_size: tuple[int, int]
    state: MotionState
    picture: bytes


def serialize_keyframe(unit: KeyframeUnit, table: MotionTable, steps: MotionSteps) -> bytes:
    """One msgpack array; raises UsageError for fields out of range."""
    if len(unit.state.values) != table.coefficients:
        raise UsageError(f"state has {len(unit.state.values)} coefficients, the table expects {table.coefficients}")
    fields = [
        unit.reference_id, unit.still_codec, unit.width, unit.height, *unit.crop, *unit.captured_size,
        _serialize_state(unit.state, table, steps), unit.picture,
    ]  # fmt: skip
    try:
        _check(fields)
    except BitstreamError as error:
        raise UsageError(str(error)) from error
    return wire.pack(fields)


def parse_keyframe(data: bytes, table: MotionTable, steps: MotionSteps) -> KeyframeUnit:
    """The inverse of serialize_keyframe; raises BitstreamError. The picture's bytes are not looked into."""
    fields = wire.unpack(data, MAX_KEYFRAME_BYTES)
    if len(fields) < 11:
        raise BitstreamError(f"keyframe has {len(fields)} fields, expected 11")
    _check(fields)
    reference_id, still_codec, width, height, x, y, size, captured_width, captured_height, state, picture = fields[:11]
    return KeyframeUnit(
        reference_id, still_codec, width, height, Crop(x, y, size), (captured_width, captured_height),
        _parse_state(state, table, steps), picture,
    )  # fmt: skip


def _check(fields: list[wire.Value]) -> None:
    wire.integer(fields[0], 0, 255, "reference_id")
    wire.integer(fields[1], 0, 255, "still_codec")
    wire.integer(fields[2], 1, MAX_PICTURE_SIZE, "width")
    wire.integer(fields[3], 1, MAX_PICTURE_SIZE, "height")
    wire.integer(fields[4], -MAX_CAPTURED_SIZE, MAX_CAPTURED_SIZE, "crop x")
    wire.integer(fields[5], -MAX_CAPTURED_SIZE, MAX_CAPTURED_SIZE, "crop y")
    wire.integer(fields[6], 1, 2 * MAX_CAPTURED_SIZE, "crop size")
    wire.integer(fields[7], 1, MAX_CAPTURED_SIZE, "captured width")
    wire.integer(fields[8], 1, MAX_CAPTURED_SIZE, "captured height")
    wire.binary(fields[9], 0, MAX_MOTION_BYTES, "state")
    wire.binary(fields[10], 1, MAX_KEYFRAME_BYTES - MAX_MOTION_BYTES - _HEADER_BYTES, "picture")


def _serialize_state(state: MotionState, table: MotionTable, steps: MotionSteps) -> bytes:
    shift = scale_shift(table, steps)
    profile = best_profile(state.values, table.intra_profiles, 0, shift, table)
    return _serialize_profile(profile, state.values, table, shift)


def _serialize_profile(profile: int, values: tuple[int, ...], table: MotionTable, shift: int) -> bytes:
    encoder = RangeEncoder()
    encoder.encode_bits(profile, 8)
    encode_vector(encoder, values, scales_of(table.intra_profiles[profile], shift).tolist(), table)
    return encoder.finish()


def _parse_state(data: bytes, table: MotionTable, steps: MotionSteps) -> MotionState:
    shift = scale_shift(table, steps)
    decoder = RangeDecoder(data)
    profile = decoder.decode_bits(8)
    if profile >= len(table.intra_profiles):
        raise BitstreamError(f"keyframe names profile {profile}, the table has {len(table.intra_profiles)}")
    scales = scales_of(table.intra_profiles[profile], shift).tolist()
    values = checked_state(decode_vector(decoder, scales, table))
    if _serialize_profile(profile, values, table, shift) != data:
        raise BitstreamError("keyframe state is cut, or has bytes to spare")
    return MotionState(values)
