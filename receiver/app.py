"""The receiver's life: wait for a caller, show, wait for the next."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiortc import MediaStreamTrack, RTCSessionDescription
from aiortc.exceptions import InvalidStateError

from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.codec import EncoderConfig, hello_for
from talkcodec.errors import TalkcodecError
from talkcodec.media.sinks import Sink
from talkcodec.peer.console import ExitCode, exit_code_of, interruptible, status_display
from talkcodec.peer.link import (
    CLOCK_EXTRA,
    IceServer,
    Link,
    LinkConfig,
    clock_id,
    extra,
    frame_period_ticks,
    new_connection,
)
from talkcodec.peer.meters import Percentiles
from talkcodec.peer.receiving import ReceivingConfig, ReceivingEnd
from talkcodec.peer.report import CallMeter, StatsFile, status_line
from talkcodec.peer.signalling import BusyError, MalformedOfferError, WhipConfig, WhipServer
from talkcodec.peer.sound import SoundReceiver
from talkcodec.session import ReceiverConfig
from talkcodec.types import Kind, PlayedPicture, PlayedSound

if TYPE_CHECKING:
    from talkcodec.bitstream import Hello
    from talkcodec.runtime import Engine

__all__ = ["ReceiverApp", "ReceiverOptions"]

logger = logging.getLogger(__name__)

CREATOR = "talkcodec receiver"


@dataclass(frozen=True, slots=True)
class ReceiverOptions:
    """What the command line sets. takeover_s: a call that was silent for so long may be replaced by a new caller (a
    sender that was started again); before that the caller gets 409. once: end after the first call."""

    whip: WhipConfig = field(default_factory=WhipConfig)
    ice_servers: tuple[IceServer, ...] = ()
    link: LinkConfig = field(default_factory=LinkConfig)
    session: ReceiverConfig = field(default_factory=ReceiverConfig)
    takeover_s: float = 3.0
    once: bool = False
    stats: Path | None = None
    quiet: bool = False


class _LipSync:
    """How far apart a frame and the sound of the same instant are played; positive: the picture is late."""

    def __init__(self) -> None:
        self.error_ms = Percentiles(512)
        self._lock = threading.Lock()
        self._sound: tuple[int, float] | None = None  # 90 kHz time, when it is played

    def sound(self, timestamp: int, played_ms: float) -> None:
        with self._lock:
            self._sound = (timestamp, played_ms)

    def picture(self, timestamp: int, shown_ms: float) -> None:
        with self._lock:
            if self._sound is not None:
                sound_ms = self._sound[1] + time32_diff(timestamp, self._sound[0]) * 1000 / CLOCK_HZ
                if abs(shown_ms - sound_ms) < 5000:
                    self.error_ms.add(abs(shown_ms - sound_ms))


class _Call:
    """One caller."""

    def __init__(self, app: "ReceiverApp") -> None:
        self._app = app
        self.connection = new_connection(app.options.ice_servers)
        self.link = Link(self.connection, app.hello(), self._agreed, app.options.link)
        self.lip_sync = _LipSync()
        self.first_timestamp: int | None = None
        self.sound = SoundReceiver(self._play)
        self.link.sound = self.sound
        self.connection.on("track", self._track)
        self.task: asyncio.Task[object] | None = None

    async def answer(self, offer: str) -> str:
        try:
            await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self.link.open_channels()
            await self.connection.setLocalDescription(await self.connection.createAnswer())
        except (ValueError, KeyError, IndexError, AttributeError, AssertionError, InvalidStateError) as error:
            # aiortc has no error type of its own for SDP that it cannot follow
            await self.connection.close()
            raise MalformedOfferError(f"the SDP offer cannot be used: {error or type(error).__name__}") from error
        return str(self.connection.localDescription.sdp)

    def _track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self.sound.attach(track)

    def _agreed(self, link: Link) -> None:
        theirs = link.peer_hello
        assert theirs is not None
        options = self._app.options
        playout = replace(ReceivingConfig().playout, period_ticks=frame_period_ticks(theirs))
        same_clock = extra(theirs, CLOCK_EXTRA) == clock_id()
        config = ReceivingConfig(session=options.session, playout=playout)
        link.receiver = ReceivingEnd(self._app.engine, theirs, config, self._show, same_clock=same_clock)
        self._app.calls += 1

    def _show(self, picture: PlayedPicture) -> None:
        """In the generator's thread."""
        if self.first_timestamp is None:
            self.first_timestamp = picture.timestamp
        if picture.kind is not Kind.FROZEN:
            self.lip_sync.picture(picture.timestamp, picture.shown_s * 1000)
        self._app.sink.show(picture)

    def _play(self, sound: PlayedSound) -> None:
        end = self.link.receiver
        if end is not None:
            ready_ms = sound.arrived_s * 1000
            due_ms = end.session.jitter_buffer.sound_ready(sound.timestamp, ready_ms)
            if due_ms is not None:
                # Pictures are on the screen when they are generated: sound is played that much later too.
                self.lip_sync.sound(sound.timestamp, max(due_ms + (end.generate_ms.at(0.5) or 0.0), ready_ms))
        self._app.sink.play(sound)

    async def close(self) -> None:
        await self.sound.close()
        await self.connection.close()


class ReceiverApp:
    """Serves one endpoint; one call at a time."""

    def __init__(self, engine: "Engine", sink: Sink, options: ReceiverOptions) -> None:
        self.engine, self.sink, self.options = engine, sink, options
        self.calls = 0
        self._call: _Call | None = None
        self._stop = asyncio.Event()
        self._outcome: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
        self._stats = StatsFile(options.stats)
        self.whip = WhipServer(options.whip, self._offer, self._deleted)

    def hello(self) -> "Hello":
        """What this end says of itself."""
        return hello_for(self.engine, EncoderConfig(), creator=CREATOR)

    async def run(self, started: Callable[[WhipServer], None] = lambda whip: None) -> ExitCode:
        """Serve until interrupted, or with `once` until the first call has ended; returns how."""
        await self.whip.start()
        started(self.whip)
        try:
            with interruptible(self._stop), status_display(self.options.quiet) as show:
                report = asyncio.create_task(self._report(show))
                stopped = asyncio.create_task(self._stop.wait())
                waited: set[asyncio.Future[object]] = {stopped, self._outcome, report}  # type: ignore[arg-type]
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                for task in (report, stopped):
                    task.cancel()
                if report.done() and not report.cancelled():
                    report.result()
            if self._call is not None:
                if self._stop.is_set():
                    await self._call.link.say_bye()
                await self._end_call(self._call)
            return self._outcome.result() if self._outcome.done() else ExitCode.INTERRUPTED
        finally:
            await self.whip.close()
            self._stats.close()
            await asyncio.get_running_loop().run_in_executor(None, self.sink.close)

    async def _offer(self, offer: str) -> str:
        if self._call is not None:
            if self._call.link.silent_s < self.options.takeover_s:
                raise BusyError("a call is going on")
            logger.warning("the caller before fell silent; a new one takes over")
            await self._end_call(self._call)
        call = _Call(self)
        answer = await call.answer(offer)
        self._call = call
        call.task = asyncio.create_task(self._run_call(call))
        return answer

    async def _deleted(self) -> None:
        if self._call is not None:
            call = self._call
            await asyncio.sleep(0.2)  # a Bye may still be on its way
            if self._call is call:
                await self._end_call(call)
                self._over(ExitCode.DONE)

    async def _run_call(self, call: _Call) -> None:
        code = ExitCode.DONE
        try:
            await call.link.run()
        except TalkcodecError as error:
            code = exit_code_of(error)
            logger.warning("call ended: %s", error)
        await call.close()
        if self._call is call:
            self._call = None
            self.whip.call_over()
            self._over(code)

    def _over(self, code: ExitCode) -> None:
        if self.options.once and not self._outcome.done():
            self._outcome.set_result(code)

    async def _end_call(self, call: _Call) -> None:
        self._call = None
        if call.task is not None:
            call.task.cancel()
            await asyncio.gather(call.task, return_exceptions=True)
        await call.close()

    async def _report(self, show: Callable[[str], None]) -> None:
        meter, seen = CallMeter(), None
        while True:
            await asyncio.sleep(1.0)
            call = self._call
            if call is None:
                show(f"waiting for a caller at {self.whip.url}")
                continue
            if call is not seen:
                meter, seen = CallMeter(), call
            state = "receiving" if call.link.agreed.is_set() else "connecting"
            if call.link.agreed.is_set() and call.link.silent_s > 2:
                state = f"nothing heard for {call.link.silent_s:.0f} s"
            stats = await meter.read(call.link, state, call.lip_sync.error_ms.at(0.95), call.first_timestamp)
            self._stats.write(stats)
            show(status_line(stats))
