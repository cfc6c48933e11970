"""The page over HTTP, for this machine: static files for anybody who reaches them, everything else with the key.

GET  /                    the page and its files; they hold nothing secret
GET  /api/status          JSON, see call.status
POST /api/page?id=PAGE    SDP offer of the page, answered with SDP; PAGE: a name that the page made up for itself
GET  /api/chat?after=N    lines of chat with higher numbers
GET  /api/recording       the last recording
POST /api/do              {"action": NAME, "on": true|false} or {"action": NAME, "text": TEXT}; answered with the status
"""

import asyncio
import json
import logging
import secrets
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

from call.browser import Browser
from call.company import plain
from call.conversation import Conversation
from call.filesource import FileSource
from call.guard import Guard, own_file
from call.options import CallOptions, PageOptions
from call.status import StatusMeter
from talkcodec.bitstream import MAX_NAME
from talkcodec.errors import BitstreamError, TalkcodecError, UsageError
from talkcodec.peer.signalling import MAX_SDP_BYTES, server_tls

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["PageServer"]

logger = logging.getLogger(__name__)

SCRIPTS = ("engine", "devices", "lobby", "show", "figures", "plot", "chat", "extras", "dom")
STATIC = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/panels.css": ("panels.css", "text/css"),
    "/app.js": ("app.js", "text/javascript"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS},
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class PageServer:
    """One page at a time: a page that connects takes over from the one before."""

    def __init__(
        self,
        engine: "Engine",
        options: PageOptions,
        call_options: CallOptions,
        conversation: Conversation,
        source: FileSource | None = None,
    ) -> None:
        self.options, self._call_options = options, call_options
        self.key = options.key or secrets.token_urlsafe(16)
        self.url = ""
        self._conversation, self._stage, self._source = conversation, conversation.stage, source
        self.meter = StatusMeter(engine, conversation)
        self.meter.source = None if source is None else source.name
        self.browser: Browser | None = None
        self._guard = Guard(options.host, self.key)
        self._page_id = ""
        self._runner: web.AppRunner | None = None
        self._metering: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._connecting = asyncio.Lock()

    async def start(self) -> None:
        """Listen. Raises UsageError when the port is taken or the certificate cannot be read."""
        app = web.Application(client_max_size=MAX_SDP_BYTES, middlewares=[self._guard.middleware])
        for path in STATIC:
            app.router.add_get(path, self._file)
        app.router.add_get("/api/status", self._status)
        app.router.add_post("/api/page", self._page)
        app.router.add_get("/api/chat", self._chat)
        app.router.add_get("/api/recording", self._recording)
        app.router.add_post("/api/do", self._do)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        host, tls = self.options.host, server_tls(self.options.cert, self.options.key_file, "--page-cert")
        try:
            try:
                await web.TCPSite(self._runner, host, self.options.port, ssl_context=tls).start()
            except OSError:
                if not self.options.or_any:
                    raise
                await web.TCPSite(self._runner, host, 0, ssl_context=tls).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"cannot serve the page at {host}:{self.options.port}: {error}; try --page-port"
            ) from error
        named = self._guard.listens(self._runner.addresses[0][1])
        self.url = f"http{'s' if tls else ''}://{named}/"
        self._metering = asyncio.create_task(self._meter())

    @property
    def address(self) -> str:
        """What to open: the key stands in the fragment, which stays in the browser."""
        return f"{self.url}#{self.key}"

    async def close(self) -> None:
        """Stop serving."""
        if self._metering is not None:
            self._metering.cancel()
            await asyncio.gather(self._metering, return_exceptions=True)
        if self.browser is not None:
            await self._leave(self.browser)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _file(self, request: web.Request) -> web.Response:
        return own_file(request, STATIC)

    async def _status(self, request: web.Request) -> web.Response:
        return self._answer(request)

    def _answer(self, request: web.Request) -> web.Response:
        values = asdict(self.meter.refresh())
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
        here = "here" if request.query.get("id", "") == self._page_id else "elsewhere"
        return web.json_response(rounded | {"page": "none" if self.browser is None else here})

    async def _chat(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 9:
            raise web.HTTPBadRequest(text="after: expected a whole number\n")
        lines = self._conversation.company.lines
        return web.json_response([asdict(line) for line in lines if line.number > int(after)])

    async def _recording(self, _: web.Request) -> web.StreamResponse:
        path = self._stage.recorded
        if path is None or not path.is_file():
            raise web.HTTPNotFound(text="there is no recording\n")
        return web.FileResponse(path, headers={"Content-Type": "video/mp4"})

    async def _page(self, request: web.Request) -> web.Response:
        if request.content_type != "application/sdp":
            raise web.HTTPUnsupportedMediaType(text="expected application/sdp\n")
        try:
            offer = (await request.read()).decode()
        except UnicodeDecodeError:
            raise web.HTTPBadRequest(text="the offer is not UTF-8\n") from None
        async with self._connecting:
            if self.browser is not None:
                await self._leave(self.browser)
            browser = Browser(self._stage, self._gone)
            try:
                answer = await browser.answer(offer)
            except BitstreamError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from None
            self.browser = self._stage.viewer = browser
            self._page_id = request.query.get("id", "")[:64]
        if self._source is not None:
            self._source.enabled = "a=sendrecv" not in offer  # a camera takes the file's place
        self._conversation.look()
        return web.Response(text=answer, content_type="application/sdp")

    def _gone(self, browser: Browser) -> None:
        task = asyncio.ensure_future(self._leave(browser))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _leave(self, browser: Browser) -> None:
        if self.browser is browser:
            self.browser = self._stage.viewer = None
            self._conversation.look()
            if self._source is not None:
                self._source.enabled = True
        await browser.close()

    async def _do(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            action, on, text = body["action"], body.get("on", True), body.get("text", "")
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            raise web.HTTPBadRequest(text='expected {"action": NAME, "on": true or false}\n') from None
        if not isinstance(action, str) or not isinstance(on, bool) or not isinstance(text, str):
            raise web.HTTPBadRequest(text="action, text: expected strings; on: expected true or false\n")
        try:
            await self._act(action, on, text, request.query.get("id", ""))
        except TalkcodecError as error:
            raise web.HTTPConflict(text=f"{error}\n") from None
        self._conversation.look()
        return self._answer(request)

    async def _act(self, action: str, on: bool, text: str, page_id: str) -> None:
        switches, conversation = self._stage.switches, self._conversation
        if action in ("camera", "microphone", "keypoints", "self_view"):
            setattr(switches, action, on)
        elif action == "chat":
            conversation.write(text)
        elif action == "name":
            conversation.company.name = plain(text, MAX_NAME)
        elif action == "budget":
            conversation.spend(_kbps(text))
        elif action == "leave":
            if self.browser is not None and page_id == self._page_id:  # another tab may have taken over
                await self._leave(self.browser)
        elif action == "keyframe":
            if conversation.call is not None:
                conversation.call.peer.request_keyframe()
        elif action == "record" and on:
            self._stage.record(self._call_options.record_dir, lambda: time.strftime("talkcodec-%Y%m%d-%H%M%S.mp4"))
        elif action == "record":
            recording = self._stage.recording is not None
            if await asyncio.to_thread(self._stage.stop_recording) is None and recording:
                raise UsageError("nothing was recorded: no picture of your peer came in that time")
        elif action == "hang_up":
            await conversation.hang_up()
        elif action == "again":
            await conversation.again()
        else:
            raise web.HTTPBadRequest(text=f"action {action[:40]!r} is not known\n")

    async def _meter(self) -> None:
        while True:
            try:
                await self.meter.read()
            except Exception as error:  # the page keeps the last figures
                logger.debug("figures cannot be read: %s", error, exc_info=True)
            await asyncio.sleep(1.0)


def _kbps(text: str) -> float:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise web.HTTPBadRequest(text=f"budget: got {text[:40]!r}, expected kbit/s, 8 to 2000\n")
    return float(text)
