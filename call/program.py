"""The program: engine, conversation, page, and for the demo a second engine as the peer."""

import asyncio
import logging
import sys
import webbrowser
from dataclasses import dataclass
from typing import TYPE_CHECKING

from call.conversation import Conversation
from call.filesource import FileSource
from call.options import CallOptions, PageOptions
from call.server import PageServer
from call.stage import Stage
from talkcodec.command.console import interruptible
from talkcodec.command.exits import ExitCode
from talkcodec.errors import ConfigError
from talkcodec.peer.signalling import is_loopback

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Program", "ProgramOptions"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProgramOptions:
    """page: None for an end without one. source: a file in place of camera and microphone, "" for none.
    demo: options of the second engine's command line; None for no demo."""

    call: CallOptions
    page: PageOptions | None
    source: str = ""
    demo: tuple[str, ...] | None = None
    open_page: bool = False

    def __post_init__(self) -> None:
        if self.demo is not None and self.call.invitation is not None:
            raise ConfigError("--demo makes both ends itself: leave the link out")
        if self.page is None and not self.source:
            raise ConfigError("--no-page has no camera: give a --source")
        page = self.page
        if page is not None and (page.cert is None) != (page.key_file is None):
            raise ConfigError("--page-cert and --page-cert-key belong together: give both, or neither")


class Program:
    """Runs until it is interrupted."""

    def __init__(self, engine: "Engine", options: ProgramOptions) -> None:
        self._engine, self._options = engine, options
        self._stop = asyncio.Event()

    async def run(self) -> ExitCode:
        """Serve until Ctrl-C. Raises TalkcodecError for what cannot be opened."""
        options, stage = self._options, Stage()
        named = options.source or ("sample" if options.demo is not None else "")
        source = FileSource(named, stage) if named else None
        conversation = Conversation(self._engine, options.call, stage)
        server: PageServer | None = None
        guest: asyncio.subprocess.Process | None = None
        try:
            with interruptible(self._stop):
                if options.page is not None:
                    server = PageServer(self._engine, options.page, options.call, conversation, source)
                    await server.start()
                await conversation.start()
                if source is not None:
                    source.start()
                self._say(conversation, server)
                if options.demo is not None:
                    guest = await self._invite_sample(conversation, options.demo)
                if server is not None and options.open_page:
                    await asyncio.to_thread(webbrowser.open, server.address)
                await self._stop.wait()
            return ExitCode.INTERRUPTED
        finally:
            if guest is not None and guest.returncode is None:
                guest.terminate()
            if source is not None:
                await asyncio.to_thread(source.close)
            await conversation.close()
            if server is not None:
                await server.close()
            await asyncio.to_thread(stage.close)
            if guest is not None:
                await guest.wait()

    def _say(self, conversation: Conversation, server: PageServer | None) -> None:
        """Addresses go to stdout, a line each."""
        lines = []
        if server is not None:
            lines.append(f"Your page:   {server.address}")
            if not is_loopback(server.options.host):
                logger.warning(
                    "the page is served beyond this machine: whoever has its address sees your call and is seen in it"
                )
        invitation = conversation.invitation
        if invitation is not None:
            lines.append(f"Invitation:  {invitation.command}")
            if not conversation.reachable and self._options.demo is None:
                lines.append("             (good on this machine only; --listen 0.0.0.0 lets other machines call)")
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    @staticmethod
    async def _invite_sample(conversation: Conversation, options: tuple[str, ...]) -> asyncio.subprocess.Process:
        """A second engine that calls this one and shows the embedded sample."""
        command = ("-m", "call", str(conversation.invitation), "--no-page", "--source", "sample")
        return await asyncio.create_subprocess_exec(sys.executable, *command, *options)
