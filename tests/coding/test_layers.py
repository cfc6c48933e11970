"""Motion and base pictures in one stream of units."""

import numpy as np
import pytest

from talkcodec.bitstream import (
    BasePicture,
    CodedUnit,
    Layer,
    ReceiverReport,
    parse,
    serialize,
    units_of,
)
from talkcodec.clock import seq16_add
from talkcodec.coding import (
    AccessUnit,
    HeldReferences,
    UnitReader,
)
from talkcodec.errors import BitstreamError, StateError
from tests.coding.values import FRAME_TICKS, HELLO, at, base, ends, layers_of, mixed, read, state, take


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_mixed_layers_survive_losses_and_both_wraps(size: int, seed: int) -> None:
    writer, reader = ends(first_sequence=65_300)
    random = np.random.default_rng(seed)
    for first in range(0, 600, size):
        units = [mixed(number, random) for number in range(first, first + size)]
        bundle = take(writer, *units)
        numbers = [seq16_add(bundle.sequence, n) for n in range(len(bundle.units))]
        assert writer.next_sequence == seq16_add(numbers[-1], 1)
        if random.random() < 0.3:
            continue
        got = [reader.unit(coded) for coded in units_of(bundle, units[0].timestamp, HELLO.time_base)]
        assert [(unit.motion, unit.base) for unit in got] == [(u.motion, u.base) for u in layers_of(units)]
        if random.random() < 0.5:
            held = sum(1 << back for back in range(min(63, len(numbers) - 1)))
            writer.acknowledge(ReceiverReport(numbers[-1], held, 0, 0, 0, 0, 0))


def test_after_a_whole_turn_of_numbers_a_base_unit_is_not_taken_for_the_motion_that_had_its_number() -> None:
    """Regression: states are kept by number, and 65536 base units later an acknowledgement named a stale one."""
    writer, reader = ends()
    assert read(reader, take(writer, at(0), at(1)), 0)[0].motion == state(0)
    writer.acknowledge_unit(1)
    for number in range(65_536):
        writer.add(AccessUnit(number * FRAME_TICKS, 0, base=base(number)))
        bundle = writer.take()
        assert bundle is not None
        if number > 65_500:
            read(reader, bundle, number)
    writer.acknowledge(ReceiverReport(1, 1, 0, 0, 0, 0, 0))
    fresh = UnitReader(HELLO, HeldReferences())
    fresh.held.store(0, state(0), "reference 0")
    for end in (reader, fresh):  # from the keyframe, the only state in common
        assert read(end, take(writer, at(5)), 5)[0].motion == state(5)


def test_a_unit_without_a_layer_takes_no_place() -> None:
    """Regression: it ended the bundle, so that what stood behind it waited."""
    writer, _ = ends()
    bundle = take(writer, AccessUnit(0, 0), at(1), AccessUnit(7200, 0), at(3))
    assert len(bundle.units) == 2
    assert bundle.timestamp == HELLO.time_base.to_wire(FRAME_TICKS)


def test_large_base_pictures_keep_bundles_within_a_message() -> None:
    writer, _ = ends()
    for number in range(6):
        picture = BasePicture(number, bytes(64 * 1024 if number % 2 else 4000))
        writer.add(AccessUnit(number * FRAME_TICKS, 0, state(number), base=picture))
    count = 0
    while (bundle := writer.take()) is not None:
        assert parse(serialize(bundle)) == bundle
        count += len(list(units_of(bundle, 0, HELLO.time_base)))
    assert count == 12
    for number in range(40):
        writer.add(AccessUnit(number * FRAME_TICKS, 0, state(number), base=base(number)))
    sizes = []
    while (bundle := writer.take()) is not None:
        sizes.append(len(bundle.units))
    assert sizes == [32, 32, 16]


def test_damaged_base_units_raise_and_change_nothing() -> None:
    writer, reader = ends()
    first = take(writer, at(0), at(1))
    read(reader, first, 0)
    for payload in (b"", b"\x01", b"\x80\x01\0\0\0\0\0", bytes(70_000)):
        with pytest.raises(BitstreamError):
            reader.unit(CodedUnit(0, 1, 0, payload, layer=Layer.BASE))
    with pytest.raises(StateError):
        reader.unit(CodedUnit(0, 1, 9, b"\x01x", layer=Layer.BASE))
    assert reader.held.unit_state(1) == state(1)
