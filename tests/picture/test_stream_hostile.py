"""Units from a hostile peer: the library's own errors only, bounded memory, and a decoder that lives on."""

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
from talkcodec.picture.obu import FRAME, SEQUENCE_HEADER, unit_bytes, units
from tests.picture.test_obu import sequence_header
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


def mutated(rng: np.random.Generator, unit: bytes) -> bytes:
    """One bit flipped; or up to four bytes changed, behind the headers or anywhere, and perhaps cut or lengthened."""
    data = bytearray(unit)
    if rng.integers(2):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        return bytes(data)
    first = 1 + unit[0] if unit[0] < 16 and rng.integers(2) else int(rng.integers(2))
    for _ in range(rng.integers(1, 5)):
        data[rng.integers(first, len(data))] = rng.integers(256)
    how = rng.integers(8)
    if how == 0:
        del data[rng.integers(1, len(data) + 1) :]
    elif how == 1:
        data += rng.bytes(int(rng.integers(1, 64)))
    return bytes(data)


def mutate_many(count: int, coded: list[bytes]) -> None:
    """Each mutated unit comes where its original would: after an intra unit and up to three others, all sound."""
    rng, decoder = np.random.default_rng(7), open_decoder(SIDE)
    decoded, before = 0, resident_bytes()
    for _ in range(count):
        number = int(rng.integers(5))
        for unit in coded[:number]:
            decoder.decode(unit)
        if try_to_decode(decoder, mutated(rng, coded[number])):
            decoded += 1
            try_to_decode(decoder, coded[number + 1])  # and a sound one drawn on what that left
    assert 0.1 * count < decoded < 0.9 * count  # the mutations are neither too coarse nor without effect
    assert resident_bytes() - before < MAX_GROWTH_BYTES
    lives_on(decoder, coded)


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use from /proc")


@needs_proc
def test_two_thousand_mutations(coded: list[bytes]) -> None:
    mutate_many(2000, coded)


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_mutations(coded: list[bytes]) -> None:
    mutate_many(100_000, coded)


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
        if first >> 4 != 3 and not 1 <= first <= 15:
            with pytest.raises(BitstreamError, match="begins with"):
                decoder.decode(unit)
        else:
            try_to_decode(decoder, unit)
    lives_on(decoder, coded)


@pytest.mark.parametrize("length", [0, 1, MAX_UNIT_BYTES + 1])
def test_lengths_out_of_bounds(coded: list[bytes], length: int) -> None:
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError, match="bytes"):
        decoder.decode(b"\x30" * length)


def test_after_a_broken_unit_only_an_intra_unit_decodes(coded: list[bytes]) -> None:
    """What follows a broken picture would be drawn on nothing, or on the wrong one."""
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError):
        decoder.decode(b"\xff" * 50)
    with pytest.raises(StateError):
        decoder.decode(coded[1])
    lives_on(decoder, coded)


def with_header(unit: bytes, header: bytes) -> bytes:
    """An intra unit under another sequence header."""
    return bytes([len(header)]) + header + unit[1 + unit[0] :]


@needs_proc
@pytest.mark.parametrize("sides", [(65536, 65536), (65536, 1), (65, 64), (64, 66), (2048, 2048)])
def test_huge_dimensions_are_refused_before_anything_is_allocated(coded: list[bytes], sides: tuple[int, int]) -> None:
    decoder, before = open_decoder(SIDE), resident_bytes()
    with pytest.raises(BitstreamError, match="expected at most 64 px"):
        decoder.decode(with_header(coded[0], sequence_header(width=sides[0] - 1, height=sides[1] - 1)))
    assert resident_bytes() - before < 1 << 20


@pytest.mark.parametrize("field", ["superres", "film_grain", "high_bit_depth", "grey", "frame_numbers", "still"])
def test_a_real_frame_under_a_header_that_allows_more_is_refused(coded: list[bytes], field: str) -> None:
    small = {"width": SIDE - 1, "height": SIDE - 1}
    with pytest.raises(BitstreamError, match="sequence header"):
        open_decoder(SIDE).decode(with_header(coded[0], sequence_header(**small, **{field: 1})))


def packets_of(encoder: str, **options: str) -> list[bytes]:
    """What another encoder, or ours with other options, makes of the film, delimiters and all."""
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


def as_units(packets: list[bytes]) -> list[bytes]:
    """AV1 packets as units of ours, whatever they hold."""
    made = []
    for packet in packets:
        parts = {unit.kind: unit.payload for unit in units(packet)}
        header = parts.get(SEQUENCE_HEADER)
        made.append((b"" if header is None else bytes([len(header)]) + header) + parts[FRAME])
    return made


LOW_DELAY = "pred-struct=1:lookahead=0:lp=1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (f"{LOW_DELAY}:film-grain=30", "film grain"),
        ("lp=1:keyint=1:superres-mode=1:superres-denom=16", "super-resolution"),
    ],
)
def test_real_streams_with_film_grain_and_super_resolution(options: str, message: str) -> None:
    unit = as_units(packets_of("libsvtav1", **{"preset": "8", "svtav1-params": options}))[0]
    with pytest.raises(BitstreamError, match=message):
        open_decoder(SIDE).decode(unit)


def test_the_same_stream_without_them_decodes() -> None:
    decoder = open_decoder(SIDE)
    for unit in as_units(packets_of("libsvtav1", **{"preset": "8", "svtav1-params": LOW_DELAY})):
        decoder.decode(unit)


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "libvpx"])
def test_other_codecs(coded: list[bytes], encoder: str) -> None:
    """None begins as our streams do. Within a running stream a packet that happens to begin as an inter frame may
    draw something, as any bytes may: AV1 has no redundancy to know itself by."""
    decoder = open_decoder(SIDE)
    for packet in packets_of(encoder):
        with pytest.raises((BitstreamError, StateError)):
            open_decoder(SIDE).decode(packet)
        decoder.decode(coded[0])
        try_to_decode(decoder, packet)
    lives_on(decoder, coded)


def test_stills_are_not_units(coded: list[bytes]) -> None:
    with pytest.raises(BitstreamError):
        open_decoder(SIDE).decode(open_still("av1").encode(moving_picture(0)))


def test_an_encoder_s_whole_packet_is_not_a_unit() -> None:
    """It begins with a temporal delimiter, 0x12."""
    for packet in packets_of("libsvtav1", **{"svtav1-params": LOW_DELAY}):
        with pytest.raises(BitstreamError):
            open_decoder(SIDE).decode(packet)


def repeated_frames(coded: list[bytes]) -> bytes:
    return coded[1] * 1000


def framed_frames(coded: list[bytes]) -> bytes:
    return unit_bytes(FRAME, coded[1]) * 1000


def intra_and_inter_frames(coded: list[bytes]) -> bytes:
    return coded[0] + b"".join(unit_bytes(FRAME, unit) for unit in coded[1:])


def shown_again(coded: list[bytes]) -> bytes:
    return coded[1] + unit_bytes(3, b"\x80") * 1000


@pytest.mark.parametrize("make", [repeated_frames, framed_frames, intra_and_inter_frames, shown_again])
def test_many_frames_in_one_unit_give_one_picture_or_none(
    coded: list[bytes], make: Callable[[list[bytes]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit is given to dav1d as one frame, whatever its tail looks like."""
    import talkcodec.picture.stream_av1 as module

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


@pytest.mark.parametrize("first", [0x00, 0x80, 0x90, 0x50, 0x70, 0x20, 0x10])
def test_frames_shown_again_hidden_or_of_other_kinds_are_refused(coded: list[bytes], first: int) -> None:
    """show_existing_frame, hidden frames, intra-only and switch frames; a key frame without its sequence header."""
    decoder = open_decoder(SIDE)
    decoder.decode(coded[0])
    with pytest.raises(BitstreamError, match="begins with"):
        decoder.decode(bytes([first]) + coded[1][1:])


def test_an_intra_unit_that_holds_an_inter_frame_is_refused(coded: list[bytes]) -> None:
    header = coded[0][: 1 + coded[0][0]]
    for frame in (coded[1], b"\x90" * 20, b""):
        with pytest.raises(BitstreamError, match="key frame"):
            open_decoder(SIDE).decode(header + frame)


def test_a_frame_of_another_stream_s_size_never_shows(coded: list[bytes]) -> None:
    """A frame of 32x32 under a sequence of 64x64, both ways."""
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
