"""A peer on a transport that is neither WebRTC nor simulated, in one direction; and what its callbacks raise."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiortc import MediaStreamTrack
from fakes import FakeEngine, WholePicture, colour_at
from pair import CONFIG, connected
from waiting import eventually, real_time

from talkcodec.bitstream import Bye, KeyframePiece, parse
from talkcodec.errors import ClosedError, ConfigError, MediaError, TalkcodecError
from talkcodec.peer.peer import Peer, Receives, Sends
from talkcodec.session import RateConfig, SenderConfig
from talkcodec.transport.boundary import Traffic, Transport
from talkcodec.types import Delivery, PlayedPicture, WireCost


class Wire:
    """A transport by function call: what one end sends the other has on the next turn of the loop."""

    def __init__(self, largest_payload_bytes: int = 400) -> None:
        self.cost, self.largest_payload_bytes = WireCost(message_overhead_bytes=40), largest_payload_bytes
        self.traffic = Traffic(self.cost)
        self.sent: list[tuple[bytes, Delivery]] = []
        self.other: Wire | None = None

    def attach(
        self, opened: Callable[[], None], received: Callable[[bytes], None], closed: Callable[[str], None]
    ) -> None:
        self.received, self.closed = received, closed
        opened()

    def send(self, data: bytes, delivery: Delivery) -> None:
        assert self.other is not None
        self.traffic.sent(len(data))
        self.sent.append((data, delivery))
        asyncio.get_running_loop().call_soon(self.other.arrived, data)

    def arrived(self, data: bytes) -> None:
        self.traffic.received(len(data))
        self.received(data)

    def backlog_bytes(self, delivery: Delivery) -> int:
        return 0


class WireConnection:
    """A Connection without sound around a Wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    @property
    def transport(self) -> Transport:
        return self.wire

    def carry_sound(self, sound: MediaStreamTrack | None, arrived: object) -> None:
        assert sound is None

    async def wire_bytes(self) -> None:
        return None

    async def close(self) -> None:
        self.wire.closed("the wire was cut")


def wires() -> tuple[Wire, Wire]:
    a, b = Wire(), Wire()
    a.other, b.other = b, a
    return a, b


def peer_on(wire: Wire, **sides: Any) -> Peer:
    return Peer(FakeEngine(), WireConnection(wire), CONFIG, **sides)  # type: ignore[arg-type]


async def test_pictures_cross_any_transport_within_its_payload_and_at_its_cost() -> None:
    wire, far = wires()
    played: list[PlayedPicture] = []
    a = peer_on(wire, sends=Sends(20.0, cropper=WholePicture()))
    b = peer_on(far, receives=Receives(played.append))
    tasks = [asyncio.create_task(peer.run()) for peer in (a, b)]
    async for now_s in real_time(20.0):
        a.push(colour_at(now_s), now_s)
        if len(played) > 8:
            break
    assert (a.receiving, b.sending) == (None, None)
    pieces = [data for data, _ in wire.sent if isinstance(parse(data), KeyframePiece)]
    assert max(map(len, pieces)) <= 400
    assert {delivery for _, delivery in wire.sent} == set(Delivery)
    assert wire.traffic.wire_up_bytes == sum(len(data) + 40 for data, _ in wire.sent)
    assert a.sending is not None
    assert a.sending.session.plan.bundle == 1, "at 40 bytes a message the budget needs no bundling"
    await a.say_bye()
    assert await asyncio.gather(*tasks) == [None, Bye(0, "done")]


async def test_a_transport_that_closes_ends_the_call_with_its_reason() -> None:
    wire, far = wires()
    a = peer_on(wire, sends=Sends(20.0, cropper=WholePicture()))
    b = peer_on(far, receives=Receives(lambda picture: None))
    tasks = [asyncio.create_task(peer.run()) for peer in (a, b)]
    await asyncio.gather(a.agreed.wait(), b.agreed.wait())
    await b.close()
    with pytest.raises(ClosedError, match="the wire was cut"):
        await tasks[1]
    await a.say_bye()
    await tasks[0]


@pytest.mark.parametrize("raised", [MediaError("the disk is full"), ZeroDivisionError("a fault")])
async def test_what_a_callback_raises_when_the_call_begins_reaches_the_user_and_the_peer(raised: Exception) -> None:
    """Regression: "the channel was closed without a goodbye" was all that anybody heard."""

    def fail() -> None:
        raise raised

    async with connected(agree=False, on_agreed=fail) as pair:
        await pair.over()
        assert pair.results["b"] is raised
        assert isinstance(pair.results["a"], ClosedError)
        assert "a fault on the other side" in str(pair.results["a"])


async def test_what_the_viewer_raises_ends_the_call_with_that() -> None:
    def fail(picture: PlayedPicture) -> None:
        raise MediaError("the window is gone")

    async with connected(on_picture=fail) as pair, pair.feeding():
        await pair.over()
        assert "the window is gone" in str(pair.results["b"])
        assert isinstance(pair.results["a"], TalkcodecError)


async def test_a_source_of_half_a_frame_a_second_makes_a_call() -> None:
    """Regression: its rate was refused inside a callback."""
    wire, far = wires()
    played: list[PlayedPicture] = []
    a = peer_on(wire, sends=Sends(0.5, cropper=WholePicture()))
    b = peer_on(far, receives=Receives(played.append))
    tasks = [asyncio.create_task(peer.run()) for peer in (a, b)]
    await asyncio.gather(a.agreed.wait(), b.agreed.wait())
    a.push(colour_at(0.0), 0.0)
    await eventually(lambda: b.receiving is not None and b.receiving.session.reference_ids)
    a.push(colour_at(2.0), 2.0)  # as such a file has them, only sooner
    await eventually(lambda: played)
    await a.say_bye()
    await asyncio.gather(*tasks)


def test_settings_that_do_not_fit_are_refused_before_anything_connects() -> None:
    with pytest.raises(ConfigError):
        SenderConfig(capture_fps=500.0)
    with pytest.raises(ConfigError):
        replace(CONFIG, rate=RateConfig(budget_bps=10))


async def test_a_source_too_fast_is_refused_when_the_peer_is_made() -> None:
    wire, _ = wires()
    with pytest.raises(ConfigError, match="capture_fps"):
        peer_on(wire, sends=Sends(500.0))
