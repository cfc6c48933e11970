"""Messages in Opus padding: the sound stays what it was, and what anybody may send does no harm."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.bitstream.opus_padding import EMPTY_PACKET, EXTENSION, add_padding, read_padding
from talkcodec.errors import BitstreamError
from talkcodec.media import OpusEncoder


def heard(packets: Iterable[bytes]) -> np.ndarray:
    codec: Any = av.AudioCodecContext.create("libopus", "r")
    codec.sample_rate, codec.layout, codec.format = 48_000, "stereo", "s16"
    out = []
    for number, data in enumerate(packets):
        packet: Any = av.Packet(data)
        packet.pts, packet.time_base = number, Fraction(1, 48_000)
        out += [frame.to_ndarray() for frame in codec.decode(packet)]
    return np.concatenate(out, axis=1)


def spoken(frame_ms: float, bitrate_bps: int, application: str = "voip") -> list[bytes]:
    encoder = OpusEncoder(bitrate_bps, frame_ms=frame_ms, application=application)
    size, times = encoder.frame_samples, np.arange(24_000)
    noise = np.random.default_rng(2).normal(0, 900, len(times))
    sound = (6000 * np.sin(times / 40 * (1 + times / 96_000)) + noise).astype(np.int16)
    starts = range(0, len(times) - size + 1, size)
    return [packet.data for at in starts for packet in encoder.encode(sound[at : at + size], at)]


@pytest.mark.parametrize("frame_ms", [20.0, 40.0, 60.0])
@pytest.mark.parametrize(("bitrate_bps", "application"), [(6_000, "voip"), (16_000, "voip"), (64_000, "audio")])
def test_the_sound_is_the_same_to_the_bit(frame_ms: float, bitrate_bps: int, application: str) -> None:
    packets = spoken(frame_ms, bitrate_bps, application)
    sizes = np.random.default_rng(1).integers(0, 600, len(packets))
    dressed = [add_padding(data, bytes([n % 251]) * int(n)) for data, n in zip(packets, sizes, strict=True)]
    assert np.array_equal(heard(packets), heard(dressed))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=700), min_size=4, max_size=4), st.sampled_from([20.0, 60.0]))
def test_any_data_leaves_the_sound_as_it_was(data: list[bytes], frame_ms: float) -> None:
    packets = spoken(frame_ms, 8_000)[:4]
    dressed = [add_padding(packet, extra) for packet, extra in zip(packets, data, strict=True)]
    assert np.array_equal(heard(packets), heard(dressed))
    assert [read_padding(packet) for packet in dressed] == data


def test_it_costs_three_bytes_beside_the_data() -> None:
    packet = spoken(60.0, 6_000)[3]
    assert packet[0] & 3 == 0
    assert len(add_padding(packet, bytes(40))) == len(packet) + 40 + 3
    assert len(add_padding(packet, bytes(253))) == len(packet) + 253 + 3
    assert len(add_padding(packet, bytes(254))) == len(packet) + 254 + 4


@given(st.binary(max_size=700), st.integers(0, 31), st.integers(0, 2), st.binary(min_size=4, max_size=60))
def test_what_is_put_in_comes_out(data: bytes, config: int, code: int, frames: bytes) -> None:
    packet = bytes([config << 3 | code]) + (b"\x02" + frames[1:] if code == 2 else frames)
    assert read_padding(add_padding(packet, data)) == data
    assert read_padding(packet) is None


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_a_packet_with_padding_keeps_it_behind_ours(first: bytes, second: bytes) -> None:
    packet = b"\x08sound"
    once = add_padding(packet, first)
    twice = add_padding(once, second)
    assert read_padding(twice) == second
    assert twice.endswith(bytes([EXTENSION << 1]) + first)


def test_two_paddings_leave_the_sound_as_it_was() -> None:
    packets = spoken(60.0, 8_000)
    assert np.array_equal(heard(packets), heard(add_padding(add_padding(p, b"a" * 300), b"b" * 9) for p in packets))


def test_an_empty_packet_carries_too() -> None:
    assert read_padding(add_padding(EMPTY_PACKET, b"unit")) == b"unit"
    assert heard([add_padding(EMPTY_PACKET, b"unit")]).shape[1] <= 2 * 120


def padded(padding: bytes) -> bytes:
    return bytes([0x08 | 3, 0x41, len(padding)]) + b"sound" + padding


def test_other_extensions_are_passed_over() -> None:
    ours = bytes([120 << 1]) + b"unit"
    assert read_padding(padded(bytes([1, 1, 3 << 1, 5 << 1 | 1, 9, 1 << 1, 1 << 1 | 1, 2]) + ours)) == b"unit"
    assert read_padding(padded(bytes([121 << 1 | 1, 2, 7, 7]) + ours)) == b"unit"
    assert read_padding(padded(bytes([120 << 1 | 1, 4]) + b"unit" + b"more")) == b"unit"
    to_the_end, repeated, cut_off = bytes([121 << 1]) + ours, bytes([2 << 1]) + ours, bytes([120 << 1 | 1, 9]) + b"unit"
    for nothing in (bytes([0]) + ours, to_the_end, repeated, cut_off, bytes(6)):
        assert read_padding(padded(nothing)) is None


@given(st.binary(max_size=80), st.booleans())
def test_nothing_that_anybody_sends_raises(packet: bytes, as_padded: bool) -> None:
    packet = padded(packet) if as_padded else packet
    found = read_padding(packet)
    assert found is None or len(found) < len(packet)


def test_a_length_beyond_the_packet_is_nothing() -> None:
    for packet in (b"\x0b\x41", b"\x0b\x41\xff", b"\x0b\x41\xff\xff\x05abc", b"\x0b\x41\x00", b"\x0b\x41\x09\xf0"):
        assert read_padding(packet) is None
    assert read_padding(b"\x0b\x41" + b"\xff" * 60_000) is None


def test_what_is_no_packet_is_refused() -> None:
    for packet in (b"", b"\x0b", b"\x0b\x41", b"\x0b\x41\x09\xf0"):
        with pytest.raises(BitstreamError):
            add_padding(packet, b"unit")
