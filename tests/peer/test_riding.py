"""Messages that ride with the sound between real peers: when they do, what still takes the data channel, who hears."""

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from pair import CONFIG, Pair, connected, tone_at
from waiting import eventually, real_time

from talkcodec.bitstream import KeyframePiece, MotionBundle, ReceiverReport, parse
from talkcodec.peer.peer import Peer
from talkcodec.peer.sound import OutgoingSound, SoundConfig
from talkcodec.peer.webrtc import WebRtcConnection
from talkcodec.transport.with_sound import WithSound
from talkcodec.types import Delivery

BY_CHANNEL = replace(CONFIG, carrier="data-channel")


def channel_traffic(peer: Peer) -> list[Any]:
    """What takes the data channels from now on, as messages."""
    carrier = peer.connection.transport
    assert isinstance(carrier, WithSound)
    sent: list[Any] = []
    original = carrier.inner.send

    def send(data: bytes, delivery: Delivery) -> None:
        sent.append(parse(data))
        original(data, delivery)

    carrier.inner.send = send  # type: ignore[method-assign]
    return sent


def carrying(pair: Pair) -> tuple[bool, bool]:
    carriers = pair.a.connection.transport, pair.b.connection.transport
    return carriers[0].carrying, carriers[1].carrying  # type: ignore[attr-defined]


async def test_motion_and_reports_ride_both_ways_and_keyframes_take_the_channel() -> None:
    async with connected(both=True, sound=True) as pair, pair.feeding(both=True):
        sent = channel_traffic(pair.a), channel_traffic(pair.b)
        await asyncio.gather(pair.more_pictures(30, "a"), pair.more_pictures(30, "b"))
        await eventually(lambda: pair.a.sending.session.counts.reports and pair.b.sending.session.counts.reports)
        assert carrying(pair) == (True, True)
        for messages in sent:
            assert not any(isinstance(message, MotionBundle | ReceiverReport) for message in messages)
        pair.b.request_keyframe()
        await eventually(lambda: any(isinstance(message, KeyframePiece) for message in sent[0]))
        assert pair.a.link.malformed == pair.b.link.malformed == 0


async def test_a_call_one_way_rides_where_the_sound_goes() -> None:
    async with connected(sound=True) as pair, pair.feeding():
        sent = channel_traffic(pair.a), channel_traffic(pair.b)
        await pair.more_pictures(20)
        await eventually(lambda: any(isinstance(message, ReceiverReport) for message in sent[1]))
        assert carrying(pair) == (True, False)
        assert not any(isinstance(message, MotionBundle) for message in sent[0])


@pytest.mark.parametrize(
    ("config", "config_b", "sound"), [(BY_CHANNEL, CONFIG, True), (CONFIG, BY_CHANNEL, True), (CONFIG, CONFIG, False)]
)
async def test_without_sound_or_agreement_the_channel_carries(config: Any, config_b: Any, sound: bool) -> None:
    async with connected(both=True, sound=sound, config=config, config_b=config_b) as pair, pair.feeding(both=True):
        sent = channel_traffic(pair.a), channel_traffic(pair.b)
        await asyncio.gather(pair.more_pictures(20, "a"), pair.more_pictures(20, "b"))
        assert carrying(pair) == (False, False)
        for messages in sent:
            assert any(isinstance(message, MotionBundle) for message in messages)


async def test_while_nobody_speaks_packets_without_sound_carry() -> None:
    async with connected(both=True, sound=True) as pair:
        sent = channel_traffic(pair.a)
        async with asyncio.timeout(60):
            async for now_s in real_time(20.0):
                for peer in (pair.a, pair.b):
                    peer.push(np.full((64, 64, 3), 90, np.uint8), now_s)
                if len(pair.played["b"]) > 20:
                    break
        assert not any(isinstance(message, MotionBundle) for message in sent)


@pytest.mark.parametrize("frame_ms", [20, 60])
async def test_a_stock_receiver_hears_the_sound_that_carries(frame_ms: int) -> None:
    """aiortc's own receiver, jitter buffer and decoder at the other end; every packet carries something."""
    ours, stock = WebRtcConnection(), RTCPeerConnection()
    carrier = ours.transport
    sound = OutgoingSound(SoundConfig(bitrate_bps=16_000, frame_ms=frame_ms), carrier.dress)
    ours.carry_sound(sound, None)
    tracks: list[Any] = []
    stock.on("track", tracks.append)
    await stock.setRemoteDescription(RTCSessionDescription(await ours.offer(), "offer"))
    await stock.setLocalDescription(await stock.createAnswer())
    await ours.accept(stock.localDescription.sdp)
    try:
        await eventually(lambda: ours.rtc.connectionState == stock.connectionState == "connected")
        carrier.carry(lambda: None)
        sound.start(lambda clock: None)
        heard = asyncio.create_task(listen(tracks[0], 60))
        async with asyncio.timeout(60):
            async for now_s in real_time(50.0):
                carrier.send(bytes(range(100)), Delivery.DROPPABLE)
                sound.push(tone_at(now_s), now_s)
                if heard.done():
                    break
        samples = heard.result()
        assert carrier.traffic.sent_bytes >= 60 * 100 * 20 // frame_ms // 2
        spectrum = np.abs(np.fft.rfft(samples[-24_000:] * np.hanning(24_000)))
        assert abs(int(spectrum.argmax()) * 2 - 440) <= 4
        assert samples[-24_000:].std() > 2000
    finally:
        await asyncio.gather(ours.close(), stock.close())


async def listen(track: Any, frames: int) -> np.ndarray:
    heard = [(await track.recv()).to_ndarray().reshape(-1, 2)[:, 0] for _ in range(frames)]
    return np.concatenate(heard).astype(float)
