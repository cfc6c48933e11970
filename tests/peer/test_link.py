"""Real peers on loopback: handshake, pictures, two-way call, bad weather, hostile peer, clean ends."""

import asyncio
import random
import time
from dataclasses import replace

import aioice.ice
import pytest
from fakes import SIZE, FakeEngine, WholePicture, colour_at
from pair import CONFIG, ENCODER, connected, said
from waiting import eventually

from talkcodec.bitstream import Bye, KeyframePiece
from talkcodec.errors import ClosedError, MismatchError
from talkcodec.peer.config import LinkConfig, PeerConfig
from talkcodec.peer.link import Link
from talkcodec.peer.webrtc import WebRtcConnection, new_connection
from talkcodec.session import RateConfig
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.relay import Relay
from talkcodec.types import Delivery, Kind


async def test_pictures_cross_and_resemble_what_was_sent() -> None:
    async with connected() as pair:
        async with pair.feeding():
            await pair.more_pictures(15, kind=Kind.EXACT)
        await pair.a.say_bye()
        await pair.over()
        assert said(pair, "b") == Bye(0, "done")
        assert said(pair, "a") is None
        for item in [item for item in pair.played["b"] if item.kind is Kind.EXACT]:
            assert item.latency_ms is not None
            sent = colour_at(item.shown_s - item.latency_ms / 1000)
            assert item.picture.shape == (SIZE, SIZE, 3)
            # The colour tells the time: 44 levels a second; quantised to 2 levels, shown on a grid of 40 ms.
            assert abs(int(item.picture[0, 0, 0]) - int(sent[0, 0, 0])) < 8 or not 50 < sent[0, 0, 0] < 205


async def test_two_way_call_on_one_connection() -> None:
    async with connected(both=True) as pair, pair.feeding(both=True):
        await asyncio.gather(pair.more_pictures(15, "a"), pair.more_pictures(15, "b"))
        for peer in (pair.a, pair.b):
            assert peer.sending is not None
            assert peer.sending.session.counts.reports > 0
            assert peer.link.malformed == 0


async def test_mismatch_is_told_to_both_sides() -> None:
    async with connected(engines=(FakeEngine(), FakeEngine(b"x" * 32)), agree=False) as pair:
        await pair.over()
        for result in pair.results.values():
            assert isinstance(result, MismatchError)
            assert "model differs" in str(result)


async def test_loss_and_reordering_keep_the_call_running() -> None:
    relay = Relay(Impairment(), seed=3)
    config = PeerConfig(encoder=ENCODER, rate=RateConfig(bundle=1, motion_fps=25))
    async with connected(relay=relay, config=config) as pair, pair.feeding():
        await pair.more_pictures(3)
        assert pair.b.receiving is not None
        session = pair.b.receiving.session
        relay.impair(Impairment(loss=0.1, delay_ms=15, jitter_ms=10, reorder=True))
        await eventually(lambda: session.counts.lost > 5)
        await pair.more_pictures(10, kind=Kind.EXACT)
        assert session.counts.unknown_state == 0
        assert relay.forward_count.lost > 5
        assert relay.forward_count.wire_bytes["dtls"] > 28 * relay.forward_count.datagrams["dtls"]


async def test_outage_is_survived_without_a_new_call() -> None:
    relay = Relay(Impairment())
    async with connected(relay=relay) as pair, pair.feeding():
        await pair.more_pictures(5)
        relay.blocked = True
        await pair.more_pictures(3, kind=Kind.FROZEN)
        relay.blocked = False
        await pair.more_pictures(5, kind=Kind.EXACT)
        assert pair.results == {}


async def test_silence_ends_the_call_with_a_closed_error() -> None:
    relay = Relay(Impairment())
    async with connected(relay=relay, config=replace(CONFIG, link=LinkConfig(silence_timeout_s=0.5))) as pair:
        relay.blocked = True
        await pair.over()
        for result in pair.results.values():
            assert isinstance(result, ClosedError)
            assert "nothing heard" in str(result)


async def test_peer_that_vanishes_ends_the_call() -> None:
    async with connected() as pair:
        await pair.a.connection.close()
        await pair.over("b")
        assert isinstance(pair.results["b"], ClosedError)


async def test_connection_that_never_opens_times_out() -> None:
    connection = WebRtcConnection()
    await connection.offer()
    link = Link(connection.transport, None, lambda link: None, LinkConfig(open_timeout_s=0.1))  # type: ignore[arg-type]
    with pytest.raises(ClosedError, match="--ice-server"):
        await link.run()
    await connection.close()


async def test_requested_keyframe_comes_while_motion_goes_on() -> None:
    async with connected() as pair, pair.feeding():
        await pair.more_pictures(5)
        assert pair.a.sending is not None
        assert pair.b.receiving is not None
        session = pair.b.receiving.session
        session.request_keyframe(4, time.monotonic() * 1000)
        pair.b.link.wake()
        await eventually(lambda: session.counts.keyframes == 2)
        await pair.more_pictures(5, kind=Kind.EXACT)
        assert session.reference_ids == (0, 1), "the reference in use is the last one looked up"
        assert pair.a.sending.session.counts.requests == 1
        assert session.counts.unknown_state == 0


async def test_lost_face_keeps_the_last_picture_alive_and_returns_with_a_keyframe() -> None:
    cropper = WholePicture()
    async with connected(cropper=cropper) as pair, pair.feeding():
        await pair.more_pictures(5)
        sender, receiver = pair.a.sending, pair.b.receiving
        assert sender is not None
        assert receiver is not None
        cropper.missing_s = 1.1
        await eventually(lambda: not sender.face_visible)
        await pair.more_pictures(25)
        start = len(pair.played["b"])
        await pair.more_pictures(5)
        assert len({int(item.picture[0, 0, 0]) for item in pair.played["b"][start:]}) == 1
        cropper.missing_s = 0.0
        await eventually(lambda: receiver.session.counts.keyframes == 2)
        assert sender.face_visible


async def test_hostile_messages_into_a_live_call_are_counted_and_the_call_lives() -> None:
    random_ = random.Random(11)
    async with connected(both=True) as pair, pair.feeding(both=True):
        await asyncio.gather(pair.more_pictures(5, "a"), pair.more_pictures(5, "b"))
        channels = pair.a.connection.transport.inner._channels  # type: ignore[attr-defined]
        control, motion = channels[Delivery.RELIABLE], channels[Delivery.DROPPABLE]
        piece = KeyframePiece(9, 0, 3, bytes(1100))
        for index in range(300):
            junk = bytes(random_.randrange(256) for _ in range(random_.randint(1, 60)))
            kind = index % 6
            if kind == 0:
                motion.send(junk)
            elif kind == 1:
                control.send(junk)
            elif kind == 2:
                motion.send(bytes([0x95, 4, 0, 0xCD]) + junk)
            elif kind == 3:
                control.send("text")
            elif kind == 4:
                pair.a.link.send(piece)
            else:
                motion.send(bytes(5000))
        await eventually(lambda: pair.b.link.malformed > 100)
        await asyncio.gather(pair.more_pictures(10, "a"), pair.more_pictures(10, "b", Kind.EXACT))
        assert pair.results == {}


async def test_flood_of_garbage_ends_the_call() -> None:
    async with connected() as pair:
        pair.b.link.malformed = pair.b.link.limits.malformed - 1
        pair.a.link.transport.send(b"\xc1", Delivery.DROPPABLE)
        await pair.over("b")
        assert isinstance(pair.results["b"], ClosedError)
        assert "malformed" in str(pair.results["b"])


async def test_every_second_packet_is_acknowledged() -> None:
    relay = Relay(Impairment(), seed=1)
    config = PeerConfig(encoder=ENCODER, rate=RateConfig(bundle=1, motion_fps=25))
    async with connected(relay=relay, config=config) as pair, pair.feeding():
        await pair.more_pictures(5)
        assert pair.a.sending is not None
        sent, back = pair.a.sending.session.counts.bundles_sent, relay.back_count.total_datagrams
        await eventually(lambda: pair.a.sending.session.counts.bundles_sent >= sent + 60)
        bundles = pair.a.sending.session.counts.bundles_sent - sent
        acknowledgements = relay.back_count.total_datagrams - back
        assert 0.4 * bundles < acknowledgements < 0.75 * bundles  # reports and ICE's checks go the same way


async def test_a_lost_packet_is_acknowledged_at_once_and_an_odd_one_in_time() -> None:
    async with connected() as pair:
        sctp = pair.b.connection.rtc.sctp  # type: ignore[attr-defined]
        assert sctp is not None
        acknowledged: list[int] = []
        original = sctp._send_chunk

        async def seen(chunk: object) -> None:
            if type(chunk).__name__ == "SackChunk":
                acknowledged.append(sctp._last_received_tsn)
            await original(chunk)  # type: ignore[arg-type]

        sctp._send_chunk = seen  # type: ignore[method-assign]
        await eventually(lambda: sctp._send_sack.__self__._timer is None)  # type: ignore[attr-defined]
        acknowledged.clear()
        await sctp._send_sack()
        assert acknowledged == []
        await eventually(lambda: len(acknowledged) == 1, 5.0)
        sctp._sack_misordered.add((sctp._last_received_tsn + 5) % 2**32)
        await sctp._send_sack()
        assert len(acknowledged) == 2
        sctp._sack_misordered.clear()


async def test_a_machine_without_a_network_offers_loopback_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: no call at all, not even with oneself, on a machine that is offline."""
    new_connection()  # from here on aioice asks us
    ours = aioice.ice.get_host_addresses
    monkeypatch.setattr("ifaddr.get_adapters", lambda: [])
    assert ours(True, True) == ["127.0.0.1"]
    monkeypatch.undo()
    assert aioice.ice.get_host_addresses is ours
    new_connection()
    assert aioice.ice.get_host_addresses is ours, "replaced once, however many connections there are"
    monkeypatch.setattr("ifaddr.get_adapters", lambda: [])
    async with connected() as pair, pair.feeding():
        await pair.more_pictures(3)
