"""The sending program's life: call, send, and call again when the network or the receiver went away."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from talkcodec.clock import ticks
from talkcodec.command.console import interruptible, status_display
from talkcodec.command.exits import ExitCode
from talkcodec.errors import BusyError, ClosedError, ConfigError, RefusedError
from talkcodec.media.sources import Source
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.feed import SourceFeed
from talkcodec.peer.peer import Peer, Sends
from talkcodec.peer.report import CallMeter, StatsFile, status_line
from talkcodec.peer.signalling import dial
from talkcodec.peer.webrtc import IceServer, WebRtcConnection
from talkcodec.types import Picture, SoundArray

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["SendOptions", "SendProgram"]

logger = logging.getLogger(__name__)

CREATOR = "talkcodec sender"
_BUSY_RETRIES = 4
_LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What the command line sets. give_up_s: without a call for so long, the program ends. seconds: 0 for no end."""

    url: str
    key: str = ""
    ca_file: str | None = None
    ice_servers: tuple[IceServer, ...] = ()
    peer: PeerConfig = field(default_factory=PeerConfig)
    sound: bool = True
    give_up_s: float = 60.0
    redial_s: float = 2.0
    seconds: float = 0.0
    stats: Path | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.give_up_s < 0 or self.seconds < 0:
            raise ConfigError("--give-up and --seconds: expected 0 or more")


class SendProgram:
    """Runs one source into one address until the source ends or somebody ends the call."""

    def __init__(self, engine: "Engine", source: Source, options: SendOptions) -> None:
        self._engine, self._source, self._options = engine, source, options
        self._sound = source.has_sound and options.sound
        self._feed = SourceFeed(source, self._push, self._push_sound if self._sound else None)
        self._stop = asyncio.Event()
        self._stats = StatsFile(options.stats)
        self._peer: Peer | None = None
        self.calls = 0

    def stop(self) -> None:
        """End the call, as Ctrl-C does."""
        self._stop.set()

    async def run(self) -> ExitCode:
        """Returns how it ended; raises what no retry mends (wrong key, mismatch, bad source)."""
        last_good_s = time.monotonic()
        busy, said = 0, ""
        try:
            with interruptible(self._stop), status_display(self._options.quiet) as show:
                while True:
                    calls_before = self.calls
                    try:
                        return await self.call(show)
                    except RefusedError:
                        raise
                    except BusyError:
                        busy += 1
                        if busy > _BUSY_RETRIES:
                            raise
                    except ClosedError as error:
                        if self.calls > calls_before:
                            last_good_s, busy = time.monotonic(), 0
                        if time.monotonic() - last_good_s > self._options.give_up_s:
                            if str(error) != said:
                                raise
                            raise ClosedError(
                                f"gave up after {self._options.give_up_s:.0f} s; --give-up waits longer"
                            ) from error
                        if str(error) != said:  # each sentence once, however often it is tried
                            said = str(error)
                            logger.warning("%s; calling again", error)
                    show("calling again")
                    if await self._stopped(self._options.redial_s):
                        return ExitCode.INTERRUPTED
        finally:
            await asyncio.to_thread(self._feed.close)
            self._stats.close()

    async def _stopped(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def call(self, show: Callable[[str], None]) -> ExitCode:
        """One call, from the offer to the end. Raises as `run`, and ClosedError when it was lost."""
        options = self._options
        connection = WebRtcConnection(options.ice_servers)
        peer = None
        posted = None
        tasks: list[asyncio.Task[object]] = []
        try:
            peer = Peer(
                self._engine, connection, options.peer, creator=CREATOR,
                sends=Sends(self._source.fps, self._sound), on_agreed=self._agreed,
            )  # fmt: skip
            posted = await dial(connection, options.url, options.key, options.ca_file)
            self._peer = peer
            running = asyncio.create_task(peer.run())
            tasks = [running, asyncio.create_task(self._report(peer, show)), asyncio.create_task(self._finish(peer))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks[1:]:
                if task.done():
                    task.result()
            await running
            return ExitCode.INTERRUPTED if self._stop.is_set() else ExitCode.DONE
        finally:
            self._peer = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if posted is not None:
                await posted.delete()
            await (connection if peer is None else peer).close()

    def _agreed(self) -> None:
        self.calls += 1
        self._feed.start()

    def _push(self, picture: Picture, captured_s: float) -> None:
        """In the source's thread."""
        peer = self._peer
        if peer is not None:
            peer.push(picture, captured_s)

    def _push_sound(self, samples: SoundArray, captured_s: float) -> None:
        if self._peer is not None:
            self._peer.push_sound(samples, captured_s)

    async def _finish(self, peer: Peer) -> None:
        """Ends the call when the source ends, the time is over, or the user stops it."""
        await peer.agreed.wait()
        until_s = time.monotonic() + self._options.seconds if self._options.seconds else None
        while not (self._stop.is_set() or self._feed.ended.is_set()):
            if until_s is not None and time.monotonic() >= until_s:
                break
            await asyncio.sleep(0.05)
        if self._feed.error is not None:
            raise self._feed.error
        if not self._stop.is_set():
            await asyncio.sleep(_LINGER_S)  # what was captured last is still on its way
        await peer.say_bye()
        await asyncio.sleep(_LINGER_S)

    async def _report(self, peer: Peer, show: Callable[[str], None]) -> None:
        meter = CallMeter()
        while True:
            await asyncio.sleep(1.0)
            state = "sending" if peer.agreed.is_set() else "connecting"
            if peer.agreed.is_set() and peer.silent_s > 6:
                state = f"nothing heard for {peer.silent_s:.0f} s"
            start_s = self._feed.start_s
            stats = await meter.read(peer, state, None if start_s is None else ticks(start_s))
            self._stats.write(stats)
            show(status_line(stats))
