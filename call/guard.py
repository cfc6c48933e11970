"""Who may use a page of this machine: whoever has its key, from its own address, and no other site's page."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from urllib.parse import urlsplit

from aiohttp import web

from talkcodec.peer.signalling import is_loopback, same_key

__all__ = ["HEADERS", "Guard", "own_file", "static"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob: mediastream:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def own_file(request: web.Request, table: Mapping[str, tuple[str, str]]) -> web.Response:
    """One of a page's files; table: path -> name in `call/static` and content type."""
    name, kind = table[request.path]
    return web.Response(body=static(name), content_type=kind, charset="utf-8")


def static(name: str) -> bytes:
    """A file of `call/static`."""
    return (files("call") / "static" / name).read_bytes()


class Guard:
    """Files for anybody who reaches them, everything below /api/ with the key as bearer token."""

    def __init__(self, host: str, key: str) -> None:
        self._host, self._key = host, key
        self._hosts: frozenset[str] = frozenset()

    def listens(self, port: int) -> str:
        """Takes the port that the server got; returns HOST:PORT as it stands in addresses."""
        named = f"[{self._host}]" if ":" in self._host else self._host
        names = {named} | ({"127.0.0.1", "localhost", "[::1]"} if is_loopback(self._host) else set())
        self._hosts = frozenset(f"{name}:{port}" for name in names)
        return f"{named}:{port}"

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Names that are not ours (DNS rebinding), other sites' pages, and strangers stay outside."""
        try:
            if not self._is_ours(request.host):
                raise web.HTTPMisdirectedRequest(text="this host name is not served here\n")
            origin = request.headers.get("Origin")
            if origin is not None and not self._is_ours(urlsplit(origin).netloc):
                raise web.HTTPForbidden(text="requests of other sites are not answered\n")
            if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
                raise web.HTTPForbidden(text="requests of other sites are not answered\n")
            if request.path.startswith("/api/"):
                self._authorise(request)
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response

    def _is_ours(self, host: str) -> bool:
        # On a wildcard address the page has every name of the machine: only the key guards it then.
        return host in self._hosts or self._host in ("0.0.0.0", "::")

    def _authorise(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_key(given, self._key):
            raise web.HTTPUnauthorized(
                text="wrong or missing key: open the address that was printed\n", headers={"WWW-Authenticate": "Bearer"}
            )
