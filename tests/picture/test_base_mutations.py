"""Mutated base units, header and coded picture: the peer's errors only, bounded memory, and a decoder that lives on.

A stream comes as it should up to some unit, in whose place a mutant comes, and one sound unit on top of what that left.
The same decoder then begins the stream anew, and must show what it always showed: so every mutant is followed by a
good stream, of which each picture is compared. All hundred thousand mutants go through FFmpeg's decoder, at 64 px.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from talkcodec.bitstream import BasePicture, BaseStart, parse_base, serialize_base
from talkcodec.codec.base import VP9_STREAM, BaseDecoder
from talkcodec.errors import PeerError
from talkcodec.picture import MAX_UNIT_BYTES, open_still
from talkcodec.types import Crop, Picture
from tests.picture.test_stream import film, moving_picture
from tests.picture.test_stream_hostile import MAX_GROWTH_BYTES, SIDE, needs_proc, packets_of, resident_bytes, superframe

pytestmark = needs_proc

START = BaseStart(VP9_STREAM, Crop(0, 0, SIDE))
START_BYTES = 8
LENGTH = 10


def units_of(coded: list[bytes]) -> list[bytes]:
    """A stream's base units."""
    return [serialize_base(BasePicture(n, data, None if n else START)) for n, data in enumerate(coded)]


class Mutants:
    """Makes a mutant for the place of unit `at`, of one of the kinds in `KINDS`, and remembers how often of which."""

    def __init__(self, coded: list[bytes], seed: int) -> None:
        self.units, self._coded, self._rng = units_of(coded), coded, random.Random(seed)
        self._others = [film(4, width=side, height=side) for side in (16, 32, 128)]
        self._foreign = [open_still("av1").encode(moving_picture(0)), b"", bytes(300), b"\xff" * 300]
        for name in ("libx264", "libx265", "libvpx", "mpeg4", "mjpeg"):
            self._foreign += packets_of(name)
        self._foreign += packets_of("libvpx-vp9", **{"lag-in-frames": "4", "auto-alt-ref": "1", "deadline": "good"})
        self.made: Counter[str] = Counter()

    def draw(self) -> tuple[int, bytes]:
        """The place of a mutant, and the mutant."""
        at = self._rng.randrange(LENGTH - 1)
        make = self._rng.choice(KINDS)
        self.made[make.__name__] += 1
        return at, make(self, at)

    def bit(self, at: int) -> bytes:
        unit = bytearray(self.units[at])
        unit[self._rng.randrange(len(unit))] ^= 1 << self._rng.randrange(8)
        return bytes(unit)

    def some_bytes(self, at: int) -> bytes:
        """Up to four bytes changed: anywhere, or behind the headers, so that the entropy decoder sees them."""
        unit = bytearray(self.units[at])
        first = min(self._rng.choice((0, 1, 10, 18)), len(unit) - 1)
        for _ in range(self._rng.randint(1, 4)):
            unit[self._rng.randrange(first, len(unit))] = self._rng.randrange(256)
        return bytes(unit)

    def header(self, at: int) -> bytes:
        """Number, coder and crop; the picture is sound."""
        unit = bytearray(self.units[at])
        unit[self._rng.randrange(1 if at else START_BYTES)] = self._rng.randrange(256)
        return bytes(unit)

    def cut(self, at: int) -> bytes:
        return self.units[at][: self._rng.randrange(len(self.units[at]))]

    def tail(self, at: int) -> bytes:
        return self.units[at] + self._rng.randbytes(self._rng.randint(1, 64))

    def swapped(self, at: int) -> bytes:
        """Another picture of the same stream, which says that it is the one that is due."""
        return self._with_data(at, self._rng.choice(self._coded))

    def spliced(self, at: int) -> bytes:
        other, place = self._rng.choice(self._coded), self._rng.randrange(len(self._coded[at]))
        return self._with_data(at, self._coded[at][:place] + other[place:])

    def other_size(self, at: int) -> bytes:
        """A picture of a stream of another size; an inter one would have to be scaled, or be drawn out of bounds."""
        return self._with_data(at, self._rng.choice(self._rng.choice(self._others)))

    def dimensions(self, at: int) -> bytes:
        """A key frame of any announced size, often huge."""
        sides = [self._rng.choice((1, 2, 63, 65, 2048, 65536, self._rng.randint(1, 65536))) for _ in range(2)]
        data = self._coded[0]
        head = 1 << 36 | (sides[0] - 1) << 20 | (sides[1] - 1) << 4 | data[8] & 0x0F
        return self._with_data(0, data[:4] + head.to_bytes(5, "big") + data[9:])

    def own_size(self, at: int) -> bytes:
        """An inter frame whose size is that of another reference than its first, or any that it states."""
        data = bytearray(self._coded[max(at, 1)])
        data[3] = data[3] & 0xFC | self._rng.randrange(4)
        data[4:8] = self._rng.randbytes(4)
        return self._with_data(max(at, 1), bytes(data))

    def foreign(self, at: int) -> bytes:
        """Another codec's picture, as it is or behind the first bytes of ours."""
        data, own = self._rng.choice(self._foreign), self._rng.choice((0, 1, 4, 10))
        return self._with_data(at, self._coded[at][:own] + data[own:] or b"\0")

    def thousand(self, at: int) -> bytes:
        """A thousand frames in one unit: one after another, shown again, or as superframes in superframes."""
        data, frames = self._coded[at], self._coded[1:9]
        packed = superframe([superframe(frames)] * 8)
        made = self._rng.choice((data * 1000, data + b"\x88" * 1000, b"".join(frames) * 125, packed, packed + b"\0"))
        return self._with_data(at, made[:MAX_UNIT_BYTES])

    def _with_data(self, at: int, data: bytes) -> bytes:
        return serialize_base(replace(parse_base(self.units[at]), data=data))


KINDS: list[Callable[[Mutants, int], bytes]] = [
    *[Mutants.bit, Mutants.some_bytes] * 4,  # these find their way into the entropy decoder: more of them
    *(Mutants.header, Mutants.cut, Mutants.tail, Mutants.swapped, Mutants.spliced, Mutants.other_size),
    *(Mutants.dimensions, Mutants.own_size, Mutants.foreign, Mutants.thousand),
]


def shown(decoder: BaseDecoder, unit: bytes) -> Picture | None:
    """The picture; None where the unit is refused. Any other error than a peer's comes out."""
    try:
        picture = decoder.decode(parse_base(unit))
    except PeerError:
        return None
    assert picture.dtype == np.uint8
    assert picture.shape in [(side, side, 3) for side in range(1, SIDE + 1)]
    return picture


def mutate_many(count: int, seed: int) -> None:
    coded = film(LENGTH)
    mutants, decoder = Mutants(coded, seed), BaseDecoder(SIDE)
    fresh = BaseDecoder(SIDE)
    sound = [fresh.decode(parse_base(unit)) for unit in mutants.units]
    refused, before = 0, 0
    for number in range(count):
        at, mutant = mutants.draw()
        try:
            for unit, picture in zip(mutants.units[: max(at, 1)], sound, strict=False):
                assert np.array_equal(decoder.decode(parse_base(unit)), picture), "a good stream is shown otherwise"
            refused += shown(decoder, mutant) is None
            shown(decoder, mutants.units[at + 1])
            if number % 500 == 0:
                before = before or resident_bytes()
                assert resident_bytes() - before < MAX_GROWTH_BYTES
        except Exception as error:
            raise AssertionError(f"mutant {number} of --fuzz-seed={seed}, unit {at}: {mutant.hex()}") from error
    assert len(mutants.made) == len(set(KINDS))
    assert 0.2 * count < refused < 0.9 * count  # neither too coarse to get anywhere nor without effect


def test_two_thousand_mutants() -> None:
    mutate_many(2000, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_mutants(fuzz_seed: int) -> None:
    mutate_many(100_000, fuzz_seed)


@pytest.mark.parametrize("kind", sorted(set(KINDS), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_kind_changes_the_unit(kind: Callable[[Mutants, int], bytes]) -> None:
    """So that no kind is idle: among fifty mutants of each some differ from their original."""
    mutants = Mutants(film(LENGTH), seed=1)
    made = partial(kind, mutants)
    assert any(made(at % (LENGTH - 1)) != mutants.units[at % (LENGTH - 1)] for at in range(50))
