"""A rate: which step it affords, the search for the quality, and what a segment may take."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.codec import BaseConfig, CroppedPicture, EncoderConfig, Rung, fitting
from talkcodec.codec.base import BaseEncoder
from talkcodec.codec.choice import keyframe_picture
from talkcodec.codec.fitting import RateFitter, coded_of, in_segments
from talkcodec.codec.ladder import LADDER, Fit, base_bytes, cheaper, config_for_rate, dearer, fit_quality
from talkcodec.errors import ConfigError
from talkcodec.picture import open_still
from talkcodec.types import Crop
from tests.codec.fake_engine import SIZE, blob_picture

CONFIG = EncoderConfig()


def cut(x: int, crop: Crop) -> CroppedPicture:
    noise = np.random.default_rng(x).integers(-40, 40, (SIZE, SIZE, 1))
    picture = np.clip(blob_picture(x, 30, 80) + noise, 0, 255).astype(np.uint8)
    return CroppedPicture(picture, crop, (SIZE, SIZE), True, 0.0)


def segment(count: int, fps: float = 25, moves: int = 0) -> list[fitting.TimedPicture]:
    every = count // (moves + 1)
    return [(n / fps, cut(20 + n % 20, Crop(n // every, 0, SIZE))) for n in range(count)]


def test_the_ladder_rises() -> None:
    assert [step.bitrate_bps for step in LADDER] == sorted({step.bitrate_bps for step in LADDER})
    cost = [step.size**2 * step.fps for step in LADDER]
    assert cost == sorted(cost)


def _cost(base: BaseConfig) -> float:
    return base.size**2 * base.fps


@given(st.floats(1000, 1e7), st.sampled_from([None, *Rung]), st.sampled_from([64, 256, 512]))
def test_every_rate_has_a_configuration(bitrate_bps: float, rung: Rung | None, size: int) -> None:
    config = config_for_rate(bitrate_bps, CONFIG, size, rung)
    assert rung is None or config.rung is rung
    if config.rung is Rung.VIDEO:
        assert config.base.size == size
    assert config.min_keyframe_interval_s >= CONFIG.min_keyframe_interval_s
    assert replace(config, still_quality=60).still_quality == 60
    for lower in cheaper(config, size):
        assert lower.rung is config.rung
        assert (_cost(lower.base), lower.still_quality) < (_cost(config.base), config.still_quality)
        assert lower.base.size <= config.base.size
        assert lower.base.fps <= config.base.fps


def test_rates_choose_their_steps() -> None:
    chosen = [config_for_rate(rate, CONFIG, 256) for rate in (1000, 2800, 5000, 8500, 13_000, 22_000, 70_000, 1e6)]
    assert [(c.rung.value, c.base.size, c.base.fps, c.still_quality) for c in chosen[1:]] == [
        ("hybrid", 96, 6.25, 25), ("hybrid", 128, 8.34, 30), ("hybrid", 128, 8.34, 40), ("hybrid", 128, 12.5, 50),
        ("video", 256, 12.5, 25), ("video", 256, 25, 25), ("video", 256, 25, 25),
    ]  # fmt: skip
    assert chosen[0].rung is Rung.MOTION
    with pytest.raises(ConfigError, match="1000"):
        config_for_rate(999, CONFIG, 256)


def test_a_keyframe_quality_that_was_given_is_kept() -> None:
    """Regression: --quality had no effect beside --bitrate."""
    assert config_for_rate(3000, replace(CONFIG, still_quality=70), 256).still_quality == 70
    assert config_for_rate(3000, CONFIG, 256).still_quality == 25


def test_a_recordings_keyframe_shows_nothing_in_the_video_rung_and_a_calls_does() -> None:
    picture = blob_picture(20, 30)
    video = config_for_rate(30_000, CONFIG, 256)
    assert keyframe_picture(picture, config_for_rate(14_000, CONFIG, 256)) is picture
    assert keyframe_picture(picture, replace(video, acknowledged=True)) is picture
    blank = keyframe_picture(picture, video)
    assert blank.shape == picture.shape
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1
    assert np.abs(blank[0, 0] - picture.mean((0, 1))).max() <= 0.5


def test_cheaper_steps_of_each_rung() -> None:
    hybrid = cheaper(config_for_rate(14_000, CONFIG, 256), 256)
    assert [(c.base.size, c.base.fps, c.still_quality) for c in hybrid] == [
        (128, 8.34, 40), (128, 8.34, 30), (96, 6.25, 25), (96, 6.25, 10), (80, 5, 10),
    ]  # fmt: skip
    video = cheaper(config_for_rate(80_000, CONFIG, 256), 256)
    assert [(c.base.size, c.base.fps) for c in video] == [(256, 12.5), (256, 8.34), (256, 6.25), (256, 5)]
    assert cheaper(hybrid[-1], 256) == []


# ---- the search


Measure = Callable[[Sequence[CroppedPicture], BaseConfig], int]


def search(measure: Measure, target: float, start: float = 10) -> tuple[Fit, list[float]]:
    tried: list[float] = []

    def counted(pictures: Sequence[CroppedPicture], config: BaseConfig) -> int:
        tried.append(config.quality)
        return measure(pictures, config)

    return fit_quality([], BaseConfig(quality=start), target, measure=counted), tried


@given(
    st.dictionaries(st.integers(0, 200), st.integers(1, 10**7), max_size=8), st.integers(1, 10**7),
    st.floats(0.5, 1e7), st.integers(0, 200),
)  # fmt: skip
def test_the_search_ends_with_the_best_that_it_saw_whatever_it_measures(
    sizes: dict[int, int], otherwise: int, target: float, start: int
) -> None:
    def size_of(quality: float) -> int:
        return sizes.get(round(2 * quality), otherwise)

    fit, tried = search(lambda _, config: size_of(config.quality), target, start / 2)
    assert 1 <= len(tried) <= 5
    assert len(set(tried)) == len(tried)
    assert all(0 <= quality <= 100 and 2 * quality == round(2 * quality) for quality in tried)
    assert fit.size_bytes == size_of(fit.base.quality)
    miss = abs(np.log(fit.size_bytes / target))
    assert all(miss <= abs(np.log(size_of(quality) / target)) + 1e-9 for quality in tried)


@given(st.floats(100, 50_000), st.floats(0.025, 0.09), st.floats(0, 90), st.integers(0, 100))
def test_a_smooth_growth_is_met_to_a_few_per_cent(floor: float, growth: float, wanted: float, start: int) -> None:
    def measure(_: Sequence[CroppedPicture], config: BaseConfig) -> int:
        return round(floor * np.exp(growth * config.quality))

    target = floor * np.exp(growth * wanted)
    fit, _ = search(measure, target, start)
    assert fit.size_bytes == pytest.approx(target, rel=0.05)


def test_targets_out_of_reach_end_at_the_ends() -> None:
    def measure(_: Sequence[CroppedPicture], config: BaseConfig) -> int:
        return round(1000 * np.exp(0.04 * config.quality))

    low, tried = search(measure, 10)
    assert (low.base.quality, len(tried)) == (0, 2)
    assert search(measure, 1e9)[0].base.quality == 100


# ---- segments


def test_segments_say_which_is_the_last() -> None:
    frames = segment(10)
    pieces = list(in_segments(iter(frames), 0.12))
    assert [len(piece) for piece, _ in pieces] == [3, 3, 3, 1]
    assert [last for _, last in pieces] == [False, False, False, True]
    assert [frame for piece, _ in pieces for frame in piece] == frames
    assert [len(piece) for piece, _ in in_segments(frames, 0.0)] == [1] * 10
    assert list(in_segments([], 1.0)) == []


def test_the_last_frame_is_coded() -> None:
    times = [time for time, _ in coded_of(segment(8), BaseConfig(32, 12.5))]
    assert times == [0, 0.08, 0.16, 0.24, 0.28]


def test_moved_crops_count_with_the_fresh_starts_that_they_bring() -> None:
    still = [picture for _, picture in segment(40)]
    moving = [picture for _, picture in segment(40, moves=3)]
    config = BaseConfig(32, 25, 10)
    encoder = BaseEncoder(config)
    units = [encoder.encode(each.picture, 0, each.crop) for each in moving]
    encoder.close()
    assert sum(unit.start is not None for unit in units) == 4
    assert base_bytes(moving, config) == sum(len(unit.data) + (8 if unit.start else 1) for unit in units)
    assert base_bytes(moving, config) > base_bytes(still, config) + 3 * 20


def test_a_rate_below_the_floor_steps_down_and_ends_at_the_cheapest() -> None:
    config = config_for_rate(14_000, CONFIG, SIZE)
    frames = segment(100)

    def fitted(bitrate_bps: float) -> EncoderConfig:
        return RateFitter(bitrate_bps, config).fit(frames, 4.0, 0)

    rich, poor = fitted(14_000), fitted(1000)
    assert (rich.base.size, rich.base.fps, rich.still_quality) == (32, 12.5, 50)
    cheapest = cheaper(config, SIZE)[-1]
    assert (poor.base.size, poor.base.fps) == (cheapest.base.size, cheapest.base.fps)
    assert (poor.base.quality, poor.still_quality) == (0, 10)
    assert 6.25 <= fitted(5000).base.fps <= 12.5


def test_what_hardly_moves_climbs_the_ladder_and_stays_there() -> None:
    rate = 14_000
    config, above = config_for_rate(rate, CONFIG, SIZE), dearer(rate, CONFIG, SIZE)
    assert [(step.rung, step.base.fps) for step in above] == [(Rung.VIDEO, 12.5)]
    frames = segment(100)
    still = [(time, frames[0][1]) for time, _ in frames]
    later = [(time + 4.0, picture) for time, picture in still]

    fitter = RateFitter(rate, config, above)
    assert fitter.fit(still, 4.0, 0).rung is Rung.VIDEO
    assert fitter.fit(later, 8.0, 4000).rung is Rung.VIDEO
    assert RateFitter(rate, config).fit(still, 4.0, 0).rung is Rung.HYBRID
    poor = config_for_rate(2_900, CONFIG, SIZE)
    assert RateFitter(2_900, poor, dearer(2_900, CONFIG, SIZE)).fit(frames, 4.0, 0).rung is Rung.HYBRID


def test_a_keyframe_takes_no_more_of_a_short_film_than_is_fair() -> None:
    frames = segment(50)
    config = config_for_rate(14_000, CONFIG, SIZE)
    still = len(open_still(config.still).encode(frames[0][1].picture, config.still_quality))
    rich, poor = (RateFitter(rate, config).fit(frames, 2.0, 0) for rate in (8 * 2 * still, 2 * still))
    assert (rich.still_quality, poor.still_quality) == (50, 20)


def test_what_one_segment_missed_the_next_makes_good() -> None:
    config = config_for_rate(12_000, CONFIG, SIZE)
    frames = segment(50)
    later = [(time + 2.0, picture) for time, picture in frames]

    def quality_after(spent_bytes: int) -> float:
        fitter = RateFitter(12_000, config)
        fitter.fit(frames, 2.0, 0)
        return fitter.fit(later, 4.0, spent_bytes).base.quality

    assert quality_after(4000) > quality_after(4300) > quality_after(4600)
