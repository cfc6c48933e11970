from dataclasses import replace

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.bitstream import (
    BasePicture,
    BaseStart,
    BundledUnit,
    Bye,
    Hello,
    KeyframeAck,
    KeyframePiece,
    Layer,
    MotionBundle,
    ReceiverReport,
    TimeBase,
    parse,
    parse_base,
    parse_keyframe,
    serialize,
    serialize_base,
    serialize_keyframe,
)
from talkcodec.bitstream.base import MAX_BASE_BYTES
from talkcodec.bitstream.messages import MAX_MESSAGE_BYTES
from talkcodec.errors import BitstreamError, ConfigError, UsageError
from talkcodec.types import Crop

from . import samples


@settings(deadline=None)
@given(samples.messages)
def test_every_legal_message_comes_back(message):
    data = serialize(message)
    assert len(data) <= MAX_MESSAGE_BYTES
    assert parse(data) == message


@given(
    samples.messages,
    st.lists(
        st.integers().filter(lambda n: -(2**63) <= n < 2**64) | st.text(max_size=9) | st.none(), min_size=1, max_size=5
    ),
)
def test_fields_of_a_newer_version_are_skipped(message, more):
    if isinstance(message, MotionBundle):
        return  # the one message without optional fields
    if isinstance(message, ReceiverReport) and message.queue_ms is None:
        message = replace(message, queue_ms=0, rate_bps=0)  # the first two that stand behind are known
    assert parse(msgpack.packb([*msgpack.unpackb(serialize(message)), *more])) == message


@settings(deadline=None)
@given(samples.base_pictures)
def test_every_legal_base_unit_comes_back(picture):
    data = serialize_base(picture)
    assert len(data) <= MAX_BASE_BYTES
    assert parse_base(data) == picture


@given(st.binary(max_size=40))
def test_garbage_is_a_base_unit_or_the_one_error(data):
    try:
        picture = parse_base(data)
    except BitstreamError:
        return
    assert serialize_base(picture) == data


@pytest.mark.parametrize(("picture", "words"), [
    (BasePicture(128, b"x"), "number"),
    (BasePicture(-1, b"x"), "number"),
    (BasePicture(0, b""), "bytes"),
    (BasePicture(0, bytes(64 * 1024 + 1)), "bytes"),
    (BasePicture(0, b"x", BaseStart(256, Crop(0, 0, 1))), "coder"),
    (BasePicture(0, b"x", BaseStart(1, Crop(-16385, 0, 1))), "cropped"),
    (BasePicture(0, b"x", BaseStart(1, Crop(0, 0, 0))), "crop"),
])  # fmt: skip
def test_base_pictures_out_of_range_are_our_misuse(picture, words):
    with pytest.raises(UsageError, match=words):
        serialize_base(picture)


def test_a_crop_out_of_range_in_bytes_is_the_peers_fault():
    for place in (b"\x7f\xff\0\0\0\x01", b"\0\0\xbf\xff\0\x01", b"\0\0\0\0\0\0", b"\0\0\0\0\xff\xff"):
        with pytest.raises(BitstreamError, match="crop"):
            parse_base(b"\x80\x01" + place + b"x")
    with pytest.raises(BitstreamError):
        parse_base(b"\x01" + bytes(64 * 1024 + 1))


def bundle_of(*layers_and_sizes):
    return MotionBundle(0, 0, 0, tuple(BundledUnit(0, bytes(size), layer) for layer, size in layers_and_sizes))


def test_motion_alone_is_of_type_4_and_layers_of_type_8():
    motion, layered = bundle_of((Layer.MOTION, 3)), bundle_of((Layer.MOTION, 3), (Layer.BASE, 3))
    assert [serialize(bundle)[1] for bundle in (motion, layered)] == [4, 8]
    fields = msgpack.unpackb(serialize(layered))
    for bad in (
        [8, 0, 0, 0, 0, b"motion"],  # this has a type of its own
        [8, 0, 0, 0, 2, b"no such layer"],
        [8, 0, 0, 0, -1, b"x"],
        [8, 0, 0, 0, True, b"x"],
        [8, 0, 0, 0, 1],
        [8, 0, 0, 0],
        [*fields, 0],
        [*fields, 0, 1],
        [*fields, 0, 1, None],
        [*fields, -1, 1, b"x"],
        fields + [0, 1, b"x"] * 31,  # 33 units
    ):
        with pytest.raises(BitstreamError):
            parse(msgpack.packb(bad))
    assert len(parse(msgpack.packb(fields + [0, 1, b"x"] * 30)).units) == 32


def test_payloads_are_bounded_by_layer_and_bundles_by_the_message():
    largest = bundle_of((Layer.BASE, MAX_BASE_BYTES))
    assert parse(serialize(largest)) == largest
    for bad in (bundle_of((Layer.BASE, MAX_BASE_BYTES + 1)), bundle_of((Layer.BASE, 1), (Layer.MOTION, 4097))):
        with pytest.raises(UsageError):
            serialize(bad)
    with pytest.raises(UsageError, match="at most"):
        serialize(bundle_of((Layer.BASE, 50_000), (Layer.BASE, 50_000)))
    with pytest.raises(UsageError, match="delta"):
        serialize(MotionBundle(0, 0, 0, (BundledUnit(1, b"x", Layer.BASE),)))


@given(st.binary(max_size=200))
def test_garbage_gives_the_one_error(data):
    try:
        message = parse(data)
    except BitstreamError:
        return
    assert parse(serialize(message)) == message


@pytest.mark.parametrize("data", [
    b"", b"\x00", b"\x90", b"\xc0", b"\x80", b"\x91\x80", msgpack.packb([True, 0]), msgpack.packb(["Hello"]),
    msgpack.packb([99, 1]), msgpack.packb([-1]), msgpack.packb([2]), msgpack.packb([2, 256]), msgpack.packb([2, 1.0]),
    msgpack.packb([2, True]), msgpack.packb([2, 1]) + b"\0", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01",
    b"\x91" * 1000, b"\x91" * 5000 + b"\x01",
    msgpack.packb([6, 0, b"text"]), b"\x93\x06\x00\xa1\xff", msgpack.packb([4, 1, 2, 3]),
    msgpack.packb([4, 1, 2, 3, b"a", 5]), msgpack.packb([4, 1, 2, 3, b"a", b"b", b"c"]),
    msgpack.packb([4, 1, 2, 3] + [b"a", 1] * 32 + [b"a"]), msgpack.packb([1, 0, 1, 1, b"x"]),
    msgpack.packb([8, 1, 2, 3, 0, b"motion alone"]), msgpack.packb([8, 1, 2, 3, 2, b"no layer"]),
    msgpack.packb([8, 1, 2, 3, 1]), msgpack.packb([8, 1, 2, 3, 1, b"a", 5]), msgpack.packb([8, 1, 2, 3, 1, b"a", 5, 1]),
    msgpack.packb([1, 0, 0, 240, bytes(1100)]), msgpack.packb([1, 0, 0, 2, b""]),
    msgpack.packb([1, 0, 0, 1, bytes(1101)]),
    bytes(MAX_MESSAGE_BYTES + 1),
])  # fmt: skip
def test_hostile_bytes_are_refused(data):
    with pytest.raises(BitstreamError):
        parse(data)


@pytest.mark.parametrize("message", [
    KeyframeAck(256), KeyframeAck(-1), KeyframePiece(0, 2, 2, b"x"), KeyframePiece(0, 0, 1, b""),
    MotionBundle(0, 0, 0, ()), MotionBundle(0, 0, 0, (BundledUnit(0, bytes(70_000), Layer.BASE),)),
    MotionBundle(0, 65536, 0, (BundledUnit(0, b""),)),
    MotionBundle(0, 0, 0, (BundledUnit(1, b""),)), MotionBundle(0, 0, 0, (BundledUnit(0, bytes(4000)),) * 21),
    Bye(0, "x" * 65), ReceiverReport(0, 1 << 64, 0, 0, 0, 0, 0),
    replace(samples.MESSAGE_VECTORS["hello"], model_hash=b"1234567"),
    replace(samples.MESSAGE_VECTORS["hello"], keypoints=65), "no message", None,
])  # fmt: skip
def test_fields_out_of_range_are_our_misuse(message):
    with pytest.raises(UsageError):
        serialize(message)


def test_what_the_envelope_costs():
    # 16-bit sequence and time: at most 11 bytes for one unit, 3 for each further one.
    one = MotionBundle(0, 65535, 65535, (BundledUnit(0, bytes(12)),))
    two = MotionBundle(0, 65535, 65535, (BundledUnit(0, bytes(12)), BundledUnit(56, bytes(12))))
    assert len(serialize(one)) == 11 + 12
    assert len(serialize(two)) == 11 + 12 + 3 + 12


@given(samples.time_bases, st.integers(0, 1 << 40), st.floats(-0.49, 0.49))
def test_wire_time_finds_the_nearest(base, timestamp, away):
    near = max(0, timestamp + int(away * (1 << base.bits) * base.ticks))
    found = base.from_wire(base.to_wire(timestamp), near)
    assert found == timestamp // base.ticks * base.ticks


def test_wire_time_passes_the_wrap_of_32_bit_timestamps():
    base = TimeBase(64, 16)
    before, after = (1 << 32) - 1024, 1024
    assert base.from_wire(base.to_wire(after), before) & 0xFFFFFFFF == after


@pytest.mark.parametrize(("ticks", "bits"), [(0, 16), (90_001, 16), (64, 8), (64, 24)])
def test_time_base_is_checked(ticks, bits):
    with pytest.raises(ConfigError):
        TimeBase(ticks, bits)


@settings(deadline=None, max_examples=40)
@given(samples.tables, samples.steps, st.data())
def test_every_legal_keyframe_comes_back(table, steps, data):
    unit = replace(samples.KEYFRAME_VECTORS["keyframe"], state=data.draw(samples.state_strategy(table)))
    assert parse_keyframe(serialize_keyframe(unit, table, steps), table, steps) == unit


@pytest.mark.parametrize(("field", "value"), [
    (0, 256), (1, -1), (2, 0), (3, 2049), (4, 16385), (5, -16385), (6, 0), (7, 0), (8, 16385), (9, "state"),
    (9, bytes(5000)), (10, b""), (0, None), (2, 256.0), (2, True),
])  # fmt: skip
def test_keyframe_fields_out_of_range_are_refused(field, value):
    fields = msgpack.unpackb(serialize_keyframe(samples.KEYFRAME_VECTORS["keyframe"], samples.TABLE, samples.STEPS))
    fields[field] = value
    with pytest.raises(BitstreamError):
        parse_keyframe(msgpack.packb(fields), samples.TABLE, samples.STEPS)


def test_keyframe_misuse_is_ours():
    good = samples.KEYFRAME_VECTORS["keyframe"]
    for bad in (replace(good, width=0), replace(good, picture=bytes(300_000)), replace(good, reference_id=-1)):
        with pytest.raises(UsageError):
            serialize_keyframe(bad, samples.TABLE, samples.STEPS)
    with pytest.raises(UsageError, match="coefficients"):
        serialize_keyframe(good, samples.generic_table(3, True), samples.STEPS)


def test_hello_repeats_the_defaults_of_its_parts():
    hello = Hello(bytes(8), 256, 10, True, 0)
    assert parse(serialize(hello)) == hello
