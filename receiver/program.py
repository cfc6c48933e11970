"""The receiving program's life: wait for a caller, show, wait for the next."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from talkcodec.command.console import interruptible, status_display
from talkcodec.command.exits import ExitCode, exit_code_of, tell
from talkcodec.errors import TalkcodecError
from talkcodec.media.sinks import Sink
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.peer import Peer, Receives
from talkcodec.peer.report import CallMeter, StatsFile, status_line
from talkcodec.peer.signalling import WhipConfig, WhipServer
from talkcodec.peer.webrtc import IceServer, WebRtcConnection

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["ReceiveOptions", "ReceiveProgram"]

logger = logging.getLogger(__name__)

CREATOR = "talkcodec receiver"


@dataclass(frozen=True, slots=True)
class ReceiveOptions:
    """What the command line sets. takeover_s: a call that was silent for so long may be replaced by a new caller (a
    sender that was started again); before that the caller gets 409. once: end after the first call."""

    whip: WhipConfig = field(default_factory=WhipConfig)
    ice_servers: tuple[IceServer, ...] = ()
    peer: PeerConfig = field(default_factory=PeerConfig)
    takeover_s: float = 3.0
    once: bool = False
    stats: Path | None = None
    quiet: bool = False


class ReceiveProgram:
    """Serves one endpoint; one call at a time."""

    def __init__(self, engine: "Engine", sink: Sink, options: ReceiveOptions) -> None:
        self._engine, self.sink, self.options = engine, sink, options
        self.calls = 0
        self.peer: Peer | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._outcome: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
        self._stats = StatsFile(options.stats)
        self.whip = WhipServer(options.whip, self._offer, self._deleted)

    def stop(self) -> None:
        """End, as Ctrl-C does."""
        self._stop.set()

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
            if self.peer is not None:
                if self._stop.is_set():
                    await self.peer.say_bye()
                await self.end_call()
            return self._outcome.result() if self._outcome.done() else ExitCode.INTERRUPTED
        finally:
            await self.whip.close()
            self._stats.close()
            await asyncio.to_thread(self.sink.close)

    async def _offer(self, offer: str) -> str:
        if self.peer is not None:
            self.peer.give_way(self.options.takeover_s)
            await self.end_call()
        connection = WebRtcConnection(self.options.ice_servers)
        receives = Receives(self.sink.show, lambda sound, due_s: self.sink.play(sound))
        peer = Peer(
            self._engine, connection, self.options.peer, creator=CREATOR, receives=receives, on_agreed=self._agreed
        )
        answer = await connection.answer(offer)
        self.peer = peer
        self._task = asyncio.create_task(self._run_call(peer))
        return answer

    def _agreed(self) -> None:
        self.calls += 1

    async def _deleted(self) -> None:
        peer = self.peer
        if peer is not None:
            await asyncio.sleep(0.2)  # a Bye may still be on its way
            if self.peer is peer:
                await self.end_call()
                self._over(ExitCode.DONE)

    async def _run_call(self, peer: Peer) -> None:
        code = ExitCode.DONE
        try:
            await peer.run()
        except TalkcodecError as error:
            code = exit_code_of(error)
            logger.warning("call ended: %s", error)
        except Exception as error:  # a fault of ours ends this call, not the program
            code = tell(error)
        await peer.close()
        if self.peer is peer:
            self.peer = None
            self.whip.call_over()
            self._over(code)

    def _over(self, code: ExitCode) -> None:
        if self.options.once and not self._outcome.done():
            self._outcome.set_result(code)

    async def end_call(self) -> None:
        """End the present call without a word."""
        peer, self.peer = self.peer, None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if peer is not None:
            await peer.close()

    async def _report(self, show: Callable[[str], None]) -> None:
        meter, seen = CallMeter(), None
        while True:
            await asyncio.sleep(1.0)
            peer = self.peer
            if peer is None:
                show(f"waiting for a caller at {self.whip.url}")
                continue
            if peer is not seen:
                meter, seen = CallMeter(), peer
            state = "receiving" if peer.agreed.is_set() else "connecting"
            if peer.agreed.is_set() and peer.silent_s > 2:
                state = f"nothing heard for {peer.silent_s:.0f} s"
            stats = await meter.read(peer, state)
            self._stats.write(stats)
            show(status_line(stats))
