"""The sender's life: call, send, and call again when the network or the receiver went away."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiortc import RTCSessionDescription

from talkcodec.bitstream import Bye
from talkcodec.clock import ticks
from talkcodec.codec import EncoderConfig, hello_for
from talkcodec.errors import ClosedError, ConfigError, PeerError
from talkcodec.media.sources import Capture, Source
from talkcodec.peer.console import ExitCode, interruptible, status_display
from talkcodec.peer.link import CLOCK_EXTRA, PERIOD_EXTRA, IceServer, Link, LinkConfig, clock_id, new_connection
from talkcodec.peer.report import CallMeter, StatsFile, status_line
from talkcodec.peer.sending import SendingConfig, SendingEnd
from talkcodec.peer.signalling import BusyError, RefusedError, whip_post
from talkcodec.peer.sound import SoundTrack
from talkcodec.session import FEATURE_AUDIO, RateConfig, SenderConfig

if TYPE_CHECKING:
    from talkcodec.bitstream import Hello
    from talkcodec.runtime import Engine

__all__ = ["SenderApp", "SenderOptions"]

logger = logging.getLogger(__name__)

CREATOR = "talkcodec sender"
_BUSY_RETRIES = 4
_LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """What the command line sets. give_up_s: without a call for so long, the program ends. seconds: 0 for no end."""

    url: str
    key: str = ""
    ca_file: str | None = None
    ice_servers: tuple[IceServer, ...] = ()
    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(acknowledged=True))
    rate: RateConfig = field(default_factory=RateConfig)
    link: LinkConfig = field(default_factory=LinkConfig)
    sound: bool = True
    give_up_s: float = 60.0
    seconds: float = 0.0
    stats: Path | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.give_up_s < 0 or self.seconds < 0:
            raise ConfigError("--give-up and --seconds: expected 0 or more")


class SenderApp:
    """Runs one source into one address until the source ends or somebody ends the call."""

    def __init__(self, engine: "Engine", source: Source, options: SenderOptions) -> None:
        self._engine, self._source, self._options = engine, source, options
        self._capture = Capture(source)
        self._stop = asyncio.Event()
        self._stats = StatsFile(options.stats)
        self.calls = 0

    async def run(self) -> ExitCode:
        """Returns how it ended; raises what no retry mends (wrong key, mismatch, bad source)."""
        last_good_s = time.monotonic()
        busy = 0
        try:
            with interruptible(self._stop), status_display(self._options.quiet) as show:
                while True:
                    calls_before = self.calls
                    try:
                        return await self._call(show)
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
                            raise
                        logger.warning("%s; calling again", error)
                    show("calling again")
                    if await self._stopped(2.0):
                        return ExitCode.INTERRUPTED
        finally:
            self._capture.close()
            self._stats.close()

    async def _stopped(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _hello(self) -> "Hello":
        from dataclasses import replace

        hello = hello_for(self._engine, self._options.encoder, creator=CREATOR)
        extras = ((CLOCK_EXTRA, clock_id()), (PERIOD_EXTRA, round(90_000 / self._source.fps)))
        sound = FEATURE_AUDIO if self._source.has_sound and self._options.sound else 0
        return replace(hello, features=sound, extras=extras)

    async def _call(self, show: "object") -> ExitCode:
        options = self._options
        connection = new_connection(options.ice_servers)
        elapsed_s = 0.0 if self._capture.start_s is None else time.monotonic() - self._capture.start_s
        track = None
        if self._source.has_sound and options.sound:
            track = SoundTrack(self._source.sound(elapsed_s), self._source.live_sound)
            connection.addTransceiver(track, direction="sendonly")
        else:
            connection.addTransceiver("audio", direction="inactive")  # gives the transport its statistics
        link = Link(connection, self._hello(), lambda agreed: self._agreed(agreed, track), options.link)
        link.open_channels()
        call = None
        tasks: list[asyncio.Task[object]] = []
        try:
            await connection.setLocalDescription(await connection.createOffer())
            call = await whip_post(options.url, options.key, connection.localDescription.sdp, options.ca_file)
            await connection.setRemoteDescription(RTCSessionDescription(call.answer, "answer"))
            running = asyncio.create_task(link.run())
            tasks = [running, asyncio.create_task(self._report(link, show)), asyncio.create_task(self._finish(link))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks[1:]:
                if task.done():
                    task.result()
            bye = await running
            assert bye is None or isinstance(bye, Bye)
            return ExitCode.INTERRUPTED if self._stop.is_set() else ExitCode.DONE
        except (ValueError, KeyError) as error:
            raise PeerError(f"{options.url} sent an answer that cannot be used: {error}") from error
        finally:
            self._capture.target = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if call is not None:
                await call.delete()
            await connection.close()

    def _agreed(self, link: Link, track: SoundTrack | None) -> None:
        options = self._options
        config = SendingConfig(
            encoder=options.encoder, session=SenderConfig(capture_fps=self._source.fps), rate=options.rate
        )
        link.sender = SendingEnd(self._engine, link.hello, config)
        self.calls += 1
        start_s = self._capture.start()
        self._capture.target = link.sender.push
        if track is not None:
            track.start(start_s, link.send)

    async def _finish(self, link: Link) -> None:
        """Ends the call when the source ends, the time is over, or the user stops it."""
        await link.agreed.wait()
        until_s = time.monotonic() + self._options.seconds if self._options.seconds else None
        while not (self._stop.is_set() or self._capture.ended.is_set()):
            if until_s is not None and time.monotonic() >= until_s:
                break
            await asyncio.sleep(0.05)
        if self._capture.error is not None:
            raise self._capture.error
        if not self._stop.is_set():
            await asyncio.sleep(_LINGER_S)  # what was captured last is still on its way
        await link.say_bye()
        await asyncio.sleep(_LINGER_S)

    async def _report(self, link: Link, show: "object") -> None:
        meter = CallMeter()
        while True:
            await asyncio.sleep(1.0)
            state = "sending" if link.agreed.is_set() else "connecting"
            if link.agreed.is_set() and link.silent_s > 6:
                state = f"nothing heard for {link.silent_s:.0f} s"
            start_s = self._capture.start_s
            stats = await meter.read(link, state, first_timestamp=None if start_s is None else ticks(start_s))
            self._stats.write(stats)
            show(status_line(stats))  # type: ignore[operator]
