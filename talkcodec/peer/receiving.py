"""The receiving end on a connection: messages come in, pictures go out at their time.

transport -> event loop: Receiver -> worker thread: generate -> on_picture
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from talkcodec.bitstream import BundlePiece, Hello, KeyframePiece, KeyframeUnit, MotionBundle
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.codec import Decoder, Reference, accept_hello
from talkcodec.errors import BitstreamError, TalkcodecError
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.hello import frame_period_ticks
from talkcodec.peer.meters import Percentiles
from talkcodec.peer.worker import WorkingEnd
from talkcodec.session import LoadControl, NumberedUnit, Outgoing, Receiver, Shown
from talkcodec.types import Drive, Kind, Picture, PlayedPicture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["ReceivingEnd"]

logger = logging.getLogger(__name__)


class ReceivingEnd(WorkingEnd[Shown[Reference]]):
    """One decoder and one Receiver for one connection.

    `on_picture` is called in the worker thread, for every shown frame, in order. Drop policy: one frame waits for the
    generator, a newer one replaces it (and the viewer sees the one before: it counts in `dropped_frames`). So that this
    stays rare, fewer frames are shown where generating is slow, and base pictures are only blended where that is not
    enough (`LoadControl`).
    """

    def __init__(
        self,
        engine: "Engine",
        hello: Hello,
        config: PeerConfig,
        on_picture: Callable[[PlayedPicture], None],
        *,
        same_clock: bool = False,
    ) -> None:
        """`hello` is the sending end's. same_clock: capture times are comparable with this machine's."""
        self._engine = engine
        self._decoder = Decoder(engine, accept_hello(engine, hello))
        playout = replace(config.playout, period_ticks=frame_period_ticks(hello))
        self.session: Receiver[Reference] = Receiver(hello, self._decoder.held, playout, config.receiver, config.limits)
        self._period_ticks = playout.period_ticks
        self._load = LoadControl(playout.period_ticks)
        self._on_picture = on_picture
        self._same_clock = same_clock
        self._last: Picture | None = None
        self._beside_ms = 0.0  # in the worker, since the last frame: base pictures decoded
        self.generated = 0
        self.generate_ms = Percentiles()
        self.latency_ms = Percentiles(1024)
        self.keyframe_ready_s: float | None = None
        super().__init__("generate", self._generate, self._generate_failed)

    def start(self, wake: Callable[[], None]) -> None:
        """As WorkingEnd.start; there is time until the first keyframe to open what base pictures need."""
        super().start(wake)
        self._worker.order(self._engine.prepare)

    def receive(self, message: KeyframePiece | MotionBundle | BundlePiece, now_ms: float) -> None:
        """A message for this end."""
        self.session.receive(message, now_ms)
        while (keyframe := self.session.next_keyframe()) is not None:
            self._worker.order(lambda taken=keyframe: self._decode_keyframe(taken))  # type: ignore[misc]

        while (base := self.session.next_base()) is not None:
            self._worker.order(lambda taken=base: self._decode_base(taken))  # type: ignore[misc]

    def _decode_base(self, item: NumberedUnit) -> None:
        started_s = time.monotonic()
        try:
            reference, drive = self._decoder.drive(item.unit)
        except TalkcodecError as error:
            logger.debug("base unit %d does not decode: %s", item.sequence, error)
            self._loop.call_soon_threadsafe(self._base_failed, item)
        else:
            self._loop.call_soon_threadsafe(self._base_ready, item, reference, drive)
        self._beside_ms += (time.monotonic() - started_s) * 1000

    def _base_ready(self, item: NumberedUnit, reference: Reference, drive: Drive) -> None:
        self.session.base_ready(item, reference, drive, time.monotonic() * 1000)
        self._wake()

    def _base_failed(self, item: NumberedUnit) -> None:
        self.session.base_failed(item, time.monotonic() * 1000)
        self._wake()

    def _decode_keyframe(self, keyframe: KeyframeUnit) -> None:
        try:
            reference = self._decoder.open_reference(keyframe)
        except TalkcodecError as error:
            logger.warning("keyframe %d does not decode: %s", keyframe.reference_id, error)
            self._loop.call_soon_threadsafe(self._keyframe_failed)
        else:
            self._loop.call_soon_threadsafe(self._keyframe_ready, keyframe, reference)

    def _keyframe_ready(self, keyframe: KeyframeUnit, reference: Reference) -> None:
        self.session.reference_ready(keyframe, reference)
        self.keyframe_ready_s = time.monotonic()
        self._wake()

    def _keyframe_failed(self) -> None:
        self.session.reference_failed(time.monotonic() * 1000)
        self._wake()

    def poll(self, now_ms: float) -> list[Outgoing]:
        """Messages to send now; hands frames that are due to the generator."""
        self.session.jitter_buffer.every = self._load.every
        shown = self.session.due(now_ms)
        if shown is not None and self._running:
            self._worker.submit(shown)
        return self.session.poll(now_ms)

    @property
    def shown_fps(self) -> float:
        """Frames a second that are to be shown: what is captured, or fewer where generating is slow."""
        return CLOCK_HZ / (self._period_ticks * self._load.every)

    @property
    def light(self) -> bool:
        """Whether base pictures are only blended, where the network would be too slow."""
        return self._load.light

    def next_poll_ms(self, now_ms: float) -> float:
        """When to poll again."""
        return self.session.next_wakeup_ms(now_ms)

    def _generate(self, shown: Shown[Reference]) -> None:
        """In the worker: make the picture and hand it on."""
        kind = shown.kind
        started_s = time.monotonic()
        if kind is not Kind.FROZEN:
            self._last = self._decoder.generate(shown.reference, shown.drive, light=self._load.light)
            self.generated += 1
            self.generate_ms.add((time.monotonic() - started_s) * 1000)
        if self._last is None:
            return
        now_s = time.monotonic()
        latency_ms = None
        if self._same_clock:
            captured_ticks = time32_diff(round(now_s * CLOCK_HZ) & 0xFFFFFFFF, shown.timestamp)
            latency_ms = captured_ticks * 1000 / CLOCK_HZ
            if kind is not Kind.FROZEN:
                self.latency_ms.add(latency_ms)
        self._on_picture(PlayedPicture(self._last, shown.timestamp, kind, now_s, latency_ms, shown.drive.motion))
        if kind is not Kind.FROZEN:
            ended_s = time.monotonic()
            work_ms = (ended_s - started_s) * 1000 + self._beside_ms
            self._beside_ms = 0.0
            self._load.worked(work_ms, ended_s * 1000, self._decoder.has_cheaper(shown.drive))

    def _generate_failed(self, error: Exception) -> None:
        if not isinstance(error, BitstreamError):
            self.error = error
        logger.error("generating failed: %s", error)
        self._loop.call_soon_threadsafe(self._wake)
