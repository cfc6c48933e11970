"""Coded picture streams: a unit a picture at once, intra pictures when told, the same pictures at every receiver."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.errors import BitstreamError, ConfigError, StateError
from talkcodec.picture import MAX_UNIT_BYTES, StreamSettings, is_intra, open_decoder, open_encoder, stream_vp9
from talkcodec.picture.vp9_header import packed, unpacked
from talkcodec.types import Picture


def moving_picture(number: int, width: int = 64, height: int = 64) -> Picture:
    """Picture `number` of a film of soft coloured blobs that drift to the left."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x += 1.5 * number
    channels = [127 + 80 * np.sin(x / 13 + k) * np.cos(y / 11 - k) + 20 * np.sin((x + y) / 7) for k in range(3)]
    return np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8)


def psnr_db(a: Picture, b: Picture) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


def film(count: int, quality: float = 40, **kwargs: int) -> list[bytes]:
    encoder = open_encoder(StreamSettings(quality))
    coded = [encoder.encode(moving_picture(number, **kwargs)) for number in range(count)]
    encoder.close()
    return coded


def test_every_picture_comes_at_once_and_resembles_its_own() -> None:
    encoder, decoder = open_encoder(StreamSettings(50)), open_decoder(64)
    for number in range(40):  # long enough for any group of pictures to show
        picture = moving_picture(number)
        shown = decoder.decode(encoder.encode(picture))
        assert psnr_db(picture, shown) > 30
        # The picture before is further away: nothing is late by one.
        assert psnr_db(picture, shown) > psnr_db(moving_picture(number - 1), shown) + 3
    encoder.close()


def test_only_the_first_picture_is_intra_unless_asked_for() -> None:
    encoder = open_encoder()
    coded = [encoder.encode(moving_picture(number), intra=number == 11) for number in range(24)]
    assert [number for number, unit in enumerate(coded) if is_intra(unit)] == [0, 11]
    encoder.close()


def test_a_scene_change_does_not_make_an_intra_picture_by_itself() -> None:
    encoder = open_encoder()
    coded = [encoder.encode(moving_picture(0 if number < 5 else 900)) for number in range(12)]
    assert [is_intra(unit) for unit in coded] == [True, *[False] * 11]
    encoder.close()


def test_a_receiver_can_begin_at_any_intra_picture() -> None:
    encoder = open_encoder()
    coded = [encoder.encode(moving_picture(number), intra=number == 6) for number in range(12)]
    encoder.close()
    early, late = open_decoder(64), open_decoder(64)
    from_the_start = [early.decode(unit) for unit in coded]
    for unit, wanted in zip(coded[6:], from_the_start[6:], strict=True):
        assert np.array_equal(late.decode(unit), wanted)


def test_coding_and_decoding_are_deterministic() -> None:
    coded = film(12)
    assert film(12) == coded
    one, other = open_decoder(64), open_decoder(128)
    for unit in coded:
        assert np.array_equal(one.decode(unit), other.decode(unit))


def test_units_say_what_they_are_in_their_first_byte() -> None:
    first, *others = film(4)
    assert first[0] == 0x82
    assert all(unit[0] < 0x80 for unit in others)  # packed


def test_a_packed_header_saves_nine_bytes_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = []
    monkeypatch.setattr(stream_vp9, "packed", lambda frame: frames.append(frame) or packed(frame))
    for quality in (0, 30, 90):
        units = film(40, quality)
        assert [unpacked(unit) for unit in units] == frames
        assert sum(len(frame) - len(unit) for frame, unit in zip(frames, units, strict=True)) > 7 * 40
        frames.clear()


@given(st.binary(max_size=40))
def test_packing_loses_nothing_of_any_frame(rest: bytes) -> None:
    """Those that begin as an inter frame of ours are the likeliest to be taken for one."""
    for begins in (b"\x86", b"\x86\x00\x40\x92", b"\x86\x00\x40\x92\x62\x71\x78\x00\x00\x0c"):
        assert unpacked(packed(begins + rest)) == begins + rest


def test_probabilities_adapt_from_picture_to_picture() -> None:
    """A key frame says so (6.2) behind kind, sync code, colours, size and a bit: refreshed contexts, not parallel."""
    bits = int.from_bytes(film(1)[0][:12], "big")
    assert (bits >> 96 - 8 - 24 - 4 - 32 - 3 & 0b111) == 0b010


def test_no_unit_ends_like_several_frames_in_one() -> None:
    """Else the decoder would refuse it: libvpx puts a zero behind a frame that happens to."""
    for quality in (0, 30, 90):
        assert all(unit[-1] & 0xE0 != 0xC0 for unit in film(100, quality))


def test_a_still_scene_costs_next_to_nothing() -> None:
    encoder = open_encoder(StreamSettings(10))
    coded = [encoder.encode(moving_picture(0)) for _ in range(9)]
    assert max(len(unit) for unit in coded[1:]) < 60
    encoder.close()


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 90), st.integers(8, 90))
def test_every_even_size(half_width: int, half_height: int) -> None:
    width, height = 2 * half_width, 2 * half_height
    encoder, decoder = open_encoder(StreamSettings(60)), open_decoder(256)
    for number in range(3):
        picture = moving_picture(number, width, height)
        shown = decoder.decode(encoder.encode(picture))
        assert shown.shape == picture.shape
        assert psnr_db(picture, shown) > 30
    encoder.close()


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (128, 128), (256, 256), (320, 240), (640, 480), (1280, 720)])
def test_sizes_of_the_rungs(size: tuple[int, int]) -> None:
    decoder = open_decoder(1280)
    for number, unit in enumerate(film(2, width=size[0], height=size[1])):
        assert psnr_db(moving_picture(number, *size), decoder.decode(unit)) > 30


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_flat_colours_survive(colour: tuple[int, int, int]) -> None:
    """A wrong colour matrix or range shifts flat colours by 10 and more."""
    picture = np.full((64, 64, 3), colour, np.uint8)
    encoder, decoder = open_encoder(StreamSettings(80)), open_decoder(64)
    for _ in range(3):
        assert np.abs(decoder.decode(encoder.encode(picture)).astype(int) - picture).max() <= 6
    encoder.close()


def test_higher_quality_costs_more_and_looks_better() -> None:
    sizes, likeness = [], []
    for quality in (0, 20, 40, 80):
        coded, decoder = film(8, quality), open_decoder(64)
        sizes.append(sum(map(len, coded)))
        likeness.append([psnr_db(moving_picture(n), decoder.decode(unit)) for n, unit in enumerate(coded)][-1])
    assert sizes == sorted(sizes)
    assert likeness == sorted(likeness)


def test_two_steps_of_quality_make_a_difference() -> None:
    assert len({tuple(film(6, quality)) for quality in (20, 22, 24)}) == 3


def test_other_settings_and_sizes_begin_with_an_intra_picture() -> None:
    encoder, decoder = open_encoder(StreamSettings(10)), open_decoder(96)
    kinds = []
    for number in range(12):
        if number == 3:
            encoder.change(StreamSettings(10))  # nothing new
        if number == 6:
            encoder.change(StreamSettings(60))
        side = 96 if number >= 9 else 64
        unit = encoder.encode(moving_picture(number, side, side))
        kinds.append(is_intra(unit))
        assert decoder.decode(unit).shape == (side, side, 3)
    assert [number for number, intra in enumerate(kinds) if intra] == [0, 6, 9]
    encoder.close()


def test_close_is_idempotent_and_the_next_picture_starts_afresh() -> None:
    encoder = open_encoder()
    encoder.close()
    encoder.encode(moving_picture(0))
    encoder.close()
    encoder.close()
    assert is_intra(encoder.encode(moving_picture(1)))
    encoder.close()


def test_a_picture_too_long_for_a_unit_is_our_own_error_and_not_the_end() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    encoder = open_encoder(StreamSettings(100, preset=8))
    with pytest.raises(ConfigError, match=f"at most {MAX_UNIT_BYTES} allowed: lower the quality"):
        encoder.encode(noise)
    encoder.change(StreamSettings(0, preset=8))
    assert is_intra(encoder.encode(moving_picture(0)))
    encoder.close()


@pytest.mark.parametrize(
    ("shape", "kind"), [((64, 64), np.uint8), ((64, 64, 3), np.float32), ((63, 64, 3), np.uint8), ((8, 8, 3), np.uint8)]
)
def test_unusable_pictures(shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(ConfigError):
        open_encoder().encode(np.zeros(shape, kind))


def test_unusable_settings() -> None:
    for wrong in ({"quality": -1}, {"quality": 101}, {"preset": 11}):
        with pytest.raises(ConfigError):
            StreamSettings(**wrong)
    with pytest.raises(ConfigError):
        open_decoder(4096)


def test_a_picture_without_those_before_it_is_a_state_error() -> None:
    coded, decoder = film(3), open_decoder(64)
    with pytest.raises(StateError, match="intra"):
        decoder.decode(coded[1])
    decoder.decode(coded[0])
    decoder.reset()
    with pytest.raises(StateError):
        decoder.decode(coded[1])
    decoder.decode(coded[0])
    decoder.decode(coded[1])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_coding_leaves_every_thread_s_priority_alone() -> None:
    """Coders that run before everything else on the machine, where they may, are known."""
    before = os.sched_getscheduler(0)
    encoder = open_encoder()
    for number in range(3):
        encoder.encode(moving_picture(number))
        threads = [int(name) for name in os.listdir("/proc/self/task")]
        assert {os.sched_getscheduler(thread) for thread in threads} == {before}
    encoder.close()
    assert os.sched_getscheduler(0) == before


def test_pictures_after_a_gap_are_wrong_even_where_nothing_fails() -> None:
    """Why whoever carries units must number them: the decoder draws on what it has, or fails, but is never right."""
    coded, whole = film(8), open_decoder(64)
    wanted = [whole.decode(unit) for unit in coded]
    for missing in range(1, 7):
        decoder = open_decoder(64)
        try:
            shown = [decoder.decode(unit) for number, unit in enumerate(coded) if number != missing]
        except BitstreamError:
            continue
        after = zip(shown[missing:], wanted[missing + 1 :], strict=True)
        assert not all(np.array_equal(got, sought) for got, sought in after)


def test_the_decoder_says_how_coarsely_the_stream_is_coded() -> None:
    said = []
    for quality in (0, 20, 42, 70, 100):
        decoder = open_decoder(64)
        for unit in film(3, quality):
            decoder.decode(unit)
        said.append(decoder.quantiser)
    assert said == sorted(said, reverse=True)
    assert said[0] > 150  # the figures that talkcodec/runtime/engine.py goes by
    assert 100 < said[1] < 150
    assert 50 < said[2] < 90
    assert said[3] < 30
