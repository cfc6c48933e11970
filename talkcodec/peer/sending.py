"""The sending end on a connection: pictures come in from any thread, messages go out on the loop's.

push -> worker thread: crop, encode -> event loop: Sender -> transport
"""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from talkcodec.bitstream import BaseRequest, Hello, KeyframeAck, KeyframeRequest, ReceiverReport
from talkcodec.clock import ticks
from talkcodec.codec import CroppedPicture, Encoder, FaceCropper, Rung
from talkcodec.codec.ladder import config_for_rung
from talkcodec.coding import AccessUnit
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.meters import Percentiles
from talkcodec.peer.worker import WorkingEnd
from talkcodec.session import Outgoing, Sender
from talkcodec.types import Picture, WireCost

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Cropper", "SendingEnd"]

logger = logging.getLogger(__name__)


class Cropper(Protocol):
    """What cuts the codec's square out of a captured frame."""

    def crop(self, frame: Picture, time_s: float) -> CroppedPicture:
        """The square of the next captured frame (H, W, 3), RGB, 0 to 255, and its media time."""
        ...


@dataclass(frozen=True, slots=True)
class _Captured:
    picture: Picture
    timestamp: int
    capture_s: float


class SendingEnd(WorkingEnd[_Captured]):
    """One encoder and one Sender for one connection; make a new one for the next connection.

    `push` may be called from any thread; all else belongs to the event loop. Drop policy: one picture waits for the
    encoder, a newer one replaces it.
    """

    def __init__(
        self,
        engine: "Engine",
        hello: Hello,
        config: PeerConfig,
        cropper: Cropper | None = None,
        cost: WireCost = WireCost(),  # noqa: B008 (frozen)
        shows_base: bool = True,
    ) -> None:
        """`hello` is ours. cost: of the transport, for rate control. shows_base: the peer decodes base pictures; else
        it is sent motion, whatever is asked for."""
        self.config = config
        self._shows_base = shows_base
        encoder = config.encoder if shows_base else replace(config.encoder, rung=Rung.MOTION)
        if config.rung is not None and config.bitrate_bps is None and shows_base:
            encoder = config_for_rung(config.rung, encoder, engine.config.picture_size)
        self._engine = engine
        self._encoder = Encoder(engine, encoder)
        if config.bitrate_bps is not None and shows_base:
            self._encoder.aim(config.bitrate_bps, config.rung)
        self.session = Sender(hello, self._encoder.held, config.sender, config.rate, config.limits, cost)
        self._cropper = cropper or FaceCropper(engine.config.picture_size)
        self._face_lost = False
        self._wish = threading.Event()  # a keyframe is to be made; cleared by the worker that makes it
        self._wished = False  # the session's present wish was passed on
        self._restart = threading.Event()  # the base is to start afresh; cleared by the worker that does it
        self._restarting = False  # the session's present wish for that was passed on
        self._last_unit: AccessUnit | None = None
        self.encode_ms = Percentiles()
        self.frames_captured = 0
        self.face_visible = True
        self.keyframe_sent_s: float | None = None
        super().__init__("encode", self._encode, self._encode_failed)

    @property
    def rung(self) -> Rung:
        """What is sent at present."""
        return self._encoder.config.rung

    def aim(self, bitrate_bps: float, rung: Rung | None = None) -> None:
        """As Encoder.aim, from the next picture on; on the event loop. A peer without base pictures gets motion."""
        if self._shows_base:
            self._worker.order(lambda: self._encoder.aim(bitrate_bps, rung))

    def push(self, picture: Picture, capture_s: float) -> None:
        """A captured frame (H, W, 3), RGB, 0 to 255, and its time on the monotonic clock. From any thread."""
        if self._running:
            self._loop.call_soon_threadsafe(self._push, picture, capture_s)

    def _push(self, picture: Picture, capture_s: float) -> None:
        timestamp = ticks(capture_s)
        self.frames_captured += 1
        if not self._running:
            return
        if self.rung is Rung.MOTION and not (self.session.keyframe_wanted or self.session.wants_motion(timestamp)):
            return
        if self.session.base_start_wanted and not self._restarting:
            self._restarting = True
            self._restart.set()
        if self.session.keyframe_wanted and not self._wished:
            self._wished = True
            self._wish.set()
        self._worker.submit(_Captured(picture, timestamp, capture_s))

    def _encode(self, captured: _Captured) -> None:
        """In the worker: crop, detect, code; hand the result to the loop."""
        started_s = time.perf_counter()
        moves = self.rung is Rung.MOTION
        if not moves and self._restart.is_set():
            self._restart.clear()
            self._encoder.restart_base()
        if not self._wish.is_set() and not self._encoder.wants(captured.timestamp):
            return
        cropped = self._cropper.crop(captured.picture, captured.capture_s)
        lost = cropped.missing_s > self.config.lost_face_s
        wish = self._wish.is_set()
        before = self._last_unit
        if lost and moves and before is not None and before.motion is not None and not wish:
            self._face_lost = True
            alive = replace(before, timestamp=captured.timestamp, keyframe=None)
            self._loop.call_soon_threadsafe(self._encoded, alive, 0.0, False)
            return
        back, self._face_lost = self._face_lost, False
        self._wish.clear()
        unit = self._encoder.encode(
            cropped.picture, captured.timestamp, wish or back, cropped.crop, cropped.captured_size, cropped.new_face
        )
        self._last_unit = unit
        elapsed_ms = (time.perf_counter() - started_s) * 1000
        self._loop.call_soon_threadsafe(self._encoded, unit, elapsed_ms, not lost)
        self._encoder.look_back()

    def _encoded(self, unit: AccessUnit, elapsed_ms: float, face_visible: bool) -> None:
        if not self._running:
            return
        now_s = time.monotonic()
        if face_visible != self.face_visible:
            logger.warning("face %s", "found again" if face_visible else "lost: the last picture is kept alive")
        self.face_visible = face_visible
        if elapsed_ms:
            self.encode_ms.add(elapsed_ms)
        self.session.offer(unit, now_s * 1000)
        if unit.base is not None and unit.base.start is not None:
            self._restarting = False
        if unit.keyframe is not None:
            if self.keyframe_sent_s is None and self._shows_base:
                self._worker.order(self._engine.prepare)  # nothing is seen before it has crossed
            self._wished = False
            self.keyframe_sent_s = now_s
        self._wake()

    def _encode_failed(self, error: Exception) -> None:
        self.error = error
        logger.error("encoding failed: %s", error)
        self._loop.call_soon_threadsafe(self._wake)

    def receive(self, message: KeyframeAck | KeyframeRequest | BaseRequest | ReceiverReport, now_ms: float) -> None:
        """A message for this end."""
        self.session.receive(message, now_ms)

    def poll(
        self, now_ms: float, reliable_backlog_bytes: int, droppable_backlog_bytes: int, leaving: bool = False
    ) -> list[Outgoing]:
        """As Sender.poll."""
        return self.session.poll(now_ms, reliable_backlog_bytes, droppable_backlog_bytes, leaving)

    def next_poll_ms(self, now_ms: float) -> float | None:
        """When to poll again."""
        return self.session.next_poll_ms(now_ms)
