"""Open bitstream units of AV1: the walk that stills and streams share, and what a sequence header may say.

References are to the AV1 Bitstream & Decoding Process Specification, version 1.0.0 with errata 1.
"""

from collections.abc import Iterator
from typing import NamedTuple

from talkcodec.errors import BitstreamError

__all__ = ["FRAME", "SEQUENCE_HEADER", "PictureSize", "Unit", "read_sequence_header", "unit_bytes", "units"]

SEQUENCE_HEADER, FRAME = 1, 6
"""obu_type, section 6.2.2. Temporal delimiters (2) are dropped before anything travels."""


class Unit(NamedTuple):
    """One open bitstream unit: its type, its bytes with header and size, its bytes without."""

    kind: int
    data: bytes
    payload: bytes


class PictureSize(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


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
        yield Unit(header >> 3 & 0x0F, data[start : at + size], data[at : at + size])
        start = at + size


def unit_bytes(kind: int, payload: bytes) -> bytes:
    """A unit with header and size, the inverse of `units` for one."""
    head, size = [kind << 3 | 0x02], len(payload)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + payload


def read_sequence_header(payload: bytes) -> PictureSize:
    """Largest picture of a sequence whose header (section 5.5) says nothing but what our pictures need.

    Raises BitstreamError for anything else: another profile, bit depth or chroma format, grey, scalability, timing,
    frame numbers, limited range or described colours, super-resolution, film grain, trailing bytes.
    """
    bits = _Bits(payload)
    # Profile 0, no still picture, no reduced header, no timing, no display delay, one operating point, all layers.
    bits.expect(24, 0, "profile, still, timing or operating points")
    if bits.read(5) > 7:
        bits.read(1)  # tier
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    size = PictureSize(bits.read(width_bits) + 1, bits.read(height_bits) + 1)
    bits.expect(1, 0, "frame numbers")
    bits.read(7)  # superblock size; filter intra, intra edges, interintra, masked compound, warped motion, dual filter
    order_hints = bits.read(1)
    if order_hints:
        bits.read(2)  # distance weights, motion vectors of references
    if bits.read(1) or bits.read(1):  # screen content tools: chosen a picture, or always on
        bits.read(1) or bits.read(1)  # integer motion vectors: chosen a picture, or always or never
    if order_hints:
        bits.read(3)  # width of the hints
    bits.expect(1, 0, "super-resolution")
    bits.read(2)  # constrained directional enhancement, loop restoration
    bits.expect(3, 0, "bit depth, grey or colour description")
    bits.expect(1, 1, "colour range")
    bits.read(3)  # place of chroma samples, separate quantisers for chroma
    bits.expect(1, 0, "film grain")
    bits.end()
    return size


class _Bits:
    """Most significant bit first, as the specification's f(n)."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise BitstreamError("AV1 sequence header is cut short")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def expect(self, count: int, wanted: int, what: str) -> None:
        got = self.read(count)
        if got != wanted:
            raise BitstreamError(f"AV1 sequence header has {what} {got:#x}, expected {wanted:#x}")

    def end(self) -> None:
        """Trailing bits (section 5.3.4): a one, then zeros up to the end of the byte, and nothing after."""
        left = self._left
        if not 1 <= left <= 8 or self.read(left) != 1 << (left - 1):
            raise BitstreamError("AV1 sequence header does not end where it should")
