"""Base pictures in a call: in order, each once, soon mended after a loss, and no garbage whatever the network does."""

from itertools import pairwise

import pytest
from base_simulation import BaseCall, kinds

from talkcodec.bitstream import BundlePiece, MotionBundle
from talkcodec.session import RateConfig, SenderConfig
from talkcodec.transport.impairment import Impairment
from talkcodec.types import Kind

CLOSE = 8.0
"""Levels of brightness: coding, and the mean of two neighbours at a turn of the ramp."""


def test_a_clean_network_shows_every_captured_frame_between_two_base_pictures() -> None:
    call = BaseCall()
    call.run(12)
    played = call.receiver.played
    assert played.exact >= 25 * 10.5
    assert played.concealed + played.frozen <= 3
    assert played.interpolated >= 0.45 * played.exact
    assert call.worst_level(Kind.EXACT) < CLOSE
    assert call.failed == 0
    assert call.requests == []
    assert call.receiver.jitter_buffer.delay_ms < 130, "one base period and no more"
    late = [base for at_ms, base in call.coded if base.start is not None and at_ms > 1000]
    assert late == [], "no fresh start that nobody asked for"


@pytest.mark.parametrize(
    "weather",
    [
        Impairment(loss=0.05, delay_ms=40),
        Impairment(loss=0.05, burst_length=4, delay_ms=40),
        Impairment(loss=0.02, delay_ms=30, jitter_ms=30, reorder=True),
    ],
)
@pytest.mark.parametrize("repeat", [False, True])
def test_losses_are_mended_and_nothing_wrong_is_shown(weather: Impairment, repeat: bool) -> None:
    call = BaseCall(weather, sender_config=SenderConfig(repeat=repeat), seed=7)
    call.run(60)
    share = kinds(call.shown)
    shown = sum(share.values())
    assert call.worst_level(Kind.EXACT) < CLOSE
    assert call.failed == 0, "the order is put right before the decoder"
    assert share[Kind.FROZEN] <= (0.03 if weather.burst_length == 1 else 0.06) * shown
    if repeat and weather.burst_length == 1:
        assert share[Kind.CONCEALED] + share[Kind.FROZEN] <= 0.03 * shown
    restarts = sum(base.start is not None for at_ms, base in call.coded if at_ms > 2000)
    assert restarts <= len(call.requests)


def test_the_base_is_whole_again_a_round_trip_and_120_ms_after_a_loss_is_noticed() -> None:
    call = BaseCall(Impairment(delay_ms=100))
    call.run(5)
    took = []
    for _ in range(8):
        before = len(call.messages)
        call.network.go_down(call.now_ms / 1000, call.now_ms / 1000 + 0.085)  # one picture, or two
        call.run(2)
        arrived = [(at, m.sequence) for at, m in call.messages[before:] if isinstance(m, MotionBundle)]
        noticed_ms = next(at for (_, a), (at, b) in pairwise(arrived) if b != a + 1)
        mended_ms = next(at for (_, a), (at, b) in pairwise(arrived) if b <= a)
        took.append(mended_ms - noticed_ms)
    assert max(took) <= 200 + 120
    assert call.failed == 0
    assert [base for at_ms, base in call.coded if base.start is not None and at_ms > 1000] == []


def test_duplicates_are_decoded_once() -> None:
    call = BaseCall(Impairment(delay_ms=20))
    send = call.send
    call.send = lambda end, data, delivery: [send(end, data, delivery) for _ in range(2)]  # type: ignore[method-assign, assignment]
    call.run(10)
    assert call.failed == 0
    assert call.decoded <= len(call.coded)
    assert call.receiver.played.exact >= 25 * 8.5


def test_a_change_of_rung_costs_no_keyframe_and_stands_no_frame_still() -> None:
    call = BaseCall(rate=RateConfig(bundle=1))
    for rung in ("base", "motion", "base", "motion", "base"):
        call.rung = rung
        call.run(4)
    assert call.keyframes == 1
    assert call.requests == []
    assert call.failed == 0
    steady = [item for item in call.shown if item[0] > 1000]
    share = kinds(steady)
    assert share[Kind.FROZEN] == 0
    assert share[Kind.CONCEALED] <= 4 * 3, "a few frames around each change"
    assert {frame.drive.base is None for _, frame in steady} == {True, False}
    assert all(frame.drive.base is not None or frame.drive.motion is not None for _, frame in steady)


def test_long_pictures_cross_in_pieces() -> None:
    call = BaseCall(Impairment(loss=0.01, delay_ms=20), noise=90, quality=90.0)
    call.run(15)
    pieces = [message for _, message in call.messages if isinstance(message, BundlePiece)]
    assert pieces
    assert call.decoded > 100
    assert call.receiver.played.frozen <= 0.1 * call.receiver.played.shown
    assert call.failed == 0
