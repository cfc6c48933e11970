"""Which step of the ladder a rate affords, and those around it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.codec import BaseConfig, EncoderConfig, Rung
from talkcodec.codec.choice import keyframe_picture
from talkcodec.codec.ladder import LADDER, cheaper, config_for_rate, faster, larger, slower
from talkcodec.errors import ConfigError
from tests.codec.fake_engine import blob_picture

CONFIG = EncoderConfig()


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
    rates = (1000, 2800, 5000, 8500, 13_000, 14_000, 22_000, 70_000, 1e6)
    chosen = [config_for_rate(rate, CONFIG, 256) for rate in rates]
    assert [(c.rung.value, c.base.size, c.base.fps, c.still_quality) for c in chosen[1:]] == [
        ("hybrid", 96, 6.25, 25), ("hybrid", 128, 8.34, 30), ("hybrid", 128, 8.34, 40), ("hybrid", 128, 12.5, 50),
        ("video", 256, 8.34, 25), ("video", 256, 12.5, 25), ("video", 256, 25, 25), ("video", 256, 25, 25),
    ]  # fmt: skip
    assert chosen[0].rung is Rung.MOTION
    known = [config_for_rate(rate, CONFIG, 256, ahead=True) for rate in rates]
    assert [c == k for c, k in zip(chosen, known, strict=True)] == [rate != 14_000 for rate in rates]
    assert (known[5].rung, config_for_rate(14_000, CONFIG, 256, Rung.HYBRID).rung) == (Rung.HYBRID, Rung.HYBRID)
    with pytest.raises(ConfigError, match="1000"):
        config_for_rate(999, CONFIG, 256)


def test_a_keyframe_quality_that_was_given_is_kept() -> None:
    """Regression: --quality had no effect beside --bitrate."""
    assert config_for_rate(3000, replace(CONFIG, still_quality=70), 256).still_quality == 70
    assert config_for_rate(3000, CONFIG, 256).still_quality == 25


def test_a_recordings_keyframe_shows_nothing_in_the_video_rung_and_a_calls_does() -> None:
    picture = blob_picture(20, 30)
    video = config_for_rate(30_000, CONFIG, 256)
    assert keyframe_picture(picture, config_for_rate(13_000, CONFIG, 256)) is picture
    assert keyframe_picture(picture, replace(video, acknowledged=True)) is picture
    blank = keyframe_picture(picture, video)
    assert blank.shape == picture.shape
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1
    assert np.abs(blank[0, 0] - picture.mean((0, 1))).max() <= 0.5


def test_cheaper_steps_of_each_rung() -> None:
    hybrid = cheaper(config_for_rate(13_000, CONFIG, 256), 256)
    assert [(c.base.size, c.base.fps, c.still_quality) for c in hybrid] == [
        (128, 8.34, 40), (128, 8.34, 30), (128, 8.34, 20), (96, 6.25, 25), (96, 6.25, 20), (96, 6.25, 15),
        (96, 6.25, 10), (80, 5, 10),
    ]  # fmt: skip
    video = cheaper(config_for_rate(80_000, CONFIG, 256), 256)
    assert [(c.base.size, c.base.fps) for c in video] == [(256, 12.5), (256, 8.34), (256, 6.25), (256, 5)]
    assert cheaper(hybrid[-1], 256) == []


def test_larger_and_faster_steps() -> None:
    config = config_for_rate(3000, CONFIG, 256)
    assert [(c.rung.value, c.base.size, c.base.fps) for c in larger(config, 256, any_rung=True)] == [
        ("hybrid", 128, 6.25), ("video", 256, 6.25),
    ]  # fmt: skip
    assert [c.base.size for c in larger(config, 256, any_rung=False)] == [128]
    small = config_for_rate(3000, CONFIG, 64)
    assert [c.base.size for c in larger(small, 64, any_rung=True)] == [32, 64]
    video = config_for_rate(25_000, CONFIG, 256)
    assert larger(video, 256, any_rung=True) == []
    without = larger(replace(config, rung=Rung.VIDEO), 256, any_rung=True)
    assert [(c.rung, c.base.size) for c in without] == [(Rung.VIDEO, 128), (Rung.VIDEO, 256)]
    assert [c.base.fps for c in faster(config)] == [8.34, 12.5]
    assert [c.base.fps for c in faster(video)] == [25]
    below = slower(video)
    assert below is not None
    assert (below.rung, below.base.size, below.base.fps) == (Rung.VIDEO, 256, 8.34)
    assert slower(replace(video, base=replace(video.base, fps=5))) is None
