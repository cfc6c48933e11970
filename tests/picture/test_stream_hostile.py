"""Units from a hostile peer: the library's own errors only, bounded memory, and a decoder that lives on.

One fault each; `test_base_mutations.py` has a hundred thousand of all kinds.
"""

import sys
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from talkcodec.errors import BitstreamError, StateError
from talkcodec.picture import (
    MAX_UNIT_BYTES,
    StreamDecoder,
    StreamSettings,
    open_decoder,
    open_encoder,
    open_still,
)
from talkcodec.picture.vp9_header import unpacked
from tests.picture.test_stream import film, moving_picture

SIDE = 64
MAX_GROWTH_BYTES = 48 << 20


@pytest.fixture(scope="module")
def coded() -> list[bytes]:
    return film(12)


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def try_to_decode(decoder: StreamDecoder, unit: bytes) -> bool:
    """Whether it decodes; fails on any error but those of a peer, and on a picture out of bounds."""
    try:
        picture = decoder.decode(unit)
    except (BitstreamError, StateError):
        return False
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert max(picture.shape[:2]) <= SIDE
    return True


def lives_on(decoder: StreamDecoder, coded: list[bytes]) -> None:
    fresh = open_decoder(SIDE)
    for unit in coded[:3]:
        assert np.array_equal(decoder.decode(unit), fresh.decode(unit))


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use from /proc")


def test_units_cut_at_every_length(coded: list[bytes]) -> None:
    decoder = open_decoder(SIDE)
    for length in range(len(coded[0])):
        try_to_decode(decoder, coded[0][:length])
    for length in range(len(coded[8])):
        decoder.decode(coded[0])
        try_to_decode(decoder, coded[8][:length])
    lives_on(decoder, coded)


def test_random_bytes_after_every_first_byte(coded: list[bytes]) -> None:
    rng, decoder = np.random.default_rng(3), open_decoder(SIDE)
    for first in range(256):
        decoder.decode(coded[0])
        unit = bytes([first]) + rng.bytes(200)
        if first >= 0x80 and first not in (0x82, 0x86):
            with pytest.raises(BitstreamError, match="begins with"):
                decoder.decode(unit)
        else:
            try_to_decode(decoder, unit)
    lives_on(decoder, coded)


@pytest.mark.parametrize("length", [0, 1, 3, MAX_UNIT_BYTES + 1])
def test_lengths_out_of_bounds(coded: list[bytes], length: int) -> None:
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError, match="bytes"):
        decoder.decode(b"\x86" * length)


def test_after_a_broken_unit_only_an_intra_unit_decodes(coded: list[bytes]) -> None:
    """What follows a broken picture would be drawn on nothing, or on the wrong one."""
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError):
        decoder.decode(b"\xff" * 50)
    with pytest.raises(StateError):
        decoder.decode(coded[1])
    lives_on(decoder, coded)


def with_size(unit: bytes, width: int, height: int, colours: int = 1) -> bytes:
    """An intra unit that announces another size, or other colours: 3 bits of space and 1 of range."""
    head = colours << 36 | (width - 1) << 20 | (height - 1) << 4 | unit[8] & 0x0F
    return unit[:4] + head.to_bytes(5, "big") + unit[9:]


def test_a_size_is_put_where_it_stands(coded: list[bytes]) -> None:
    assert with_size(coded[0], SIDE, SIDE) == coded[0]


@needs_proc
@pytest.mark.parametrize("sides", [(65536, 65536), (65536, 1), (65, 64), (64, 66), (2048, 2048)])
def test_huge_dimensions_are_refused_before_anything_is_allocated(coded: list[bytes], sides: tuple[int, int]) -> None:
    decoder, before = open_decoder(SIDE), resident_bytes()
    with pytest.raises(BitstreamError, match="expected at most 64 px"):
        decoder.decode(with_size(coded[0], *sides))
    assert resident_bytes() - before < 1 << 20


@pytest.mark.parametrize("sides", [(64, 48), (16, 16), (1, 1), (63, 64)])
def test_another_size_than_the_frame_was_coded_for_is_an_error_or_that_size(
    coded: list[bytes], sides: tuple[int, int]
) -> None:
    try:
        picture = open_decoder(SIDE).decode(with_size(coded[0], *sides))
    except BitstreamError:
        return
    assert picture.shape[1::-1] == sides


@pytest.mark.parametrize("colours", [0, 2, 3, 5, 14, 15])
def test_other_colours_than_ours_are_refused(coded: list[bytes], colours: int) -> None:
    with pytest.raises(BitstreamError, match="colours"):
        open_decoder(SIDE).decode(with_size(coded[0], SIDE, SIDE, colours))


def test_a_key_frame_without_its_sync_code_is_refused(coded: list[bytes]) -> None:
    with pytest.raises(BitstreamError, match="sync code"):
        open_decoder(SIDE).decode(b"\x82" + coded[1][1:])


def test_an_inter_frame_with_a_size_of_its_own_is_refused(coded: list[bytes]) -> None:
    """So pictures are never scaled from references of another size: found_ref, bit 30, must be set."""
    data = bytearray(unpacked(coded[1]))
    data[3] &= 0xFD
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError, match="size of its own"):
        decoder.decode(bytes(data))


def test_a_packed_frame_with_a_filter_that_there_is_not_is_refused(coded: list[bytes]) -> None:
    decoder = open_decoder(SIDE)
    for filters in (5, 6, 7):
        decoder.decode(coded[0])
        with pytest.raises(BitstreamError, match=f"filter {filters}"):
            decoder.decode(bytes([filters << 2]) + coded[1][1:])
    lives_on(decoder, coded)


def packets_of(encoder: str, **options: str) -> list[bytes]:
    """What another coder makes of the film."""
    context = av.VideoCodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width = context.height = SIDE
    context.pix_fmt, context.color_range = "yuv420p", ColorRange.JPEG
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = options
    packets = []
    for number in range(4):
        frame = av.VideoFrame.from_ndarray(moving_picture(number), format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx", "mpeg4", "mjpeg"])
def test_other_codecs(coded: list[bytes], encoder: str) -> None:
    """None begins as our streams do. Within a running stream a packet that happens to begin as an inter frame may
    draw something, as any bytes may: VP9 has no redundancy to know itself by."""
    decoder = open_decoder(SIDE)
    for packet in packets_of(encoder):
        with pytest.raises((BitstreamError, StateError)):
            open_decoder(SIDE).decode(packet)
        decoder.decode(coded[0])
        try_to_decode(decoder, packet)
    lives_on(decoder, coded)


def test_hidden_frames_and_superframes_of_another_vp9_coder(coded: list[bytes]) -> None:
    """With frames from the future libvpx hides some, and packs them with a shown one."""
    packets = packets_of("libvpx-vp9", **{"lag-in-frames": "4", "auto-alt-ref": "1", "deadline": "good"})
    decoder = open_decoder(SIDE)
    for packet in packets:
        if packet[-1] & 0xE0 == 0xC0 or not packet[0] & 2:
            with pytest.raises(BitstreamError):
                decoder.decode(packet)
        else:
            try_to_decode(decoder, packet)
    lives_on(decoder, coded)


def test_stills_are_not_units() -> None:
    with pytest.raises((BitstreamError, StateError)):
        open_decoder(SIDE).decode(open_still("av1").encode(moving_picture(0)))


def superframe(frames: list[bytes]) -> bytes:
    """Up to eight frames as one packet (VP9 specification, annex B), sizes in two bytes."""
    marker = bytes([0xC0 | 1 << 3 | len(frames) - 1])
    sizes = b"".join(len(frame).to_bytes(2, "little") for frame in frames)
    return b"".join(frames) + marker + sizes + marker


def test_a_real_superframe_is_refused(coded: list[bytes]) -> None:
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError, match="several frames"):
        decoder.decode(superframe(coded[1:9]))
    with pytest.raises(BitstreamError, match="several frames"):
        decoder.decode(superframe([superframe(coded[1:9])] * 8))


def repeated_frames(coded: list[bytes]) -> bytes:
    return coded[1] * 1000


def intra_and_inter_frames(coded: list[bytes]) -> bytes:
    return b"".join(coded) * 20


def shown_again(coded: list[bytes]) -> bytes:
    return coded[1] + b"\x88" * 1000


def superframe_with_a_tail(coded: list[bytes]) -> bytes:
    return superframe(coded[1:9]) + b"\0"


@pytest.mark.parametrize("make", [repeated_frames, intra_and_inter_frames, shown_again, superframe_with_a_tail])
def test_many_frames_in_one_unit_give_one_picture_or_none(
    coded: list[bytes], make: Callable[[list[bytes]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the tail of a unit looks like, it belongs to its first frame."""
    import talkcodec.picture.stream_vp9 as module

    converted: list[object] = []
    convert = module.yuv420_to_rgb
    monkeypatch.setattr(module, "yuv420_to_rgb", lambda frame: converted.append(frame) or convert(frame))
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    converted.clear()
    unit = make(coded)
    assert try_to_decode(decoder, unit[:MAX_UNIT_BYTES]) == bool(converted)
    assert len(converted) <= 1
    monkeypatch.undo()
    lives_on(decoder, coded)


@pytest.mark.parametrize("first", [0x80, 0x83, 0x84, 0x87, 0x88, 0x8A, 0x92, 0xA2, 0xB0, 0xC6])
def test_frames_shown_again_hidden_or_of_other_profiles_are_refused(coded: list[bytes], first: int) -> None:
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError, match="begins with"):
        decoder.decode(bytes([first]) + coded[1][1:])


def test_a_frame_of_another_stream_s_size_never_shows(coded: list[bytes]) -> None:
    """A frame that was coded for 32x32 in a stream of 64x64."""
    small = film(3, width=32, height=32)
    decoder = open_decoder(SIDE)
    for unit in small[1:]:
        decoder.decode(coded[0])
        try_to_decode(decoder, unit)
    lives_on(decoder, coded)


@needs_proc
def test_a_thousand_intra_units_in_a_row_do_not_grow(coded: list[bytes]) -> None:
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    before = resident_bytes()
    for _ in range(1000):
        decoder.decode(coded[0])
    assert resident_bytes() - before < 8 << 20


def test_a_decoder_for_small_pictures_refuses_a_large_stream() -> None:
    encoder = open_encoder(StreamSettings(0))
    unit = encoder.encode(moving_picture(0, 96, 64))
    encoder.close()
    with pytest.raises(BitstreamError, match="96x64, expected at most 64"):
        open_decoder(64).decode(unit)
