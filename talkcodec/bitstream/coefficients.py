"""Integer vectors under a profile: the innermost layer of motion and keyframe units (docs/bitstream.md, section 5)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from talkcodec.bitstream.rangecoder import RangeDecoder, RangeEncoder
from talkcodec.bitstream.states import STATE_LIMIT
from talkcodec.bitstream.tables import ESCAPE, LARGEST, SCALES, SHAPES, MotionTable, split_scales
from talkcodec.errors import BitstreamError

__all__ = ["best_profile", "decode_vector", "encode_vector"]

_ESCAPE_BITS = 21
"""The longest Exp-Golomb prefix: a residual spans less than 2**22."""


def scales_of(profile: npt.NDArray[np.int64], shift: int) -> npt.NDArray[np.int64]:
    """Scales of a profile (n,) at the stream's steps, clamped to the legal range."""
    return np.clip(profile - shift, 0, SCALES - 1)


def shape_and_low_bits(scale: int) -> tuple[int, int]:
    """Shape index and count of low bits sent as they are."""
    if scale < SHAPES:
        return scale, 0
    low_bits = 1 + (scale - SHAPES) // 4
    return scale - 4 * low_bits, low_bits


def encode_vector(encoder: RangeEncoder, vector: Sequence[int], scales: Sequence[int], table: MotionTable) -> None:
    """Code each coefficient with the distribution of its scale."""
    for value, scale in zip(vector, scales, strict=True):
        shape, low_bits = shape_and_low_bits(scale)
        high = value >> low_bits
        symbol = high + LARGEST if -LARGEST <= high <= LARGEST else ESCAPE
        cumulative = table.cumulative[shape]
        encoder.encode(cumulative[symbol], cumulative[symbol + 1] - cumulative[symbol])
        if symbol == ESCAPE:
            _encode_escape(encoder, high)
        if low_bits:
            encoder.encode_bits(value & ((1 << low_bits) - 1), low_bits)


def decode_vector(decoder: RangeDecoder, scales: Sequence[int], table: MotionTable) -> list[int]:
    """The inverse of encode_vector; raises BitstreamError."""
    vector = []
    for scale in scales:
        shape, low_bits = shape_and_low_bits(scale)
        symbol = decoder.decode(table.cumulative[shape])
        high = _decode_escape(decoder) if symbol == ESCAPE else symbol - LARGEST
        vector.append(high << low_bits | (decoder.decode_bits(low_bits) if low_bits else 0))
    return vector


def _encode_escape(encoder: RangeEncoder, high: int) -> None:
    """Sign, then Exp-Golomb of the magnitude beyond the table (H.264, section 9.1)."""
    encoder.encode_bits(int(high < 0), 1)
    number = abs(high) - LARGEST  # >= 1
    width = number.bit_length() - 1
    for _ in range(width):
        encoder.encode_bits(1, 1)
    encoder.encode_bits(0, 1)
    encoder.encode_bits(number & ((1 << width) - 1), width)


def _decode_escape(decoder: RangeDecoder) -> int:
    negative = decoder.decode_bits(1)
    width = 0
    while decoder.decode_bits(1):
        width += 1
        if width > _ESCAPE_BITS:
            raise BitstreamError(f"escape code is longer than {_ESCAPE_BITS} bits; the unit is damaged")
    magnitude = (1 << width | decoder.decode_bits(width)) + LARGEST
    return -magnitude if negative else magnitude


def checked_state(values: Sequence[int]) -> tuple[int, ...]:
    """The values as a tuple; raises BitstreamError when one leaves the legal range."""
    if any(abs(value) > STATE_LIMIT for value in values):
        raise BitstreamError(f"a coefficient leaves [-{STATE_LIMIT}, {STATE_LIMIT}]; the unit is damaged")
    return tuple(values)


def best_profile(
    vector: Sequence[int], profiles: npt.NDArray[np.int64], offsets: npt.ArrayLike, shift: int, table: MotionTable
) -> int:
    """Index of the profile (P, n) that codes the vector (n,) in the fewest bits.

    `offsets` (P,): cost of naming each profile in 1/256 bit. Escapes are estimated: choices need not be exact.
    """
    costs = vector_costs(np.asarray(vector, np.int64), scales_of(profiles, shift), table)  # (P,)
    return int(np.argmin(costs + np.asarray(offsets)))


def vector_costs(
    vector: npt.NDArray[np.int64], scales: npt.NDArray[np.int64], table: MotionTable
) -> npt.NDArray[np.int64]:
    """Bits times 256 for vectors (..., n) under scales (..., n), broadcast against each other; (...)."""
    shapes, low_bits = split_scales(scales)
    high = vector >> low_bits
    inside = np.abs(high) <= LARGEST
    excess = np.maximum(np.abs(high) - LARGEST, 1)
    escape_bits = 2 + 2 * np.floor(np.log2(excess)).astype(np.int64)
    symbols = np.where(inside, high + LARGEST, ESCAPE)
    bits = table.costs[shapes, symbols] + 256 * (low_bits + np.where(inside, 0, escape_bits))
    total: npt.NDArray[np.int64] = bits.sum(axis=-1)
    return total
