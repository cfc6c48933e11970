"""A small client of Chromium's DevTools protocol: what the browser tests need and no more."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from waiting import eventually

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows", "--disable-features=CalculateNativeWinOcclusion,Translate",
    "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", "--hide-scrollbars",
    "--use-fake-device-for-media-stream",
)  # fmt: skip


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tab:
    """One page: navigate, evaluate, wait, screenshot."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.errors: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            data = json.loads(message.data)
            if "id" in data:
                waiting = self._answers.pop(data["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(data)
            elif data.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(data["params"]["exceptionDetails"])[:600])
            elif data.get("method") == "Log.entryAdded" and data["params"]["entry"]["source"] == "security":
                self.errors.append(data["params"]["entry"]["text"])  # what the content security policy refused

    async def send(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": params})
        result = await asyncio.wait_for(answer, 60)
        assert "error" not in result, result["error"]
        return result["result"]

    async def js(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        result = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, json.dumps(result["exceptionDetails"])[:600]
        return result["result"].get("value")

    async def until(self, expression: str, timeout_s: float = 90.0) -> None:
        """Wait until the expression, or what it promises, is true as JavaScript takes it (an element is)."""
        try:
            await eventually(lambda: self.js(f"Promise.resolve({expression}).then(Boolean)"), timeout_s, expression)
        except AssertionError as error:
            text = await self.js("document.body.innerText.slice(0, 900)")
            raise AssertionError(f"{error}\nthe page says:\n{text}\nerrors: {self.errors}") from None

    async def click(self, selector: str) -> None:
        await self.js(f"document.querySelector({json.dumps(selector)}).click()")

    async def goto(self, url: str) -> None:
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def look_like(self, width: int, height: int, scheme: str = "light", mobile: bool = False) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def screenshot(self, path: Path, full: bool = False) -> None:
        shot = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(shot["data"]))

    async def close(self) -> None:
        self._reader.cancel()
        await self._socket.close()


class Chrome:
    """A running browser."""

    def __init__(self, client: aiohttp.ClientSession, port: int) -> None:
        self._client, self._port = client, port
        self._tabs: list[Tab] = []

    async def tab(self, url: str = "about:blank") -> Tab:
        """A new window of its own: a page in a hidden tab would not get its video drawn."""
        base = f"127.0.0.1:{self._port}"
        async with self._client.get(f"http://{base}/json/version") as response:
            address = (await response.json(content_type=None))["webSocketDebuggerUrl"]
        async with self._client.ws_connect(address) as socket:
            await socket.send_json(
                {"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank", "newWindow": True}}
            )
            while "result" not in (answer := await socket.receive_json()):
                pass
        page = f"ws://{base}/devtools/page/{answer['result']['targetId']}"
        socket = await self._client.ws_connect(page, max_msg_size=0)
        tab = Tab(socket)
        self._tabs.append(tab)
        for domain in ("Page", "Runtime", "Log"):
            await tab.send(f"{domain}.enable")
        if url != "about:blank":
            await tab.goto(url)
        return tab

    async def close(self) -> None:
        for tab in self._tabs:
            await tab.close()


@asynccontextmanager
async def browser(video: Path | None = None, sound: Path | None = None, allow: bool = True) -> AsyncIterator[Chrome]:
    """Chromium with fake devices. allow=False: the person refuses camera and microphone."""
    program = chromium()
    assert program is not None
    profile = tempfile.mkdtemp(prefix="talkcodec-chrome-")
    flags = [*list(FLAGS), f"--user-data-dir={profile}"]
    flags.append("--use-fake-ui-for-media-stream" if allow else "--deny-permission-prompts")
    if video is not None:
        flags.append(f"--use-file-for-fake-video-capture={video}")
    if sound is not None:
        flags.append(f"--use-file-for-fake-audio-capture={sound}")
    process = subprocess.Popen(
        [program, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        port = await _port(Path(profile) / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as client:
            chrome = Chrome(client, port)
            try:
                yield chrome
            finally:
                await chrome.close()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)


async def _port(file: Path, process: "subprocess.Popen[bytes]") -> int:
    def written() -> list[str]:
        assert process.poll() is None, f"Chromium ended with {process.returncode}"
        return file.read_text().splitlines() if file.exists() else []

    return int((await eventually(written, 90, "Chromium's start"))[0])
