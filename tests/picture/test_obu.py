"""Open bitstream units: every byte is accounted for, or the one error is raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import BitstreamError
from talkcodec.picture.obu import FRAME, SEQUENCE_HEADER, units


def unit(kind: int, payload: bytes) -> bytes:
    head, size = [kind << 3 | 0x02], len(payload)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + payload


@given(st.lists(st.tuples(st.sampled_from([SEQUENCE_HEADER, FRAME]), st.binary(max_size=300)), max_size=4))
def test_units_are_cut_as_they_were_joined(parts: list[tuple[int, bytes]]) -> None:
    joined = [(kind, unit(kind, payload)) for kind, payload in parts]
    assert list(units(b"".join(data for _, data in joined))) == joined


@pytest.mark.parametrize("length", [0, 127, 128, 16383, 16384, 70000])
def test_sizes_of_every_width(length: int) -> None:
    data = unit(FRAME, b"x" * length)
    assert [each.data for each in units(data)] == [data]


@given(st.binary(max_size=64))
def test_any_bytes_give_units_or_the_one_error(data: bytes) -> None:
    try:
        parts = list(units(data))
    except BitstreamError:
        return
    assert b"".join(part.data for part in parts) == data
