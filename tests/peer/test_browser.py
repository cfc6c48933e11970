"""Interoperability: headless Chromium opens the channels by WHIP and decodes with the public msgpack library.

The browser plays the receiving end; its view of each message is compared with the table of docs/bitstream.md.
Skipped where there is no Chromium.
"""

import asyncio
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEngine, WholePicture, colour_at
from pair import CONFIG, tone_at
from waiting import real_time

from talkcodec.peer.peer import Peer, Sends
from talkcodec.peer.signalling import WhipConfig, WhipServer
from talkcodec.peer.webrtc import WebRtcConnection

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "call"))


@pytest.fixture(autouse=True)
def own_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice keeps the lock of its mDNS resolver, and with it the event loop, from one test to the next."""
    monkeypatch.setattr("aioice.ice._mdns", threading.local())


def documented() -> dict[int, list[str]]:
    """Message type -> names of its fields, from the table in section 8 of docs/bitstream.md."""
    text = (HERE.parent.parent / "docs" / "bitstream.md").read_text()
    table = {}
    for row in re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", text.split("## 8. Messages")[1], re.MULTILINE):
        fields = re.sub(r"\[[^\]]*\]|\([^)]*\)|:[^;]*(?=;|$)", "", row[2])
        names = [field.strip() for field in re.split(r"[,;]", fields)]
        table[int(row[0])] = [name for name in names if name and not name.startswith("in the last piece")]
    return table


async def browser_sees(seconds_limit: float) -> tuple[list[Any], Peer]:
    chrome = pytest.importorskip("chrome", reason="the browser helper is not there")
    if chrome.chromium() is None:
        pytest.skip("Chromium is not installed")
    engine: Any = FakeEngine()
    peers: list[Peer] = []
    tasks: list[asyncio.Task[Any]] = []

    async def offer(sdp: str) -> str:
        connection = WebRtcConnection()
        peers.append(Peer(engine, connection, CONFIG, creator="test", sends=Sends(20.0, cropper=WholePicture())))
        answer = await connection.answer(sdp)
        tasks.append(asyncio.create_task(peers[-1].run()))
        return answer

    async def ended() -> None:
        pass

    server = WhipServer(WhipConfig(port=0, key="k"), offer, ended)
    await server.start()
    try:
        async with chrome.browser() as browser:
            tab = await browser.tab()
            await tab.js((HERE / "vendor" / "msgpack.min.js").read_text() + "; typeof MessagePack")
            await tab.js((HERE / "page.js").read_text())
            await tab.js(f"receive({server.url!r}, 'k')")
            peer = peers[0]
            async with asyncio.timeout(seconds_limit):
                async for now_s in real_time(20.0):
                    peer.push(colour_at(now_s), now_s)
                    counts = None if peer.sending is None else peer.sending.session.counts
                    if counts is not None and counts.reports and counts.bundles_sent > 8:
                        break
            seen = await tab.js("window.seen")
            await tab.js("window.bye()")
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
            return seen, peer
    finally:
        for peer in peers:
            await peer.close()
        await server.close()


async def test_browser_hears_the_sound_that_carries() -> None:
    """Chromium's decoder passes over what rides in the packets; no motion takes the data channel."""
    chrome = pytest.importorskip("chrome", reason="the browser helper is not there")
    if chrome.chromium() is None:
        pytest.skip("Chromium is not installed")
    peers: list[Peer] = []
    tasks: list[asyncio.Task[Any]] = []
    engine: Any = FakeEngine()

    async def offer(sdp: str) -> str:
        connection = WebRtcConnection()
        peers.append(Peer(engine, connection, CONFIG, sends=Sends(20.0, True, cropper=WholePicture())))
        answer = await connection.answer(sdp)
        tasks.append(asyncio.create_task(peers[-1].run()))
        return answer

    async def ended() -> None:
        pass

    async def feed() -> None:
        number = 0
        async for now_s in real_time(50.0):
            peers[0].push_sound(tone_at(now_s), now_s)
            if number % 2 == 0:
                peers[0].push(colour_at(now_s), now_s)
            number += 1

    server = WhipServer(WhipConfig(port=0, key="k"), offer, ended)
    await server.start()
    try:
        async with chrome.browser() as browser:
            tab = await browser.tab()
            await tab.js((HERE / "vendor" / "msgpack.min.js").read_text() + "; typeof MessagePack")
            await tab.js((HERE / "page.js").read_text())
            await tab.js(f"receive({server.url!r}, 'k', true)")
            tasks.append(asyncio.create_task(feed()))
            await tab.until("window.heard().then((heard) => heard.packetsReceived > 150)")
            heard, seen = await tab.js("window.heard()"), await tab.js("window.seen")
            assert peers[0].sending is not None
            sent = peers[0].sending.session.counts.bundles_sent
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in peers:
            await peer.close()
        await server.close()
    assert sent > 20
    assert not [message for _, _, message in seen if message[0] == 4]
    loudness = (heard["totalAudioEnergy"] / heard["totalSamplesDuration"]) ** 0.5  # of full scale
    assert 0.05 < loudness < 0.5
    assert heard["concealedSamples"] < 0.5 * heard["totalSamplesReceived"], heard


async def test_browser_reads_every_message_as_documented() -> None:
    table = documented()
    seen, peer = await browser_sees(60.0)
    link = peer.link
    by_type: dict[int, list[Any]] = {}
    for channel, size, message in seen:
        if channel == "keyframe":
            assert len(message) == 11
            assert message[10]["binary"] < size
            continue
        by_type.setdefault(message[0], []).append((channel, message[1:]))
    assert set(by_type) == {0, 1, 4}
    assert any(channel == "keyframe" for channel, _, _ in seen)
    ((channel, hello),) = by_type[0]
    assert channel == "control"
    assert len(hello) == len(table[0]), f"documented: {table[0]}"
    assert (hello[0], hello[1], hello[2], hello[3], hello[4]) == (1, {"binary": 8}, 64, 3, True)
    for channel, piece in by_type[1]:
        assert channel == "control"
        assert len(piece) == len(table[1])
        assert 0 <= piece[1] < piece[2]
        assert 1 <= piece[3]["binary"] <= 1100
    for channel, bundle in by_type[4]:
        assert channel == "motion"
        reference_id, sequence, timestamp, *units = bundle
        assert 0 <= reference_id <= 255
        assert 0 <= sequence <= 65535
        assert 0 <= timestamp <= 65535
        assert 1 <= len(units[::2]) <= 4
        assert all(payload["binary"] < 100 for payload in units[::2])
        assert all(0 <= delta <= 65535 for delta in units[1::2])
    assert link.malformed == 0, "what the browser sent did not parse"
    assert link.peer_hello is not None
    assert link.peer_hello.creator == "a browser"
    assert link.peer_hello.extras == (("colour", 5),)
    assert link.sending is not None
    assert link.sending.session.counts.reports >= 1
