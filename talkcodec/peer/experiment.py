"""One measured call: two real peers in this process, a relay with bad weather between them, a table row at the end.

Motion and bytes are real. Pictures are detected beforehand, and by default not generated, so that the network is
measured and not this machine.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from talkcodec.codec import CroppedPicture, EncoderConfig
from talkcodec.errors import ClosedError
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.meters import Percentiles
from talkcodec.peer.peer import Peer, Receives, Sends
from talkcodec.peer.receiving import ReceivingEnd
from talkcodec.peer.sending import SendingEnd
from talkcodec.peer.webrtc import WebRtcConnection
from talkcodec.session import PlayedFrames, RateConfig
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.relay import Relay, WireCount
from talkcodec.types import Crop, Drive, Kind, Motion, Picture, PlayedPicture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine, Reference

__all__ = ["CallResult", "Condition", "TracedEngine", "run_call"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A network, the same in both directions; down_s: an outage of this length in the middle of the measurement."""

    name: str
    impairment: Impairment = field(default_factory=Impairment)
    down_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CallResult:
    """What was measured after the warm-up. Rates with IP and UDP headers, keyframes and sound apart; `wire_kbps` is
    both directions, `stun_kbps` the share of ICE's consent checks in it. recovery_ms: end of the outage to the next
    exact frame."""

    condition: str
    seconds: float
    shown: int
    exact: int
    interpolated: int
    concealed: int
    frozen: int
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    playout_delay_ms: float
    wire_up_kbps: float
    wire_down_kbps: float
    wire_kbps: float
    stun_kbps: float
    datagrams_up_per_s: float
    datagrams_down_per_s: float
    unit_bytes: float
    bundle: int
    motion_fps: float
    units_sent: int
    recovery_ms: float | None


class TracedEngine:
    """An engine with the motion of known pictures looked up instead of detected; `generate` may be left out too."""

    def __init__(self, engine: "Engine", frames: Sequence[Picture], generate: bool = False) -> None:
        self.config, self.model_hash, self.name = engine.config, engine.model_hash, engine.name
        self.description = f"{engine.description}, motion traced"
        self._engine, self._really = engine, generate
        self._frames = list(frames)  # kept alive: their ids are the keys
        self._motion = {id(frame): engine.detect(frame) for frame in self._frames}

    def detect(self, picture: Picture) -> Motion:
        """As Engine.detect, and at once for a known picture."""
        known = self._motion.get(id(picture))
        return self._engine.detect(picture) if known is None else known

    def encode_reference(self, picture: Picture, motion: Motion) -> "Reference | Picture":
        """As the engine, or the picture itself."""
        return self._engine.encode_reference(picture, motion) if self._really else picture

    def generate(self, reference: Any, drive: Drive) -> Picture:
        """As the engine, or the reference picture unmoved."""
        picture: Picture = self._engine.generate(reference, drive) if self._really else reference
        return picture


class _WholePicture:
    def __init__(self, size: int) -> None:
        self._size = size

    def crop(self, frame: Picture, time_s: float) -> CroppedPicture:
        return CroppedPicture(frame, Crop(0, 0, self._size), (self._size, self._size), True, 0.0)


class _Watch:
    """Counts what the viewer saw from `since_s` on."""

    def __init__(self) -> None:
        self.since_s = float("inf")
        self.latency_ms = Percentiles(100_000)
        self.last_exact_s = 0.0
        self.first_exact_after: float | None = None
        self.resumed_s: float | None = None

    def shown(self, picture: PlayedPicture) -> None:
        if picture.shown_s < self.since_s:
            return
        if picture.kind is not Kind.FROZEN and picture.latency_ms is not None:
            self.latency_ms.add(picture.latency_ms)
        resumed_s = self.resumed_s
        if picture.kind is Kind.EXACT and resumed_s is not None and self.first_exact_after is None:
            self.first_exact_after = picture.shown_s


async def run_call(
    engine: "Engine | TracedEngine",
    frames: Sequence[Picture],
    condition: Condition,
    *,
    rate: RateConfig | None = None,
    encoder: EncoderConfig | None = None,
    fps: float = 25.0,
    warm_up_s: float = 5.0,
    seconds: float = 20.0,
    seed: int = 1,
    on_picture: Callable[[PlayedPicture], None] | None = None,
) -> CallResult:
    """Send `frames` round and round in real time over a relay with this condition, and measure.

    The call is set up on a good network; the weather begins with the warm-up. Raises ClosedError when no call came
    about. `on_picture` sees every shown picture, warm-up included, in the receiver's worker thread.
    """
    encoder = encoder or EncoderConfig(acknowledged=True, refresh_l1=None)
    relay = Relay(Impairment(), seed=seed)
    await relay.start()
    caller, callee = WebRtcConnection(), WebRtcConnection()
    any_engine: Any = engine
    watch = _Watch()
    config = PeerConfig(encoder=encoder, rate=rate or RateConfig())

    def shown(picture: PlayedPicture) -> None:
        watch.shown(picture)
        if on_picture is not None:
            on_picture(picture)

    sends = Sends(fps, cropper=_WholePicture(engine.config.picture_size))
    a = Peer(any_engine, caller, config, sends=sends)
    b = Peer(any_engine, callee, config, receives=Receives(shown))
    answer = await callee.answer(relay.offer_for_answerer(await caller.offer()))
    await caller.accept(relay.answer_for_offerer(answer))
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(a.run()), asyncio.create_task(b.run())]
    try:
        agreed = asyncio.gather(a.agreed.wait(), b.agreed.wait())
        await asyncio.wait({agreed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if not agreed.done():
            raise ClosedError("the two peers did not come together")
        assert a.sending is not None
        assert b.receiving is not None
        tasks.append(asyncio.create_task(_feed(a.sending, frames, fps)))
        while not b.receiving.session.reference_ids:
            ended = next((task for task in tasks if task.done()), None)
            if ended is not None:
                ended.result()
                raise ClosedError("the call ended before the first keyframe was there")
            await asyncio.sleep(0.02)
        relay.impair(condition.impairment)
        await asyncio.sleep(warm_up_s)
        return await _measure(relay, a.sending, b.receiving, watch, condition, seconds, fps)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(a.close(), b.close())
        relay.close()


async def _feed(sender: SendingEnd, frames: Sequence[Picture], fps: float) -> None:
    """Push the frames in real time, there and back, so that motion has no seam."""
    round_trip = [*frames, *frames[-2:0:-1]]
    start_s, index = time.monotonic(), 0
    while True:
        await asyncio.sleep(max(0.0, start_s + index / fps - time.monotonic()))
        sender.push(round_trip[index % len(round_trip)], start_s + index / fps)
        index += 1


async def _measure(
    relay: Relay,
    sender: SendingEnd,
    receiver: ReceivingEnd,
    watch: _Watch,
    condition: Condition,
    seconds: float,
    fps: float,
) -> CallResult:
    before, units_before = receiver.session.played, sender.session.counts
    wire_before = (relay.forward_count.copy(), relay.back_count.copy())
    watch.since_s = started_s = time.monotonic()
    resumed_s = None
    if condition.down_s:
        await asyncio.sleep(seconds / 2)
        relay.blocked = True
        await asyncio.sleep(condition.down_s)
        relay.blocked = False
        resumed_s = watch.resumed_s = time.monotonic()
        await asyncio.sleep(seconds / 2)
    else:
        await asyncio.sleep(seconds)
    elapsed_s = time.monotonic() - started_s
    played, units = receiver.session.played, sender.session.counts
    up = _rates(wire_before[0], relay.forward_count, elapsed_s)
    down = _rates(wire_before[1], relay.back_count, elapsed_s)
    sent = units.units_sent - units_before.units_sent
    recovery_ms = None
    if resumed_s is not None and watch.first_exact_after is not None:
        recovery_ms = (watch.first_exact_after - resumed_s) * 1000
    counted = _difference(played, before)
    return CallResult(
        condition=condition.name, seconds=elapsed_s, shown=counted.shown, exact=counted.exact,
        interpolated=counted.interpolated, concealed=counted.concealed, frozen=counted.frozen,
        latency_ms_p50=watch.latency_ms.at(0.5), latency_ms_p95=watch.latency_ms.at(0.95),
        playout_delay_ms=receiver.session.jitter_buffer.delay_ms,
        wire_up_kbps=up[0], wire_down_kbps=down[0], wire_kbps=up[0] + down[0], stun_kbps=up[1] + down[1],
        datagrams_up_per_s=up[2], datagrams_down_per_s=down[2],
        unit_bytes=(units.unit_bytes - units_before.unit_bytes) / max(1, sent),
        bundle=sender.session.plan.bundle, motion_fps=fps / sender.session.plan.every, units_sent=sent,
        recovery_ms=recovery_ms,
    )  # fmt: skip


def _rates(before: WireCount, after: WireCount, seconds: float) -> tuple[float, float, float]:
    """kbit/s in all, kbit/s of STUN, datagrams a second."""
    stun = after.wire_bytes["stun"] - before.wire_bytes["stun"]
    return (
        (after.total_bytes - before.total_bytes) * 8 / 1000 / seconds,
        stun * 8 / 1000 / seconds,
        (after.total_datagrams - before.total_datagrams) / seconds,
    )


def _difference(after: PlayedFrames, before: PlayedFrames) -> PlayedFrames:
    return PlayedFrames(
        after.exact - before.exact,
        after.concealed - before.concealed,
        after.frozen - before.frozen,
        after.interpolated - before.interpolated,
        after.late - before.late,
        after.left_out - before.left_out,
    )
