"""Bytes in the padding of an Opus packet, where every Opus decoder passes over them.

The packet stays what it was (RFC 6716, 3.2); its padding holds one extension, as draft-ietf-mlcodec-opus-extension
says: a byte of number and flag, then data. An Opus packet of one frame grows by three bytes and the data, by one byte
more from 254 bytes on.
"""

from talkcodec.errors import BitstreamError

__all__ = ["EMPTY_PACKET", "add_padding", "read_padding"]

EXTENSION = 120
"""The first of the numbers that the draft keeps for experiments."""

LARGEST_PACKET = 1275 * 48
_PADDED = 0x40
_EXTENSION_TO_THE_END = EXTENSION << 1

EMPTY_PACKET = bytes([16 << 3])
"""2.5 ms in which nothing is coded: what carries padding while nobody speaks."""


def add_padding(packet: bytes, data: bytes) -> bytes:
    """The packet with `data` in its padding. Raises BitstreamError for what is no packet, or has padding already."""
    if not packet:
        raise BitstreamError("an empty Opus packet: expected at least its first byte")
    first, code = packet[0] | 3, packet[0] & 3
    if code == 3:
        if len(packet) < 2 or packet[1] & _PADDED:
            raise BitstreamError("an Opus packet that is cut off, or that has padding already")
        count, frames = packet[1], packet[2:]
    else:
        count, frames = (0x01, 0x02, 0x82)[code], packet[1:]
    size = len(data) + 1
    return bytes([first, count | _PADDED]) + _length(size) + frames + bytes([_EXTENSION_TO_THE_END]) + data


def read_padding(packet: bytes) -> bytes | None:
    """What `add_padding` put there; None where there is nothing of ours. Never raises; reads what anybody sent."""
    if len(packet) < 3 or packet[0] & 3 != 3 or not packet[1] & _PADDED:
        return None
    at, size = 2, 0
    while True:
        if at >= len(packet):
            return None
        byte = packet[at]
        at += 1
        size += 254 if byte == 255 else byte
        if byte != 255:
            break
    if size == 0 or at + size > len(packet):
        return None
    return _find(packet[len(packet) - size :])


def _length(size: int) -> bytes:
    return b"\xff" * ((size - 1) // 254) + bytes([(size - 1) % 254 + 1])


def _find(padding: bytes) -> bytes | None:
    """Our extension among others, which are passed over."""
    at = 0
    while at < len(padding):
        number, flag = padding[at] >> 1, padding[at] & 1
        at += 1
        if number < 32:  # the short ones: the flag is the length; number 0 without it: nothing follows
            if number == 0 and not flag:
                return None
            at += flag if number > 1 else 0
            continue
        size = len(padding) - at
        if flag:
            size = 0
            while at < len(padding):
                byte = padding[at]
                at += 1
                size += byte
                if byte != 255:
                    break
        if number == EXTENSION:
            return padding[at : at + size] if at + size <= len(padding) else None
        at += size
    return None
