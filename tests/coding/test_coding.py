"""Values to units and back: both ends stay in step, whatever is lost; a file can be entered at each keyframe."""

import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.bitstream import (
    BasePicture,
    BaseStart,
    CodedUnit,
    Hello,
    KeyframeUnit,
    Layer,
    MotionBundle,
    MotionState,
    ReceiverReport,
    RecordingHeader,
    RecordingReader,
    RecordingWriter,
    TimeBase,
    parse,
    serialize,
    units_of,
)
from talkcodec.clock import seq16_add
from talkcodec.codec.base import BaseDecoder
from talkcodec.coding import (
    AccessUnit,
    HeldReferences,
    UnitReader,
    UnitRecorder,
    UnitWriter,
    next_reference_id,
)
from talkcodec.errors import BitstreamError, PeerError, StateError, UsageError
from talkcodec.types import Crop

HELLO = Hello(b"modelmod", 64, 2, True, 0)
FRAME_TICKS = 3600
TIME_BASE = TimeBase(ticks=30, bits=32)


def state(number: int) -> MotionState:
    """A smooth walk, 12 coefficients."""
    return MotionState(tuple(round(40 * np.sin(number / 9 + place)) for place in range(12)))


def keyframe(reference_id: int, number: int = 0) -> KeyframeUnit:
    return KeyframeUnit(reference_id, 1, 64, 64, Crop(0, 0, 64), (64, 64), state(number), b"picture")


def ends(**options: int) -> tuple[UnitWriter, UnitReader]:
    """A writer and a reader that hold keyframe 0."""
    writer, reader = UnitWriter(HELLO, HeldReferences(), **options), UnitReader(HELLO, HeldReferences())
    for held in (writer.held, reader.held):
        held.store(0, state(0), "reference 0")
    return writer, reader


def take(writer: UnitWriter, *units: AccessUnit) -> MotionBundle:
    for unit in units:
        writer.add(unit)
    bundle = writer.take()
    assert bundle is not None
    return bundle


def at(number: int) -> AccessUnit:
    return AccessUnit(number * FRAME_TICKS, 0, state(number))


def read(reader: UnitReader, bundle: MotionBundle, first: int) -> list[AccessUnit]:
    return [reader.unit(coded) for coded in units_of(bundle, first * FRAME_TICKS, TimeBase(30, 32))]


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


# ---- layers


def base(number: int, start: bool = False) -> BasePicture:
    crop = Crop(-3, 4, 64)
    return BasePicture(number % 128, b"picture %d" % number, BaseStart(1, crop) if start else None)


def mixed(number: int, random: np.random.Generator) -> AccessUnit:
    """Motion, a base picture, or both."""
    kind = random.integers(3)
    motion = state(number) if kind != 1 else None
    picture = base(number, start=number % 40 == 0) if kind != 0 else None
    return AccessUnit(number * FRAME_TICKS, 0, motion, base=picture)


def layers_of(units: list[AccessUnit]) -> list[AccessUnit]:
    """As the reader gives them: each layer for itself, motion first."""
    each = []
    for unit in units:
        if unit.motion is not None:
            each.append(AccessUnit(unit.timestamp, unit.reference_id, unit.motion))
        if unit.base is not None:
            each.append(AccessUnit(unit.timestamp, unit.reference_id, base=unit.base))
    return each


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


# ---- what an end holds


def test_a_reference_in_use_outlives_newer_ones_that_are_not() -> None:
    held: HeldReferences[str] = HeldReferences(4)
    for reference_id in range(9):
        held.store(reference_id, state(0), f"picture {reference_id}")
        assert held.use(0) == "picture 0"
    assert set(held.ids) == {0, 6, 7, 8}
    with pytest.raises(StateError, match="keyframe must be requested"):
        held.use(1)


def test_an_offer_counts_once_it_is_held_and_overtaken_offers_are_forgotten() -> None:
    held: HeldReferences[str] = HeldReferences(4)
    held.offer(0, state(0), "lost")
    held.offer(1, state(1), "arrived")
    assert (held.ids, held.offered, held.newest) == ((), (0, 1), None)
    assert held.keyframe_state(1) is None
    assert held.hold(1)
    assert (held.ids, held.offered, held.newest) == ((1,), (), "arrived")
    assert held.keyframe_state(1) == state(1)
    assert not held.hold(0)
    assert not held.hold(77)
    held.offer(1, state(2), "the id again")
    assert 1 not in held
    held.clear()
    assert (len(held), held.offered, held.newest) == (0, (), None)


def test_offers_and_unit_states_are_bounded() -> None:
    held: HeldReferences[int] = HeldReferences(2, units=3)
    for number in range(50):
        held.offer(number, state(0), number)
        held.add_unit(number, state(number))
    assert held.offered == (48, 49)
    assert [held.unit_state(number) is not None for number in (46, 47, 49)] == [False, True, True]
    with pytest.raises(UsageError):
        HeldReferences(0)


def test_reference_ids_wrap() -> None:
    assert next_reference_id(255) == 0


# ---- a file


def recorded(units: list[AccessUnit], layers: tuple[Layer, ...] = (Layer.MOTION,)) -> bytes:
    hello = Hello(b"modelmod", 64, 2, True, 0, time_base=TIME_BASE)
    file = io.BytesIO()
    recording = RecordingWriter(file, RecordingHeader(hello, layers=layers))
    held: HeldReferences[None] = HeldReferences()
    recorder = UnitRecorder(recording, UnitWriter(hello, held))
    for unit in units:
        if unit.keyframe is not None:
            held.store(unit.keyframe.reference_id, unit.keyframe.state, None)
        recorder.write(unit)
    recorder.close()
    recording.close()
    assert recorder.keyframe_bytes > 0
    assert all(recorder.layer_bytes[layer] > 0 for layer in layers)
    return file.getvalue()


def values_in(data: bytes, from_timestamp: int | None = None) -> Iterator[AccessUnit]:
    recording = RecordingReader(io.BytesIO(data))
    if from_timestamp is not None:
        recording.seek(from_timestamp)
    reader = UnitReader(recording.header.hello, HeldReferences())
    for coded in recording:
        assert isinstance(coded, CodedUnit)
        parsed = None
        if coded.keyframe is not None:
            parsed = reader.keyframe(coded.keyframe)
            reader.held.store(parsed.reference_id, parsed.state, None)
        yield reader.unit(coded, parsed)
    assert recording.problem is None


def film(count: int = 130, keyframe_every: int = 40) -> list[AccessUnit]:
    units = []
    for number in range(count):
        reference_id = number // keyframe_every
        new = keyframe(reference_id, number) if number % keyframe_every == 0 else None
        units.append(AccessUnit(number * FRAME_TICKS, reference_id, state(number), new))
    return units


def test_a_recording_comes_back_and_can_be_entered_at_each_keyframe() -> None:
    units = film()
    data = recorded(units)
    assert list(values_in(data)) == units
    for start in (0, 40, 80, 120):
        assert list(values_in(data, start * FRAME_TICKS)) == units[start:]


@pytest.mark.parametrize("with_motion", [False, True])
def test_a_recording_with_a_base_comes_back_and_can_be_entered_at_each_keyframe(with_motion: bool) -> None:
    units = [
        replace(unit, motion=unit.motion if with_motion else None, base=base(n, start=unit.keyframe is not None))
        for n, unit in enumerate(film(150))
    ]
    data = recorded(units, (Layer.MOTION, Layer.BASE) if with_motion else (Layer.BASE,))
    for start in (0, 40, 80, 120):
        got = list(values_in(data, start * FRAME_TICKS))
        keyframes = [replace(unit, keyframe=None) for unit in got]
        assert keyframes == layers_of(units[start:])
        assert [unit.timestamp for unit in got if unit.keyframe] == [n * FRAME_TICKS for n in range(start, 150, 40)]
        first = next(unit.base for unit in got if unit.base is not None)
        assert first.start is not None


def test_a_recording_returns_to_an_older_reference() -> None:
    units = film(60, 20)
    units += [AccessUnit((60 + n) * FRAME_TICKS, 1, state(n)) for n in range(10)]
    assert list(values_in(recorded(units))) == units


def test_a_recording_of_an_earlier_version_reads_as_it_did() -> None:
    """Made at commit f50e946 from 15 frames of the embedded sample; the states are what its own reader said."""
    data = (Path(__file__).parents[1] / "vectors" / "recording-version-1.tkc").read_bytes()
    units = list(values_in(data))
    assert [unit.timestamp for unit in units] == [3600 * number for number in range(15)]
    assert [unit.keyframe is not None for unit in units] == [number in (0, 8) for number in range(15)]
    states = np.array([unit.motion.values for unit in units], np.int32)
    assert states.shape == (15, 60)
    expected = "47b7acb0511eb3c5cb8a839f6ba70dea8e083063b90d1e551bca58ec165ddc12"
    assert hashlib.sha256(states.tobytes()).hexdigest() == expected


def test_a_recording_of_the_second_version_reads_as_it_did() -> None:
    """Made from 26 frames of the embedded sample at 32 px and 12.5 pictures a second."""
    data = (Path(__file__).parents[1] / "vectors" / "recording-version-2.tkc").read_bytes()
    units = list(values_in(data))
    assert RecordingReader(io.BytesIO(data)).header.layers == (Layer.BASE,)
    assert [unit.timestamp for unit in units] == [7200 * number for number in range(13)]
    assert [unit.keyframe is not None for unit in units] == [number in (0, 8) for number in range(13)]
    pictures = [unit.base for unit in units if unit.base is not None]
    assert [picture.number for picture in pictures] == list(range(13))
    assert [picture.start for picture in pictures] == [
        BaseStart(1, Crop(0, 0, 64)) if number in (0, 8) else None for number in range(13)
    ]
    decoder = BaseDecoder(64)
    shown = np.stack([decoder.decode(picture) for picture in pictures])
    assert shown.shape == (13, 32, 32, 3)
    assert (
        hashlib.sha256(shown.tobytes()).hexdigest()
        == "02482fb15e014fd1004498790bed5bf97c5dac381c2605b598968dbbeedbb5a8"
    )
    again = BaseDecoder(64)
    assert np.array_equal(shown[8:], [again.decode(picture) for picture in pictures[8:]])
