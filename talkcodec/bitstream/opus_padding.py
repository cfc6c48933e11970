"""Bytes in the padding of an Opus packet, where every Opus decoder passes over them.

The sound stays what it was (RFC 6716, section 3.2.5); the padding begins with one extension, as
draft-ietf-mlcodec-opus-extension says: a byte of number and flag, then data. A packet of one frame grows by three bytes
and the data, by one byte more for each 254 after the first 253.
"""

from talkcodec.errors import BitstreamError

__all__ = ["EMPTY_PACKET", "EXTENSION", "add_padding", "read_padding"]

EXTENSION = 120
"""The first of the numbers that the draft keeps for experiments, 120 to 127."""

EMPTY_PACKET = bytes([16 << 3])
"""2.5 ms in which nothing is coded: what carries padding while nobody speaks."""

_PADDED = 0x40
_SHORT = 32
"""Extensions below have at most one byte of data; the flag is their length."""
_REPEAT = 2


def add_padding(packet: bytes, data: bytes) -> bytes:
    """The packet with `data` in its padding; padding that it had comes after. Raises BitstreamError for no packet."""
    if not packet:
        raise BitstreamError("an empty Opus packet: expected at least its first byte")
    rest = b""
    if packet[0] & 3 == 3:
        if len(packet) < 2:
            raise BitstreamError("an Opus packet of code 3 that is cut off before its count of frames")
        count, frames = packet[1], packet[2:]
        if count & _PADDED:
            split = _split(packet)
            if split is None:
                raise BitstreamError("an Opus packet with more padding than bytes")
            frames, rest = split
    else:  # one frame, two of one length, two with the first one's length before them
        count, frames = (0x01, 0x02, 0x82)[packet[0] & 3], packet[1:]
    # Without the flag an extension goes on to the end of the padding.
    length = b"" if not rest else b"\xff" * (len(data) // 255) + bytes([len(data) % 255])
    padding = bytes([EXTENSION << 1 | bool(rest)]) + length + data + rest
    return bytes([packet[0] | 3, count | _PADDED]) + _padding_length(len(padding)) + frames + padding


def read_padding(packet: bytes) -> bytes | None:
    """What `add_padding` put there; None where there is nothing of ours. Never raises, whoever made the packet."""
    if len(packet) < 3 or packet[0] & 3 != 3 or not packet[1] & _PADDED:
        return None
    split = _split(packet)
    return None if split is None else _find(split[1])


def _padding_length(size: int) -> bytes:
    """Size of 1 or more: a byte of 255 stands for 254 and says that another follows."""
    return b"\xff" * ((size - 1) // 254) + bytes([(size - 1) % 254 + 1])


def _split(packet: bytes) -> tuple[bytes, bytes] | None:
    """Frames and padding of a padded packet, or None when it says that there is more padding than bytes."""
    at, size = 2, 0
    while at < len(packet):
        byte = packet[at]
        at += 1
        size += min(byte, 254)
        if byte < 255:
            break
    else:
        return None
    end = len(packet) - size
    return (packet[at:end], packet[end:]) if at <= end else None


def _find(padding: bytes) -> bytes | None:
    """Our extension; those before it are passed over."""
    at = 0
    while at < len(padding):
        number, flag = padding[at] >> 1, padding[at] & 1
        at += 1
        if number == _REPEAT or (number == 0 and not flag):
            return None  # only the rest of others' extensions, or nothing
        if number < _SHORT:
            at += flag if number else 0
            continue
        size = len(padding) - at
        if flag:
            size = 0
            while at < len(padding):
                byte = padding[at]
                at += 1
                size += byte
                if byte < 255:
                    break
        if number == EXTENSION:
            return padding[at : at + size] if at + size <= len(padding) else None
        at += size
    return None
