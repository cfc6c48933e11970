"""The hybrid and the video rung: base pictures in step at both ends, whatever is lost, cropped or cut."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from talkcodec.bitstream import BasePicture, BaseStart
from talkcodec.codec import BaseConfig, Decoder, Encoder, EncoderConfig, Rung
from talkcodec.codec.base import BaseDecoder, BaseEncoder, Pace
from talkcodec.codec.timeline import TimedDrive, fill_in
from talkcodec.coding import AccessUnit
from talkcodec.errors import BitstreamError, ConfigError, PeerError, StateError
from talkcodec.media import MediaReader
from talkcodec.sample import sample_path
from talkcodec.types import Crop, Picture
from tests.codec.fake_engine import SIZE, FakeEngine, blob_picture

TICKS = 7200
HYBRID = EncoderConfig(rung=Rung.HYBRID, base=BaseConfig(32, 12.5, 40), refresh_l1=None)


def grained(x: float, y: float, grain: int = 1) -> Picture:
    """A blob on a ground with a texture that a base picture of half the size cannot show."""
    ground = np.random.default_rng(grain).integers(-30, 30, (SIZE, SIZE, 1))
    return np.clip(blob_picture(x, y, 90).astype(int) + ground, 0, 255).astype(np.uint8)


def film(count: int, grain: int = 1) -> list[Picture]:
    return [grained(24 + 0.7 * n % 20, 30 + 4 * np.sin(n / 5), grain) for n in range(count)]


def encode_all(pictures: list[Picture], config: EncoderConfig = HYBRID, **options: object) -> list[AccessUnit]:
    encoder = Encoder(FakeEngine(), config)
    try:
        return [encoder.encode(picture, n * TICKS, **options) for n, picture in enumerate(pictures)]
    finally:
        encoder.close()


def starts(units: list[AccessUnit]) -> list[int]:
    return [n for n, unit in enumerate(units) if unit.base is not None and unit.base.start is not None]


def keyframes(units: list[AccessUnit]) -> list[int]:
    return [n for n, unit in enumerate(units) if unit.keyframe is not None]


def l1(a: Picture, b: Picture) -> float:
    return float(np.abs(a.astype(int) - b).mean() / 255)


def enlarged(picture: Picture, size: int) -> Picture:
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)


def test_a_hybrid_stream_resembles_the_input_and_beats_its_enlarged_base() -> None:
    pictures = film(30)
    decoder, bare = Decoder(FakeEngine()), BaseDecoder(SIZE)
    units = encode_all(pictures)
    assert keyframes(units) == starts(units) == [0]
    assert all(unit.motion is None for unit in units)
    restored = [decoder.decode(unit) for unit in units]
    small = [bare.decode(unit.base) for unit in units if unit.base is not None]
    errors = [l1(shown, picture) for shown, picture in zip(restored, pictures, strict=True)]
    assert max(errors) < 0.04
    enlarged_errors = [l1(enlarged(shown, SIZE), picture) for shown, picture in zip(small, pictures, strict=True)]
    assert np.mean(errors) < 0.7 * np.mean(enlarged_errors)


def test_the_video_rung_shows_its_pictures_as_they_are() -> None:
    pictures = film(12)
    units = encode_all(pictures, replace(HYBRID, rung=Rung.VIDEO, base=BaseConfig(SIZE, 25, 60)))
    decoder, bare = Decoder(FakeEngine()), BaseDecoder(SIZE)
    assert keyframes(units) == starts(units) == [0]
    for unit, picture in zip(units, pictures, strict=True):
        assert unit.base is not None
        assert l1(bare.decode(unit.base), picture) < 0.04
        if unit.keyframe is not None:
            decoder.hold(unit.keyframe)
        _, drive = decoder.drive(unit)
        assert drive.base is not None
        assert drive.base.picture.shape == (SIZE, SIZE, 3)


def test_in_a_file_the_base_starts_with_each_keyframe_whatever_brings_it() -> None:
    """Regression: after seeking to a keyframe nothing could be decoded."""
    interval = encode_all(film(30), replace(HYBRID, keyframe_interval_s=0.8))
    assert keyframes(interval) == starts(interval) == [0, 10, 20]
    # What quality asks for is known only once the base picture is coded.
    cut = film(20, grain=1) + [255 - picture for picture in film(20, grain=2)]
    faded = encode_all(cut, replace(HYBRID, refresh_l1=0.06, check_interval_s=0.16, min_keyframe_interval_s=0.16))
    assert 20 <= next(n for n in keyframes(faded) if n) <= 22
    assert keyframes(faded) == starts(faded)
    for first in keyframes(faded):
        decoder = Decoder(FakeEngine())
        whole, entered = Decoder(FakeEngine()), []
        for number, unit in enumerate(faded):
            shown = whole.decode(unit)
            if number >= first:
                entered.append(np.array_equal(decoder.decode(unit), shown))
        assert all(entered)


def test_in_a_call_a_keyframe_leaves_the_base_as_it_is() -> None:
    units = encode_all(film(25), replace(HYBRID, keyframe_interval_s=0.8, acknowledged=True))
    assert starts(units) == [0]
    assert len(keyframes(units)) > 1


@pytest.mark.parametrize("rung", [Rung.HYBRID, Rung.VIDEO])
def test_a_cut_and_a_moved_crop_bring_a_keyframe_soon(rung: Rung) -> None:
    config = replace(HYBRID, rung=rung, refresh_l1=0.06)
    encoder = Encoder(FakeEngine(), config)
    got = []
    for number in range(40):
        crop = Crop(0, 0, 128) if number < 30 else Crop(20, 0, 128)
        picture = grained(30, 30) if number < 12 else 255 - grained(12, 50, 2)
        unit = encoder.encode(picture, number * TICKS, crop=crop, captured_size=(200, 128), new_face=number == 12)
        got.append(unit)
    encoder.close()
    assert 30 in keyframes(got)
    assert 30 in starts(got)
    if rung is Rung.HYBRID:
        assert 12 in keyframes(got)
    assert len(keyframes(got)) <= 4


def test_a_new_face_brings_a_keyframe_in_the_hybrid_rung() -> None:
    """Half the error of a cut is enough when the cropper says that the face is another."""
    pictures = [grained(30, 30)] * 12 + [grained(32, 31, 5)] * 12
    config = replace(HYBRID, refresh_l1=0.06, min_keyframe_interval_s=30.0)

    def found(new_face: bool) -> list[int]:
        encoder = Encoder(FakeEngine(), config)
        units = [encoder.encode(p, n * TICKS, new_face=new_face and n == 12) for n, p in enumerate(pictures)]
        encoder.close()
        return keyframes(units)

    assert found(new_face=True) == [0, 12]
    assert found(new_face=False) == [0]


# ---- losses and damage


def test_a_missing_base_picture_is_a_state_error_until_the_next_start() -> None:
    pictures = film(30)
    units = encode_all(pictures, replace(HYBRID, keyframe_interval_s=0.8))
    decoder = Decoder(FakeEngine())
    for number, unit in enumerate(units):
        if number == 13:
            continue
        if 13 < number < 20:
            with pytest.raises(StateError, match="missing"):
                decoder.decode(unit)
        else:
            assert l1(decoder.decode(unit), pictures[number]) < 0.05


def test_numbers_go_round() -> None:
    pictures = film(140)
    bare, encoder = BaseDecoder(SIZE), BaseEncoder(BaseConfig(16, 25, 10))
    coded = [encoder.encode(picture, 0, Crop(0, 0, 64)) for picture in pictures]
    encoder.close()
    assert [picture.number for picture in coded[126:131]] == [126, 127, 0, 1, 2]
    for picture in coded:
        bare.decode(picture)
    with pytest.raises(StateError):
        bare.decode(coded[127])


@pytest.mark.parametrize("seed", range(12))
def test_damaged_base_pictures_give_only_peer_errors_and_the_next_start_decodes(seed: int) -> None:
    random = np.random.default_rng(seed)
    units = encode_all(film(12), replace(HYBRID, keyframe_interval_s=0.48))
    decoder = Decoder(FakeEngine())
    for number, unit in enumerate(units):
        assert unit.base is not None
        data = bytearray(unit.base.data)
        if 0 < number < 6:
            for _ in range(random.integers(1, 4)):
                data[random.integers(len(data))] = random.integers(256)
            data = data[: random.integers(1, len(data) + 1)]
        broken = replace(unit, base=replace(unit.base, data=bytes(data)))
        if number in (0, *range(6, 12)):
            decoder.decode(broken)
        else:
            try:
                decoder.decode(broken)
            except PeerError:
                continue


def test_after_damage_all_pictures_up_to_a_start_are_refused() -> None:
    units = encode_all(film(4))
    bare = BaseDecoder(SIZE)
    first, second, third, fourth = (unit.base for unit in units if unit.base is not None)
    bare.decode(first)
    with pytest.raises(BitstreamError):
        bare.decode(replace(second, data=b"\xff\xff\xff"))
    for picture in (second, third, fourth):
        with pytest.raises(StateError):
            bare.decode(picture)
    bare.decode(first)
    bare.decode(second)


def test_starts_that_are_none_and_coders_that_are_not_known_are_refused() -> None:
    units = encode_all(film(2))
    first, second = (unit.base for unit in units if unit.base is not None)
    bare = BaseDecoder(SIZE)
    bare.decode(first)
    with pytest.raises(PeerError):  # an inter frame must not go on from what was before a start
        bare.decode(replace(second, start=first.start))
    with pytest.raises(BitstreamError, match="coder"):
        bare.decode(replace(first, start=BaseStart(2, Crop(0, 0, SIZE))))
    too_large = BaseDecoder(16)
    with pytest.raises(BitstreamError, match="at most"):
        too_large.decode(first)


def test_a_crop_larger_than_the_captured_frame_is_refused() -> None:
    """Regression: pasting a picture back into a crop of 32768 px takes gigabytes."""
    (unit,) = encode_all(film(1), crop=Crop(0, 0, 64), captured_size=(64, 64))
    assert unit.base is not None
    hostile = replace(unit, base=replace(unit.base, start=BaseStart(1, Crop(0, 0, 32768))))
    with pytest.raises(BitstreamError, match="crop"):
        Decoder(FakeEngine()).decode(hostile)


def test_a_coder_that_failed_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = BaseEncoder(BaseConfig(32, 25, 10))
    encoder.encode(blob_picture(30, 30), 0, Crop(0, 0, 64))
    monkeypatch.setattr("talkcodec.picture.stream_vp9.MAX_UNIT_BYTES", 1)
    with pytest.raises(ConfigError):
        encoder.encode(blob_picture(40, 30), 3600, Crop(0, 0, 64))
    monkeypatch.undo()
    after = encoder.encode(blob_picture(41, 30), 7200, Crop(0, 0, 64))
    encoder.close()
    assert after.start is not None
    assert BaseDecoder(64).decode(after).shape == (32, 32, 3)


# ---- another crop than the reference's


@pytest.mark.parametrize("crop", [Crop(40, 0, 128), Crop(0, 30, 200), Crop(30, 12, 96), Crop(52, 28, 64)])
def test_a_reference_lands_in_another_crop_to_within_a_pixel(crop: Crop) -> None:
    """A dot at a known place of the captured frame, seen in both crops."""
    dot = (84.0, 60.0)  # captured pixels
    decoder = Decoder(FakeEngine())

    def seen_in(frame: Crop) -> tuple[float, float]:
        return tuple((place - at) * SIZE / frame.size - 0.5 for place, at in zip(dot, frame[:2], strict=True))

    first = Crop(20, 0, 128)
    (unit,) = encode_all([blob_picture(*seen_in(first))], crop=first, captured_size=(240, 240))
    assert unit.keyframe is not None
    reference = decoder.hold(unit.keyframe)
    moved = decoder._in_crop(reference, crop)
    weight = np.maximum(moved.picture.astype(float).mean(axis=2) - 120, 0)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    found = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
    assert np.allclose(found, seen_in(crop), atol=0.5)
    assert moved.crop == crop
    assert decoder._in_crop(reference, crop) is moved
    assert decoder._in_crop(reference, first) is reference


def test_until_a_keyframe_is_acknowledged_the_crop_moves_with_the_base() -> None:
    encoder, decoder = Encoder(FakeEngine(), replace(HYBRID, acknowledged=True)), Decoder(FakeEngine())
    size = (320, 160)
    decoder.decode(encoder.encode(grained(40, 30), 0, crop=Crop(0, 0, 160), captured_size=size))
    encoder.held.hold(0)
    unit = encoder.encode(grained(24, 30), TICKS, crop=Crop(40, 0, 160), captured_size=size)
    assert unit.reference_id == 0
    assert unit.base is not None
    assert unit.base.start is not None
    decoder.decode(unit)
    assert decoder.crop == Crop(40, 0, 160)
    encoder.close()


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_camera_that_changes_its_size_does_not_zoom_the_reference(acknowledged: bool) -> None:
    """Regression: until the next keyframe was held the old reference was moved by pixels of the new size."""
    config = replace(HYBRID, acknowledged=acknowledged, urgent_keyframes=1)
    encoder, decoder = Encoder(FakeEngine(), config), Decoder(FakeEngine())
    small, large = (320, 160), (640, 320)
    before = decoder.decode(encoder.encode(grained(40, 30), 0, crop=Crop(40, 0, 160), captured_size=small))
    encoder.held.hold(0)
    for number in (1, 2):
        unit = encoder.encode(grained(40, 30), number * TICKS, crop=Crop(80, 0, 320), captured_size=large)
        shown = decoder.decode(unit)
        assert l1(shown, before) < 0.02
        assert (decoder.crop, decoder.captured_size) in ((Crop(40, 0, 160), small), (Crop(80, 0, 320), large))
    encoder.close()


def test_once_the_new_sizes_keyframe_is_held_base_pictures_name_its_pixels() -> None:
    encoder, decoder = Encoder(FakeEngine(), replace(HYBRID, acknowledged=True)), Decoder(FakeEngine())
    decoder.decode(encoder.encode(grained(40, 30), 0, crop=Crop(40, 0, 160), captured_size=(320, 160)))
    encoder.held.hold(0)
    places = []
    for number in (1, 2, 3):
        unit = encoder.encode(grained(40, 30), number * TICKS, crop=Crop(80, 0, 320), captured_size=(640, 320))
        decoder.decode(unit)
        places.append((unit.reference_id, decoder.crop, decoder.captured_size))
        encoder.held.hold(1)
    encoder.close()
    assert places == [(0, Crop(40, 0, 160), (320, 160)), *2 * [(1, Crop(80, 0, 320), (640, 320))]]


# ---- the frame rate


@pytest.mark.parametrize("source_fps", [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60)])
@pytest.mark.parametrize("fps", [6.25, 8.34, 12.5, 25.0])
def test_the_frame_rate_is_kept_on_average_and_evenly(source_fps: Fraction, fps: float) -> None:
    pace, taken = Pace(fps), []
    for number in range(int(60 * source_fps)):
        timestamp = round(2**32 - 9_000 + number * 90_000 / source_fps) & 0xFFFFFFFF  # wraps
        if pace.wants(timestamp):
            pace.took(timestamp)
            taken.append(number)
    expected = min(fps, float(source_fps))
    assert len(taken) / 60 == pytest.approx(expected, rel=0.01)
    steps = np.diff(taken)[1:]  # the first one may come early
    assert steps.max() - steps.min() <= 1


def test_after_a_pause_or_a_jump_back_the_pace_goes_on() -> None:
    pace = Pace(12.5)
    taken = []
    for timestamp in [0, 3600, 7200, 10_800, 900_000, 903_600, 907_200, 400_000, 403_600, 407_200]:
        if pace.wants(timestamp):
            pace.took(timestamp)
            taken.append(timestamp)
    assert taken == [0, 7200, 900_000, 907_200, 400_000, 407_200]


def test_frames_between_two_units_are_filled_in() -> None:
    units = encode_all(film(6))
    decoder = Decoder(FakeEngine())

    def drives() -> Iterator[TimedDrive]:
        for unit in units:
            if unit.keyframe is not None:
                decoder.hold(unit.keyframe)
            yield TimedDrive(unit.timestamp, *decoder.drive(unit))

    shown = list(fill_in(drives(), 3600))
    assert [each.timestamp for each in shown] == list(range(0, 5 * TICKS + 1, 3600))
    assert [each.timestamp for each in fill_in(iter(shown[:1]), 0)] == [0]


def test_base_pictures_larger_than_the_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most"):
        Encoder(FakeEngine(), replace(HYBRID, base=BaseConfig(SIZE + 2)))
    Encoder(FakeEngine(), EncoderConfig(base=BaseConfig(SIZE + 2)))  # of no concern to the motion rung


@pytest.mark.parametrize("bad", [{"size": 14}, {"size": 33}, {"size": 1026}, {"fps": 0.5}, {"quality": 101}])
def test_base_configurations_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        BaseConfig(**bad)  # type: ignore[arg-type]


# ---- real engines


def sample_pictures(size: int, count: int) -> list[Picture]:
    with MediaReader(sample_path()) as reader:
        return [
            cv2.resize(frame.picture, (size, size), interpolation=cv2.INTER_AREA)
            for _, frame in zip(range(count), reader, strict=False)
        ]


def test_on_the_sample_restoration_beats_the_enlarged_base() -> None:
    """The blend; the small model has no network for restoration."""
    from talkcodec.runtime import open_engine

    engine = open_engine("untrained:tiny")
    size = engine.config.picture_size
    pictures = sample_pictures(size, 50)[::2]
    config = EncoderConfig(rung=Rung.HYBRID, base=BaseConfig(size // 2, 12.5, 20), still_quality=60)
    encoder, decoder, bare = Encoder(engine, config), Decoder(engine), BaseDecoder(size)
    errors, bare_errors = [], []
    for number, picture in enumerate(pictures):
        unit = encoder.encode(picture, number * TICKS)
        assert unit.base is not None
        errors.append(l1(decoder.decode(unit), picture))
        bare_errors.append(l1(enlarged(bare.decode(unit.base), size), picture))
    encoder.close()
    assert np.mean(errors) < 0.9 * np.mean(bare_errors)


def test_a_base_picture_is_a_value() -> None:
    picture = BasePicture(1, b"x")
    with pytest.raises(AttributeError):
        picture.number = 2  # type: ignore[misc]
