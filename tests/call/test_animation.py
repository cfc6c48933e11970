"""Animate on a page: over HTTP what goes up and comes down, with its guards; and once in real Chromium."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import cv2
import numpy as np
import pytest
from chrome import Tab, browser, chromium
from waiting import eventually

from call import animation
from call.animation import STATIC, AnimationPage
from call.guard import HEADERS
from talkcodec.convert import Report
from talkcodec.media import MediaReader, MediaWriter
from talkcodec.runtime import open_engine
from talkcodec.sample import sample_path

ROOT = Path(__file__).parent.parent.parent
MODEL = "untrained:tiny"
BOTH = {"side_by_side": True, "absolute": False}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A portrait, and half a second of film."""
    folder = tmp_path_factory.mktemp("inputs")
    portrait, film = folder / "portrait.png", folder / "film.mp4"
    with MediaReader(sample_path()) as reader, MediaWriter(film, 256, 256) as writer:
        for frame in reader:
            if frame.time_s == 0:
                cv2.imwrite(str(portrait), cv2.cvtColor(frame.picture, cv2.COLOR_RGB2BGR))
            if frame.time_s < 0.5:
                writer.write(frame.picture, frame.time_s)
    return portrait, film


class Client:
    """A page without a browser."""

    def __init__(self, page: AnimationPage, session: aiohttp.ClientSession) -> None:
        self.page, self._session = page, session

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.page.key}", **headers}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        async with self._session.request(method, self.page.url + path, data=data, headers=headers) as response:
            assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
            return response.status, await response.read()

    async def give(self, files: tuple[Path, Path]) -> None:
        for name, path in zip(("portrait", "film"), files, strict=True):
            assert (await self.ask("PUT", f"api/{name}", path.read_bytes()))[0] == 200

    async def state(self) -> str:
        return str(json.loads((await self.ask("GET", "api/status"))[1])["state"])

    async def ended(self) -> dict[str, object]:
        async def over() -> bool:
            return await self.state() != "working"

        await eventually(over, 120, "the film")
        status: dict[str, object] = json.loads((await self.ask("GET", "api/status"))[1])
        return status


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    page = AnimationPage(await asyncio.to_thread(open_engine, MODEL))
    await page.start()
    async with aiohttp.ClientSession() as session:
        yield Client(page, session)
    await page.close()


async def test_a_portrait_and_a_film_become_a_film(client: Client, files: tuple[Path, Path], tmp_path: Path) -> None:
    assert await client.ask("POST", "api/start", BOTH) == (409, b"a portrait and a film are needed first\n")
    assert (await client.ask("GET", "api/result"))[0] == 409
    await client.give(files)
    assert (await client.ask("POST", "api/start", BOTH))[0] == 200
    status = await client.ended()
    assert (status["state"], status["done"], status["total"], status["problem"]) == ("done", 13, 13, "")
    made = tmp_path / "made.mp4"
    made.write_bytes((await client.ask("GET", "api/result"))[1])
    with MediaReader(made) as reader:
        pictures = [frame.picture for frame in reader]
    assert len(pictures) == 13
    assert pictures[0].shape == (64, 128, 3)


async def test_what_cannot_be_used_is_said_in_the_persons_words(client: Client, files: tuple[Path, Path]) -> None:
    await client.give((files[1], files[1]))
    await client.ask("PUT", "api/film", b"no film at all")
    await client.ask("POST", "api/start", BOTH)
    assert (await client.ended())["state"] == "failed"
    problem = str(client.page.status.problem)
    assert "the film" in problem
    assert "/" not in problem, "no path of ours"
    empty = np.zeros((64, 64, 3), np.uint8)
    await client.ask("PUT", "api/portrait", cv2.imencode(".png", empty)[1].tobytes())
    await client.ask("PUT", "api/film", files[1].read_bytes())
    await client.ask("POST", "api/start", BOTH)
    assert "no face found in the portrait" in str((await client.ended())["problem"])


async def test_one_film_at_a_time_and_it_can_be_stopped(
    client: Client, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forever(*_: object, report: Report, **__: object) -> None:
        while True:
            report(1)

    monkeypatch.setattr(animation, "animate_portrait", forever)
    await client.give(files)
    await client.ask("POST", "api/start", BOTH)
    assert (await client.ask("POST", "api/start", BOTH))[0] == 409
    assert (await client.ask("PUT", "api/film", b"another"))[0] == 409
    await client.ask("POST", "api/stop")
    assert (await client.ended())["state"] == "stopped"
    await client.ask("POST", "api/start", BOTH)  # closing gives it up too


async def test_uploads_are_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(animation.LARGEST_BYTES, "film", 2_000_000)
    assert (await client.ask("PUT", "api/film", bytes(2_000_000)))[0] == 200
    status, said = await client.ask("PUT", "api/film", bytes(2_000_001))
    assert (status, said) == (413, b"larger than 2 MB\n")
    folder = Path(client.page._folder.name)
    assert [path.name for path in folder.iterdir()] == ["film"], "the cut one is gone"
    assert (folder / "film").stat().st_size == 2_000_000
    assert folder.stat().st_mode & 0o077 == 0
    await client.page.close()
    assert not folder.exists()


async def test_strangers_and_other_sites_stay_outside(client: Client) -> None:
    for path, method in (("api/status", "GET"), ("api/film", "PUT"), ("api/start", "POST"), ("api/result", "GET")):
        assert (await client.ask(method, path, b"", Authorization="Bearer wrong"))[0] == 401
    assert (await client.ask("GET", "api/status", Origin="http://evil.example"))[0] == 403
    assert (await client.ask("GET", "api/status", Host="evil.example"))[0] == 421
    assert (await client.ask("PUT", "api/other", b""))[0] == 404
    for body in (b"{", [], {"side_by_side": 1, "absolute": False}, {"absolute": True}):
        assert (await client.ask("POST", "api/start", body))[0] == 400
    for path in STATIC:
        status, text = await client.ask("GET", path.removeprefix("/"), Authorization="")
        assert status == 200
        assert client.page.key.encode() not in text
        assert b"style=" not in text


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(chromium() is None, reason="needs Chromium (apt-get install chromium)")
async def test_in_chromium(files: tuple[Path, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "talkcodec", "animate", "--page", "--model", MODEL]
    program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        address = (await asyncio.to_thread(program.stdout.readline)).split()[-1]
        async with browser() as chrome:
            tab = await chrome.tab(address)
            await tab.until("document.title === 'talkcodec animate'")
            assert "#" not in await tab.js("location.href")
            assert await tab.js("document.getElementById('start').disabled")
            await drop(tab, "portrait", files[0], "image/png")
            await tab.until("!document.getElementById('portrait-shown').hidden")
            await drop(tab, "film", files[1], "video/mp4")
            await tab.until("!document.getElementById('start').disabled")
            await tab.click("#side-by-side")
            await tab.click("#start")
            await tab.until("document.getElementById('result').videoWidth === 128")
            await tab.until("document.getElementById('said').textContent === '13 frames.'")
            assert await tab.js("document.getElementById('download').href.startsWith('blob:')")
            for name, width, height in (("wide", 1000, 1000), ("phone", 390, 844)):
                await tab.look_like(width, height, mobile=name == "phone")
                await tab.screenshot(tmp_path / f"animate-{name}.png", full=True)
                assert await tab.js("document.documentElement.scrollWidth <= innerWidth"), name
            await drop(tab, "film", files[0], "video/mp4")
            await tab.until("!document.getElementById('start').disabled")
            await tab.click("#start")
            await tab.until("document.getElementById('said').textContent.includes('holds one picture, no video')")
            assert tab.errors == []
    finally:
        program.terminate()
        assert await asyncio.to_thread(program.wait, 60) == 130


async def drop(tab: Tab, name: str, path: Path, kind: str) -> None:
    """Drop a file onto its place, as a person does."""
    data = base64.b64encode(path.read_bytes()).decode()
    await tab.js(f"""(() => {{
      const bytes = Uint8Array.from(atob('{data}'), (each) => each.charCodeAt(0));
      const carried = new DataTransfer();
      carried.items.add(new File([bytes], '{path.name}', {{ type: '{kind}' }}));
      const event = new DragEvent('drop', {{ dataTransfer: carried, bubbles: true, cancelable: true }});
      document.getElementById('drop-{name}').dispatchEvent(event);
    }})()""")
