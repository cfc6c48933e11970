"""Two real peers on loopback in one process, with a relay between them where a test wants one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiortc import RTCSessionDescription
from fakes import FakeEngine, WholePicture, colour_at

from talkcodec.bitstream import Bye
from talkcodec.codec import EncoderConfig, hello_for
from talkcodec.peer.link import Link, LinkConfig, new_connection
from talkcodec.peer.receiving import ReceivingConfig, ReceivingEnd
from talkcodec.peer.sending import SendingConfig, SendingEnd
from talkcodec.transport.relay import Relay
from talkcodec.types import Kind, PlayedPicture

ENCODER = EncoderConfig(acknowledged=True, refresh_l1=None, still="webp", table_id=0)


@dataclass
class Pair:
    """A sends, B receives, or both do both; what was played lies in `played`."""

    a: Link
    b: Link
    played: dict[str, list[PlayedPicture]] = field(default_factory=lambda: {"a": [], "b": []})
    results: dict[str, Any] = field(default_factory=dict)

    async def wait_for(self, condition: Any, timeout_s: float = 120.0) -> None:
        """Until the condition holds; how long that takes is the machine's affair."""
        until = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < until, "the condition did not come true"
            await asyncio.sleep(0.02)

    async def more_pictures(self, count: int, name: str = "b", kind: Kind | None = None) -> None:
        """Until so many more pictures (of a kind) were played."""
        before = len(self.played[name])
        await self.wait_for(
            lambda: sum(kind is None or item.kind is kind for item in self.played[name][before:]) >= count
        )

    @asynccontextmanager
    async def feeding(self, both: bool = False, fps: float = 20.0) -> AsyncIterator[None]:
        """Pictures are captured in real time while the context lasts."""
        ends = [link.sender for link in ((self.a, self.b) if both else (self.a,)) if link.sender is not None]

        async def feed() -> None:
            while True:
                for end in ends:
                    end.push(colour_at(time.monotonic()), time.monotonic())
                await asyncio.sleep(1 / fps)

        task = asyncio.create_task(feed())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def connected(
    *,
    both: bool = False,
    relay: Relay | None = None,
    config: SendingConfig | None = None,
    engines: tuple[FakeEngine, FakeEngine] | None = None,
    link_config: LinkConfig | None = None,
    agree: bool = True,
    cropper: WholePicture | None = None,
) -> AsyncIterator[Pair]:
    engine_a, engine_b = engines or (FakeEngine(), FakeEngine())
    config = config or SendingConfig(encoder=ENCODER)
    pc_a, pc_b = new_connection(), new_connection()

    def attach(name: str, engine: Any, sends: bool, receives: bool) -> Any:
        def on_agreed(link: Link) -> None:
            if sends:
                link.sender = SendingEnd(engine, link.hello, config, cropper or WholePicture())
            if receives:
                assert link.peer_hello is not None
                link.receiver = ReceivingEnd(
                    engine, link.peer_hello, ReceivingConfig(), pair.played[name].append, same_clock=True
                )

        return on_agreed

    hello_a, hello_b = (hello_for(engine, ENCODER) for engine in (engine_a, engine_b))  # type: ignore[arg-type]
    a = Link(pc_a, hello_a, attach("a", engine_a, True, both), link_config)
    b = Link(pc_b, hello_b, attach("b", engine_b, both, True), link_config)
    pair = Pair(a, b)
    a.open_channels()
    await pc_a.setLocalDescription(await pc_a.createOffer())
    offer, answer_for = pc_a.localDescription.sdp, lambda sdp: sdp
    if relay is not None:
        await relay.start()
        offer, answer_for = relay.offer_for_answerer(offer), relay.answer_for_offerer
    await pc_b.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    b.open_channels()
    await pc_b.setLocalDescription(await pc_b.createAnswer())
    await pc_a.setRemoteDescription(RTCSessionDescription(answer_for(pc_b.localDescription.sdp), "answer"))
    tasks = [asyncio.create_task(_run(pair, name, link)) for name, link in (("a", a), ("b", b))]
    try:
        if agree:
            await pair.wait_for(lambda: a.agreed.is_set() and b.agreed.is_set())
        yield pair
    finally:
        for task in tasks:
            if not task.done():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(pc_a.close(), pc_b.close())
        if relay is not None:
            relay.close()


async def _run(pair: Pair, name: str, link: Link) -> None:
    try:
        pair.results[name] = await link.run()
    except Exception as error:
        pair.results[name] = error


def said(pair: Pair, name: str) -> Bye | None:
    result = pair.results[name]
    assert result is None or isinstance(result, Bye)
    return result
