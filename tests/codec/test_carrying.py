"""From base pictures to motion: the last restored picture is moved on, and gives way to the keyframe. And back."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from talkcodec.codec import BaseConfig, Decoder, Encoder, EncoderConfig, Rung
from talkcodec.codec.carrying import FADED, LONGEST, RISING
from talkcodec.types import Crop, Drive, Motion, Picture
from tests.codec.fake_engine import SIZE, FakeEngine, FakeReference, blob_picture

TICKS = 3600
HYBRID = EncoderConfig(rung=Rung.HYBRID, base=BaseConfig(32, 25, 60), refresh_l1=None)
MOTION = replace(HYBRID, rung=Rung.MOTION)
WHOLE = Crop(0, 0, SIZE)
FAR = 16.0  # px from where the keyframe has the blob


class CountingEngine(FakeEngine):
    def __init__(self) -> None:
        super().__init__()
        self.encoded = self.generated = self.mixed = 0

    def encode_reference(self, picture: Picture, motion: Motion | None) -> FakeReference:
        self.encoded += 1
        return super().encode_reference(picture, motion)

    def generate(self, reference: FakeReference, drive: Drive) -> Picture:
        self.generated += 1
        return super().generate(reference, drive)

    def between(self, a: Picture, b: Picture, share: float) -> Picture:
        self.mixed += 1
        return super().between(a, b, share)


class Stream:
    """An encoder, and a decoder that shows what it makes. After the first picture, the keyframe, it is darker."""

    def __init__(self, config: EncoderConfig = HYBRID) -> None:
        self.engine = CountingEngine()
        self.decoder = Decoder(self.engine)
        self.encoder = Encoder(FakeEngine(), config)
        self._time = 0
        self._show(blob_picture(24, 32, background=110), WHOLE)

    def _show(self, picture: Picture, crop: Crop, force_keyframe: bool = False) -> Picture:
        unit = self.encoder.encode(picture, self._time, force_keyframe, crop, (4 * SIZE, 4 * SIZE))
        self._time += TICKS
        if unit.keyframe is not None:
            self.decoder.hold(unit.keyframe)
        reference, drive = self.decoder.drive(unit)
        self.own = self.engine.generate(reference.prepared, drive)
        self.engine.encoded = self.engine.generated = self.engine.mixed = 0
        return self.decoder.generate(reference, drive)

    def show(self, moved_px: float, crop: Crop = WHOLE, force_keyframe: bool = False) -> Picture:
        """The picture of a blob so far from its place in the keyframe; `own` is then what its reference alone makes."""
        return self._show(blob_picture(24 + moved_px, 32, background=50), crop, force_keyframe)

    def fall(self) -> Picture:
        """Base pictures until the blob is far away, then motion; the last base picture."""
        for moved_px in np.linspace(0, FAR, 9):
            last = self.show(moved_px)
        self.encoder.change(replace(MOTION, acknowledged=self.encoder.config.acknowledged))
        return last

    def rise(self, config: EncoderConfig = HYBRID) -> None:
        """Base pictures from now on."""
        self.encoder.change(config)


def l1(a: Picture, b: Picture) -> float:
    return float(np.abs(a.astype(int) - b).mean() / 255)


def largest_step(pictures: Iterable[Picture]) -> float:
    return max(l1(a, b) for a, b in pairwise(pictures))


def test_the_first_motion_after_a_fall_shows_the_last_restored_picture() -> None:
    stream = Stream()
    last = stream.fall()
    assert l1(stream.show(FAR + 1), last) == 0
    assert l1(stream.own, last) > 0.1  # the keyframe, as it was shown before
    moved = stream.show(FAR + 5)
    assert l1(moved, np.roll(last, 4, axis=1)) < 0.005
    assert l1(moved, last) > 0.01


def test_a_fall_prepares_one_reference_and_detects_nothing() -> None:
    stream = Stream()
    stream.fall()
    for number in range(5):
        stream.show(FAR + number)
        assert (stream.engine.encoded, stream.engine.generated) == (number == 0, 1)
    assert stream.engine.detected == 0


def test_it_gives_way_to_the_keyframe_once_the_head_is_nearer_to_that_and_without_a_jump() -> None:
    stream = Stream()
    shown = [stream.fall(), stream.show(FAR)]
    apart = l1(shown[0], stream.own)
    near = [stream.show(FAR / 2 - 1) for _ in range(FADED + 1)]
    assert not np.array_equal(near[FADED - 1], stream.own)
    assert np.array_equal(near[FADED], stream.own)
    assert largest_step(near) < 2 * apart / FADED
    stream.show(FAR)  # for good
    assert np.array_equal(stream.show(FAR), stream.own)
    assert (stream.engine.encoded, stream.engine.generated) == (0, 1)


def test_a_head_at_rest_sees_the_keyframe_again_too() -> None:
    stream = Stream()
    last = stream.fall()
    for _ in range(LONGEST):
        assert np.array_equal(stream.show(FAR), last)
    shown = [stream.show(FAR) for _ in range(FADED + 1)]
    assert not np.array_equal(shown[0], last)
    assert np.array_equal(shown[FADED], stream.own)


def test_a_new_keyframe_is_taken_at_once() -> None:
    stream = Stream()
    stream.fall()
    stream.show(FAR)
    assert np.array_equal(stream.show(FAR, force_keyframe=True), stream.own)
    assert np.array_equal(stream.show(FAR + 3), stream.own)


def test_after_a_fall_from_another_crop_the_keyframe_is_animated() -> None:
    """In a call base pictures may already have a crop whose keyframe is on its way."""
    stream = Stream(replace(HYBRID, acknowledged=True))
    stream.encoder.held.hold(0)
    stream.fall()
    stream.encoder.change(replace(HYBRID, acknowledged=True))
    stream.show(FAR, Crop(20, 0, SIZE))
    assert stream.decoder.crop == Crop(20, 0, SIZE)
    stream.encoder.change(replace(MOTION, acknowledged=True))
    assert np.array_equal(stream.show(FAR, Crop(20, 0, SIZE)), stream.own)
    assert stream.decoder.crop == WHOLE
    assert stream.engine.encoded == 0


@pytest.mark.parametrize("between", [1, FADED, LONGEST + FADED])
def test_each_fall_carries_its_own_last_picture(between: int) -> None:
    stream = Stream()
    for _ in range(2):
        last = stream.fall()
        shown = [stream.show(FAR) for _ in range(between)]
        assert np.array_equal(shown[0], last)
        stream.rise()


def test_a_rise_takes_a_few_pictures_each_nearer_to_the_restored_one() -> None:
    stream = Stream(MOTION)
    last = stream.show(FAR)
    stream.rise()
    shown = [last]
    for _ in range(RISING):
        shown.append(stream.show(FAR))
        assert stream.engine.mixed == 1
    apart = l1(last, stream.own)
    assert apart > 0.1
    assert largest_step([*shown, stream.own]) < 1.2 * apart / (RISING + 1)
    assert [l1(each, stream.own) for each in shown] == sorted((l1(each, stream.own) for each in shown), reverse=True)
    assert np.array_equal(stream.show(FAR), stream.own)
    assert stream.engine.mixed == 0


def test_base_pictures_before_any_motion_are_shown_as_they_are() -> None:
    stream = Stream()
    assert np.array_equal(stream.show(FAR), stream.own)
    assert stream.engine.mixed == 0


@pytest.mark.parametrize("crop", [Crop(20, 0, SIZE), WHOLE], ids=["another crop", "a new keyframe"])
def test_a_rise_in_another_crop_or_with_a_keyframe_is_shown_at_once(crop: Crop) -> None:
    moves = crop != WHOLE  # before the keyframe of that crop is held
    stream = Stream(replace(MOTION, acknowledged=moves))
    stream.encoder.held.hold(0)
    stream.show(FAR)
    stream.rise(replace(HYBRID, acknowledged=moves))
    assert np.array_equal(stream.show(FAR, crop, force_keyframe=not moves), stream.own)
    assert stream.decoder.crop == crop
    assert np.array_equal(stream.show(FAR), stream.own)  # nor later, back where motion was


def test_a_fall_on_the_way_up_animates_the_restored_picture() -> None:
    stream = Stream(MOTION)
    stream.show(FAR)
    stream.rise()
    stream.show(FAR)
    restored = stream.own
    stream.encoder.change(MOTION)
    assert np.array_equal(stream.show(FAR), restored)
    stream.rise()
    assert l1(stream.show(FAR - 4), restored) < l1(stream.own, restored)  # the next way up begins with its first step
