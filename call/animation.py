"""Animate on a page of this machine: a portrait and a film go up, the film of the moving portrait comes down.

GET  /                            the page and its files; they hold nothing secret
PUT  /api/portrait, /api/film     the bytes of a file, at most LARGEST_BYTES of it
POST /api/start                   {"side_by_side": true|false, "absolute": true|false}
POST /api/stop                    give up what is being made
GET  /api/status                  {"state": NAME, "done": frames, "total": frames or null, "problem": TEXT}
GET  /api/result                  the film

All files lie in a folder of their own, which is gone with the program. One film is made at a time.
"""

import asyncio
import json
import logging
import secrets
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aiohttp import web

from call.guard import Guard, own_file
from talkcodec.animate import animate_portrait
from talkcodec.errors import TalkcodecError, UsageError
from talkcodec.media import MediaReader

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["LARGEST_BYTES", "STATIC", "AnimationPage", "Status"]

logger = logging.getLogger(__name__)

LARGEST_BYTES = {"portrait": 50_000_000, "film": 500_000_000}
_HOST = "127.0.0.1"

STATIC = {
    "/": ("animate.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/animate.css": ("animate.css", "text/css"),
    "/animate.js": ("animate.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


@dataclass
class Status:
    """What the page shows. total: frames of the film, where it says how many. problem: why it failed."""

    state: Literal["idle", "working", "done", "failed", "stopped"] = "idle"
    done: int = 0
    total: int | None = None
    problem: str = ""


class AnimationPage:
    """Serves the page on the loopback address and makes one film at a time."""

    def __init__(self, engine: "Engine", port: int = 0) -> None:
        self._engine, self._port = engine, port
        self.key = secrets.token_urlsafe(16)
        self.url = ""
        self.status = Status()
        self._guard = Guard(_HOST, self.key)
        self._folder = tempfile.TemporaryDirectory(prefix="talkcodec-animate-")
        self._runner: web.AppRunner | None = None
        self._making: asyncio.Task[None] | None = None
        self._stop = threading.Event()

    @property
    def address(self) -> str:
        """What to open: the key stands in the fragment, which stays in the browser."""
        return f"{self.url}#{self.key}"

    async def start(self) -> None:
        """Listen. Raises UsageError when the port is taken."""
        app = web.Application(middlewares=[self._guard.middleware])
        for path in STATIC:
            app.router.add_get(path, self._file)
        app.router.add_put("/api/{name:portrait|film}", self._take)
        app.router.add_post("/api/start", self._start)
        app.router.add_post("/api/stop", self._give_up)
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/result", self._result)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, _HOST, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"cannot serve the page at {_HOST}:{self._port}: {error}; try another --page-port"
            ) from error
        self.url = f"http://{self._guard.listens(self._runner.addresses[0][1])}/"

    async def close(self) -> None:
        """Stop serving, give up what is being made, delete the files."""
        self._stop.set()
        if self._making is not None:
            await self._making
        if self._runner is not None:
            await self._runner.cleanup()
        self._folder.cleanup()

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / name

    async def _file(self, request: web.Request) -> web.Response:
        return own_file(request, STATIC)

    async def _take(self, request: web.Request) -> web.Response:
        self._refuse_while_working()
        name = request.match_info["name"]
        largest = LARGEST_BYTES[name]
        part = self._path(f"{name}.{secrets.token_hex(4)}")  # two uploads at once do not mix
        taken = 0
        try:
            with part.open("wb") as file:
                async for piece in request.content.iter_chunked(1 << 18):
                    taken += len(piece)
                    if taken > largest:
                        raise web.HTTPRequestEntityTooLarge(
                            max_size=largest, actual_size=taken, text=f"larger than {largest // 1_000_000} MB\n"
                        )
                    await asyncio.to_thread(file.write, piece)
            self._refuse_while_working()
            part.replace(self._path(name))
        finally:
            part.unlink(missing_ok=True)
        return web.json_response(asdict(self.status))

    async def _start(self, request: web.Request) -> web.Response:
        self._refuse_while_working()
        try:
            body = await request.json()
            beside, absolute = body["side_by_side"], body["absolute"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            raise web.HTTPBadRequest(text='expected {"side_by_side": BOOLEAN, "absolute": BOOLEAN}\n') from None
        if not isinstance(beside, bool) or not isinstance(absolute, bool):
            raise web.HTTPBadRequest(text="side_by_side, absolute: expected true or false\n")
        self._refuse_while_working()
        if not self._path("portrait").exists() or not self._path("film").exists():
            raise web.HTTPConflict(text="a portrait and a film are needed first\n")
        self._stop.clear()
        self.status = Status("working")
        self._making = asyncio.create_task(self._make(beside, absolute))
        return web.json_response(asdict(self.status))

    async def _make(self, beside: bool, absolute: bool) -> None:
        try:
            await asyncio.to_thread(self._animate, beside, absolute)
            self.status.state = "done"
        except InterruptedError:  # the person gave up
            self.status.state = "stopped"
        except (TalkcodecError, OSError) as error:
            self.status.problem = self._in_words(error)
            self.status.state = "failed"
        except Exception as error:  # the page says it; the program lives on
            logger.error("a film could not be made", exc_info=error)
            self.status.problem = f"{type(error).__name__}: this is a fault of the program"
            self.status.state = "failed"

    def _animate(self, beside: bool, absolute: bool) -> None:
        """In a thread of its own."""
        with MediaReader(self._path("film")) as reader:
            self.status.total = reader.info.frame_count or None

        def report(done: int) -> None:
            self.status.done = done
            if self._stop.is_set():
                raise InterruptedError

        portrait, film, out = self._path("portrait"), self._path("film"), self._path("result.mp4")
        animate_portrait(portrait, film, out, self._engine, relative=not absolute, beside=beside, report=report)

    def _in_words(self, error: Exception) -> str:
        """The sentence of an error, with the person's words for our files."""
        sentence = " ".join(str(error).split())
        for name in ("portrait", "film"):
            sentence = sentence.replace(str(self._path(name)), f"the {name}")
        return sentence

    async def _give_up(self, _: web.Request) -> web.Response:
        self._stop.set()
        return web.json_response(asdict(self.status))

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self.status))

    async def _result(self, _: web.Request) -> web.StreamResponse:
        if self.status.state != "done":
            raise web.HTTPConflict(text="no film was made yet\n")
        return web.FileResponse(self._path("result.mp4"))

    def _refuse_while_working(self) -> None:
        if self.status.state == "working":
            raise web.HTTPConflict(text="a film is being made: wait for it, or stop it\n")
