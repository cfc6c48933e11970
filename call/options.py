"""What the command line sets, and the invitation link."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from talkcodec.command.console import started_as
from talkcodec.errors import ConfigError
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.signalling import WhipConfig
from talkcodec.peer.webrtc import IceServer

__all__ = ["CALL_FPS", "CallOptions", "Invitation", "PageOptions"]

CALL_FPS = 25.0
"""Frames a second that the page is asked to capture, and that are shown."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where the peer's engine is called, and the key that it asks for.

    As a link the key stands in the fragment, which no browser or proxy sends anywhere or logs.
    """

    url: str
    key: str

    @classmethod
    def parse(cls, link: str) -> "Invitation":
        """From "http(s)://HOST[:PORT]/whip#KEY". Raises ConfigError."""
        parts = urlsplit(link.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.fragment:
            raise ConfigError(
                f"link: got {link!r}, expected http(s)://HOST:PORT/whip#KEY; copy all of it, the part after # too"
            )
        return cls(urlunsplit(parts._replace(fragment="")), parts.fragment)

    def __str__(self) -> str:
        return f"{self.url}#{self.key}"

    @property
    def command(self) -> str:
        """What the peer types, if talkcodec is there as it is here."""
        return f"{started_as('call', 'call')} '{self}'"


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Where the page is served. key: of the page, made up when empty; port 0: any that is free.
    or_any: any, too, where `port` is taken."""

    host: str = "127.0.0.1"
    port: int = 0
    or_any: bool = False
    key: str = ""
    cert: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """One engine's side of a call.

    name: of this side's person, as the other reads it; "" for none. invitation: whom to call; None: wait for a caller
    at `whip`. public_url: address of the endpoint as the peer sees it, where a tunnel or proxy stands before it.
    takeover_s: a call that was silent for so long may be replaced by a new caller. redial_s: pause between two attempts
    to call. record_dir: where recordings go. stats: file for one JSON line a second. page: a person sits before a page,
    and is away while it is not open; without one, this end counts as there, and calls again when the other hangs up.
    """

    name: str = ""
    invitation: Invitation | None = None
    whip: WhipConfig = field(default_factory=WhipConfig)
    public_url: str = ""
    ca_file: str | None = None
    ice_servers: tuple[IceServer, ...] = ()
    peer: PeerConfig = field(default_factory=PeerConfig)
    takeover_s: float = 3.0
    redial_s: float = 2.0
    record_dir: Path = field(default_factory=Path.cwd)
    stats: Path | None = None
    page: bool = True

    def __post_init__(self) -> None:
        if self.public_url and urlsplit(self.public_url).scheme not in ("http", "https"):
            raise ConfigError(f"--public-url: got {self.public_url!r}, expected http(s)://HOST[:PORT]/whip")
