"""A conventional call to compare with: aiortc's own VP8 or H.264, and Opus, over the relay that counts datagrams."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs import h264, vpx
from aiortc.mediastreams import MediaStreamError

from talkcodec.clock import CLOCK_HZ
from talkcodec.media import OPUS_RATE_HZ
from talkcodec.media.sound import BLOCK_SAMPLES
from talkcodec.peer.experiment import speak
from talkcodec.peer.sound import OutgoingSound, SoundConfig
from talkcodec.peer.webrtc import new_connection
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.relay import Relay
from talkcodec.types import Picture, SoundArray

__all__ = ["Conventional", "Seen", "hold_conventional_call"]

_MODULES: dict[str, Any] = {"VP8": vpx, "H264": h264}
_NAMES = ("DEFAULT_BITRATE", "MIN_BITRATE", "MAX_BITRATE")
BLOCK_S = BLOCK_SAMPLES / OPUS_RATE_HZ


@dataclass(frozen=True, slots=True)
class Conventional:
    """codec: of the picture, aiortc's. bitrate_bps: that its encoder is held to; None: the least that aiortc itself
    goes down to. sound: handed to aiortc coded in this way; None: as aiortc codes it, 96 kbit/s, two channels."""

    codec: Literal["VP8", "H264"]
    bitrate_bps: int | None = None
    sound: SoundConfig | None = None

    @property
    def held_bps(self) -> int:
        """What the encoder is asked for."""
        return self.bitrate_bps or int(_MODULES[self.codec].MIN_BITRATE)


@dataclass(slots=True)
class Seen:
    """What one side saw, with the pictures' 90 kHz times, and what crossed the relay meanwhile, kbit/s."""

    pictures: list[tuple[int, Picture]] = field(default_factory=list)
    up_kbps: float = 0.0
    down_kbps: float = 0.0


@contextmanager
def _held_to(call: Conventional) -> Iterator[None]:
    """aiortc has no setting for its encoders' rates: three numbers of the module are others meanwhile."""
    module, bps = _MODULES[call.codec], call.held_bps
    before = {name: getattr(module, name) for name in _NAMES}
    try:
        for name in _NAMES:
            setattr(module, name, bps)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


class _Paced(MediaStreamTrack):
    """Hands something out every `period_s`."""

    def __init__(self, period_s: float) -> None:
        super().__init__()
        self._period_s, self._number, self._start_s = period_s, -1, time.monotonic()

    async def _next(self) -> int:
        if self.readyState != "live":
            raise MediaStreamError
        self._number += 1
        await asyncio.sleep(max(0.0, self._start_s + self._number * self._period_s - time.monotonic()))
        return self._number


class _Camera(_Paced):
    kind = "video"

    def __init__(self, frames: Sequence[Picture], fps: float) -> None:
        super().__init__(1 / fps)
        self._round_trip, self._ticks = [*frames, *frames[-2:0:-1]], round(CLOCK_HZ / fps)

    async def recv(self) -> av.VideoFrame:
        number = await self._next()
        frame = av.VideoFrame.from_ndarray(self._round_trip[number % len(self._round_trip)], format="rgb24")
        frame.pts, frame.time_base = number * self._ticks, Fraction(1, CLOCK_HZ)
        return frame


class _Microphone(_Paced):
    kind = "audio"

    def __init__(self, speech: Sequence[SoundArray]) -> None:
        super().__init__(BLOCK_S)
        self._speech = speech

    async def recv(self) -> av.AudioFrame:
        number = await self._next()
        frame = av.AudioFrame.from_ndarray(self._speech[number % len(self._speech)][None], format="s16", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = number * BLOCK_SAMPLES, OPUS_RATE_HZ, Fraction(1, OPUS_RATE_HZ)
        return frame


async def hold_conventional_call(
    call: Conventional,
    frames: Sequence[Picture],
    speech: Sequence[SoundArray],
    *,
    fps: float = 25.0,
    warm_up_s: float = 8.0,
    seconds: float = 25.0,
) -> Seen:
    """Both sides send the frames there and back and the speech, in real time over a good network; what the second saw
    after the warm-up."""
    relay = Relay(Impairment())
    await relay.start()
    ends, seen = (new_connection(), new_connection()), Seen()
    tasks: list[asyncio.Task[None]] = []
    try:
        with _held_to(call):
            ends[0].on("track", lambda track: tasks.append(_take(track, None)))
            ends[1].on("track", lambda track: tasks.append(_take(track, seen)))
            for end in ends:
                tasks.extend(_send(end, call, frames, speech, fps))
            await ends[0].setLocalDescription(await ends[0].createOffer())
            offer = relay.offer_for_answerer(ends[0].localDescription.sdp)
            await ends[1].setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await ends[1].setLocalDescription(await ends[1].createAnswer())
            answer = relay.answer_for_offerer(ends[1].localDescription.sdp)
            await ends[0].setRemoteDescription(RTCSessionDescription(answer, "answer"))
            while not seen.pictures:
                await asyncio.sleep(0.02)
            await asyncio.sleep(warm_up_s)
            seen.pictures.clear()
            before, started_s = (relay.forward_count.total_bytes, relay.back_count.total_bytes), time.monotonic()
            await asyncio.sleep(seconds)
            took_s = time.monotonic() - started_s
            seen.up_kbps = (relay.forward_count.total_bytes - before[0]) * 8 / 1000 / took_s
            seen.down_kbps = (relay.back_count.total_bytes - before[1]) * 8 / 1000 / took_s
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(end.close() for end in ends))
        relay.close()
    return seen


def _send(
    end: RTCPeerConnection, call: Conventional, frames: Sequence[Picture], speech: Sequence[SoundArray], fps: float
) -> list["asyncio.Task[None]"]:
    """Give the tracks to this end; the tasks that feed them."""
    tasks = []
    if call.sound is None:
        end.addTrack(_Microphone(speech))
    else:
        sound = OutgoingSound(call.sound)
        sound.start(lambda clock: None)
        end.addTrack(sound)
        tasks.append(asyncio.create_task(speak(sound.push, speech)))
    end.addTrack(_Camera(frames, fps))
    mime = f"video/{call.codec}"
    codecs = [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.mimeType == mime]
    next(t for t in end.getTransceivers() if t.kind == "video").setCodecPreferences(codecs)
    return tasks


def _take(track: MediaStreamTrack, seen: Seen | None) -> "asyncio.Task[None]":
    async def take() -> None:
        try:
            while True:
                frame = await track.recv()
                if seen is not None and isinstance(frame, av.VideoFrame):
                    picture = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                    seen.pictures.append((int(frame.pts or 0), picture))
        except MediaStreamError:
            return

    return asyncio.create_task(take())
