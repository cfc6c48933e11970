"""Open bitstream units of AV1, of which a still consists.

References are to the AV1 Bitstream & Decoding Process Specification, version 1.0.0 with errata 1.
"""

from collections.abc import Iterator
from typing import NamedTuple

from talkcodec.errors import BitstreamError

__all__ = ["FRAME", "SEQUENCE_HEADER", "Unit", "units"]

SEQUENCE_HEADER, FRAME = 1, 6
"""obu_type, section 6.2.2. Temporal delimiters (2) are dropped before anything travels."""


class Unit(NamedTuple):
    """One open bitstream unit: its type, and its bytes with header and size."""

    kind: int
    data: bytes


def units(data: bytes) -> Iterator[Unit]:
    """Cut bytes into units (sections 5.3.1, 5.3.2 and 4.10.5). Raises BitstreamError where they do not fit."""
    start = 0
    while start < len(data):
        header = data[start]
        if header & 0x85 or not header & 0x02:  # forbidden bit, extension, reserved bit; size field present
            raise BitstreamError(f"AV1 unit header 0x{header:02x} at byte {start}: expected one with a size field")
        size, at = 0, start + 1
        for shift in range(0, 35, 7):  # leb128, at most 5 bytes here
            if at >= len(data):
                raise BitstreamError("AV1 data ends inside a unit's size")
            size |= (data[at] & 0x7F) << shift
            at += 1
            if not data[at - 1] & 0x80:
                break
        else:
            raise BitstreamError("AV1 unit size takes more than 5 bytes")
        if size > len(data) - at:
            raise BitstreamError(f"AV1 unit says {size} bytes, {len(data) - at} are left")
        yield Unit(header >> 3 & 0x0F, data[start : at + size])
        start = at + size
