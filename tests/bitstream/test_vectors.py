"""Every format feature as bytes: parse -> fields -> serialize -> the same bytes; cut at every length; bytes to spare.

A vector never changes. A new one is made by calling `write_missing` below, and reviewed.
"""

import io

import pytest

from talkcodec.bitstream import (
    BundledUnit,
    CodedUnit,
    MotionBundle,
    MotionState,
    MotionTable,
    MotionUnit,
    RecordedAudio,
    RecordingReader,
    RecordingWriter,
    load_table,
    parse,
    parse_base,
    parse_keyframe,
    parse_motion,
    serialize,
    serialize_base,
    serialize_keyframe,
    serialize_motion,
)
from talkcodec.bitstream.tables import available_tables
from talkcodec.coding import HeldReferences
from talkcodec.errors import BitstreamError, MismatchError, StateError

from .samples import (
    BASE_VECTORS,
    KEYFRAME_VECTORS,
    MESSAGE_VECTORS,
    MOTION_VECTORS,
    RECORDING_HEADER,
    STEPS,
    TABLE,
    VECTORS,
    held_states,
)

RECORDED = [
    CodedUnit(0, 65535, 7, b"\x01\x02", b"a keyframe"),
    CodedUnit(3600, 0, 7, b""),
    CodedUnit(7200, 1, 7, b"\x03"),
    CodedUnit(90_000, 2, 8, b"\x04", b"another"),
]
AUDIO = RecordedAudio(900, 1800, (b"opus", b"", b"packets"))


def vector(name):
    return (VECTORS / f"{name}.bin").read_bytes()


def unit_from(data: bytes, like: MotionUnit) -> MotionUnit:
    return parse_motion(
        data, sequence=like.sequence, timestamp=like.timestamp, reference_id=like.reference_id, lookup=held_states(),
        table=TABLE, steps=STEPS,
    )  # fmt: skip


@pytest.mark.parametrize("name", MESSAGE_VECTORS)
def test_message(name):
    data, message = vector(name), MESSAGE_VECTORS[name]
    assert parse(data) == message
    assert serialize(message) == data
    for cut in range(len(data)):
        with pytest.raises(BitstreamError):
            parse(data[:cut])
    for tail in (b"\0", b"\xc0", data):
        with pytest.raises(BitstreamError):
            parse(data + tail)


@pytest.mark.parametrize("name", KEYFRAME_VECTORS)
def test_keyframe(name):
    data, unit = vector(name), KEYFRAME_VECTORS[name]
    assert parse_keyframe(data, TABLE, STEPS) == unit
    assert serialize_keyframe(unit, TABLE, STEPS) == data
    for cut in range(len(data)):
        with pytest.raises(BitstreamError):
            parse_keyframe(data[:cut], TABLE, STEPS)
    for tail in (b"\0", b"\xc0", data):
        with pytest.raises(BitstreamError):
            parse_keyframe(data + tail, TABLE, STEPS)


@pytest.mark.parametrize("name", BASE_VECTORS)
def test_base(name):
    data, picture = vector(name), BASE_VECTORS[name]
    assert parse_base(data) == picture
    assert serialize_base(picture) == data
    head = 1 if picture.start is None else 8
    for cut in range(head + 1):
        with pytest.raises(BitstreamError):
            parse_base(data[:cut])
    # The data reaches to the end: what is cut or added after the head is another unit's, and the coder's to refuse.
    for other in [*(data[:cut] for cut in range(head + 1, len(data))), data + b"\0", data + data]:
        parsed = parse_base(other)
        assert (parsed.number, parsed.start, parsed.data) == (picture.number, picture.start, other[head:])
        assert serialize_base(parsed) == other


@pytest.mark.parametrize("name", MOTION_VECTORS)
def test_motion(name):
    data, unit = vector(name), MOTION_VECTORS[name]
    assert unit_from(data, unit) == unit
    assert serialize_motion(unit, held_states(), TABLE, STEPS) == data
    # Every byte string short enough may be some unit; what is parsed is never this unit, and is in its shortest form.
    for other in [*(data[:cut] for cut in range(len(data))), *(data + bytes([byte]) for byte in range(256))]:
        try:
            parsed = unit_from(other, unit)
        except (BitstreamError, StateError):
            continue
        assert parsed != unit
    with pytest.raises(BitstreamError):
        unit_from(data + b"\0", unit)


def trained_unit(table_id: int) -> tuple[MotionUnit, HeldReferences, MotionTable]:
    """A unit under a trained table, from the keyframe."""
    held = HeldReferences()
    held.store(7, MotionState(tuple(range(60))), None)
    values = tuple(place + (place * 7 % 5 - 2 if place < 12 else 0) for place in range(60))
    return MotionUnit(1, 0, 7, 0, MotionState(values)), held, load_table(table_id, 10, True)


@pytest.mark.parametrize("table_id", available_tables())
def test_a_trained_table_keeps_its_meaning(table_id):
    unit, held, table = trained_unit(table_id)
    data = vector(f"motion-table-{table_id}")
    assert serialize_motion(unit, held, table, STEPS) == data
    back = parse_motion(data, sequence=1, timestamp=0, reference_id=7, lookup=held, table=table, steps=STEPS)
    assert back == unit


def write_recording() -> bytes:
    file = io.BytesIO()
    writer = RecordingWriter(file, RECORDING_HEADER)
    first, second, third, last = RECORDED
    base = RECORDING_HEADER.hello.time_base
    writer.write_keyframe(first.timestamp, b"a keyframe")
    steps = [0, *(unit.timestamp // base.ticks for unit in (second, third))]
    deltas = [0, steps[1], steps[2] - steps[1]]
    bundled = tuple(BundledUnit(*pair) for pair in zip(deltas, (b"\x01\x02", b"", b"\x03"), strict=True))
    writer.write_bundle(MotionBundle(7, 65535, base.to_wire(0), bundled), 0)
    for number, packet in enumerate(AUDIO.packets):
        writer.write_audio(AUDIO.timestamp + number * AUDIO.duration, AUDIO.duration, packet)
    writer.write_keyframe(last.timestamp, b"another")
    writer.write_bundle(MotionBundle(8, 2, base.to_wire(last.timestamp), (BundledUnit(0, b"\x04"),)), last.timestamp)
    writer.close()
    return file.getvalue()


def test_recording():
    data = vector("recording")
    reader = RecordingReader(io.BytesIO(data))
    assert reader.header == RECORDING_HEADER
    items = list(reader)
    assert reader.problem is None
    assert [item for item in items if isinstance(item, CodedUnit)] == RECORDED
    assert [item for item in items if isinstance(item, RecordedAudio)] == [AUDIO]
    assert write_recording() == data
    for cut in range(len(data)):
        try:
            reader = RecordingReader(io.BytesIO(data[:cut]))
        except (BitstreamError, MismatchError):
            continue
        assert [item for item in reader if item not in RECORDED] in ([], [AUDIO])


def write_missing() -> None:
    """Write the vectors that are not there yet; never touches one that is."""
    held = held_states()
    made = {name: serialize(message) for name, message in MESSAGE_VECTORS.items()}
    made |= {name: serialize_keyframe(unit, TABLE, STEPS) for name, unit in KEYFRAME_VECTORS.items()}
    made |= {name: serialize_motion(unit, held, TABLE, STEPS) for name, unit in MOTION_VECTORS.items()}
    made |= {name: serialize_base(picture) for name, picture in BASE_VECTORS.items()}
    made["recording"] = write_recording()
    made |= {f"motion-table-{n}": serialize_motion(*trained_unit(n), STEPS) for n in available_tables()}
    VECTORS.mkdir(exist_ok=True)
    for name, data in made.items():
        path = VECTORS / f"{name}.bin"
        if not path.exists():
            path.write_bytes(data)


def test_no_vector_is_left_over():
    names = {*MESSAGE_VECTORS, *KEYFRAME_VECTORS, *MOTION_VECTORS, *BASE_VECTORS, "recording"}
    names |= {f"motion-table-{n}" for n in available_tables()}
    assert {path.stem for path in VECTORS.glob("*.bin")} == names
