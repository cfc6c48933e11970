"""Encoder and Decoder with an engine of known behaviour: both ends stay in step, whatever is lost."""

from dataclasses import replace

import numpy as np
import pytest

from talkcodec.codec import Decoder, DecoderConfig, Encoder, EncoderConfig, accept_hello, hello_for
from talkcodec.codec.parameters import table_of
from talkcodec.coding import AccessUnit
from talkcodec.errors import BitstreamError, ConfigError, MismatchError, StateError, UsageError
from talkcodec.types import Crop, Picture
from tests.codec.fake_engine import SIZE, FakeEngine, FakeModelConfig, blob_picture

FRAME_TICKS = 3600


def moving_pictures(count: int, speed_px: float = 0.7) -> list[Picture]:
    return [blob_picture(24 + speed_px * n % 20, 30 + 4 * np.sin(n / 5)) for n in range(count)]


def encode_all(encoder: Encoder, pictures: list[Picture]) -> list[AccessUnit]:
    return [encoder.encode(picture, number * FRAME_TICKS) for number, picture in enumerate(pictures)]


def l1(a: Picture, b: Picture) -> float:
    return float(np.abs(a.astype(int) - b).mean() / 255)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def test_decoded_pictures_resemble_the_input(engine: FakeEngine) -> None:
    pictures = moving_pictures(30)
    decoder = Decoder(FakeEngine())
    for picture, unit in zip(pictures, encode_all(Encoder(engine), pictures), strict=True):
        assert l1(decoder.decode(unit), picture) < 0.02


def test_the_decoder_never_detects(engine: FakeEngine) -> None:
    receiving = FakeEngine()
    decoder = Decoder(receiving)
    for unit in encode_all(Encoder(engine), moving_pictures(5)):
        decoder.decode(unit)
    assert receiving.detected == 0


def test_only_the_first_unit_is_a_keyframe(engine: FakeEngine) -> None:
    units = encode_all(Encoder(engine, EncoderConfig(refresh_l1=None)), moving_pictures(20))
    assert [unit.keyframe is not None for unit in units] == [True] + [False] * 19


def test_interval_and_force(engine: FakeEngine) -> None:
    encoder = Encoder(engine, EncoderConfig(keyframe_interval_s=0.4, refresh_l1=None))
    units = encode_all(encoder, moving_pictures(25))
    assert [n for n, unit in enumerate(units) if unit.keyframe] == [0, 10, 20]
    forced = encoder.encode(blob_picture(30, 30), 25 * FRAME_TICKS, force_keyframe=True).keyframe
    assert forced is not None
    assert forced.reference_id == 3


def test_bad_quality_brings_a_keyframe_and_good_quality_does_not(engine: FakeEngine) -> None:
    """The light changes after two seconds, which no motion can express."""
    config = EncoderConfig(refresh_l1=0.05, check_interval_s=0.2, min_keyframe_interval_s=0.5)
    pictures = [blob_picture(30, 30, background=40 if n < 50 else 90) for n in range(70)]
    units = encode_all(Encoder(engine, config), pictures)
    assert [n for n, unit in enumerate(units) if unit.keyframe] == [0, 50]
    decoder = Decoder(FakeEngine())
    assert l1([decoder.decode(unit) for unit in units][-1], pictures[-1]) < 0.02


def test_an_older_reference_that_fits_is_used_again(engine: FakeEngine) -> None:
    config = EncoderConfig(refresh_l1=0.05, check_interval_s=0.2, min_keyframe_interval_s=0.2)
    light = [40] * 10 + [90] * 10 + [40] * 10
    pictures = [blob_picture(20 if ground == 40 else 40, 30, ground) for ground in light]
    units = encode_all(Encoder(engine, config), pictures)
    assert sum(unit.keyframe is not None for unit in units) == 2
    assert units[-1].reference_id == 0
    decoder = Decoder(FakeEngine())
    assert l1([decoder.decode(unit) for unit in units][-1], pictures[-1]) < 0.02


def test_a_new_reference_waits_for_its_acknowledgement(engine: FakeEngine) -> None:
    encoder = Encoder(engine, EncoderConfig(acknowledged=True, refresh_l1=None))
    first = encoder.encode(blob_picture(20, 30), 0)
    encoder.held.hold(0)
    second = encoder.encode(blob_picture(22, 30), FRAME_TICKS, force_keyframe=True)
    assert first.keyframe is not None
    assert second.keyframe is not None
    assert (first.keyframe.reference_id, first.reference_id) == (0, 0)
    assert (second.keyframe.reference_id, second.reference_id) == (1, 0)
    assert encoder.encode(blob_picture(24, 30), 2 * FRAME_TICKS).reference_id == 0
    encoder.held.hold(1)
    assert encoder.encode(blob_picture(26, 30), 3 * FRAME_TICKS).reference_id == 1


def test_after_the_other_end_started_again_comes_a_keyframe(engine: FakeEngine) -> None:
    encoder = Encoder(engine, EncoderConfig(acknowledged=True, refresh_l1=None))
    encoder.encode(blob_picture(20, 30), 0)
    encoder.held.hold(0)
    assert encoder.encode(blob_picture(21, 30), FRAME_TICKS).keyframe is None
    encoder.held.clear()
    assert encoder.encode(blob_picture(22, 30), 2 * FRAME_TICKS).keyframe is not None


def test_timestamps_wrap(engine: FakeEngine) -> None:
    encoder = Encoder(engine, EncoderConfig(keyframe_interval_s=0.4, refresh_l1=None))
    decoder = Decoder(FakeEngine())
    pictures = moving_pictures(25)
    start = 2**32 - 12 * FRAME_TICKS
    units = [encoder.encode(p, (start + n * FRAME_TICKS) & 0xFFFFFFFF) for n, p in enumerate(pictures)]
    assert [n for n, unit in enumerate(units) if unit.keyframe] == [0, 10, 20]
    for unit, picture in zip(units, pictures, strict=True):
        assert l1(decoder.decode(unit), picture) < 0.02


def test_a_moved_crop_brings_a_keyframe_that_carries_it(engine: FakeEngine) -> None:
    encoder = Encoder(engine)
    encoder.encode(blob_picture(30, 30), 0, crop=Crop(10, 20, 200), captured_size=(640, 480))
    assert encoder.encode(blob_picture(30, 30), 3600, crop=Crop(10, 20, 200), captured_size=(640, 480)).keyframe is None
    moved = encoder.encode(blob_picture(30, 30), 7200, crop=Crop(90, 20, 240), captured_size=(640, 480))
    assert moved.keyframe is not None
    assert (moved.keyframe.crop, moved.keyframe.captured_size) == (Crop(90, 20, 240), (640, 480))


def test_until_acknowledged_a_moved_crop_is_shown_in_the_old_crops_coordinates(engine: FakeEngine) -> None:
    """The face rests in the captured frame while the crop moves 40 px to the right: the shown face must rest too."""
    encoder = Encoder(engine, EncoderConfig(acknowledged=True, refresh_l1=None))
    decoder = Decoder(FakeEngine())
    before = decoder.decode(encoder.encode(blob_picture(40, 30), 0, crop=Crop(0, 0, 160), captured_size=(320, 160)))
    encoder.held.hold(0)
    unit = encoder.encode(blob_picture(24, 30), 3600, crop=Crop(40, 0, 160), captured_size=(320, 160))
    assert l1(decoder.decode(unit), before) < 0.02
    assert decoder.crop == Crop(0, 0, 160)
    assert decoder.captured_size == (320, 160)


def test_until_acknowledged_another_size_of_the_camera_moves_nothing(engine: FakeEngine) -> None:
    """Regression: the keypoints were moved by pixels of the new size against a crop in pixels of the old."""
    encoder = Encoder(engine, EncoderConfig(acknowledged=True, refresh_l1=None))
    decoder = Decoder(FakeEngine())
    before = decoder.decode(encoder.encode(blob_picture(40, 30), 0, crop=Crop(40, 0, 160), captured_size=(320, 160)))
    encoder.held.hold(0)
    unit = encoder.encode(blob_picture(40, 30), 3600, crop=Crop(80, 0, 320), captured_size=(640, 320))
    assert unit.reference_id == 0
    assert l1(decoder.decode(unit), before) < 0.02


def test_unit_without_its_keyframe_is_a_state_error_and_nothing_breaks(engine: FakeEngine) -> None:
    units = encode_all(Encoder(engine), moving_pictures(3))
    decoder = Decoder(FakeEngine())
    with pytest.raises(StateError):
        decoder.decode(units[1])
    with pytest.raises(StateError):
        decoder.conceal(0)
    for unit in units:
        decoder.decode(unit)


def test_damaged_keyframes_leave_the_decoder_as_it_was(engine: FakeEngine) -> None:
    first, second = encode_all(Encoder(engine, EncoderConfig(keyframe_interval_s=0.04)), moving_pictures(2))
    assert second.keyframe is not None
    decoder = Decoder(FakeEngine())
    decoder.decode(first)
    for cut in range(0, len(second.keyframe.picture), 7):
        cut_short = replace(second.keyframe, picture=second.keyframe.picture[:cut])
        with pytest.raises(BitstreamError):
            decoder.decode(replace(second, keyframe=cut_short))
    assert decoder.held.ids == (0,)
    decoder.decode(second)
    assert decoder.held.ids == (0, 1)


def test_a_crop_larger_than_its_frame_is_refused(engine: FakeEngine) -> None:
    """Pasting it back would take gigabytes."""
    unit = Encoder(engine).encode(blob_picture(30, 30), 0, crop=Crop(0, 0, 30_000), captured_size=(640, 480))
    with pytest.raises(BitstreamError, match="crop of 30000"):
        Decoder(FakeEngine()).decode(unit)


def test_references_are_bounded_on_both_ends(engine: FakeEngine) -> None:
    config = EncoderConfig(keyframe_interval_s=0.04, references=2, refresh_l1=None)
    decoder = Decoder(FakeEngine(), DecoderConfig(references=3))
    for unit in encode_all(Encoder(engine, config), moving_pictures(12)):
        decoder.decode(unit)
    assert decoder.held.ids == (9, 10, 11)


def test_concealment_goes_on_for_a_while_and_then_rests(engine: FakeEngine) -> None:
    decoder = Decoder(FakeEngine())
    encoder = Encoder(engine)
    for number in range(4):
        decoder.decode(encoder.encode(blob_picture(20 + 2 * number, 30), number * FRAME_TICKS))
    concealed = [decoder.generate(*decoder.conceal((3 + ahead) * FRAME_TICKS)) for ahead in range(1, 12)]
    bright = [int(np.argmax(picture.sum(axis=(0, 2)))) for picture in concealed]
    assert 26 < bright[0] <= 29
    assert bright == sorted(bright)
    assert len(set(bright[7:])) == 1
    assert bright[-1] <= 26 + 2 * 7


def test_smoothing_calms_resting_keypoints_and_follows_moving_ones(engine: FakeEngine) -> None:
    rng = np.random.default_rng(1)
    resting = [blob_picture(*(32 + rng.normal(0, 0.15, 2))) for _ in range(40)]

    def movement(smoothing: float) -> float:
        units = encode_all(Encoder(FakeEngine(), EncoderConfig(smoothing=smoothing, refresh_l1=None)), resting)
        states = np.array([unit.motion.values for unit in units])
        return float(np.abs(np.diff(states, axis=0)).sum())

    assert movement(0.9) < movement(0)
    pictures = moving_pictures(20, speed_px=1.5)
    decoder = Decoder(FakeEngine())
    for picture, unit in zip(
        pictures, encode_all(Encoder(engine, EncoderConfig(smoothing=0.9)), pictures), strict=True
    ):
        assert l1(decoder.decode(unit), picture) < 0.03


def test_wrong_pictures_and_configurations_are_our_own_misuse(engine: FakeEngine) -> None:
    with pytest.raises(UsageError, match=str(SIZE)):
        Encoder(engine).encode(np.zeros((32, 32, 3), np.uint8), 0)
    for wrong in ({"still": "jxl"}, {"still_quality": 101}, {"references": 0}, {"smoothing": 1.0}, {"refresh_l1": 2.0}):
        with pytest.raises(ConfigError):
            EncoderConfig(**wrong)


def test_noise_still_becomes_a_keyframe(engine: FakeEngine) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    Decoder(FakeEngine()).decode(Encoder(engine, EncoderConfig(still="jpeg", still_quality=100)).encode(noise, 0))


def test_handshake_parameters_agree_or_say_what_differs(engine: FakeEngine) -> None:
    hello = hello_for(engine, EncoderConfig(), creator="test")
    config = accept_hello(engine, hello)
    assert (config.steps, config.table_id) == (EncoderConfig().steps, 0)
    with pytest.raises(MismatchError, match="there 6f6f"):
        accept_hello(engine, replace(hello, model_hash=b"oooooooo"))
    with pytest.raises(MismatchError, match="picture size differs: here 64, there 128"):
        accept_hello(engine, replace(hello, picture_size=128))
    with pytest.raises(MismatchError, match="table 999"):
        accept_hello(engine, replace(hello, table_id=999))


def test_encoder_and_decoder_with_defaults_agree_on_the_trained_table() -> None:
    """Regression: the decoder took the generic table where the encoder took the model's own."""
    engine = FakeEngine()
    engine.name = "lite-256"
    engine.config = FakeModelConfig(keypoints=10)
    assert table_of(engine, EncoderConfig().table_id).table_id == 2
    assert table_of(engine, DecoderConfig().table_id).table_id == 2
