"""Mutated units, messages and recordings: only the peer's error type comes out, in bounded memory."""

import io
import random
import tracemalloc

import pytest

from talkcodec.bitstream import (
    MotionState,
    MotionUnit,
    RecordingReader,
    generic_table,
    parse,
    parse_base,
    parse_keyframe,
    parse_motion,
    quantise,
    serialize_base,
    serialize_motion,
)
from talkcodec.coding import HeldReferences
from talkcodec.errors import PeerError

from . import samples
from .samples import BASE_VECTORS, KEYFRAME_VECTORS, MESSAGE_VECTORS, MOTION_VECTORS, STEPS, TABLE, VECTORS

INTERESTING = (0, 1, 0x7F, 0x80, 0x90, 0xC1, 0xC4, 0xC6, 0xCF, 0xDB, 0xDD, 0xDF, 0xFF)


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to four changes: bytes flipped or set, cut, doubled, inserted, spliced with another seed."""
    mutant = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(mutant) + 1)
        kind = rng.randrange(7)
        if kind == 0 and place < len(mutant):
            mutant[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and place < len(mutant):
            mutant[place] = rng.choice(INTERESTING)
        elif kind == 2:
            del mutant[place:]
        elif kind == 3:
            mutant[place:place] = bytes(rng.choices(INTERESTING, k=rng.randint(1, 8)))
        elif kind == 4:
            del mutant[place : place + rng.randint(1, 8)]
        elif kind == 5:
            mutant[place:place] = mutant[place : place + rng.randint(1, 32)]
        else:
            mutant[place:] = rng.choice(others)[place:]
    return bytes(mutant)


def recording(data: bytes) -> None:
    reader = RecordingReader(io.BytesIO(data))
    assert sum(1 for _ in reader) <= 100_000
    reader.seek(3600)
    next(iter(reader), None)


def motion(data: bytes) -> None:
    unit = parse_motion(
        data, sequence=100, timestamp=0, reference_id=7, lookup=samples.held_states(), table=TABLE, steps=STEPS
    )
    assert len(unit.state.values) == TABLE.coefficients


def large_motion(data: bytes) -> None:
    table, held = generic_table(64, True), HeldReferences()
    held.add_unit(99, MotionState((0,) * 384))
    parse_motion(data, sequence=100, timestamp=0, reference_id=7, lookup=held, table=table, steps=STEPS)


def keyframe(data: bytes) -> None:
    parse_keyframe(data, TABLE, STEPS)


def base(data: bytes) -> None:
    assert serialize_base(parse_base(data)) == data


def recording_seeds() -> list[bytes]:
    return [*seeds(["recording"]), (VECTORS / "recording-version-2.tkc").read_bytes()]


def seeds(names) -> list[bytes]:
    return [(VECTORS / f"{name}.bin").read_bytes() for name in names]


def large_seeds() -> list[bytes]:
    import numpy as np

    table, held = generic_table(64, True), HeldReferences()
    held.add_unit(99, MotionState((0,) * 384))
    state = quantise(samples.random_motion(np.random.default_rng(0), 64), table, STEPS)
    return [serialize_motion(MotionUnit(100, 0, 7, 1, state), held, table, STEPS)]


CASES = {
    "message": (parse, lambda: seeds(MESSAGE_VECTORS), 0.4),
    "motion": (motion, lambda: seeds(MOTION_VECTORS), 0.3),
    "large-motion": (large_motion, large_seeds, 0.02),
    "keyframe": (keyframe, lambda: seeds(KEYFRAME_VECTORS), 0.13),
    "base": (base, lambda: seeds(BASE_VECTORS), 0.1),
    "recording": (recording, recording_seeds, 0.2),
}


def run(name: str, mutations: int, seed: int) -> int:
    """Feed `mutations` mutants; returns how many were refused."""
    target, make_seeds, _ = CASES[name]
    originals, rng, refused = make_seeds(), random.Random(seed), 0
    for _ in range(mutations):
        data = mutated(rng.choice(originals), originals, rng)
        try:
            target(data)
        except PeerError:
            refused += 1
    return refused


@pytest.mark.parametrize("name", CASES)
def test_mutants(name):
    mutations = int(8000 * CASES[name][2])
    assert run(name, mutations, seed=1) > mutations // 10


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_hundred_thousand_mutants(name):
    mutations = int(100_000 * CASES[name][2])
    assert run(name, mutations, seed=2) > mutations // 10


@pytest.mark.parametrize("name", CASES)
def test_memory_stays_bounded(name):
    run(name, 20, seed=3)  # tables and caches are there
    tracemalloc.start()
    try:
        run(name, 300 if name != "large-motion" else 30, seed=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
