"""One measured call: two real peers in this process, a relay with bad weather between them, a table row at the end.

Units, sound and bytes are real. Motion is detected beforehand, and by default the receiving ends generate nothing, so
that the network is measured and not this machine.
"""

import asyncio
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcodec.clock import CLOCK_HZ, ticks, time32_diff
from talkcodec.codec import CroppedPicture, EncoderConfig
from talkcodec.errors import ClosedError
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.meters import Percentiles
from talkcodec.peer.peer import Peer, Receives, Sends
from talkcodec.peer.webrtc import WebRtcConnection
from talkcodec.session import PlayedFrames, RateConfig
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.relay import Relay, WireCount
from talkcodec.types import Crop, Drive, FloatArray, Kind, Motion, Picture, PlayedPicture, PlayedSound, SoundArray

if TYPE_CHECKING:
    from talkcodec.runtime import Engine, Reference

__all__ = ["CallResult", "Condition", "TracedEngine", "run_call", "speak"]

BLOCK_S = 0.02


@dataclass(frozen=True, slots=True)
class Condition:
    """A network, the same in both directions; down_s: an outage of this length in the middle of the measurement."""

    name: str
    impairment: Impairment = field(default_factory=Impairment)
    down_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CallResult:
    """What was measured after the warm-up, in a two-way call of both directions together. Rates with IP and UDP
    headers; `wire_kbps` is both directions, `stun_kbps` the share of ICE's consent checks in it.

    latency_growth_ms: median of the last quarter less that of the first. mended_ms: how long pictures were not exact
    at a time, p95 and the longest. recovery_ms: end of the outage to the next exact frame. keyframes: that were sent.
    Of the sound, in calls with it: voice_kbps, its bytes before headers; voice_lost: share of its packets that the
    relay lost; voice_made_up: share of its time that was concealed; voice_heard: share of its time that was played,
    concealed or not; voice_latency_ms: capture to when it is to be heard.
    """

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
    latency_growth_ms: float | None = None
    mended_ms_p95: float | None = None
    mended_ms_longest: float | None = None
    keyframes: int = 0
    rung: str = "motion"
    carrier: str = "data-channel"
    voice_kbps: float | None = None
    voice_frame_ms: int | None = None
    voice_lost: float | None = None
    voice_made_up: float | None = None
    voice_heard: float | None = None
    voice_latency_ms_p50: float | None = None
    voice_latency_ms_p95: float | None = None
    lip_sync_ms_p95: float | None = None


class TracedEngine:
    """An engine with the motion of known pictures looked up instead of detected. Unless `generate` is set, receiving
    ends make no pictures, and show the reference: sending ends still do, to find when a keyframe is due."""

    def __init__(self, engine: "Engine", frames: Sequence[Picture], generate: bool = False) -> None:
        self.config, self.model_hash, self.name = engine.config, engine.model_hash, engine.name
        self.description = f"{engine.description}, motion traced"
        self._engine, self._generates = engine, generate
        self._frames = list(frames)  # kept alive: their ids are the keys
        self._motion = {id(frame): engine.detect(frame) for frame in self._frames}
        half = engine.config.picture_size // 2
        self._still: FloatArray = np.zeros((2, half, half), np.float32)

    @property
    def _really(self) -> bool:
        return self._generates or threading.current_thread().name == "encode"

    def prepare(self) -> None:
        """As Engine.prepare."""
        self._engine.prepare()

    def detect(self, picture: Picture) -> Motion:
        """As Engine.detect, and at once for a known picture."""
        known = self._motion.get(id(picture))
        return self._engine.detect(picture) if known is None else known

    def encode_reference(self, picture: Picture, motion: Motion | None) -> "Reference | Picture":
        """As the engine, or the picture itself."""
        return self._engine.encode_reference(picture, motion) if self._really else picture

    def find_flow(self, reference: Any, base: Picture) -> FloatArray:
        """As the engine, or none."""
        return self._engine.find_flow(reference, base) if self._really else self._still

    def generate(self, reference: Any, drive: Drive, *, light: bool = False) -> Picture:
        """As the engine, or the reference picture unmoved."""
        picture: Picture = self._engine.generate(reference, drive, light=light) if self._really else reference
        return picture

    def between(self, a: Picture, b: Picture, share: float) -> Picture:
        """As the engine, or the later one."""
        return self._engine.between(a, b, share) if self._really else b


class _WholePicture:
    def __init__(self, size: int) -> None:
        self._size = size

    def crop(self, frame: Picture, time_s: float) -> CroppedPicture:
        return CroppedPicture(frame, Crop(0, 0, self._size), (self._size, self._size), True, 0.0)


class _Watch:
    """What one viewer saw and heard from `since_s` on."""

    def __init__(self) -> None:
        self.since_s = float("inf")
        self.shown_s, self.latency_ms = array("d"), array("d")  # of each picture; calls of hours are measured too
        self.mended_ms: list[float] = []  # runs of pictures that are not exact
        self.resumed_s: float | None = None
        self.first_exact_s: float | None = None  # after that
        self.voice_ms = array("d")  # latency of each 20 ms
        self._broken_s: float | None = None

    def shown(self, picture: PlayedPicture) -> None:
        """In the worker's thread."""
        if picture.shown_s < self.since_s:
            return
        if picture.kind is not Kind.FROZEN and picture.latency_ms is not None:
            self.shown_s.append(picture.shown_s)
            self.latency_ms.append(picture.latency_ms)
        if picture.kind is not Kind.EXACT:
            self._broken_s = picture.shown_s if self._broken_s is None else self._broken_s
            return
        if self._broken_s is not None:
            self.mended_ms.append((picture.shown_s - self._broken_s) * 1000)
            self._broken_s = None
        if self.resumed_s is not None and self.first_exact_s is None:
            self.first_exact_s = picture.shown_s

    def heard(self, sound: PlayedSound, due_s: float) -> None:
        """On the event loop."""
        if time.monotonic() >= self.since_s:
            self.voice_ms.append(time32_diff(ticks(due_s), sound.timestamp) * 1000 / CLOCK_HZ)


@dataclass(frozen=True, slots=True)
class _Way:
    """One direction of the call: who sends, who receives, and what was counted before the measurement."""

    sender: Peer
    receiver: Peer
    watch: _Watch


async def run_call(
    engine: "Engine | TracedEngine",
    frames: Sequence[Picture],
    condition: Condition,
    *,
    rate: RateConfig | None = None,
    encoder: EncoderConfig | None = None,
    config: PeerConfig | None = None,
    speech: Sequence[SoundArray] = (),
    both: bool = False,
    fps: float = 25.0,
    warm_up_s: float = 5.0,
    seconds: float = 20.0,
    seed: int = 1,
    on_picture: Callable[[PlayedPicture], None] | None = None,
) -> CallResult:
    """Send `frames` round and round in real time over a relay with this condition, and measure.

    config: of the peers, instead of one with `rate` and `encoder`. speech: blocks of 20 ms, sent beside the frames
    again and again. both: each peer sends and receives; else the first sends to the second.
    The call is set up on a good network; the weather begins with the warm-up. Raises ClosedError when no call came
    about, or it ended early. `on_picture` sees every shown picture, warm-up included, in the receiver's worker thread.
    """
    if config is None:
        encoder = encoder or EncoderConfig(acknowledged=True, refresh_l1=None)
        config = PeerConfig(encoder=encoder, rate=rate or RateConfig())
    relay = Relay(Impairment(), seed=seed)
    await relay.start()
    caller, callee = WebRtcConnection(), WebRtcConnection()
    any_engine: Any = engine
    watches = (_Watch(), _Watch())

    def receives(watch: _Watch) -> Receives:
        def shown(picture: PlayedPicture) -> None:
            watch.shown(picture)
            if on_picture is not None:
                on_picture(picture)

        return Receives(shown, watch.heard)

    sends = Sends(fps, bool(speech), cropper=_WholePicture(engine.config.picture_size))
    a = Peer(any_engine, caller, config, sends=sends, receives=receives(watches[0]) if both else None)
    b = Peer(any_engine, callee, config, sends=sends if both else None, receives=receives(watches[1]))
    ways = [_Way(a, b, watches[1]), *([_Way(b, a, watches[0])] if both else [])]
    answer = await callee.answer(relay.offer_for_answerer(await caller.offer()))
    await caller.accept(relay.answer_for_offerer(answer))
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(a.run()), asyncio.create_task(b.run())]
    try:
        agreed = asyncio.gather(a.agreed.wait(), b.agreed.wait())
        await asyncio.wait({agreed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if not agreed.done():
            raise ClosedError("the two peers did not come together")
        for way in ways:
            tasks.append(asyncio.create_task(_feed(way.sender, frames, fps)))
            if speech:
                tasks.append(asyncio.create_task(speak(way.sender.push_sound, speech)))
        while not all(way.receiver.receiving and way.receiver.receiving.session.reference_ids for way in ways):
            ended = next((task for task in tasks if task.done()), None)
            if ended is not None:
                ended.result()
                raise ClosedError("the call ended before the first keyframe was there")
            await asyncio.sleep(0.02)
        relay.impair(condition.impairment)
        await asyncio.sleep(warm_up_s)
        measuring = asyncio.create_task(_measure(relay, ways, condition, seconds, fps))
        await asyncio.wait({measuring, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if not measuring.done():
            measuring.cancel()
            next(task for task in tasks if task.done()).result()
            raise ClosedError("the call ended before its time")
        return measuring.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(a.close(), b.close())
        relay.close()


async def _feed(sender: Peer, frames: Sequence[Picture], fps: float) -> None:
    """Push the frames in real time, there and back, so that motion has no seam."""
    round_trip = [*frames, *frames[-2:0:-1]]
    start_s, index = time.monotonic(), 0
    while True:
        await asyncio.sleep(max(0.0, start_s + index / fps - time.monotonic()))
        sender.push(round_trip[index % len(round_trip)], start_s + index / fps)
        index += 1


async def speak(push: Callable[[SoundArray, float], None], speech: Sequence[SoundArray]) -> None:
    """Push the sound in real time, again and again, each block when it is complete."""
    start_s, index = time.monotonic(), 0
    while True:
        await asyncio.sleep(max(0.0, start_s + (index + 1) * BLOCK_S - time.monotonic()))
        push(speech[index % len(speech)], start_s + index * BLOCK_S)
        index += 1


@dataclass(frozen=True, slots=True)
class _Totals:
    """Of one direction, so far."""

    played: PlayedFrames
    units: int
    unit_bytes: int
    keyframes: int
    voice_bytes: int
    voice_received: int
    voice_made_up_samples: int


def _totals(way: _Way) -> _Totals:
    sending, receiving = way.sender.sending, way.receiver.receiving
    assert sending is not None
    assert receiving is not None
    counts, voice = sending.session.counts, way.receiver.voice_received
    sent = way.sender.sound_sent
    return _Totals(
        receiving.session.played, counts.units_sent, counts.unit_bytes, counts.keyframes_sent,
        0 if sent is None else sent[0], voice.received, voice.concealed_samples,
    )  # fmt: skip


async def _measure(relay: Relay, ways: Sequence[_Way], condition: Condition, seconds: float, fps: float) -> CallResult:
    before = [_totals(way) for way in ways]
    wire_before = (relay.forward_count.copy(), relay.back_count.copy())
    started_s = time.monotonic()
    for way in ways:
        way.watch.since_s = started_s
    if condition.down_s:
        await asyncio.sleep(seconds / 2)
        relay.blocked = True
        await asyncio.sleep(condition.down_s)
        relay.blocked = False
        for way in ways:
            way.watch.resumed_s = time.monotonic()
        await asyncio.sleep(seconds / 2)
    else:
        await asyncio.sleep(seconds)
    elapsed_s = time.monotonic() - started_s
    after = [_totals(way) for way in ways]
    wire_after = (relay.forward_count.copy(), relay.back_count.copy())
    up, down = (_rates(*counts, elapsed_s) for counts in zip(wire_before, wire_after, strict=True))
    pairs = list(zip(before, after, strict=True))

    def grown(name: str) -> int:
        return sum(int(getattr(late, name)) - int(getattr(early, name)) for early, late in pairs)

    def played(name: str) -> int:
        return sum(int(getattr(late.played, name)) - int(getattr(early.played, name)) for early, late in pairs)

    sender, receiver = ways[0].sender.sending, ways[0].receiver.receiving
    assert sender is not None
    assert receiver is not None
    latency = _percentiles([ms for way in ways for ms in way.watch.latency_ms])
    mended = [ms for way in ways for ms in way.watch.mended_ms]
    recovered = [w.first_exact_s - w.resumed_s for w in (way.watch for way in ways) if w.first_exact_s and w.resumed_s]
    units = grown("units")
    sound = ways[0].sender.sound_sent
    return CallResult(
        condition=condition.name, seconds=elapsed_s,
        shown=played("shown"), exact=played("exact"), interpolated=played("interpolated"),
        concealed=played("concealed"), frozen=played("frozen"),
        latency_ms_p50=latency.at(0.5), latency_ms_p95=latency.at(0.95),
        playout_delay_ms=receiver.session.jitter_buffer.delay_ms,
        wire_up_kbps=up[0], wire_down_kbps=down[0], wire_kbps=up[0] + down[0], stun_kbps=up[1] + down[1],
        datagrams_up_per_s=up[2], datagrams_down_per_s=down[2],
        unit_bytes=grown("unit_bytes") / max(1, units), units_sent=units,
        bundle=sender.session.plan.bundle, motion_fps=fps / sender.session.plan.every,
        recovery_ms=max(recovered) * 1000 if recovered else None,
        latency_growth_ms=_growth_ms(ways, started_s, elapsed_s),
        mended_ms_p95=_percentiles(mended).at(0.95), mended_ms_longest=max(mended, default=None),
        keyframes=grown("keyframes"), rung=sender.rung.value, carrier=ways[0].sender.carrier,
        **({} if sound is None else _voice(ways, sound[1], pairs, elapsed_s, wire_before, wire_after)),
    )  # fmt: skip


def _voice(
    ways: Sequence[_Way],
    frame_ms: int,
    pairs: Sequence[tuple[_Totals, _Totals]],
    seconds: float,
    wire_before: Sequence[WireCount],
    wire_after: Sequence[WireCount],
) -> dict[str, Any]:
    """What concerns the sound; all RTP and RTCP is counted as its packets."""
    whole_s = seconds * len(ways)
    sent = sum(
        late.datagrams["rtp"] - early.datagrams["rtp"] for early, late in zip(wire_before, wire_after, strict=True)
    )
    lost = sum(late.lost_rtp - early.lost_rtp for early, late in zip(wire_before, wire_after, strict=True))
    heard = [ms for way in ways for ms in way.watch.voice_ms]
    latency = _percentiles(heard)
    sync = [way.receiver.lip_sync.error_ms.at(0.95) for way in ways]
    return {
        "voice_kbps": sum(late.voice_bytes - early.voice_bytes for early, late in pairs) * 8 / 1000 / whole_s,
        "voice_frame_ms": frame_ms,
        "voice_lost": lost / max(1, sent),
        "voice_made_up": sum(
            late.voice_made_up_samples - early.voice_made_up_samples for early, late in pairs
        ) / 48_000 / whole_s,
        "voice_heard": len(heard) * BLOCK_S / whole_s,
        "voice_latency_ms_p50": latency.at(0.5),
        "voice_latency_ms_p95": latency.at(0.95),
        "lip_sync_ms_p95": max((ms for ms in sync if ms is not None), default=None),
    }  # fmt: skip


def _percentiles(values: Sequence[float]) -> Percentiles:
    made = Percentiles(max(1, len(values)))
    for value in values:
        made.add(value)
    return made


def _growth_ms(ways: Sequence[_Way], started_s: float, seconds: float) -> float | None:
    latency = [shown for way in ways for shown in zip(way.watch.shown_s, way.watch.latency_ms, strict=False)]
    first = _percentiles([ms for at_s, ms in latency if at_s - started_s < seconds / 4]).at(0.5)
    last = _percentiles([ms for at_s, ms in latency if at_s - started_s > seconds * 3 / 4]).at(0.5)
    return None if first is None or last is None else last - first


def _rates(before: WireCount, after: WireCount, seconds: float) -> tuple[float, float, float]:
    """kbit/s in all, kbit/s of STUN, datagrams a second."""
    stun = after.wire_bytes["stun"] - before.wire_bytes["stun"]
    return (
        (after.total_bytes - before.total_bytes) * 8 / 1000 / seconds,
        stun * 8 / 1000 / seconds,
        (after.total_datagrams - before.total_datagrams) / seconds,
    )
