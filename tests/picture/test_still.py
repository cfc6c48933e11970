"""Keyframe picture codecs: quality, bounds, and garbage."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.errors import BitstreamError, ConfigError
from talkcodec.picture import MAX_STILL_BYTES, STILL_IDS, StillCodec, open_still
from talkcodec.types import Picture


def smooth_picture(width: int = 256, height: int = 256) -> Picture:
    """A coloured scene of soft blobs, so that every codec has something to do but nothing impossible."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    channels = [127 + 90 * np.sin(x / 31 + k) * np.cos(y / 23 - k) + 20 * np.sin((x + y) / 9) for k in range(3)]
    return np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8)


def psnr_db(a: Picture, b: Picture) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.fixture(params=list(STILL_IDS))
def still(request: pytest.FixtureRequest) -> StillCodec:
    return open_still(request.param)


def test_round_trip_resembles_the_picture(still: StillCodec) -> None:
    picture = smooth_picture()
    data = still.encode(picture)
    assert psnr_db(picture, still.decode(data, 256)) > 33
    assert len(data) < 9000


def test_higher_quality_costs_more_and_looks_better(still: StillCodec) -> None:
    picture = smooth_picture()
    low, high = still.encode(picture, 10), still.encode(picture, 80)
    assert len(low) < len(high)
    assert psnr_db(picture, still.decode(low, 256)) < psnr_db(picture, still.decode(high, 256))


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_flat_colours_survive(still: StillCodec, colour: tuple[int, int, int]) -> None:
    """A wrong colour matrix or range shifts flat colours by 10 and more."""
    picture = np.full((64, 64, 3), colour, np.uint8)
    assert np.abs(still.decode(still.encode(picture, 90), 64).astype(int) - picture).max() <= 5


@pytest.mark.parametrize("size", [(16, 16), (130, 98), (64, 256)])
def test_other_sizes(still: StillCodec, size: tuple[int, int]) -> None:
    picture = smooth_picture(*size)
    assert still.decode(still.encode(picture), 256).shape == picture.shape


def test_larger_than_allowed_is_refused(still: StillCodec) -> None:
    with pytest.raises(BitstreamError):
        still.decode(still.encode(smooth_picture()), 128)


def test_trailing_second_picture_is_refused_in_av1() -> None:
    still = open_still("av1")
    data = still.encode(smooth_picture())
    with pytest.raises(BitstreamError, match=r"expected \[1, 6\]"):
        still.decode(data + data, 256)


def test_av1_carries_no_temporal_delimiter() -> None:
    assert open_still("av1").encode(smooth_picture())[0] >> 3 == 1


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xd8", b"RIFF", b"\x12\x00", b"\0" * (MAX_STILL_BYTES + 1)])
def test_short_and_long_garbage(still: StillCodec, data: bytes) -> None:
    with pytest.raises(BitstreamError):
        still.decode(data, 256)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(list(STILL_IDS)), seed=st.integers(0, 2**32 - 1), edits=st.integers(1, 8))
def test_mutated_pictures_raise_only_bitstream_errors(name: str, seed: int, edits: int) -> None:
    still = open_still(name)
    rng = np.random.default_rng(seed)
    data = bytearray(_coded(name))
    for _ in range(edits):
        data[rng.integers(len(data))] = rng.integers(256)
    cut = int(rng.integers(1, len(data) + 1))
    try:
        picture = still.decode(bytes(data[:cut]), 64)
    except BitstreamError:
        return
    assert picture.dtype == np.uint8
    assert max(picture.shape[:2]) <= 64


_CACHE: dict[str, bytes] = {}


def _coded(name: str) -> bytes:
    if name not in _CACHE:
        _CACHE[name] = open_still(name).encode(smooth_picture(64, 64))
    return _CACHE[name]


@pytest.mark.parametrize(
    ("shape", "kind"), [((64, 64), np.uint8), ((64, 64, 3), np.float32), ((63, 64, 3), np.uint8), ((8, 8, 3), np.uint8)]
)
def test_unusable_pictures(still: StillCodec, shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(ConfigError):
        still.encode(np.zeros(shape, kind))


def test_unknown_names_and_ids() -> None:
    with pytest.raises(ConfigError, match="av1, webp, jpeg"):
        open_still("jxl")
    with pytest.raises(BitstreamError, match="id 9"):
        open_still(9)
    assert [open_still(number).name for number in (1, 2, 3)] == ["av1", "webp", "jpeg"]


def test_noise_too_long_for_the_limit_is_our_own_error() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    with pytest.raises(ConfigError, match="lower quality"):
        open_still("jpeg").encode(noise, 95)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="the system has no scheduling policies")
def test_coding_leaves_the_thread_s_priority_alone() -> None:
    before = os.sched_getscheduler(0)
    open_still("av1").encode(np.full((64, 64, 3), 90, np.uint8), 30)
    assert os.sched_getscheduler(0) == before


def jpeg_with(before_frame: bytes, start: bytes) -> bytes:
    """A picture that really is 64x64, with bytes put before its frame header and that header's marker replaced."""
    data = open_still("jpeg").encode(np.full((64, 64, 3), 90, np.uint8), 50)
    at = data.index(b"\xff\xc0")
    return data[:at] + before_frame + start + data[at + 2 :]


@pytest.mark.parametrize(
    ("before", "start"),
    [(b"\xff\xff", b"\xff\xc0"), (b"\xff\xd0", b"\xff\xc0"), (b"\xff\x01", b"\xff\xc0"), (b"", b"\xff\xc2")],
    ids=["fill bytes", "restart marker", "TEM marker", "progressive"],
)
def test_jpeg_headers_that_decoders_read_differently_are_refused(before: bytes, start: bytes) -> None:
    """Regression: a second frame header behind such markers made OpenCV allocate gigabytes."""
    with pytest.raises(BitstreamError, match="marker"):
        open_still("jpeg").decode(jpeg_with(before, start), 256)


def test_a_plain_jpeg_still_decodes() -> None:
    assert open_still("jpeg").decode(jpeg_with(b"", b"\xff\xc0"), 256).shape == (64, 64, 3)
