"""Signalling by WHIP (RFC 9725): one POST of an SDP offer, answered with 201 and the SDP answer; DELETE ends.

The receiver serves, the sender is the client. A bearer key is asked for in every request.
"""

import asyncio
import hmac
import ipaddress
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp import web

from talkcodec.errors import BusyError, ClosedError, ConfigError, OfferError, RefusedError, UsageError

__all__ = [
    "WhipCall",
    "WhipConfig",
    "WhipServer",
    "check_offer",
    "dial",
    "is_loopback",
    "same_key",
    "server_tls",
    "whip_post",
]

logger = logging.getLogger(__name__)

SDP = "application/sdp"
MAX_SDP_BYTES = 64 * 1024
MAX_SDP_LINE_BYTES = 2048
BODY_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 10.0
_ANSWER_TIMEOUT_S = 60.0
"""An answer takes a tenth of a second. Where a busy machine needs longer than the caller waits, every attempt fails in
the same way, for ever."""


@dataclass(frozen=True, slots=True)
class WhipConfig:
    """Where the endpoint listens. key: bearer key, made up when empty. cert, key_file: PEM files for HTTPS."""

    host: str = "127.0.0.1"
    port: int = 8088
    path: str = "/whip"
    key: str = ""
    cert: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535 or not self.path.startswith("/"):
            raise ConfigError("port: expected 0 to 65535; path: expected to start with /")
        if (self.cert is None) != (self.key_file is None):
            raise ConfigError("--cert and --cert-key belong together: give both, or neither")


def same_key(given: str, key: str) -> bool:
    """Whether a peer's key is ours, in constant time; any bytes that a header can hold are a wrong key, no error."""
    return hmac.compare_digest(given.strip().encode(errors="surrogateescape"), key.encode())


def is_loopback(host: str) -> bool:
    """True when only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server_tls(cert: str | None, key_file: str | None, option: str = "--cert") -> ssl.SSLContext | None:
    """For a server that listens with this certificate (PEM), None for none. Raises UsageError, naming the option."""
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{option} {cert}, {option}-key {key_file}: {error}") from error
    return context


class WhipServer:
    """One endpoint that holds at most one call.

    offer: called with an SDP offer, returns the answer; raises BusyError (409) or OfferError (400).
    ended: called when the caller DELETEs the call.
    beside: what else is answered here, a page for people who open the address, say.
    """

    def __init__(
        self,
        config: WhipConfig,
        offer: Callable[[str], Awaitable[str]],
        ended: Callable[[], Awaitable[None]],
        beside: Sequence[web.RouteDef] = (),
    ) -> None:
        self.config, self._beside = config, beside
        self.key = config.key or secrets.token_urlsafe(16)
        self.url = ""
        self._offer, self._ended = offer, ended
        self._resource: str | None = None
        self._negotiating = asyncio.Lock()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises UsageError when the port is taken or the certificate cannot be read."""
        app = web.Application(client_max_size=MAX_SDP_BYTES, middlewares=[_cors])
        app.router.add_post(self.config.path, self._post)
        app.router.add_delete(self.config.path + "/{resource}", self._delete)
        for path in (self.config.path, self.config.path + "/{resource}"):
            app.router.add_options(path, self._options)
        app.router.add_patch(self.config.path + "/{resource}", self._patch)
        app.router.add_routes(self._beside)
        tls = server_tls(self.config.cert, self.config.key_file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self.config.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(f"cannot listen on {self.config.host}:{self.config.port}: {error}; try --port") from error
        port = self._runner.addresses[0][1]
        scheme = "https" if self.config.cert else "http"
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        self.url = f"{scheme}://{host}:{port}{self.config.path}"
        if not is_loopback(self.config.host) and not self.config.cert:
            logger.warning(
                "listening on %s without --cert: the key and the DTLS fingerprints cross the network in the clear, and "
                "whoever can change them on the way can listen in",
                self.url,
            )

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def call_over(self) -> None:
        """The call ended otherwise than by DELETE: its address is gone."""
        self._resource = None

    def _authorised(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_key(given, self.key):
            raise web.HTTPUnauthorized(text="wrong or missing key\n", headers={"WWW-Authenticate": "Bearer"})

    async def _post(self, request: web.Request) -> web.Response:
        self._authorised(request)
        if request.content_type != SDP:
            raise web.HTTPUnsupportedMediaType(text=f"expected {SDP}\n")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                offer = (await request.read()).decode()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the offer did not arrive\n") from None
        except UnicodeDecodeError:
            raise web.HTTPBadRequest(text="the offer is not UTF-8\n") from None
        if self._negotiating.locked():
            raise web.HTTPConflict(text="somebody else is calling\n")
        async with self._negotiating:
            try:
                check_offer(offer)
                answer = await self._offer(offer)
            except BusyError as error:
                raise web.HTTPConflict(text=f"{error}\n") from None
            except OfferError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from None
            self._resource = secrets.token_urlsafe(12)
        location = f"{self.config.path}/{self._resource}"
        return web.Response(status=201, text=answer, content_type=SDP, headers={"Location": location})

    async def _delete(self, request: web.Request) -> web.Response:
        self._authorised(request)
        if request.match_info["resource"] != self._resource:
            raise web.HTTPNotFound(text="no such call\n")
        self._resource = None
        await self._ended()
        return web.Response(text="ended\n")

    async def _patch(self, request: web.Request) -> web.Response:
        self._authorised(request)
        raise web.HTTPMethodNotAllowed("PATCH", ["DELETE", "OPTIONS"], text="trickle ICE is not supported\n")

    async def _options(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP})


@web.middleware
async def _cors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Pages of any origin may call: the key decides, not the origin."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Expose-Headers": "Location",
    }
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(headers)
        raise
    response.headers.update(headers)
    return response


def check_offer(sdp: str) -> None:
    """Cheap checks before the WebRTC stack sees an offer. Raises OfferError."""
    lines = sdp.splitlines()
    if not lines or lines[0] != "v=0":
        raise OfferError("not an SDP offer: it does not start with v=0")
    if any(len(line) > MAX_SDP_LINE_BYTES for line in lines) or len(lines) > 1000:
        raise OfferError("the SDP offer is too long")
    if not any(line.startswith("m=application ") for line in lines):
        raise OfferError("the SDP offer has no data channel (m=application)")
    for needed in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not any(line.startswith(needed) for line in lines):
            raise OfferError(f"the SDP offer has no {needed[2:-1]}")


@dataclass(frozen=True, slots=True)
class WhipCall:
    """An accepted call: the SDP answer, and the address to DELETE."""

    answer: str
    resource: str
    key: str
    ca_file: str | None = None

    async def delete(self) -> None:
        """End the call; a server that is gone already is no error."""
        try:
            async with _client(_CONNECT_TIMEOUT_S) as client:
                headers = {"Authorization": f"Bearer {self.key}"}
                async with client.delete(self.resource, headers=headers, ssl=_trust(self.ca_file)):
                    pass
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.debug("DELETE failed: %s", error)


def _client(total_s: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_TIMEOUT_S))


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=ca_file) if ca_file else True


async def whip_post(url: str, key: str, offer: str, ca_file: str | None = None) -> WhipCall:
    """Call a WHIP endpoint. ca_file: certificate (PEM) to trust, for one that no authority signed.

    Raises BusyError, RefusedError, ClosedError when nothing answers, ConfigError for an address that is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"address: got {url!r}, expected http(s)://HOST:PORT/whip")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": SDP}
    try:
        async with (
            _client(_ANSWER_TIMEOUT_S) as client,
            client.post(url, data=offer, headers=headers, ssl=_trust(ca_file)) as response,
        ):
            body = await response.content.read(MAX_SDP_BYTES + 1)
            if response.status == 201 and len(body) <= MAX_SDP_BYTES:
                resource = urljoin(url, response.headers.get("Location", ""))
                return WhipCall(body.decode(), resource, key, ca_file)
            reason = body[:200].decode(errors="replace").strip()
            if response.status == 409:
                raise BusyError(f"{url} is busy: {reason}")
            if response.status == 401:
                raise RefusedError(f"{url} refused the key; give the one that the receiver printed with --key")
            raise RefusedError(f"{url} answered {response.status}: {reason}")
    except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
        raise ClosedError(f"{url} does not answer: {error or type(error).__name__}") from error


class Caller(Protocol):
    """A connection that can call."""

    async def offer(self) -> str:
        """The SDP offer."""
        ...

    async def accept(self, answer: str) -> None:
        """Take the SDP answer. Raises OfferError."""
        ...


async def dial(connection: Caller, url: str, key: str, ca_file: str | None = None) -> WhipCall:
    """Call a WHIP endpoint with this connection. Raises as whip_post, and OfferError for an answer that is none."""
    call = await whip_post(url, key, await connection.offer(), ca_file)
    try:
        await connection.accept(call.answer)
    except OfferError:
        await call.delete()
        raise
    return call
