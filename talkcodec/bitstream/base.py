"""Base units: one coded picture of a small stream that is restored with the reference (docs/bitstream.md, section 6b).

A unit that starts the stream afresh says where its pictures were cropped. Every other one needs all since then, in
order, which its number shows.
"""

from dataclasses import dataclass

from talkcodec.bitstream.keyframe import MAX_CAPTURED_SIZE
from talkcodec.errors import BitstreamError, UsageError
from talkcodec.types import Crop

__all__ = ["BASE_NUMBERS", "MAX_BASE_BYTES", "BasePicture", "BaseStart", "is_start", "parse_base", "serialize_base"]

BASE_NUMBERS = 128
"""Numbers wrap here."""

MAX_BASE_BYTES = 64 * 1024 + 8

_INTRA = 0x80
_START_BYTES = 8


@dataclass(frozen=True, slots=True)
class BaseStart:
    """What a picture that starts the stream afresh says of those that follow it.

    coder: 1, a VP9 picture stream. crop: the square of the captured frame that the pictures show, in captured pixels.
    """

    coder: int
    crop: Crop


@dataclass(frozen=True, slots=True)
class BasePicture:
    """One coded picture. number: 0 to 127, one more than that of the picture before, wraps; data: the coder's bytes.

    start: None for a picture that needs those before it.
    """

    number: int
    data: bytes
    start: BaseStart | None = None


def is_start(payload: bytes) -> bool:
    """Whether a base unit starts the stream afresh; its payload is not looked into further."""
    return bool(payload) and bool(payload[0] & _INTRA)


def serialize_base(picture: BasePicture) -> bytes:
    """The payload of a unit. Raises UsageError for fields out of range."""
    try:
        _check(picture)
    except BitstreamError as error:
        raise UsageError(str(error)) from error
    if picture.start is None:
        return bytes([picture.number]) + picture.data
    x, y, size = picture.start.crop
    place = x.to_bytes(2, "big", signed=True) + y.to_bytes(2, "big", signed=True) + size.to_bytes(2, "big")
    return bytes([_INTRA | picture.number, picture.start.coder]) + place + picture.data


def parse_base(data: bytes) -> BasePicture:
    """The inverse of serialize_base; raises BitstreamError. The picture's bytes are not looked into."""
    if not data or len(data) > MAX_BASE_BYTES:
        raise BitstreamError(f"base unit has {len(data)} bytes, expected 1 to {MAX_BASE_BYTES}")
    number = data[0] & ~_INTRA
    if not data[0] & _INTRA:
        picture = BasePicture(number, data[1:])
    else:
        x, y = (int.from_bytes(data[at : at + 2], "big", signed=True) for at in (2, 4))
        crop = Crop(x, y, int.from_bytes(data[6:8], "big"))
        picture = BasePicture(number, data[_START_BYTES:], BaseStart(data[1] if len(data) > 1 else 0, crop))
    _check(picture)
    return picture


def _check(picture: BasePicture) -> None:
    if not 0 <= picture.number < BASE_NUMBERS:
        raise BitstreamError(f"base picture has number {picture.number}, expected 0 to {BASE_NUMBERS - 1}")
    if not 1 <= len(picture.data) <= MAX_BASE_BYTES - _START_BYTES:
        most = MAX_BASE_BYTES - _START_BYTES
        raise BitstreamError(f"base picture has {len(picture.data)} bytes, expected 1 to {most}")
    if picture.start is not None:
        x, y, size = picture.start.crop
        if not 0 <= picture.start.coder <= 255:
            raise BitstreamError(f"base picture has coder {picture.start.coder}, expected 0 to 255")
        if not (-MAX_CAPTURED_SIZE <= x <= MAX_CAPTURED_SIZE and -MAX_CAPTURED_SIZE <= y <= MAX_CAPTURED_SIZE):
            raise BitstreamError(f"base picture is cropped at {x}, {y}, expected at most {MAX_CAPTURED_SIZE}")
        if not 1 <= size <= 2 * MAX_CAPTURED_SIZE:
            raise BitstreamError(f"base picture has a crop of {size} px, expected 1 to {2 * MAX_CAPTURED_SIZE}")
