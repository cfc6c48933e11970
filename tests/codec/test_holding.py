"""A running stream at a rate: quality follows what was measured, rarely; what was learned is kept."""

from collections.abc import Iterator

import numpy as np
import pytest

from talkcodec.codec import Decoder, Encoder, EncoderConfig, Rung
from talkcodec.codec.holding import RateHolder
from tests.codec.fake_engine import SIZE, FakeEngine, blob_picture

FPS = 12.5


def run(holder: RateHolder, seconds: float, bytes_at: dict[float, float], start_s: float = 0.0) -> Iterator[float]:
    """Qualities over time of a coder whose pictures have 20 bytes at quality 0 and grow by 4.5 % with each step."""
    quality = bytes_at["quality"]
    for number in range(round(seconds * FPS)):
        changed = holder.took(round(20 * np.exp(0.045 * quality)), start_s + number / FPS)
        if changed is not None:
            quality = bytes_at["quality"] = changed.base.quality
            yield quality


def test_the_quality_comes_to_rest_where_the_rate_is_met() -> None:
    holder = RateHolder(EncoderConfig(), 256)
    config = holder.aim(15_000, Rung.HYBRID)
    assert config.base.fps == FPS
    state = {"quality": config.base.quality}
    changes = list(run(holder, 60, state))
    assert 1 <= len(changes) <= 4
    bps = 8 * FPS * (20 * np.exp(0.045 * state["quality"]) + 13)
    assert bps == pytest.approx(0.85 * 15_000, rel=0.2)


def test_what_was_learned_is_used_when_a_rate_comes_back() -> None:
    holder = RateHolder(EncoderConfig(), 256)
    state = {"quality": holder.aim(9000, None).base.quality}
    list(run(holder, 60, state))
    assert holder.aim(2000, None).rung is Rung.MOTION
    back = holder.aim(9000, None)
    assert (back.rung, back.base.quality) == (Rung.HYBRID, state["quality"])


def test_a_rate_that_falls_is_met_with_the_next_picture() -> None:
    holder = RateHolder(EncoderConfig(), 256)
    state = {"quality": holder.aim(21_000, Rung.HYBRID).base.quality}
    list(run(holder, 60, state))
    assert holder.aim(20_000, Rung.HYBRID).base.quality == state["quality"]
    fallen = holder.aim(14_000, Rung.HYBRID).base
    assert fallen.fps == FPS
    expected = 0.7 * 20 * np.exp(0.045 * state["quality"])
    assert 20 * np.exp(0.045 * fallen.quality) == pytest.approx(expected, rel=0.06)


def test_pictures_that_are_too_long_at_any_quality_become_smaller_or_rarer() -> None:
    holder = RateHolder(EncoderConfig(), 256)
    before = holder.aim(9000, Rung.HYBRID).base
    found = [changed.base for n in range(400) if (changed := holder.took(400, n / FPS)) is not None]
    assert any((base.size, base.fps) != (before.size, before.fps) for base in found)
    assert min(base.size for base in found) >= 16


def test_a_video_rung_that_takes_too_much_at_its_slowest_falls_to_the_hybrid_rung_and_stays_there() -> None:
    """Not one that was asked for; until the rate is much higher."""
    for rung, then in ((None, Rung.HYBRID), (Rung.VIDEO, Rung.VIDEO)):
        holder = RateHolder(EncoderConfig(acknowledged=True), 256)
        before = config = holder.aim(15_000, rung)
        assert config.rung is Rung.VIDEO
        seen = []
        for n in range(800):
            taken = 2000 if config.rung is Rung.VIDEO else 150
            if (changed := holder.took(taken, n / FPS)) is not None:
                config = changed
                seen.append(config)
        assert config.rung is then
        assert {each.rung for each in seen} == {Rung.VIDEO, then}
        assert min(each.base.fps for each in seen if each.rung is Rung.VIDEO) == 5
        assert holder.aim(18_000, rung).rung is then
        assert holder.aim(20_000, rung).rung is Rung.VIDEO
        assert before.min_keyframe_interval_s < 60


def test_a_rate_may_change_at_every_picture_and_both_ends_stay_in_step() -> None:
    """Acknowledged as in a call; sizes and rungs change from picture to picture, and nothing is asked for."""
    encoder, decoder = Encoder(FakeEngine(), EncoderConfig(acknowledged=True, refresh_l1=0.06)), Decoder(FakeEngine())
    rng = np.random.default_rng(5)
    keyframes = 0
    for number in range(200):
        encoder.aim(float(rng.choice([1500, 4000, 9000, 25_000, 60_000])))
        unit = encoder.encode(blob_picture(30 + 5 * np.sin(number / 9), 30), number * 3600)
        if unit.keyframe is not None:
            keyframes += 1
            decoder.hold(unit.keyframe)
            encoder.held.hold(unit.keyframe.reference_id)
        shown = decoder.decode(unit)
        assert shown.shape == (SIZE, SIZE, 3)
    encoder.close()
    assert keyframes <= 2
