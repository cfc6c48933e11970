"""Values to units and back: both ends stay in step, whatever is lost."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.bitstream import (
    CodedUnit,
    Hello,
    MotionState,
    ReceiverReport,
    units_of,
)
from talkcodec.clock import seq16_add
from talkcodec.coding import (
    AccessUnit,
    HeldReferences,
    UnitWriter,
)
from talkcodec.errors import PeerError, StateError
from tests.coding.values import (
    FRAME_TICKS,
    HELLO,
    at,
    ends,
    keyframe,
    read,
    state,
    take,
)


@pytest.mark.parametrize("size", [1, 3])
def test_a_lost_bundle_costs_only_itself(size: int) -> None:
    writer, reader = ends(first_sequence=65_500)
    random = np.random.default_rng(7)
    for first in range(0, 240, size):
        units = [AccessUnit(n * FRAME_TICKS, 0, state(n)) for n in range(first, first + size)]
        bundle = take(writer, *units)
        assert bundle.sequence == seq16_add(65_500, first)
        if random.random() < 0.4:
            continue
        got = [reader.unit(coded) for coded in units_of(bundle, units[0].timestamp, HELLO.time_base)]
        assert [unit.motion for unit in got] == [unit.motion for unit in units]
        if random.random() < 0.5:
            writer.acknowledge_unit(seq16_add(bundle.sequence, size - 1))


def test_acknowledged_units_are_smaller_than_keyframe_prediction_alone() -> None:
    def total(acknowledge: bool) -> int:
        writer, _ = ends()
        size = 0
        for number in range(60):
            bundle = take(writer, at(number))
            size += len(bundle.units[0].payload)
            if acknowledge:
                writer.acknowledge_unit(bundle.sequence)
        return size

    assert total(True) < 0.8 * total(False)


def test_a_report_counts_only_for_what_was_sent_and_is_still_held() -> None:
    """Regression: a report that named unit 65535, never sent, ended the sender."""
    writer, reader = ends()
    for received in (1, (1 << 64) - 1):
        writer.acknowledge(ReceiverReport(0, received, 0, 0, 0, 0, 0))
        read(reader, take(writer, at(writer.next_sequence)), writer.next_sequence)
    for number in range(2, 300):
        take(writer, at(number))
    writer.acknowledge_unit(10)  # left long ago
    before = take(writer, at(0)).units[0].payload
    assert reader.unit(CodedUnit(0, 300, 0, before)).motion == state(0)  # from the keyframe, the only state in common


def test_a_unit_waits_until_it_is_taken_and_may_be_taken_back() -> None:
    writer, _ = ends()
    for number in range(3):
        writer.add(at(number))
    assert writer.drop_oldest() == at(0)
    bundle = writer.take()
    assert bundle is not None
    assert (bundle.sequence, len(bundle.units), writer.pending) == (0, 2, 0)
    assert writer.take() is None


def test_bundles_end_where_the_reference_changes_and_lost_references_take_their_units_along() -> None:
    writer, _ = ends()
    writer.held.store(1, state(5), "reference 1")
    for reference_id in (0, 0, 1):
        writer.add(AccessUnit(0, reference_id, state(1)))
    first, second = writer.take(), writer.take()
    assert first is not None
    assert second is not None
    assert [(b.reference_id, len(b.units), b.sequence) for b in (first, second)] == [(0, 2, 0), (1, 1, 2)]
    writer.add(at(2))
    writer.held.clear()
    assert writer.take() is None
    with pytest.raises(StateError, match="must be requested"):
        writer.add(at(3))


def test_large_units_are_spread_over_bundles() -> None:
    hello = Hello(b"modelmod", 64, 64, True, 0)
    writer = UnitWriter(hello, HeldReferences())
    writer.held.store(0, MotionState((0,) * 384), None)
    random = np.random.default_rng(1)
    for number in range(12):
        values = tuple(random.integers(-(2**20) + 1, 2**20, 384).tolist())
        writer.add(AccessUnit(number, 0, MotionState(values)))
    sizes = []
    while (bundle := writer.take()) is not None:
        sizes.append(sum(len(unit.payload) for unit in bundle.units))
    assert len(sizes) > 3
    assert max(sizes) < 16 * 1024


def test_damage_and_missing_predictors_raise_and_change_nothing() -> None:
    writer, reader = ends()
    lost = take(writer, at(30))
    writer.acknowledge_unit(lost.sequence)
    unreadable = take(writer, at(31))
    with pytest.raises(StateError):
        read(reader, unreadable, 31)
    with pytest.raises(StateError):
        reader.unit(CodedUnit(0, 5, 9, b""))
    assert read(reader, lost, 30)[0].motion == state(30)
    assert read(reader, unreadable, 31)[0].motion == state(31)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), edits=st.integers(1, 6), in_keyframe=st.booleans())
def test_mutated_units_raise_only_peer_errors_and_the_reader_lives_on(seed: int, edits: int, in_keyframe: bool) -> None:
    writer, reader = ends()
    serialized = writer.keyframe(keyframe(1, 4))
    bundle = take(writer, at(1))
    random = np.random.default_rng(seed)
    data = bytearray(serialized if in_keyframe else bundle.units[0].payload)
    for _ in range(edits):
        data[random.integers(len(data))] = random.integers(256)
    data = data[: random.integers(len(data) + 1)]
    with contextlib.suppress(PeerError):
        reader.keyframe(bytes(data)) if in_keyframe else reader.unit(CodedUnit(0, 0, 0, bytes(data)))
    assert reader.keyframe(serialized) == keyframe(1, 4)
    assert read(reader, bundle, 1)[0].motion == state(1)
