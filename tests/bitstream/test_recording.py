import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.bitstream import (
    BundledUnit,
    CodedUnit,
    IndexEntry,
    Layer,
    MotionBundle,
    RecordedAudio,
    RecordingHeader,
    RecordingReader,
    RecordingWriter,
    TimeBase,
    records,
)
from talkcodec.errors import BitstreamError, MismatchError, UsageError

from . import samples

HEADER = samples.RECORDING_HEADER


def written(items, header=HEADER, bundle_units=25):
    file = io.BytesIO()
    writer = RecordingWriter(file, header)
    waiting = []

    def flush():
        if waiting:
            base, first = header.hello.time_base, waiting[0]
            times = [unit.timestamp // base.ticks for unit in waiting]
            units = [
                BundledUnit(time - before, unit.payload, unit.layer)
                for unit, time, before in zip(waiting, times, times[:1] + times, strict=False)
            ]
            wire = base.to_wire(first.timestamp)
            writer.write_bundle(MotionBundle(first.reference_id, first.sequence, wire, tuple(units)), first.timestamp)
            waiting.clear()

    for item in items:
        if isinstance(item, CodedUnit):
            last = waiting[-1] if waiting else item
            if (
                item.keyframe is not None
                or item.reference_id != last.reference_id
                or item.sequence != (last.sequence + bool(waiting)) & 0xFFFF
                or len(waiting) == bundle_units
            ):
                flush()
            if item.keyframe is not None:
                writer.write_keyframe(item.timestamp, item.keyframe)
            waiting.append(item)
        else:
            for number, packet in enumerate(item.packets):
                writer.write_audio(item.timestamp + number * item.duration, item.duration, packet)
    flush()
    writer.close()
    return file.getvalue()


def read(data):
    reader = RecordingReader(io.BytesIO(data))
    return list(reader), reader


def units_of(items):
    return [item for item in items if isinstance(item, CodedUnit)]


def sample_units(count=130, keyframe_every=40, first_sequence=65_500):
    return [
        CodedUnit(
            7200 + 3600 * number,
            (first_sequence + number) & 0xFFFF,
            number // keyframe_every & 0xFF,
            b"%d" % number,
            b"keyframe %d" % number if number % keyframe_every == 0 else None,
        )
        for number in range(count)
    ]


@st.composite
def recordings(draw):
    ticks = draw(st.sampled_from([1, 64, 3003, 3600]))
    header = replace(HEADER, hello=replace(HEADER.hello, time_base=TimeBase(ticks, 32)))
    time, sequence, units = 0, draw(samples.u16), []
    for _ in range(draw(st.integers(0, 30))):
        time += draw(st.integers(0, 5) | st.integers(0, 10_000)) * ticks
        sequence = (sequence + draw(st.sampled_from([1, 1, 1, 1, 2, 65535]))) & 0xFFFF
        keyframe = draw(st.none() | st.binary(min_size=1, max_size=9))
        units.append(
            CodedUnit(time, sequence, draw(st.sampled_from([0, 0, 255])), draw(st.binary(max_size=9)), keyframe)
        )
    return header, units, draw(st.integers(1, 32))


@settings(deadline=None, max_examples=50)
@given(recordings())
def test_every_recording_comes_back(recording):
    header, units, bundle_units = recording
    items, reader = read(written(units, header, bundle_units))
    assert reader.header == header
    assert items == units
    assert reader.problem is None
    keyframes = [unit.timestamp for unit in units if unit.keyframe is not None]
    assert [entry.timestamp for entry in reader.index] == keyframes


def test_a_file_cut_anywhere_is_read_up_to_the_cut():
    units = sample_units()
    whole = written(units)
    read_counts = set()
    for cut in range(len(whole)):
        try:
            items, reader = read(whole[:cut])
        except BitstreamError:
            assert cut < 100
            continue
        assert items == units[: len(items)]
        assert reader.problem is not None or len(items) == len(units)
        assert all(entry.timestamp == units[40 * n].timestamp for n, entry in enumerate(reader.index))
        read_counts.add(len(items))
    assert {0, 25, 40, 65, 80, 130} <= read_counts


def test_every_changed_byte_is_noticed_or_harmless():
    units = sample_units()
    whole = bytearray(written(units))
    for place in range(len(whole)):
        whole[place] ^= 0x55
        try:
            items, reader = read(bytes(whole))
        except (BitstreamError, MismatchError):
            items, reader = [], None
        assert items == units[: len(items)]
        if reader is not None and reader.problem is None:
            assert place >= len(whole) - 12  # the trailer only helps to find the index
        whole[place] ^= 0x55


def test_records_that_vanish_are_noticed():
    whole = written(sample_units())
    start = RecordingReader(io.BytesIO(whole)).index[1].offset
    end = start + 1 + whole[start] + 4  # length, body, checksum
    items, reader = read(whole[:start] + whole[end:])
    assert len(items) == 130
    assert "missing" in str(reader.problem)


def test_seek_finds_the_keyframe_before_with_and_without_index():
    units = sample_units()
    whole = written(units)
    for data in (whole, whole[:-20]):
        reader = RecordingReader(io.BytesIO(data))
        for timestamp, expected in ((units[79].timestamp, 40), (units[80].timestamp, 80), (10**9, 120), (0, 0)):
            reader.seek(timestamp)
            assert units_of(reader)[:1] == [units[expected]]
            assert units_of(reader) == []
        reader.seek(units[40].timestamp)
        iterator = iter(reader)
        assert next(iterator) == units[40]
        assert len(reader.index) >= 3  # looking does not move
        assert next(iterator) == units[41]


def test_audio_packets_keep_their_times():
    packets = [RecordedAudio(1800 * number, 1800, (b"%d" % number,)) for number in range(120)]
    packets += [RecordedAudio(10**6, 1800, (b"after a gap",)), RecordedAudio(10**6 + 1800, 900, (b"shorter",))]
    mixed = [item for pair in zip(sample_units(), packets, strict=False) for item in pair]
    items, reader = read(written(mixed))
    assert reader.problem is None
    assert units_of(items) == units_of(mixed)
    audio = [item for item in items if isinstance(item, RecordedAudio)]
    got = [(item.timestamp + n * item.duration, packet) for item in audio for n, packet in enumerate(item.packets)]
    assert got == [(packet.timestamp, packet.packets[0]) for packet in packets]


def test_header_says_who_made_it_and_that_faces_are_generated():
    header = read(written([]))[1].header
    assert header.hello.creator == "vectors"
    assert header.hello.model_hash == bytes(range(8))
    assert header.generated_face is True


@pytest.mark.parametrize(("data", "error", "words"), [
    (b"", BitstreamError, "cut"),
    (b"RIFF" * 100, BitstreamError, "no talkcodec recording"),
    (b"\x89TKC\r\n\x1a\n\x00\x03", MismatchError, "version 3"),
    (b"\x89TKC\r\n\x1a\n\x00\x01\xff\xff\xff\xff\xff", BitstreamError, "claims"),
    (b"\x89TKC\r\n\x1a\n\x00\x01\xff\xff\x7f", BitstreamError, "claims"),
    (b"\x89TKC\r\n\x1a\n\x00\x01\x00", BitstreamError, "claims"),
])  # fmt: skip
def test_what_is_no_recording_is_named(data, error, words):
    with pytest.raises(error, match=words):
        RecordingReader(io.BytesIO(data))


def test_times_that_go_back_and_long_gaps_are_refused():
    file = io.BytesIO()
    writer = RecordingWriter(file, replace(HEADER, hello=replace(HEADER.hello, time_base=TimeBase(64, 16))))

    def write(timestamp):
        writer.write_bundle(MotionBundle(0, 0, timestamp // 64 & 0xFFFF, (BundledUnit(0, b"m"),)), timestamp)

    write(6400)
    with pytest.raises(UsageError, match="goes back"):
        write(6300)
    with pytest.raises(UsageError, match="gap"):
        write(6400 + 64 * 40_000)
    write(6400 + 64 * 20_000)
    writer.close()
    writer.close()
    assert [item.timestamp for item in read(file.getvalue())[0]] == [6400, 6400 + 64 * 20_000]


@pytest.mark.parametrize(("timestamp", "data"), [(0, b""), (0, bytes(300_000)), (-3600, b"keyframe")])
def test_keyframes_out_of_range_are_our_misuse(timestamp, data):
    writer = RecordingWriter(io.BytesIO(), HEADER)
    with pytest.raises(UsageError):
        writer.write_keyframe(timestamp, data)


def test_headers_out_of_range_are_our_misuse():
    for bad in ({"frame_ticks": -1}, {"model_name": "x" * 300}, {"metadata": (("a", "b"),) * 33}):
        with pytest.raises(UsageError):
            RecordingWriter(io.BytesIO(), replace(HEADER, **bad))


def test_an_index_that_points_outside_is_not_followed():
    whole = bytearray(written(sample_units()))
    whole[-12:-4] = (len(whole) * 2).to_bytes(8, "big")
    reader = RecordingReader(io.BytesIO(bytes(whole)))
    assert [entry.timestamp for entry in reader.index] == [7200 + 3600 * n for n in (0, 40, 80, 120)]
    assert isinstance(reader.index[0], IndexEntry)


def test_without_audio_and_metadata():
    header = RecordingHeader(HEADER.hello, generated_face=False)
    assert read(written([], header))[1].header == header


LAYERED = replace(HEADER, layers=(Layer.MOTION, Layer.BASE))


def layer_units(count=70, keyframe_every=30):
    """Motion and base by turns, numbers across the wrap."""
    return [
        replace(unit, layer=Layer.BASE if number % 3 else Layer.MOTION)
        for number, unit in enumerate(sample_units(count, keyframe_every))
    ]


def test_recordings_of_layers_come_back_and_can_be_entered():
    units = layer_units()
    data = written(units, LAYERED)
    items, reader = read(data)
    assert data[8:10] == b"\x00\x02"
    assert reader.header == LAYERED
    assert items == units
    assert reader.problem is None
    reader.seek(units[40].timestamp)
    assert units_of(reader) == units[30:]


def test_motion_alone_stays_a_file_of_version_1():
    assert written(sample_units(3))[8:10] == b"\x00\x01"


def test_units_of_a_layer_that_the_header_does_not_name_are_refused():
    writer = RecordingWriter(io.BytesIO(), HEADER)
    base = BundledUnit(0, b"\x01x", Layer.BASE)
    with pytest.raises(UsageError, match="BASE"):
        writer.write_bundle(MotionBundle(0, 0, 0, (base,)), 0)
    data = bytearray(written(layer_units(), LAYERED))
    alone = written([unit for unit in layer_units() if unit.layer is Layer.MOTION])
    start = RecordingReader(io.BytesIO(bytes(data)))._start
    head = RecordingReader(io.BytesIO(alone))._start
    items, reader = read(alone[:head] + bytes(data[start:]))
    assert [item.payload for item in items] == [b"0"]  # the motion that stands before it
    assert "BASE" in str(reader.problem)


@pytest.mark.parametrize("layers", [(), (0,), (1, 0), (1, 1), (2,), (True,), None])
def test_the_layers_of_a_header_have_one_form(layers):
    fields = [records.METADATA, "", True, 0, [], []] + ([] if layers is None else [list(layers)])
    with pytest.raises(BitstreamError, match="layer"):
        records.parse_header(fields, HEADER.hello, 2)
    with pytest.raises(UsageError):
        RecordingWriter(io.BytesIO(), replace(HEADER, layers=(Layer.BASE, Layer.MOTION)))


def test_version_1_skips_a_field_of_a_newer_version():
    fields = [records.METADATA, "", True, 0, [], [], [1]]
    assert records.parse_header(fields, HEADER.hello, 1).layers == (Layer.MOTION,)
