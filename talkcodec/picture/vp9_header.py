"""Headers of VP9 frames: what a key frame's says of its quality, and an inter frame's in three bytes.

They are packed where they are of the kind that libvpx mostly writes. Ten bytes (VP9 Bitstream & Decoding Process
Specification, version 0.6, section 6.2) name what never changes in our streams: the references, their size, contexts,
tiles. Six fields are left; and the first header that is coded is three bytes long for nine frames of ten, two of them
0. At 128 px and 8.3 pictures a second a frame has some 75 bytes, so this is a tenth of the rate.
"""

from collections.abc import Callable

from talkcodec.errors import BitstreamError

__all__ = ["key_quantiser", "packed", "unpacked"]

_FIRST = 0x86
"""Of a shown inter frame of profile 0; that of a packed one is below 0x80."""

_SWITCHABLE = 4
"""Interpolation filters are 0 to 3, or chosen block by block."""

_USUAL = 3
"""Bytes of the compressed header, of which the last two are 0 where no probability changes."""


def packed(frame: bytes) -> bytes:
    """The frame, its header in three bytes; itself, if it is of another kind, as those above 448 px, with tiles."""
    read = _reader(frame, 8 + 2)  # behind kind and resets
    golden = int(read(8) == 0b11)
    read(12 + 2)
    precise = read(1)
    filters = _SWITCHABLE if read(1) else read(2)
    read(4)
    level = read(6)
    read(5)
    quantiser = read(8)
    read(5)
    size = read(16)
    head = _header(golden, precise, filters, level, quantiser, size)
    body = frame[len(head) :]
    if not frame.startswith(head) or len(body) < _USUAL or not _USUAL <= size < _USUAL + 15:
        return frame
    kind = size - _USUAL + 1
    if size == _USUAL and body[1:3] == b"\0\0":
        kind, body = 0, body[:1] + body[3:]
    fields = golden << 22 | precise << 21 | filters << 18 | level << 12 | quantiser << 4 | kind
    return fields.to_bytes(3, "big") + body


def unpacked(unit: bytes) -> bytes:
    """What `packed` was given. Raises BitstreamError for a filter that there is not."""
    if unit[0] & 0x80:
        return unit
    fields, body = int.from_bytes(unit[:3], "big"), unit[3:]
    filters, kind = fields >> 18 & 0b111, fields & 0b1111
    if filters > _SWITCHABLE:
        raise BitstreamError(f"stream unit names interpolation filter {filters}, expected 0 to {_SWITCHABLE}")
    if kind == 0:
        body = body[:1] + b"\0\0" + body[1:]
    size = _USUAL + max(0, kind - 1)
    head = _header(fields >> 22, fields >> 21 & 1, filters, fields >> 12 & 63, fields >> 4 & 255, size)
    return head + body


def _header(golden: int, precise: int, filters: int, level: int, quantiser: int, size: int) -> bytes:
    """The uncompressed header. golden: whether the second reference becomes this picture too; precise: motion vectors
    of an eighth of a pixel; level: of the loop filter; size: bytes of the compressed header."""
    value, count = _FIRST, 8
    for number, bits in (
        (0, 2),  # contexts are not reset
        (0b11 if golden else 0b01, 8),
        (0x024, 12),  # references 0, 1 and 2
        (0b10, 2),  # the size of the first, shown so
        (precise, 1),
        (1, 1) if filters == _SWITCHABLE else (filters, 3),
        (0b1000, 4),  # contexts adapt, and are the first
        (level, 6),
        (0b00010, 5),  # sharpness 0; references change the level as before
        (quantiser, 8),
        (0, 5),  # the same for all coefficients, no segments, no tiles
        (size, 16),
    ):
        value, count = value << bits | number, count + bits
    padding = -count % 8
    return (value << padding).to_bytes((count + padding) // 8, "big")


def key_quantiser(frame: bytes) -> int:
    """base_q_idx of a key frame of profile 0 without error resilience (6.2, 6.2.8, 6.2.9); 0 where the header ends."""
    read = _reader(frame, 8 + 24 + 4 + 32)  # behind kind, sync code, colours and size
    if read(1):  # a size to be shown at
        read(32)
    read(4 + 6 + 3)  # contexts, loop filter's level and sharpness
    if read(1) and read(1):  # the filter's changes, four for references and two for modes
        for _ in range(6):
            if read(1):
                read(7)
    return read(8)


def _reader(frame: bytes, skip: int) -> Callable[[int], int]:
    """Reads so many bits at a time from a frame's beginning, behind those that are skipped; 0 beyond its end."""
    bits = int.from_bytes(frame[:40].ljust(40, b"\0"), "big")
    left = 8 * 40 - skip

    def read(count: int) -> int:
        nonlocal left
        left -= count
        return bits >> left & (1 << count) - 1

    return read
