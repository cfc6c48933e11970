"""The invitation opened in a browser: what it says, what it keeps to itself, and what a wrong key is told."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from callpair import Side
from chrome import browser, chromium

from call.invitation import FILES, HEADERS, qr_svg
from talkcodec.peer.signalling import WhipConfig

NAME = "Ann <script>alert(1)</script>"


@asynccontextmanager
async def inviting(tmp_path: Path) -> AsyncIterator[tuple[Side, str]]:
    side = Side(None, tmp_path, name=NAME)
    await side.conversation.start()
    try:
        yield side, str(side.conversation.invitation)
    finally:
        await side.conversation.close()


async def test_the_address_is_a_page_that_holds_no_secret_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with inviting(tmp_path) as (_, link), aiohttp.ClientSession() as client:
        url, key = link.split("#")
        for path in ("", *(f"/{name}" for name in FILES)):
            async with client.get(url + path) as response:
                assert response.status == 200
                text = await response.text()
                assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
                assert key not in text
                assert "$here" not in text
                assert set(re.findall(r"https?://[^\s'\"]*", text)) <= {"http://www.w3.org/2000/svg"}
        assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", "Basic {key}", "{key}"])
async def test_without_the_key_nothing_is_told(tmp_path: Path, given: str | None) -> None:
    async with inviting(tmp_path) as (_, link), aiohttp.ClientSession() as client:
        url, key = link.split("#")
        headers = {} if given is None else {"Authorization": given.format(key=key)}
        async with client.get(f"{url}/invitation", headers=headers) as response:
            assert response.status == 401
            assert "Ann" not in await response.text()


async def test_with_the_key_it_says_who_invites_and_whether_they_wait(tmp_path: Path) -> None:
    async with inviting(tmp_path) as (side, link), aiohttp.ClientSession() as client:
        url, key = link.split("#")
        headers = {"Authorization": f"Bearer {key}"}
        async with client.get(f"{url}/invitation", headers=headers) as response:
            told = await response.json()
        assert (told["name"], told["waiting"], told["reachable"], told["qr"]) == (NAME, True, False, "")
        side.conversation.company.name = "Ann, as typed in the page"
        await side.conversation.hang_up()
        async with client.get(f"{url}/invitation", headers=headers) as response:
            told = await response.json()
        assert (told["name"], told["waiting"]) == ("Ann, as typed in the page", False)


async def test_a_link_that_other_machines_reach_has_a_qr_code(tmp_path: Path) -> None:
    pytest.importorskip("segno")
    side = Side(None, tmp_path, public_url="https://calls.example.org/whip")
    await side.conversation.start()
    try:
        async with aiohttp.ClientSession() as client:
            url = f"{side.conversation._whip.url}/invitation"  # type: ignore[union-attr]
            key = str(side.conversation.invitation).split("#")[1]
            async with client.get(url, headers={"Authorization": f"Bearer {key}"}) as response:
                told = await response.json()
        assert told["reachable"] is True
        assert told["qr"].startswith("<svg ")
    finally:
        await side.conversation.close()


async def test_another_path_serves_the_page_there(tmp_path: Path) -> None:
    side = Side(None, tmp_path, whip=WhipConfig(port=0, path="/meet/ann"))
    await side.conversation.start()
    try:
        async with aiohttp.ClientSession() as client:
            url = str(side.conversation.invitation).split("#")[0]
            async with client.get(url) as response:
                assert 'href="ann/style.css"' in await response.text()
            async with client.get(url + "/style.css") as response:
                assert response.status == 200
    finally:
        await side.conversation.close()


def test_the_qr_code_is_the_whole_link() -> None:
    pytest.importorskip("segno")
    import cv2
    import numpy as np
    import segno

    link = "http://192.168.1.20:8088/whip#a-key_of_Some-length-1"
    svg = qr_svg(link)
    assert svg.startswith("<svg ")
    assert "style" not in svg, "the content security policy allows no inline style"
    assert qr_svg(link + "x") != svg
    modules = np.array([list(row) for row in segno.make_qr(link, error="m").matrix_iter(scale=8, border=4)], np.uint8)
    assert cv2.QRCodeDetector().detectAndDecode(255 * (1 - modules))[0] == link


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(chromium() is None, reason="needs Chromium (apt-get install chromium)")
async def test_in_a_browser_it_has_one_command_for_each_system_and_a_wrong_key_is_explained_once(
    tmp_path: Path,
) -> None:
    async with inviting(tmp_path) as (_, link), browser() as chrome:
        tab = await chrome.tab(link)
        await tab.until("document.body.dataset.state === 'valid'")
        assert await tab.js("document.querySelector('h1').textContent") == f"{NAME} invites you to a video call"
        assert await tab.js("document.querySelectorAll('h1 script').length") == 0
        for system in ("mac", "windows", "linux"):
            await tab.click(f"#tab-{system}")
            assert link in await tab.js("document.querySelector('#command').value")
            assert await tab.js(f"document.querySelector('#tab-{system}').getAttribute('aria-selected')") == "true"
        tree = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
        told = [(node["role"]["value"], node["name"]["value"]) for node in tree if node.get("name", {}).get("value")]
        for wanted in (
            ("tab", "Linux"), ("tab", "macOS"), ("tab", "Windows"), ("button", "Copy"),
            ("textbox", "Command to join, with the invitation in it"),
        ):  # fmt: skip
            assert wanted in told, told
        assert await tab.js("document.querySelector('#here-only').checkVisibility()"), "no QR code, and no word why"
        assert not await tab.js("document.querySelector('#code').checkVisibility()")
        await tab.look_like(390, 844, mobile=True)
        assert await tab.js("document.documentElement.scrollWidth") <= 390
        for wrong in (link[:-4], link.split("#")[0]):
            other = await chrome.tab(wrong)
            await other.until("document.body.dataset.state === 'refused'")
            text = await other.js("document.body.innerText")
            assert len(re.findall(r"Ask your peer for a new one|ask for it again", text)) == 1, json.dumps(text)
            assert not await other.js("document.querySelector('#steps').checkVisibility()")
            assert other.errors == []
        assert tab.errors == []
