"""Open bitstream units and sequence headers: inverses, bounds, and every field that is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import BitstreamError
from talkcodec.picture.obu import FRAME, SEQUENCE_HEADER, Unit, read_sequence_header, unit_bytes, units

FIELDS = {
    "profile": (3, 0), "still": (1, 0), "reduced": (1, 0), "timing": (1, 0), "display delay": (1, 0),
    "operating points": (5, 0), "layers": (12, 0), "level": (5, 0), "width bits": (4, 15), "height bits": (4, 15),
    "width": (16, 127), "height": (16, 95), "frame numbers": (1, 0), "tools": (7, 0x7F), "order hint": (1, 1),
    "order tools": (2, 3), "screen content": (1, 1), "integer vectors": (1, 1), "hint bits": (3, 6),
    "superres": (1, 0), "filters": (2, 3), "high bit depth": (1, 0), "grey": (1, 0), "colours": (1, 0),
    "full range": (1, 1), "chroma": (3, 0), "film grain": (1, 0),
}  # fmt: skip
"""A sequence header's fields in order (AV1 specification, section 5.5): bits and value, for 128x96 pixels."""


def sequence_header(**changes: int) -> bytes:
    """The header with some values changed; spaces in a name are underscores here."""
    values = {name: changes.get(name.replace(" ", "_"), value) for name, (_, value) in FIELDS.items()}
    text = "".join(f"{values[name]:0{bits}b}" for name, (bits, _) in FIELDS.items()) + "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


@given(st.integers(1, 65536), st.integers(1, 65536))
def test_any_size_is_read(width: int, height: int) -> None:
    assert read_sequence_header(sequence_header(width=width - 1, height=height - 1)) == (width, height)


@pytest.mark.parametrize(
    "field",
    ["profile", "still", "reduced", "timing", "display delay", "operating points", "layers", "frame numbers",
     "superres", "high bit depth", "grey", "colours", "film grain"],
)  # fmt: skip
def test_what_our_pictures_never_need_is_refused(field: str) -> None:
    with pytest.raises(BitstreamError, match="sequence header"):
        read_sequence_header(sequence_header(**{field.replace(" ", "_"): 1}))


def test_limited_range_is_refused() -> None:
    with pytest.raises(BitstreamError, match="colour range"):
        read_sequence_header(sequence_header(full_range=0))


def test_cut_and_long_sequence_headers_are_refused() -> None:
    whole = sequence_header()
    for length in range(len(whole)):
        with pytest.raises(BitstreamError):
            read_sequence_header(whole[:length])
    with pytest.raises(BitstreamError):
        read_sequence_header(whole + b"\0")


@given(st.binary(max_size=24))
def test_any_bytes_give_a_size_or_the_one_error(data: bytes) -> None:
    try:
        width, height = read_sequence_header(data)
    except BitstreamError:
        return
    assert 1 <= width <= 65536
    assert 1 <= height <= 65536


@given(st.lists(st.tuples(st.sampled_from([SEQUENCE_HEADER, FRAME]), st.binary(max_size=300)), max_size=4))
def test_units_are_cut_as_they_were_joined(parts: list[tuple[int, bytes]]) -> None:
    joined = [unit_bytes(kind, payload) for kind, payload in parts]
    assert list(units(b"".join(joined))) == [
        Unit(kind, data, payload) for (kind, payload), data in zip(parts, joined, strict=True)
    ]


@pytest.mark.parametrize("length", [0, 127, 128, 16383, 16384, 70000])
def test_sizes_of_every_width(length: int) -> None:
    data = unit_bytes(FRAME, b"x" * length)
    assert [len(unit.payload) for unit in units(data)] == [length]


@given(st.binary(max_size=64))
def test_any_bytes_give_units_or_the_one_error(data: bytes) -> None:
    try:
        parts = list(units(data))
    except BitstreamError:
        return
    assert b"".join(unit.data for unit in parts) == data
