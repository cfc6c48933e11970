"""What a segment of a recording may take, and in which way it is coded."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from talkcodec.clock import ticks
from talkcodec.codec import BaseConfig, CroppedPicture, Decoder, Encoder, EncoderConfig, Rung, fitting
from talkcodec.codec.base import BaseEncoder
from talkcodec.codec.choice import ReferenceChoice
from talkcodec.codec.fitting import RateFitter
from talkcodec.codec.ladder import cheaper
from talkcodec.codec.segment import Segment, TimedPicture, coded_bytes, in_segments
from talkcodec.codec.timeline import TimedDrive, fill_in
from talkcodec.codec.trial import shown_psnr_db
from talkcodec.types import Crop, FloatArray, Picture
from tests.codec.fake_engine import SIZE, FakeEngine, blob_picture

CONFIG = EncoderConfig()


def cut(x: int, crop: Crop) -> CroppedPicture:
    noise = np.random.default_rng(x).integers(-40, 40, (SIZE, SIZE, 1))
    picture = np.clip(blob_picture(x, 30, 80) + noise, 0, 255).astype(np.uint8)
    return CroppedPicture(picture, crop, (SIZE, SIZE), True, 0.0)


def film(count: int, fps: float = 25, moves: int = 0) -> list[TimedPicture]:
    every = count // (moves + 1)
    return [(n / fps, cut(20 + n % 20, Crop(n // every, 0, SIZE))) for n in range(count)]


def segment_of(frames: list[TimedPicture], choice: ReferenceChoice | None = None) -> Segment:
    return Segment(frames, [frames[0][1].picture], choice, 1e6, 1.05, SIZE)


def fitted(bitrate_bps: float, frames: list[TimedPicture], trial: fitting.Trial | None = None) -> EncoderConfig:
    return RateFitter(bitrate_bps, CONFIG, SIZE, trial=trial).fit(frames, frames[-1][0] + 0.04, 0)


# ---- segments


def test_segments_say_which_is_the_last() -> None:
    frames = film(10)
    pieces = list(in_segments(iter(frames), 0.12))
    assert [len(piece) for piece, _ in pieces] == [3, 3, 3, 1]
    assert [last for _, last in pieces] == [False, False, False, True]
    assert [frame for piece, _ in pieces for frame in piece] == frames
    assert [len(piece) for piece, _ in in_segments(frames, 0.0)] == [1] * 10
    assert list(in_segments([], 1.0)) == []


def test_the_last_frame_is_coded() -> None:
    assert list(segment_of(film(8)).coded(BaseConfig(32, 12.5))) == [0, 2, 4, 6, 7]


def test_moved_crops_count_with_the_fresh_starts_that_they_bring() -> None:
    moving = film(40, moves=3)
    config = BaseConfig(32, 25, 10)
    encoder = BaseEncoder(config)
    units = [encoder.encode(each.picture, 0, each.crop) for _, each in moving]
    encoder.close()
    assert sum(unit.start is not None for unit in units) == 4
    size_bytes = coded_bytes(segment_of(moving).coded(config))
    assert size_bytes == sum(len(unit.data) + (8 if unit.start else 1) for unit in units)
    assert size_bytes > coded_bytes(segment_of(film(40)).coded(config)) + 3 * 20


# ---- with the ladder alone


def test_a_rate_below_the_floor_steps_down_and_ends_at_the_cheapest() -> None:
    frames = film(100)
    rich = fitted(13_500, frames)
    poor = RateFitter(13_500, CONFIG, SIZE).fit(frames, 4.0, spent_bytes=7000)
    assert (rich.base.size, rich.base.fps, rich.still_quality) == (32, 12.5, 50)
    cheapest = cheaper(rich, SIZE)[-1]
    assert (poor.base.size, poor.base.fps) == (cheapest.base.size, cheapest.base.fps)
    assert (poor.base.quality, poor.still_quality) == (0, 10)
    assert 5 <= fitted(5000, frames).base.fps <= 12.5


def test_what_one_segment_missed_the_next_makes_good() -> None:
    frames = film(50)
    later = [(time + 2.0, picture) for time, picture in frames]

    def quality_after(spent_bytes: int) -> float:
        fitter = RateFitter(13_000, CONFIG, SIZE)
        fitter.fit(frames, 2.0, 0)
        return fitter.fit(later, 4.0, spent_bytes).base.quality

    assert quality_after(3500) > quality_after(4000) > quality_after(4600)


# ---- with trials


def all_as(shown_db: float) -> FloatArray:
    """The same at each instant."""
    return np.full(9, shown_db, np.float32)


def test_a_gain_must_be_surer_than_chance() -> None:
    """At half of the instants much better and at half much worse is no gain, and a little better everywhere is."""
    frames = [(time, cut(20, Crop(0, 0, SIZE))) for time, _ in film(50)]
    spread = np.tile(np.float32([-4, 5]), 8)
    for gains, rung in ((spread, Rung.HYBRID), (np.full(16, 0.5, np.float32), Rung.VIDEO)):
        trial = partial(lambda gains, _, config, light: 30 + gains * (config.rung is Rung.VIDEO), gains)
        assert fitted(14_000, frames, trial).rung is rung


def test_what_is_shown_better_is_chosen_and_kept() -> None:
    frames = film(100)
    still = [(time, frames[0][1]) for time, _ in frames]
    later = [(time + 4.0, picture) for time, picture in still]

    def likes(rung: Rung, fps: float) -> fitting.Trial:
        return lambda _, config, light: all_as(30.0 + (config.rung is rung) - abs(config.base.fps - fps) / 10)

    for rung, fps in ((Rung.VIDEO, 12.5), (Rung.VIDEO, 25), (Rung.HYBRID, 12.5)):
        fitter = RateFitter(14_000, CONFIG, SIZE, trial=likes(rung, fps))
        for piece, end_s, spent in ((still, 4.0, 0), (later, 8.0, 4000)):
            chosen = fitter.fit(piece, end_s, spent)
            assert (chosen.rung, chosen.base.fps) == (rung, fps)


def test_a_later_segment_that_the_video_rung_cannot_pay_is_restored_with_a_keyframe() -> None:
    """Regression: the video rung was kept, whatever it took."""
    random, whole = np.random.default_rng(1), Crop(0, 0, SIZE)
    frames = [(n / 5, cut(20, whole)) for n in range(100)]
    noise = [random.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8) for _ in frames]
    later = [(20 + n / 5, CroppedPicture(picture, whole, (SIZE, SIZE), True, 0.0)) for n, picture in enumerate(noise)]
    for rung, then in ((None, Rung.HYBRID), (Rung.VIDEO, Rung.VIDEO)):
        fitter = RateFitter(2800, CONFIG, SIZE, rung, lambda _, config, light: all_as(config.rung is Rung.VIDEO))
        assert fitter.fit(frames, 20.0, 0).rung is Rung.VIDEO
        assert fitter.fit(later, 40.0, 11_000).rung is then


def test_finer_keyframes_come_more_rarely() -> None:
    """Regression: those that quality asks for took up to 22 % of the rate instead of 15."""
    frames = [(n / 5, cut(20, Crop(0, 0, SIZE))) for n in range(60)]
    plain = RateFitter(9000, CONFIG, SIZE, Rung.HYBRID).config
    trial: fitting.Trial = lambda _, config, light: all_as(config.still_quality)  # noqa: E731
    finer = RateFitter(9000, CONFIG, SIZE, Rung.HYBRID, trial).fit(frames, 12.0, 0)
    assert (plain.still_quality, finer.still_quality) == (40, 45)
    assert finer.min_keyframe_interval_s == pytest.approx(plain.min_keyframe_interval_s * 45 / 40)


@pytest.mark.parametrize(("rung", "bitrate_bps"), [(Rung.VIDEO, 48_000), (Rung.HYBRID, 16_000)])
def test_fewer_pictures_may_be_a_little_worse_and_more_must_be_better(rung: Rung, bitrate_bps: float) -> None:
    """Fewer in two steps; in the video rung as much worse as in no other."""
    still, random = cut(20, Crop(0, 0, SIZE)), np.random.default_rng(1)
    grain = [random.integers(-10, 11, (SIZE, SIZE, 3)) for _ in range(100)]
    moved = [np.roll(still.picture, n // 2, 1) + each for n, each in enumerate(grain)]
    frames = [(n / 25, replace(still, picture=np.clip(each, 0, 255).astype(np.uint8))) for n, each in enumerate(moved)]

    def fps_where(more_db: float, fewer_db: float) -> float:
        def trial(segment: Segment, config: EncoderConfig, light: bool) -> FloatArray:
            return all_as(30 + more_db * (config.base.fps > usual) + fewer_db * (config.base.fps < usual))

        usual = RateFitter(bitrate_bps, CONFIG, SIZE, rung, lambda *_: all_as(30)).config.base.fps
        fitter = RateFitter(bitrate_bps, CONFIG, SIZE, rung, trial)
        return fitter.fit(frames, frames[-1][0] + 0.04, 0).base.fps / usual

    assert fps_where(0.4, -0.4) == 1
    assert fps_where(0.4, -0.05) == 0.5
    assert fps_where(0.4, -0.2) == (0.5 if rung is Rung.VIDEO else 1)
    assert fps_where(0.6, -0.4) == 2
    frames = [(time, still) for time, _ in frames]  # whose pictures cannot be finer
    assert fps_where(0.4, -0.05) == 1


def test_a_poor_video_rung_gives_way_to_the_keyframe_that_keeps_the_face() -> None:
    """Not one that has bits enough, and not where much would be lost."""
    random, whole = np.random.default_rng(1), Crop(0, 0, SIZE)
    noise = [random.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(100)]
    hard = [(n / 25, CroppedPicture(picture, whole, (SIZE, SIZE), True, 0.0)) for n, picture in enumerate(noise)]
    for kbps, loss_db, rung in ((26, 1.5, Rung.HYBRID), (26, 2.5, Rung.VIDEO), (55, 1.5, Rung.VIDEO)):
        trial = partial(lambda loss, _, config, light: all_as(30 - loss * (config.rung is Rung.HYBRID)), loss_db)
        assert fitted(1000 * kbps, hard, trial).rung is rung


def test_the_beginning_says_how_the_whole_segment_is_coded() -> None:
    """At the quality that the whole of it affords, with keyframes that count as they do there."""
    frames = [(n / 5, cut(20 + 8 * (n % 20 < 10 if n < 100 else 0), Crop(0, 0, SIZE))) for n in range(200)]
    seen: list[int] = []

    def trial(segment: Segment, config: EncoderConfig, light: bool) -> FloatArray:
        seen.append(len(segment.frames))
        return all_as(-abs(config.base.fps - 12.5))

    whole = replace(segment_of(frames), allowed=10_000)
    part = whole.beginning(20.0)
    assert (part.frames, part.allowed, part.part) == (frames[:100], pytest.approx(5000), pytest.approx(0.5))
    config = RateFitter(6000, CONFIG, SIZE).config
    assert part.fit(config).keyframes == pytest.approx(whole.fit(config).keyframes)
    assert part.beginning(20.0) is part
    uneven = replace(whole, frames=frames[:100] + [(20 + n / 25, frames[n][1]) for n in range(100)])  # 20 s, then 4
    assert uneven.beginning(20.0).allowed == pytest.approx(10_000 * 20 / 24, rel=0.01)
    assert replace(whole, frames=[frames[0], *frames[101:]]).beginning(20.0).frames == [frames[0], *frames[101:]]
    chosen = RateFitter(6000, CONFIG, SIZE, Rung.HYBRID, trial).fit(frames, 40.0, 0)
    assert set(seen) == {100}
    assert chosen.base == whole_quality(frames, chosen, 6000 * 40 / 8)


def whole_quality(frames: list[TimedPicture], config: EncoderConfig, allowed: float) -> BaseConfig:
    """The base pictures as they are fitted to all frames, from that configuration on."""
    return replace(segment_of(frames), allowed=allowed).fit(config).config.base


def test_a_rung_or_a_keyframe_quality_that_was_asked_for_is_kept() -> None:
    tried: list[EncoderConfig] = []

    def trial(_: Segment, config: EncoderConfig, light: bool) -> FloatArray:
        tried.append(config)
        return all_as(len(tried))  # each better than the one before

    frames = [(time, cut(20, Crop(0, 0, SIZE))) for time, _ in film(50)]
    RateFitter(14_000, replace(CONFIG, still_quality=33), SIZE, Rung.HYBRID, trial).fit(frames, 2.0, 0)
    assert len(tried) > 1
    assert {config.rung for config in tried} == {Rung.HYBRID}
    assert {config.still_quality for config in tried} == {33}
    tried.clear()
    RateFitter(14_000, CONFIG, SIZE, trial=trial).fit(frames, 2.0, 0)
    assert {config.rung for config in tried} == {Rung.HYBRID, Rung.VIDEO}
    assert len({config.still_quality for config in tried}) > 1


def test_frame_rates_are_compared_without_the_restoration() -> None:
    frames = [(time, cut(20, Crop(0, 0, SIZE))) for time, _ in film(50)]
    for tells in (True, False):
        trial = partial(lambda tells, _, config, light: all_as(30 + (light is tells) * config.base.fps), tells)
        assert (fitted(40_000, frames, trial).base.fps == 25) is tells


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_chosen_that_takes_too_much_whatever_a_trial_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    frames = film(60)
    bitrate_bps = float(random.uniform(4000, 40_000))
    chosen = fitted(bitrate_bps, frames, lambda *_: all_as(random.uniform(20, 40)))
    encoder, size_bytes = Encoder(FakeEngine(), replace(chosen, refresh_l1=None)), 0
    for time_s, picture in frames:
        if encoder.wants(ticks(time_s)) or picture is frames[-1][1]:
            unit = encoder.encode(picture.picture, ticks(time_s), crop=picture.crop)
            assert unit.base is not None
            size_bytes += len(unit.base.data) + (len(unit.keyframe.picture) if unit.keyframe else 0)
    encoder.close()
    assert size_bytes <= 1.06 * bitrate_bps * 2.4 / 8


def test_a_short_film_goes_without_a_keyframe_where_that_shows_it_better() -> None:
    frames = film(25)
    plain = fitted(9000, frames)
    assert plain.rung is Rung.HYBRID
    small: fitting.Trial = lambda _, config, light: all_as(config.rung is Rung.VIDEO and config.base.size < SIZE)  # noqa: E731
    without = fitted(9000, frames, small)
    assert (without.rung, without.base.size < SIZE) == (Rung.VIDEO, True)


@pytest.mark.parametrize(
    ("rung", "size", "fps"), [(Rung.HYBRID, 32, 8.34), (Rung.HYBRID, 24, 25), (Rung.VIDEO, 64, 12.5)]
)
def test_a_trial_measures_what_a_receiver_shows(rung: Rung, size: int, fps: float) -> None:
    frames = film(20, moves=1)  # so few that each is compared
    choice = ReferenceChoice([picture for _, picture in frames])
    config = replace(CONFIG, rung=rung, base=BaseConfig(size, fps, 40), refresh_l1=None)
    engine: Any = FakeEngine()
    encoder, decoder = Encoder(engine, config), Decoder(engine)
    units: list[TimedDrive] = []
    for number, (time_s, picture) in enumerate(frames):
        if number in (0, len(frames) - 1) or encoder.wants(ticks(time_s)):
            reference = partial(choice.at, number)
            unit = encoder.encode(picture.picture, ticks(time_s), crop=picture.crop, reference=reference)
            if unit.keyframe is not None:
                decoder.hold(unit.keyframe)
            units.append(TimedDrive(unit.timestamp, *decoder.drive(unit)))
    encoder.close()
    shown = [decoder.generate(each.reference, each.drive) for each in fill_in(units, 3600)]
    assert len(shown) == len(frames)

    def psnr_db(a: Picture, b: Picture) -> float:
        return float(10 * np.log10(255**2 / np.square(a.astype(np.float64) - b).mean()))

    every = [psnr_db(each, cut.picture) for each, (_, cut) in zip(shown, frames, strict=True)]
    tried = shown_psnr_db(engine, segment_of(frames, choice), config).mean()
    assert tried == pytest.approx(np.mean(every), abs=0.01)
    coarse = shown_psnr_db(engine, segment_of(frames, choice), replace(config, base=BaseConfig(size, fps, 0))).mean()
    assert coarse < tried
