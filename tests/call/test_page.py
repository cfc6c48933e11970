"""The page's side of the engine: HTTP with its guards, and a page made of aiortc instead of a browser."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame, VideoFrame
from callpair import Side, mean_of, two_sides
from waiting import eventually, real_time

from call.guard import HEADERS
from call.options import PageOptions
from call.server import STATIC, PageServer


@asynccontextmanager
async def page_of(side: Side, client: aiohttp.ClientSession) -> AsyncIterator[PageServer]:
    server = PageServer(side.engine, PageOptions(), side.conversation.options, side.conversation)  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def lone_page(tmp_path: Path) -> AsyncIterator[tuple[PageServer, aiohttp.ClientSession]]:
    """A page whose engine waits for a caller."""
    side = Side(None, tmp_path)
    await side.conversation.start()
    async with aiohttp.ClientSession() as client, page_of(side, client) as server:
        yield server, client
    await side.conversation.close()


def bearer(server: PageServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.key}"}


async def test_files_are_served_with_a_strict_policy_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with lone_page(tmp_path) as (server, client):
        for path in STATIC:
            async with client.get(server.url.rstrip("/") + path) as response:
                assert response.status == 200
                assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
                text = await response.text()
                assert set(re.findall(r"https?://[^\s'\"]*", text)) <= {"http://www.w3.org/2000/svg"}
                assert "style=" not in text
                assert server.key not in text
        assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", "Basic {key}", "{key}"])
async def test_strangers_get_401(tmp_path: Path, given: str | None) -> None:
    async with lone_page(tmp_path) as (server, client):
        headers = {} if given is None else {"Authorization": given.format(key=server.key)}
        for method, path in (("GET", "status"), ("POST", "page"), ("POST", "do")):
            async with client.request(method, f"{server.url}api/{path}", headers=headers) as response:
                assert response.status == 401
                assert server.key not in await response.text()


async def test_other_host_names_and_other_sites_stay_outside_even_with_the_key(tmp_path: Path) -> None:
    async with lone_page(tmp_path) as (server, client):
        port = server.url.rstrip("/").rsplit(":", 1)[1]
        wrong = [
            ({"Host": "attacker.example"}, 421),
            ({"Host": f"attacker.example:{port}"}, 421),
            ({"Origin": "http://attacker.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
        ]
        for headers, expected in wrong:
            async with client.get(f"{server.url}api/status", headers=bearer(server) | headers) as response:
                assert response.status == expected, headers
        for name in ("127.0.0.1", "localhost"):
            ours = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}", "Sec-Fetch-Site": "same-origin"}
            async with client.get(f"{server.url}api/status", headers=bearer(server) | ours) as response:
                assert response.status == 200


async def test_status_says_where_the_call_stands_and_whom_to_invite(tmp_path: Path) -> None:
    async with lone_page(tmp_path) as (server, client):
        async with client.get(f"{server.url}api/status", headers=bearer(server)) as response:
            status = await response.json()
        assert status["phase"] == "waiting"
        assert status["text"] == "Waiting for your peer. Give them the link below."
        assert status["invitation"].startswith("http://127.0.0.1:")
        assert "#" in status["invitation"]
        assert status["reachable"] is False
        assert status["seconds"] is None
        assert status["page"] == "none"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{", 400), ("[]", 400), ('"mute"', 400), ("{}", 400), ('{"action": 3}', 400), ('{"action": "fly"}', 400),
        ('{"action": "microphone", "on": "no"}', 400), ('{"action": "microphone", "on": false}', 200),
        ('{"action": "chat", "text": 3}', 400), ('{"action": "chat", "text": "to nobody"}', 409),
        ('{"action": "name", "text": "Ann"}', 200),
        ('{"action": "budget", "text": "40"}', 200), ('{"action": "budget", "text": "2000"}', 200),
        ('{"action": "budget", "text": "7"}', 409), ('{"action": "budget", "text": "2001"}', 409),
        ('{"action": "budget"}', 400), ('{"action": "budget", "text": "nan"}', 400),
        ('{"action": "budget", "text": "-20"}', 400), ('{"action": "budget", "text": "99999999"}', 400),
        ('{"action": "budget", "text": 20}', 400),
        ('{"action": "leave"}', 200), ('{"action": "record"}', 200), ('{"action": "keyframe"}', 200),
    ],
)  # fmt: skip
async def test_orders_are_checked(tmp_path: Path, body: str, expected: int) -> None:
    async with (
        lone_page(tmp_path) as (server, client),
        client.post(f"{server.url}api/do", data=body, headers=bearer(server)) as response,
    ):
        assert response.status == expected
        if expected == 200:
            assert (await response.json())["microphone"] is ("microphone" not in body)


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"v=0", "text/plain", 415), (b"\xff\xfe", "application/sdp", 400), (b"", "application/sdp", 400),
        (b"hello", "application/sdp", 400), (b"x" * 100_000, "application/sdp", 413),
    ],
)  # fmt: skip
async def test_a_bad_offer_is_refused_and_the_page_lives(tmp_path: Path, body: bytes, kind: str, expected: int) -> None:
    async with lone_page(tmp_path) as (server, client):
        headers = bearer(server) | {"Content-Type": kind}
        async with client.post(f"{server.url}api/page", data=body, headers=headers) as response:
            assert response.status == expected
        async with client.get(f"{server.url}api/status", headers=bearer(server)) as response:
            assert (await response.json())["page"] == "none"


class Colour(MediaStreamTrack):
    """A camera that sees one colour."""

    kind = "video"

    def __init__(self, level: int) -> None:
        super().__init__()
        self._number, self._level, self._moments = 0, level, real_time(25.0)

    async def recv(self) -> VideoFrame:
        await anext(self._moments)
        frame = VideoFrame.from_ndarray(np.full((64, 64, 3), self._level, np.uint8), format="rgb24")
        frame.pts, frame.time_base = self._number * 3600, Fraction(1, 90_000)
        self._number += 1
        return frame


class Tone(MediaStreamTrack):
    """A microphone that hears a tone of 440 Hz."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._number, self._moments = 0, real_time(55.0)

    async def recv(self) -> AudioFrame:
        await anext(self._moments)
        times = (np.arange(960) + 960 * self._number) / 48_000
        samples = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * self._number, Fraction(1, 48_000)
        self._number += 1
        return frame


class FakePage:
    """What the browser does, in aiortc: sends a camera and a microphone, keeps what comes back."""

    def __init__(self, server: PageServer, client: aiohttp.ClientSession, level: int, name: str = "") -> None:
        self.server, self.client, self.name = server, client, name
        configuration = RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self.connection = RTCPeerConnection(configuration)
        self.peer: list[Any] = []
        self.own: list[Any] = []
        self.loudest = 0
        self._tasks: list[asyncio.Task[None]] = []
        sound = self.connection.addTransceiver(Tone(), "sendrecv")
        peer = self.connection.addTransceiver(Colour(level), "sendrecv")
        own = self.connection.addTransceiver("video", "recvonly")
        self._receivers = [(sound.receiver, None), (peer.receiver, self.peer), (own.receiver, self.own)]

    async def join(self) -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        headers = bearer(self.server) | {"Content-Type": "application/sdp"}
        offer = self.connection.localDescription.sdp
        async with self.client.post(
            f"{self.server.url}api/page?id={self.name}", data=offer, headers=headers
        ) as response:
            assert response.status == 200, await response.text()
            await self.connection.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
        for receiver, pictures in self._receivers:
            self._tasks.append(asyncio.create_task(self._read(receiver.track, pictures)))

    async def _read(self, track: MediaStreamTrack, pictures: list[Any] | None) -> None:
        while True:
            frame = await track.recv()
            if isinstance(frame, VideoFrame) and pictures is not None:
                pictures.append(frame.to_ndarray(format="rgb24"))
            elif isinstance(frame, AudioFrame):
                self.loudest = max(self.loudest, int(np.abs(frame.to_ndarray()).max()))

    async def do(self, **order: Any) -> dict[str, Any]:
        address, data = f"{self.server.url}api/do?id={self.name}", json.dumps(order)
        async with self.client.post(address, data=data, headers=bearer(self.server)) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.connection.close()


async def test_two_pages_see_and_hear_each_other_and_themselves(tmp_path: Path) -> None:
    async with (
        aiohttp.ClientSession() as client,
        two_sides(tmp_path) as (host, guest),
        page_of(host, client) as at_host,
        page_of(guest, client) as at_guest,
    ):
        light, dark = FakePage(at_host, client, 200), FakePage(at_guest, client, 60)
        await asyncio.gather(light.join(), dark.join())
        try:
            await eventually(lambda: light.peer and dark.peer)
            assert abs(mean_of(light.peer[-1]) - 60) < 25
            assert abs(mean_of(dark.peer[-1]) - 200) < 25
            await eventually(lambda: light.loudest > 1000 and dark.loudest > 1000)
            assert not light.own
            await light.do(action="self_view")
            await eventually(lambda: light.own)
            assert abs(mean_of(light.own[-1]) - 200) < 25
            assert at_host.browser is not None
            await light.leave()
            await eventually(lambda: at_host.browser is None)  # its camera is gone, the call is not
            assert host.phase.value in ("talking", "bad-network")
            again = FakePage(at_host, client, 120)
            await again.join()
            await eventually(lambda: again.peer and abs(mean_of(dark.peer[-1]) - 120) < 25)
            status = await again.do(action="hang_up")
            assert status["phase"] == "ended"
            await eventually(lambda: guest.phase.value == "peer-left")
            await again.leave()
        finally:
            await asyncio.gather(light.leave(), dark.leave())


async def test_a_newer_page_is_the_one_that_counts_and_an_older_one_cannot_make_it_leave(tmp_path: Path) -> None:
    async with lone_page(tmp_path) as (server, client):
        old, new = FakePage(server, client, 50, "old"), FakePage(server, client, 60, "new")
        try:
            await old.join()
            assert (await old.do(action="microphone"))["page"] == "here"
            await new.join()
            assert (await old.do(action="leave"))["page"] == "elsewhere"
            assert (await new.do(action="microphone"))["page"] == "here"
            assert (await new.do(action="leave"))["page"] == "none"
        finally:
            await asyncio.gather(old.leave(), new.leave())


@pytest.mark.parametrize(
    ("path", "expected"),
    [("chat", 200), ("chat?after=0", 200), ("chat?after=-1", 400), ("chat?after=x", 400), ("recording", 404)],
)
async def test_chat_and_recording_want_the_key_and_sensible_numbers(tmp_path: Path, path: str, expected: int) -> None:
    async with lone_page(tmp_path) as (server, client):
        async with client.get(f"{server.url}api/{path}") as response:
            assert response.status == 401
        async with client.get(f"{server.url}api/{path}", headers=bearer(server)) as response:
            assert response.status == expected


async def test_a_recording_is_handed_out_as_it_lies_there(tmp_path: Path) -> None:
    async with lone_page(tmp_path) as (server, client):
        server._stage.recorded = tmp_path / "call.mp4"
        server._stage.recorded.write_bytes(b"a film")
        async with client.get(f"{server.url}api/recording", headers=bearer(server)) as response:
            assert (response.status, await response.read()) == (200, b"a film")
            assert response.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
        async with client.get(f"{server.url}api/status", headers=bearer(server)) as response:
            assert (await response.json())["recorded"] == str(tmp_path / "call.mp4")
