"""The invitation in a browser: who invites, what this is, and the one command that joins.

GET  /whip                the page; it holds nothing secret: the key stands in the fragment, which stays in the browser
GET  /whip/invitation     with the key as bearer: who invites, as JSON, and the address as a QR code (SVG)

A wrong key is answered with 401, and the page says what to do then.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from string import Template

from aiohttp import web

from call.guard import static
from talkcodec.peer.signalling import same_key

__all__ = ["InvitationPage", "Inviting", "qr_svg"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

FILES = {
    "style.css": "text/css",
    "invite.css": "text/css",
    "invite.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Inviting:
    """What the page tells whoever has the key. link: the whole invitation; name: of who invites, "" when not known;
    waiting: False while they take no calls; reachable: False when the link works on this machine only."""

    link: str
    name: str
    waiting: bool
    reachable: bool


class InvitationPage:
    """Serves the page beside the WHIP endpoint at `path`."""

    def __init__(self, path: str, key: Callable[[], str], inviting: Callable[[], Inviting]) -> None:
        self._path, self._key, self._inviting = path.rstrip("/"), key, inviting

    def routes(self) -> list[web.RouteDef]:
        """What the endpoint answers beside calls."""
        served = [web.get(f"{self._path}/{name}", self._file) for name in FILES]
        return [web.get(self._path, self._page), *served, web.get(f"{self._path}/invitation", self._invitation)]

    async def _page(self, _: web.Request) -> web.Response:
        # The address has no slash at its end, so that what is loaded is named with the last part of the path.
        text = Template(static("invite.html").decode()).substitute(here=self._path.rpartition("/")[2])
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=HEADERS)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        return web.Response(body=static(name), content_type=FILES[name], charset="utf-8", headers=HEADERS)

    async def _invitation(self, request: web.Request) -> web.Response:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_key(given, self._key()):
            raise web.HTTPUnauthorized(text="wrong or missing key\n", headers={"WWW-Authenticate": "Bearer"} | HEADERS)
        inviting = self._inviting()
        code = qr_svg(inviting.link) if inviting.reachable else ""
        answer = {"name": inviting.name, "waiting": inviting.waiting, "reachable": inviting.reachable, "qr": code}
        return web.json_response(answer, headers=HEADERS)


def qr_svg(text: str) -> str:
    """A QR code as an SVG without colours of its own; "" where the extra `qr` is not installed."""
    try:
        import segno
    except ImportError:
        return ""
    out = io.BytesIO()
    segno.make_qr(text, error="m").save(out, kind="svg", xmldecl=False, svgclass="qr", lineclass=None, omitsize=True)
    return out.getvalue().decode()
