"""Signalling: who gets in, who does not, and what happens to nonsense."""

import logging
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from talkcodec.errors import BusyError, ClosedError, ConfigError, OfferError, RefusedError, UsageError
from talkcodec.peer.signalling import WhipConfig, WhipServer, check_offer, whip_post
from talkcodec.peer.webrtc import IceServer, new_connection


class Endpoint:
    def __init__(self) -> None:
        self.busy = self.ended = False
        self.offers: list[str] = []
        self.server = WhipServer(WhipConfig(port=0, key="secret"), self.offer, self.end)

    async def offer(self, sdp: str) -> str:
        if self.busy:
            raise BusyError("a call is going on")
        if "refuse-me" in sdp:
            raise OfferError("cannot be used")
        self.offers.append(sdp)
        return "v=0\r\nanswer\r\n"

    async def end(self) -> None:
        self.ended = True


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    await made.server.start()
    yield made
    await made.server.close()


async def real_offer() -> str:
    connection = new_connection()
    connection.createDataChannel("x")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return str(sdp)


async def post(url: str, data: bytes, key: str = "secret", content_type: str = "application/sdp") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": content_type}
    async with aiohttp.ClientSession() as client, client.post(url, data=data, headers=headers) as response:
        return response.status, await response.text()


async def test_an_offer_is_answered_and_delete_ends(endpoint: Endpoint) -> None:
    offer = await real_offer()
    call = await whip_post(endpoint.server.url, "secret", offer)
    assert call.answer.startswith("v=0")
    assert call.resource.startswith(endpoint.server.url + "/")
    assert endpoint.offers == [offer]
    async with aiohttp.ClientSession() as client:
        async with client.delete(call.resource) as response:
            assert response.status == 401
        async with client.delete(call.resource + "x", headers={"Authorization": "Bearer secret"}) as response:
            assert response.status == 404
        async with client.patch(call.resource, headers={"Authorization": "Bearer secret"}) as response:
            assert response.status == 405
    assert not endpoint.ended
    await call.delete()
    assert endpoint.ended


async def test_wrong_key_401_busy_409(endpoint: Endpoint) -> None:
    offer = await real_offer()
    with pytest.raises(RefusedError, match="key"):
        await whip_post(endpoint.server.url, "guess", offer)
    async with aiohttp.ClientSession() as client, client.post(endpoint.server.url, data=offer) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    endpoint.busy = True
    with pytest.raises(BusyError, match="going on"):
        await whip_post(endpoint.server.url, "secret", offer)
    assert endpoint.offers == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"hello", 400),
        (b"\xff\xfe\x00", 400),
        (b"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", 400),
        (b"v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", 400),
        (b"v=0\r\n" + b"a" * 5000, 400),
        (b"v=0\r\n" + b"a=x\r\n" * 40_000, 413),
    ],
)
async def test_malformed_offers_are_refused(endpoint: Endpoint, body: bytes, status: int) -> None:
    assert (await post(endpoint.server.url, body))[0] == status
    assert endpoint.offers == []


async def test_what_the_stack_cannot_use_is_400_and_other_types_415(endpoint: Endpoint) -> None:
    offer = (await real_offer()) + "a=refuse-me\r\n"
    status, text = await post(endpoint.server.url, offer.encode())
    assert (status, text) == (400, "cannot be used\n")
    assert (await post(endpoint.server.url, b"{}", content_type="application/json"))[0] == 415


async def test_pages_of_other_origins_may_ask(endpoint: Endpoint) -> None:
    async with aiohttp.ClientSession() as client, client.options(endpoint.server.url) as response:
        assert response.status == 204
        assert response.headers["Accept-Post"] == "application/sdp"
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


async def test_nobody_there_is_a_closed_error() -> None:
    with pytest.raises(ClosedError, match="does not answer"):
        await whip_post("http://127.0.0.1:9/whip", "k", "v=0")


@pytest.mark.parametrize("url", ["ftp://x/whip", "127.0.0.1:8088/whip", ""])
async def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        await whip_post(url, "k", "v=0")


async def test_taken_port_is_a_usage_error(endpoint: Endpoint) -> None:
    port = int(endpoint.server.url.rsplit(":", 1)[1].split("/")[0])
    with pytest.raises(UsageError, match="--port"):
        await WhipServer(WhipConfig(port=port), endpoint.offer, endpoint.end).start()


async def test_https_with_a_certificate_and_the_warning_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl command")
    endpoint = Endpoint()
    config = WhipConfig(host="0.0.0.0", port=0, key="secret", cert=str(cert), key_file=str(key))
    server = WhipServer(config, endpoint.offer, endpoint.end)
    with caplog.at_level(logging.WARNING):
        await server.start()
        assert "in the clear" not in caplog.text
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert url.startswith("https://")
        call = await whip_post(url, "secret", await real_offer(), ca_file=str(cert))
        assert call.answer
        with pytest.raises(ClosedError):
            await whip_post(url, "secret", await real_offer())  # not signed by anybody we know
        await call.delete()
        await server.close()
        plain = WhipServer(WhipConfig(host="0.0.0.0", port=0), endpoint.offer, endpoint.end)
        await plain.start()
        await plain.close()
    assert "in the clear" in caplog.text


def test_made_up_keys_differ() -> None:
    async def nothing(_: str = "") -> str:
        return ""

    keys = {WhipServer(WhipConfig(), nothing, nothing).key for _ in range(3)}  # type: ignore[arg-type]
    assert len(keys) == 3
    assert min(map(len, keys)) >= 20


def test_offer_with_everything_passes() -> None:
    check_offer("v=0\nm=application 9 X Y\na=ice-ufrag:a\na=ice-pwd:b\na=fingerprint:c\n")


@pytest.mark.parametrize("text", ["http://x", "turn:host,user", "stun"])
def test_ice_servers_are_checked(text: str) -> None:
    with pytest.raises(ConfigError, match="--ice-server"):
        IceServer.parse(text)
    assert IceServer.parse("turn:h:1,u,p,with,commas") == IceServer("turn:h:1", "u", "p,with,commas")


@pytest.mark.parametrize("field", [{"port": 70_000}, {"path": "whip"}, {"cert": "only.pem"}])
def test_whip_config_is_checked(field: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        WhipConfig(**field)  # type: ignore[arg-type]
