"""A running stream at a rate: quality follows what was measured, rarely; what was learned is kept."""

from collections.abc import Iterator
from itertools import pairwise

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


def held(
    holder: RateHolder, config: EncoderConfig, seconds: float, video_bytes: int, start_s: float
) -> list[EncoderConfig]:
    """What is chosen over time, from `config` on, where pictures of the video rung take so many bytes at any quality,
    and others what they may."""
    seen = [config]
    for number in range(round(seconds * 8)):
        fair = 0.7 * 15_000 / 8 / seen[-1].base.fps
        taken = video_bytes if seen[-1].rung is Rung.VIDEO else round(fair)
        if (changed := holder.took(taken, start_s + number / 8)) is not None:
            seen.append(changed)
    return seen


def test_a_video_rung_that_takes_too_much_at_its_slowest_falls_to_the_hybrid_rung() -> None:
    """Not one that was asked for. It is tried again at a much higher rate."""
    for rung, then in ((None, Rung.HYBRID), (Rung.VIDEO, Rung.VIDEO)):
        holder = RateHolder(EncoderConfig(acknowledged=True), 256)
        seen = held(holder, holder.aim(15_000, rung), 25, 2000, 0.0)
        assert seen[0].rung is Rung.VIDEO
        assert seen[-1].rung is then
        assert {each.rung for each in seen} == {Rung.VIDEO, then}
        assert min(each.base.fps for each in seen if each.rung is Rung.VIDEO) == 5
        assert holder.aim(18_000, rung).rung is then
        assert holder.aim(20_000, rung).rung is Rung.VIDEO


def test_the_video_rung_is_tried_again_ever_more_rarely() -> None:
    """Regression: one hard passage took it away for the rest of a call."""
    holder = RateHolder(EncoderConfig(acknowledged=True), 256)
    seen = held(holder, holder.aim(15_000, None), 600, 2000, 0.0)
    falls = sum(a.rung is Rung.VIDEO and b.rung is Rung.HYBRID for a, b in pairwise(seen))
    assert 3 <= falls <= 6
    easy = held(holder, seen[-1], 600, 150, 600.0)
    assert easy[-1].rung is Rung.VIDEO
    assert sum(a.rung is not b.rung for a, b in pairwise(easy)) == 1


def test_a_fall_below_the_border_counts_once() -> None:
    """Regression: the video rung was out for 120 s after its second fall there, not for 60."""
    holder = RateHolder(EncoderConfig(acknowledged=True), 256)
    start = holder.aim(14_500, None)
    assert start.rung is Rung.VIDEO
    assert held(holder, holder.aim(13_500, None), 25, 2000, 0.0)[-1].rung is Rung.HYBRID
    assert holder._ban_s == 60


def test_a_rate_about_the_border_of_two_rungs_changes_none() -> None:
    """Regression: 39 changes in two minutes."""
    for video_bytes, changes in ((150, 0), (2000, 6)):
        holder = RateHolder(EncoderConfig(acknowledged=True), 256)
        seen = [holder.aim(14_500, None)]
        for turn in range(40):
            seen += held(holder, holder.aim((13_500, 14_500)[turn % 2], None), 3, video_bytes, 3.0 * turn)
        assert sum(a.rung is not b.rung for a, b in pairwise(seen)) <= changes


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


def test_another_face_gets_a_keyframe_in_a_calls_video_rung_where_nobody_sees_it() -> None:
    """Else a fall to another rung showed who was there before."""
    encoder = Encoder(FakeEngine(), EncoderConfig(acknowledged=True))
    encoder.aim(30_000)
    assert encoder.config.rung is Rung.VIDEO
    for number in range(100):
        unit = encoder.encode(blob_picture(30, 30), number * 3600, new_face=number == 60)
        assert (unit.keyframe is not None) == (number in (0, 60))
        if unit.keyframe is not None:
            encoder.held.hold(unit.keyframe.reference_id)
    encoder.close()
