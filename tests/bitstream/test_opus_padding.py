"""Messages in Opus padding: the sound stays what it was, and what anybody may send does no harm."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.bitstream.opus_padding import EMPTY_PACKET, add_padding, read_padding
from talkcodec.errors import BitstreamError
from talkcodec.media import OpusEncoder


def heard(packets: Iterable[bytes]) -> np.ndarray:
    codec: Any = av.AudioCodecContext.create("libopus", "r")
    codec.sample_rate, codec.layout, codec.format = 48_000, "stereo", "s16"
    out = []
    for number, data in enumerate(packets):
        packet = av.Packet(data)
        packet.pts, packet.time_base = number, Fraction(1, 48_000)
        out += [frame.to_ndarray() for frame in codec.decode(packet)]
    return np.concatenate(out, axis=1)


@pytest.mark.parametrize("frame_ms", [20.0, 40.0, 60.0])
@pytest.mark.parametrize("bitrate_bps", [6_000, 16_000, 64_000])
def test_the_sound_is_the_same_to_the_bit(frame_ms: float, bitrate_bps: int) -> None:
    encoder = OpusEncoder(bitrate_bps, frame_ms=frame_ms)
    size, times = encoder.frame_samples, np.arange(48_000)
    noise = np.random.default_rng(2).normal(0, 900, 48_000)
    sound = (6000 * np.sin(times / 40 * (1 + times / 96_000)) + noise).astype(np.int16)
    starts = range(0, 48_000 - size + 1, size)
    packets = [p.data for at in starts for p in encoder.encode(sound[at : at + size], at)]
    sizes = np.random.default_rng(1).integers(0, 600, len(packets))
    dressed = [add_padding(data, bytes(int(n))) for data, n in zip(packets, sizes, strict=True)]
    assert np.array_equal(heard(packets), heard(dressed))
    assert max(len(d) - len(p) - n for d, p, n in zip(dressed, packets, sizes, strict=True)) <= 5


@given(st.binary(max_size=700), st.integers(0, 31), st.integers(0, 2), st.binary(min_size=4, max_size=60))
def test_what_is_put_in_comes_out(data: bytes, config: int, code: int, frames: bytes) -> None:
    packet = bytes([config << 3 | code]) + (b"\x02" + frames[1:] if code == 2 else frames)
    assert read_padding(add_padding(packet, data)) == data
    assert read_padding(packet) is None


def test_an_empty_packet_carries_too() -> None:
    assert read_padding(add_padding(EMPTY_PACKET, b"unit")) == b"unit"


def test_other_extensions_are_passed_over() -> None:
    def padded(padding: bytes) -> bytes:
        return bytes([0x08 | 3, 0x41, len(padding)]) + b"sound" + padding

    ours = bytes([120 << 1]) + b"unit"
    assert read_padding(padded(bytes([1, 1, 3 << 1, 5 << 1 | 1, 9]) + ours)) == b"unit"
    assert read_padding(padded(bytes([121 << 1 | 1, 2, 7, 7]) + ours)) == b"unit"
    assert read_padding(padded(bytes([120 << 1 | 1, 4]) + b"unit" + b"more")) == b"unit"
    for nothing in (bytes([0]) + ours, bytes([121 << 1]) + ours, bytes([120 << 1 | 1, 9]) + b"unit", bytes(6)):
        assert read_padding(padded(nothing)) is None


@given(st.binary(max_size=80))
def test_nothing_that_anybody_sends_raises(packet: bytes) -> None:
    found = read_padding(packet)
    assert found is None or len(found) < len(packet)


def test_a_length_beyond_the_packet_is_nothing() -> None:
    for packet in (b"\x0b\x41", b"\x0b\x41\xff", b"\x0b\x41\xff\xff\x05abc", b"\x0b\x41\x00", b"\x0b\x41\x09\xf0"):
        assert read_padding(packet) is None


def test_what_is_no_packet_is_refused() -> None:
    for packet in (b"", b"\x0b", add_padding(b"\x08sound", b"x")):
        with pytest.raises(BitstreamError):
            add_padding(packet, b"unit")
