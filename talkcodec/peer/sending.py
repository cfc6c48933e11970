"""The sending end on a connection: pictures come in from any thread, messages go out on the loop's.

    push -> worker thread: crop, encode -> event loop: SenderSession -> data channels
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from talkcodec.bitstream import (
    HeldStates,
    Hello,
    KeyframeAck,
    KeyframeRequest,
    MotionState,
    ReceiverReport,
    parse_keyframe,
    parse_motion,
)
from talkcodec.clock import ticks
from talkcodec.codec import AccessUnit, CroppedPicture, Encoder, EncoderConfig, FaceCropper
from talkcodec.peer.meters import Percentiles
from talkcodec.peer.worker import WorkingEnd
from talkcodec.session import Outgoing, RateConfig, SenderConfig, SenderSession
from talkcodec.session.handshake import decoding_table
from talkcodec.types import Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Cropper", "SendingConfig", "SendingEnd"]

logger = logging.getLogger(__name__)


class Cropper(Protocol):
    """What cuts the codec's square out of a captured frame."""

    def crop(self, frame: Picture) -> CroppedPicture:
        """The square of the next captured frame."""
        ...


@dataclass(frozen=True, slots=True)
class SendingConfig:
    """encoder, session and rate settings of a sending end. lost_face_frames: captured frames without a face after
    which the last picture is kept alive, and a keyframe is sent when the face is back."""

    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(acknowledged=True))
    session: SenderConfig = field(default_factory=SenderConfig)
    rate: RateConfig = field(default_factory=RateConfig)
    lost_face_frames: int = 25


@dataclass(frozen=True, slots=True)
class _Captured:
    picture: Picture
    timestamp: int


@dataclass(frozen=True, slots=True)
class _Encoded:
    reference_id: int
    timestamp: int
    state: MotionState
    keyframe: tuple[int, MotionState, bytes] | None


class SendingEnd(WorkingEnd[_Captured]):
    """One encoder and one SenderSession for one connection; make a new one for the next connection.

    `push` may be called from any thread; all else belongs to the event loop. Drop policy: one picture waits for the
    encoder, a newer one replaces it.
    """

    def __init__(self, engine: "Engine", hello: Hello, config: SendingConfig, cropper: Cropper | None = None) -> None:
        self.config = config
        self.session = SenderSession(
            decoding_table(hello), hello.steps, hello.time_base, config.session, config.rate
        )
        self._hello, self._table = hello, decoding_table(hello)
        self._encoder = Encoder(engine, config.encoder)
        self._cropper = cropper or FaceCropper(engine.config.picture_size)
        self._mirror = HeldStates()
        self._face_lost = False
        self._wish = threading.Event()  # a keyframe is to be made; cleared by the worker that makes it
        self._wished = False  # the session's present wish was passed on
        self._last_motion: _Encoded | None = None
        self.encode_ms = Percentiles()
        self.frames_captured = 0
        self.face_visible = True
        self.keyframe_sent_s: float | None = None
        self.keyframe_bytes = 0
        super().__init__("encode", self._encode, self._encode_failed)

    def push(self, picture: Picture, capture_s: float) -> None:
        """A captured frame (H, W, 3) and its time on the monotonic clock. From any thread."""
        if self._running:
            self._loop.call_soon_threadsafe(self._push, picture, ticks(capture_s))

    def _push(self, picture: Picture, timestamp: int) -> None:
        self.frames_captured += 1
        if not self._running or not (self.session.keyframe_wanted or self.session.wants_motion(timestamp)):
            return
        for reference_id in self.session.newly_held():
            self._worker.order(lambda held=reference_id: self._encoder.acknowledge_keyframe(held))  # type: ignore[misc]
        if self.session.keyframe_wanted and not self._wished:
            self._wished = True
            self._wish.set()
        self._worker.submit(_Captured(picture, timestamp))

    def _encode(self, captured: _Captured) -> None:
        """In the worker: crop, detect, code; hand the result to the loop."""
        started_s = time.perf_counter()
        cropped = self._cropper.crop(captured.picture)
        lost = cropped.missing_frames > self.config.lost_face_frames
        wish = self._wish.is_set()
        if lost and self._last_motion is not None and not wish:
            self._face_lost = True
            held = self._last_motion
            alive = _Encoded(held.reference_id, captured.timestamp, held.state, None)
            self._loop.call_soon_threadsafe(self._encoded, alive, 0.0, False)
            return
        back, self._face_lost = self._face_lost, False
        self._wish.clear()
        unit = self._encoder.encode(
            cropped.picture, captured.timestamp, wish or back, cropped.crop, cropped.captured_size
        )
        encoded = self._take_apart(unit)
        self._last_motion = encoded
        elapsed_ms = (time.perf_counter() - started_s) * 1000
        self._loop.call_soon_threadsafe(self._encoded, encoded, elapsed_ms, not lost)

    def _take_apart(self, unit: AccessUnit) -> _Encoded:
        """The states inside an access unit: the session predicts and numbers units anew when they leave."""
        keyframe = None
        if unit.keyframe is not None:
            parsed = parse_keyframe(unit.keyframe, self._table, self._hello.steps)
            self._mirror.add_keyframe(parsed.reference_id, parsed.state)
            keyframe = (parsed.reference_id, parsed.state, unit.keyframe)
        motion = parse_motion(
            unit.motion, sequence=unit.sequence, timestamp=unit.timestamp, reference_id=unit.reference_id,
            lookup=self._mirror, table=self._table, steps=self._hello.steps,
        )  # fmt: skip
        self._mirror.add_unit(unit.sequence, motion.state)
        self._encoder.acknowledge(unit.sequence)
        return _Encoded(unit.reference_id, unit.timestamp, motion.state, keyframe)

    def _encoded(self, encoded: _Encoded, elapsed_ms: float, face_visible: bool) -> None:
        if not self._running:
            return
        now_s = time.monotonic()
        if face_visible != self.face_visible:
            logger.warning("face %s", "found again" if face_visible else "lost: the last picture is kept alive")
        self.face_visible = face_visible
        if elapsed_ms:
            self.encode_ms.add(elapsed_ms)
        if encoded.keyframe is not None:
            reference_id, state, data = encoded.keyframe
            self.session.offer_keyframe(reference_id, state, data, now_s * 1000)
            self._wished = False
            self.keyframe_sent_s, self.keyframe_bytes = now_s, self.keyframe_bytes + len(data)
        self.session.offer_motion(encoded.reference_id, encoded.timestamp, encoded.state, now_s * 1000)
        self._wake()

    def _encode_failed(self, error: Exception) -> None:
        self.error = error
        logger.error("encoding failed: %s", error)
        self._loop.call_soon_threadsafe(self._wake)

    def receive(self, message: KeyframeAck | KeyframeRequest | ReceiverReport, now_ms: float) -> None:
        """A message for this end."""
        self.session.receive(message, now_ms)

    def poll(self, now_ms: float, control_buffered_bytes: int, motion_buffered_bytes: int) -> list[Outgoing]:
        """Messages to send now."""
        return self.session.poll(now_ms, control_buffered_bytes, motion_buffered_bytes)

    def next_poll_ms(self, now_ms: float) -> float | None:
        """When to poll again."""
        return self.session.next_poll_ms(now_ms)
