"""A call that can only go through a TURN server: a real coturn, started here; skipped where there is none."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiortc import RTCSessionDescription
from fakes import FakeEngine
from pair import ENCODER

from talkcodec.codec import hello_for
from talkcodec.peer.link import IceServer, Link, new_connection

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
    return "\r\n".join(
        line for line in sdp.splitlines() if not line.startswith("a=candidate") or "typ relay" in line
    ) + "\r\n"


async def test_call_through_turn_with_credentials(turn: str) -> None:
    engine = FakeEngine()
    server = IceServer.parse(turn)
    caller, callee = new_connection((server,)), new_connection()
    hello = hello_for(engine, ENCODER)  # type: ignore[arg-type]
    a, b = (Link(connection, hello, lambda link: None) for connection in (caller, callee))
    a.open_channels()
    for _ in range(50):  # until the server listens, gathering finds no relayed candidate
        await caller.setLocalDescription(await caller.createOffer())
        if "typ relay" in caller.localDescription.sdp:
            break
        await asyncio.sleep(0.2)
        await caller.close()
        caller = new_connection((server,))
        a = Link(caller, hello, lambda link: None)
        a.open_channels()
    offer = only_relayed(caller.localDescription.sdp)
    assert "typ relay" in offer
    await callee.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    b.open_channels()
    await callee.setLocalDescription(await callee.createAnswer())
    await caller.setRemoteDescription(RTCSessionDescription(callee.localDescription.sdp, "answer"))
    tasks = [asyncio.create_task(link.run()) for link in (a, b)]
    await asyncio.wait_for(asyncio.gather(a.agreed.wait(), b.agreed.wait()), 60)
    await a.say_bye()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(caller.close(), callee.close())


async def test_wrong_credentials_give_no_relay(turn: str) -> None:
    connection = new_connection((IceServer.parse(turn.replace("wonder", "guess")),))
    connection.createDataChannel("x")
    await connection.setLocalDescription(await connection.createOffer())
    assert "typ relay" not in connection.localDescription.sdp
    await connection.close()
