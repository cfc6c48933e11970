import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.bitstream.rangecoder import FREQUENCY_BITS, RangeDecoder, RangeEncoder
from talkcodec.errors import BitstreamError

TOTAL = 1 << FREQUENCY_BITS

cumulatives = st.lists(st.integers(1, TOTAL - 1), min_size=1, max_size=30, unique=True).map(
    lambda cuts: [0, *sorted(cuts), TOTAL]
)


@st.composite
def coded(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    alphabets = draw(st.lists(cumulatives, min_size=1, max_size=60))
    return alphabets, [draw(st.integers(0, len(alphabet) - 2)) for alphabet in alphabets]


@given(coded())
def test_symbols_come_back_and_the_end_costs_less_than_a_byte(sample):
    alphabets, symbols = sample
    encoder, bits = RangeEncoder(), 0.0
    for alphabet, symbol in zip(alphabets, symbols, strict=True):
        frequency = alphabet[symbol + 1] - alphabet[symbol]
        encoder.encode(alphabet[symbol], frequency)
        bits += FREQUENCY_BITS - math.log2(frequency)
    data = encoder.finish()
    decoder = RangeDecoder(data)
    assert [decoder.decode(alphabet) for alphabet in alphabets] == symbols
    # Whole bytes, and the share of the range that the integer division loses (below 2**-10 of each symbol).
    assert len(data) <= math.ceil(bits + len(symbols) * 0.002 + 1e-6) // 8 + 1
    assert not data.endswith(b"\0")


@given(st.lists(st.tuples(st.integers(0, (1 << 24) - 1), st.integers(24, 30)), max_size=20))
def test_plain_bits_come_back(pairs):
    encoder = RangeEncoder()
    for value, count in pairs:
        encoder.encode_bits(value, count)
    decoder = RangeDecoder(encoder.finish())
    assert [decoder.decode_bits(count) for _, count in pairs] == [value for value, _ in pairs]


def test_nothing_costs_nothing():
    assert RangeEncoder().finish() == b""


def test_the_likeliest_symbols_cost_nothing():
    encoder = RangeEncoder()
    for _ in range(60):
        encoder.encode(0, TOTAL - 30)
    assert encoder.finish() == b""


def test_a_carry_runs_through_all_bytes():
    encoder = RangeEncoder()
    for _ in range(40):
        encoder.encode(TOTAL - 1, 1)
    encoder.encode(1, TOTAL - 1)
    decoder = RangeDecoder(encoder.finish())
    assert [decoder.decode([0, TOTAL - 1, TOTAL]) for _ in range(40)] == [1] * 40
    assert decoder.decode([0, 1, TOTAL]) == 1


@given(st.binary(max_size=60), st.lists(cumulatives, max_size=40))
def test_garbage_gives_symbols_or_the_one_error(data, alphabets):
    decoder = RangeDecoder(data)
    try:
        for alphabet in alphabets:
            assert 0 <= decoder.decode(alphabet) < len(alphabet) - 1
            decoder.decode_bits(3)
    except BitstreamError:
        pass


def test_the_unowned_end_of_the_range_is_refused():
    decoder = RangeDecoder(b"\xff" * 8)
    assert decoder.decode_bits(8) == 255
    # The range is 2**24 now and holds no whole number of 2**14 shares that start with the last of 3.
    with pytest.raises(BitstreamError, match="names no"):
        [decoder.decode([0, 1, 3, TOTAL]) for _ in range(40)]
