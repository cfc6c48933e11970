"""Two real peers on loopback in one process, with a relay between them where a test wants one."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from fakes import FakeEngine, WholePicture, colour_at
from waiting import eventually, real_time

from talkcodec.bitstream import Bye
from talkcodec.codec import EncoderConfig
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.peer import Peer, Receives, Sends
from talkcodec.peer.webrtc import WebRtcConnection
from talkcodec.transport.relay import Relay
from talkcodec.types import Kind, PlayedPicture, SoundArray

ENCODER = EncoderConfig(acknowledged=True, refresh_l1=None, still="webp", table_id=0)
CONFIG = PeerConfig(encoder=ENCODER)


def tone_at(time_s: float) -> SoundArray:
    """20 ms of 440 Hz, loud."""
    times = time_s + np.arange(960) / 48_000
    return (8000 * np.sin(2 * math.pi * 440 * times)).astype(np.int16)


@dataclass
class Pair:
    """A sends, B receives, or both do both; what was played lies in `played`."""

    a: Peer
    b: Peer
    played: dict[str, list[PlayedPicture]]
    results: dict[str, Any] = field(default_factory=dict)

    async def more_pictures(self, count: int, name: str = "b", kind: Kind | None = None) -> None:
        """Until so many more pictures (of a kind) were played."""
        before = len(self.played[name])
        await eventually(lambda: sum(kind is None or item.kind is kind for item in self.played[name][before:]) >= count)

    async def over(self, *names: str) -> None:
        """Until these sides, or both, have ended."""
        await eventually(lambda: set(names or ("a", "b")) <= self.results.keys())

    @asynccontextmanager
    async def feeding(self, both: bool = False, fps: float = 20.0) -> AsyncIterator[None]:
        """Pictures are captured in real time while the context lasts."""

        async def feed() -> None:
            async for now_s in real_time(fps):
                for peer in (self.a, self.b) if both else (self.a,):
                    peer.push(colour_at(now_s), now_s)

        async def speak() -> None:
            async for now_s in real_time(50.0):
                for peer in (self.a, self.b) if both else (self.a,):
                    peer.push_sound(tone_at(now_s), now_s)

        tasks = [asyncio.create_task(feed()), asyncio.create_task(speak())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def connected(
    *,
    both: bool = False,
    relay: Relay | None = None,
    config: PeerConfig = CONFIG,
    config_b: PeerConfig | None = None,
    sound: bool = False,
    engines: tuple[FakeEngine, FakeEngine] | None = None,
    agree: bool = True,
    cropper: WholePicture | None = None,
    on_picture: Callable[[PlayedPicture], None] | None = None,
    on_agreed: Callable[[], None] = lambda: None,
) -> AsyncIterator[Pair]:
    """config_b, on_picture, on_agreed: of B. sound: whoever sends pictures sends a tone too."""
    engine_a, engine_b = engines or (FakeEngine(), FakeEngine())
    caller, callee = WebRtcConnection(), WebRtcConnection()
    sends = Sends(20.0, sound, cropper=cropper or WholePicture())
    played: dict[str, list[PlayedPicture]] = {"a": [], "b": []}
    a = Peer(
        engine_a,
        caller,
        config,
        sends=sends,
        receives=Receives(played["a"].append) if both else None,  # type: ignore[arg-type]
    )
    b = Peer(
        engine_b, callee, config_b or config, sends=replace(sends) if both else None,  # type: ignore[arg-type]
        receives=Receives(on_picture or played["b"].append), on_agreed=on_agreed,
    )  # fmt: skip
    pair = Pair(a, b, played)
    offer, answer_for = await caller.offer(), lambda sdp: sdp
    if relay is not None:
        await relay.start()
        offer, answer_for = relay.offer_for_answerer(offer), relay.answer_for_offerer
    await caller.accept(answer_for(await callee.answer(offer)))
    tasks = [asyncio.create_task(_run(pair, name, peer)) for name, peer in (("a", a), ("b", b))]
    try:
        if agree:
            await eventually(lambda: a.agreed.is_set() and b.agreed.is_set())
        yield pair
    finally:
        for task in tasks:
            if not task.done():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(a.close(), b.close())
        if relay is not None:
            relay.close()


async def _run(pair: Pair, name: str, peer: Peer) -> None:
    try:
        pair.results[name] = await peer.run()
    except Exception as error:
        pair.results[name] = error


def said(pair: Pair, name: str) -> Bye | None:
    result = pair.results[name]
    assert result is None or isinstance(result, Bye)
    return result
