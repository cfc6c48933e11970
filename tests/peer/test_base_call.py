"""Base pictures over real connections: a hybrid call, rungs that change while it runs, and a peer that knows none."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEngine, colour_at
from pair import CONFIG, Pair, connected
from waiting import eventually

from talkcodec.codec import BaseConfig, Rung
from talkcodec.peer.report import CallMeter, status_line
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.relay import Relay
from talkcodec.types import Kind, PlayedPicture

HYBRID = replace(CONFIG, encoder=replace(CONFIG.encoder, rung=Rung.HYBRID, base=BaseConfig(32, 10, 60)))
CLOSE = 10
"""Levels: coding, and rounding of times."""


def level_error(played: PlayedPicture) -> float:
    """How far the brightness is from that of the picture's time; 0 near the test picture's jump."""
    near = round(played.shown_s * 90_000)
    time_s = (near + ((played.timestamp - near + 2**31) % 2**32) - 2**31) / 90_000
    if not 0.3 < time_s % 4 < 3.7:
        return 0.0
    return abs(float(played.picture[0, 0, 0]) - float(colour_at(time_s)[0, 0, 0]))


async def test_a_hybrid_call_shows_every_captured_frame() -> None:
    async with connected(config=HYBRID) as pair, pair.feeding():
        await pair.more_pictures(60, kind=Kind.EXACT)
        assert pair.a.sending is not None
        assert pair.b.receiving is not None
        assert pair.a.sending.rung is Rung.HYBRID
        played = pair.b.receiving.session.played
        assert played.interpolated >= 0.3 * played.exact
        assert all(picture.motion is None for picture in pair.played["b"])
        assert max(map(level_error, pair.played["b"][20:])) <= CLOSE
        assert pair.a.sending.session.counts.keyframes_sent == 1
        assert "hybrid rung" in status_line(await CallMeter().read(pair.a, "sending"))


async def test_what_restores_base_pictures_is_open_before_the_first_keyframe_is_there() -> None:
    engines = FakeEngine(), FakeEngine()
    async with connected(engines=engines) as pair, pair.feeding():
        await pair.more_pictures(1)
        assert [engine.prepared for engine in engines] == [1, 1]


async def test_a_hybrid_call_lives_on_over_a_network_that_loses_a_tenth() -> None:
    relay = Relay(Impairment(), seed=4)
    async with connected(config=HYBRID, relay=relay) as pair, pair.feeding():
        await pair.more_pictures(20)
        relay.impair(Impairment(loss=0.1, delay_ms=20))
        await eventually(lambda: _asked(pair) >= 2)
        before = len(pair.played["b"])
        await pair.more_pictures(40, kind=Kind.EXACT)
        shown = [picture for picture in pair.played["b"][before:] if picture.kind is Kind.EXACT]
        assert max(map(level_error, shown)) <= CLOSE


def _asked(pair: Pair) -> int:
    assert pair.b.receiving is not None
    return pair.b.receiving.session.counts.base_requests


def _restarts(pair: Pair) -> int:
    assert pair.a.sending is not None
    return pair.a.sending.session.counts.base_restarts


async def test_a_rate_that_changes_in_the_call_changes_the_rung_and_sends_no_keyframe() -> None:
    async with connected(config=replace(CONFIG, bitrate_bps=2000.0)) as pair, pair.feeding():
        assert pair.a.sending is not None
        sending = pair.a.sending
        for kbps, rung in ((2, Rung.MOTION), (6, Rung.HYBRID), (40, Rung.VIDEO), (6, Rung.HYBRID), (2, Rung.MOTION)):
            sending.aim(kbps * 1000)
            await eventually(lambda rung=rung: sending.rung is rung)
            await pair.more_pictures(15, kind=Kind.EXACT)
            assert (pair.played["b"][-1].motion is not None) == (rung is Rung.MOTION)
        assert sending.session.counts.keyframes_sent == 1
        assert _restarts(pair) == 0
        assert pair.results == {}


async def test_a_peer_that_knows_no_base_pictures_is_sent_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkcodec.peer.peer.FEATURE_BASE", 0)  # a Hello as peers said before there were any
    async with connected(config=replace(HYBRID, bitrate_bps=6000.0, rung=Rung.HYBRID)) as pair, pair.feeding():
        assert pair.a.sending is not None
        pair.a.sending.aim(8000)
        await pair.more_pictures(20, kind=Kind.EXACT)
        assert pair.a.sending.rung is Rung.MOTION
        assert all(picture.motion is not None for picture in pair.played["b"])
        assert np.ptp([picture.picture[0, 0, 0] for picture in pair.played["b"]]) > 0
