"""A call that can only go through a TURN server: a real coturn, started here; skipped where there is none."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeEngine
from pair import CONFIG

from talkcodec.peer.peer import Peer
from talkcodec.peer.webrtc import IceServer, WebRtcConnection, new_connection

TURNSERVER = shutil.which("turnserver")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[str]:
    if TURNSERVER is None:
        pytest.skip("coturn is not installed")
    port = _free_port()
    log = (tmp_path / "turn.log").open("w")
    process = subprocess.Popen(
        [TURNSERVER, "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}",
         "--user=alice:wonder", "--realm=test", "--lt-cred-mech", "--no-cli", "--no-tls", "--no-dtls",
         "--allow-loopback-peers", "--min-port=50000", "--max-port=50100", "--log-file=stdout",
         f"--userdb={tmp_path / 'turndb'}", f"--pidfile={tmp_path / 'turn.pid'}"],
        stdout=log, stderr=log,
    )  # fmt: skip
    yield f"turn:127.0.0.1:{port}?transport=udp,alice,wonder"
    process.terminate()
    process.wait(10)
    log.close()


def only_relayed(sdp: str) -> str:
    """The SDP without candidates that do not go through the server."""
    return (
        "\r\n".join(line for line in sdp.splitlines() if not line.startswith("a=candidate") or "typ relay" in line)
        + "\r\n"
    )


async def test_call_through_turn_with_credentials(turn: str) -> None:
    server = IceServer.parse(turn)
    await listening(server)
    caller, callee = WebRtcConnection((server,)), WebRtcConnection((server,))
    a, b = Peer(FakeEngine(), caller, CONFIG), Peer(FakeEngine(), callee, CONFIG)  # type: ignore[arg-type]
    offer = only_relayed(await caller.offer())
    assert "typ relay" in offer
    await caller.accept(await callee.answer(offer))
    tasks = [asyncio.create_task(peer.run()) for peer in (a, b)]
    await asyncio.wait_for(asyncio.gather(a.agreed.wait(), b.agreed.wait()), 60)
    await a.say_bye()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(a.close(), b.close())


async def listening(server: IceServer) -> None:
    """Until the server answers: before that, gathering finds no relayed candidate."""
    async with asyncio.timeout(20):
        while True:
            connection = WebRtcConnection((server,))
            offer = await connection.offer()
            await connection.close()
            if "typ relay" in offer:
                return


async def test_wrong_credentials_give_no_relay(turn: str) -> None:
    connection = new_connection((IceServer.parse(turn.replace("wonder", "guess")),))
    connection.createDataChannel("x")
    await connection.setLocalDescription(await connection.createOffer())
    assert "typ relay" not in connection.localDescription.sdp
    await connection.close()
