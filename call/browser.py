"""The page's own connection to its engine, on this machine: camera and microphone in, pictures and sound out.

It is ordinary WebRTC video and sound. Nothing of it goes to the peer.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from call.pace import PACES
from call.sound import Microphone, PageSound
from call.stage import Stage
from talkcodec.clock import CLOCK_HZ
from talkcodec.errors import BitstreamError
from talkcodec.peer.webrtc import offer_loopback
from talkcodec.peer.worker import LatestWorker
from talkcodec.types import Picture

__all__ = ["Browser", "PictureTrack", "in_one_size"]

logger = logging.getLogger(__name__)

_MAX_SIDE_PX = 4096
_SIDE_PX = PACES[0].capture_width_px


class PictureTrack(MediaStreamTrack):
    """The newest picture, as video. Drop policy: a picture that was not taken is replaced by the next.

    While nothing new comes, the last picture is sent again twice a second: a page that came late needs it.
    """

    kind = "video"
    REPEAT_S = 0.5

    def __init__(self) -> None:
        super().__init__()
        self._owner = asyncio.get_running_loop()
        self._fresh = asyncio.Event()
        self._picture: Picture | None = None
        self._start_s = time.monotonic()

    def show(self, picture: Picture) -> None:
        """The next picture (H, W, 3), even sides; from any thread."""
        self._picture = picture
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._owner.call_soon_threadsafe(self._fresh.set)

    async def recv(self) -> VideoFrame:
        """The newest picture."""
        while True:
            if self.readyState != "live":
                raise MediaStreamError
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._fresh.wait(), self.REPEAT_S)
            self._fresh.clear()
            picture = self._picture
            if picture is not None:
                frame = VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = round((time.monotonic() - self._start_s) * CLOCK_HZ)
                frame.time_base = Fraction(1, CLOCK_HZ)
                return frame


def in_one_size(picture: Picture) -> Picture:
    """The camera's picture with its longer side at what the page asks for at first.

    Browsers send smaller pictures while a connection begins and while the machine is busy. To the codec another size is
    another camera: it looks for the face afresh and sends a keyframe, each time.
    """
    height, width = picture.shape[:2]
    scale = _SIDE_PX / max(height, width)
    if scale == 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


class Browser:
    """One open page. It is the stage's viewer until it closes or another page takes over."""

    def __init__(self, stage: Stage, closed: Callable[["Browser"], None]) -> None:
        self._stage, self._closed = stage, closed
        offer_loopback()
        # With aiortc's default policy a second video keeps a transport that is never connected.
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.has_camera = self.has_microphone = False
        self._peer_picture, self._own_picture, self._sound = PictureTrack(), PictureTrack(), PageSound()
        self._microphone = Microphone()
        self._camera: LatestWorker[tuple[VideoFrame, float]] = LatestWorker("camera", self._convert, self._failed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False
        self.connection.on("track", self._track)
        self.connection.on("connectionstatechange", self._changed)

    async def answer(self, offer: str) -> str:
        """The SDP answer: sound, the peer's picture and our own, in this order of the offer's media.

        Raises BitstreamError for an offer that cannot be used.
        """
        try:
            await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            kinds = [transceiver.kind for transceiver in self.connection.getTransceivers()]
            if kinds != ["audio", "video", "video"]:
                raise ValueError(f"media are {kinds}, expected audio, video, video")
            for track in (self._sound, self._peer_picture, self._own_picture):
                self.connection.addTrack(track)
            await self.connection.setLocalDescription(await self.connection.createAnswer())
        except (ValueError, KeyError, IndexError, AttributeError, AssertionError, InvalidStateError) as error:
            await self.close()
            raise BitstreamError(f"the page's offer cannot be used: {error or type(error).__name__}") from error
        return str(self.connection.localDescription.sdp)

    def show(self, picture: Picture) -> None:
        """The peer's next picture."""
        self._peer_picture.show(picture)

    def show_self(self, picture: Picture) -> None:
        """Our own picture as the peer sees it."""
        self._own_picture.show(picture)

    def play(self, samples: npt.NDArray[np.int16], due_s: float) -> None:
        """The peer's sound."""
        self._sound.play(samples, due_s)

    def _track(self, track: MediaStreamTrack) -> None:
        reader = self._see(track) if track.kind == "video" else self._hear(track)
        task = asyncio.ensure_future(reader)
        self._tasks.add(task)
        task.add_done_callback(self._read)

    async def _see(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self.has_camera = True
                    self._camera.submit((frame, time.monotonic()))

    def _convert(self, captured: tuple[VideoFrame, float]) -> None:
        """In the camera's thread."""
        frame, time_s = captured
        if max(frame.width, frame.height) <= _MAX_SIDE_PX and min(frame.width, frame.height) >= 16:
            picture = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            self._stage.capture(in_one_size(picture), time_s)

    async def _hear(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, AudioFrame):
                    self.has_microphone = True
                    # A fifth of a millisecond for 20 ms of sound: not worth a thread's hand-over.
                    for captured_s, samples in self._microphone.blocks(frame, time.monotonic()):
                        self._stage.hear(samples, captured_s)

    def _read(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("the page's camera or microphone cannot be read any more: %s", error)

    def _failed(self, error: Exception) -> None:
        logger.error("a camera picture could not be used: %s", error)

    def _changed(self) -> None:
        if self.connection.connectionState in ("failed", "closed") and not self._ended:
            self._ended = True
            self._closed(self)

    async def close(self) -> None:
        """End the connection."""
        self._ended = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for track in (self._sound, self._peer_picture, self._own_picture):
            track.stop()
        await self.connection.close()
        await asyncio.to_thread(self._camera.close)
