"""A byte-wise range coder whose end costs no whole words (docs/bitstream.md, section 3).

Martin, "Range encoding", 1979. The encoder keeps its interval as one Python integer of any length, so that a carry
needs no care; the decoder keeps 32 bits. A message is the *shortest* byte string that, followed by zero bytes without
end, names a number inside the final interval: payloads of about 10 B cannot afford the 2 to 4 B of a flushed word.
"""

from bisect import bisect_right
from collections.abc import Sequence

from talkcodec.errors import BitstreamError

__all__ = ["FREQUENCY_BITS", "RangeDecoder", "RangeEncoder"]

FREQUENCY_BITS = 14
"""Frequencies of one symbol alphabet add up to 2**14."""

_TOP = 1 << 32
_BOTTOM = 1 << 24


class RangeEncoder:
    """Encodes symbols; `finish` returns the bytes."""

    def __init__(self) -> None:
        self._low = 0
        self._range = _TOP
        self._digits = 4

    def encode(self, start: int, frequency: int, bits: int = FREQUENCY_BITS) -> None:
        """Narrow the interval to [start, start + frequency) of 2**bits; frequency > 0, bits <= 16."""
        share = self._range >> bits
        self._low += share * start
        self._range = share * frequency
        while self._range < _BOTTOM:
            self._low <<= 8
            self._range <<= 8
            self._digits += 1

    def encode_bits(self, value: int, count: int) -> None:
        """`count` equally likely bits, most significant first, in groups of at most 12."""
        while count > 0:
            group = min(count, 12)
            count -= group
            self.encode((value >> count) & ((1 << group) - 1), 1, group)

    def finish(self) -> bytes:
        """The shortest bytes inside the interval; may be empty."""
        high = self._low + self._range
        for zeros in range(8 * self._digits, -1, -8):
            candidate = -(-self._low >> zeros) << zeros
            if candidate < high:
                # A candidate of 1.0 lies outside, because high never passes 1.0.
                return candidate.to_bytes(self._digits, "big")[: self._digits - zeros // 8]
        raise AssertionError("the interval is never empty")


class RangeDecoder:
    """Decodes what RangeEncoder wrote; bytes past the end read as zero.

    Raises BitstreamError for a number that no symbol owns. Whether the bytes were the shortest is for the caller to
    check, by serialising what was parsed.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 4
        self._range = _TOP
        self._value = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def decode(self, cumulative: Sequence[int], bits: int = FREQUENCY_BITS) -> int:
        """The next symbol of an alphabet; `cumulative` starts with 0 and ends with 2**bits."""
        share = self._range >> bits
        target = self._value // share
        if target >= 1 << bits:
            raise BitstreamError("range-coded data names no symbol; the unit is damaged")
        symbol = bisect_right(cumulative, target) - 1
        self._narrow(share, cumulative[symbol], cumulative[symbol + 1] - cumulative[symbol])
        return symbol

    def decode_bits(self, count: int) -> int:
        """`count` equally likely bits."""
        value = 0
        while count > 0:
            group = min(count, 12)
            count -= group
            share = self._range >> group
            part = self._value // share
            if part >= 1 << group:
                raise BitstreamError("range-coded data names no bits; the unit is damaged")
            self._narrow(share, part, 1)
            value = value << group | part
        return value

    def _narrow(self, share: int, start: int, frequency: int) -> None:
        self._value -= share * start
        self._range = share * frequency
        while self._range < _BOTTOM:
            byte = self._data[self._position] if self._position < len(self._data) else 0
            self._value = self._value << 8 | byte
            self._range <<= 8
            self._position += 1
