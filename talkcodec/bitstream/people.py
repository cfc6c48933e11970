"""Messages from person to person: who is there, and what they write (docs/bitstream.md, section 8.6)."""

from dataclasses import dataclass

from talkcodec.bitstream import wire
from talkcodec.errors import BitstreamError

__all__ = ["MAX_CHAT", "MAX_NAME", "Chat", "Presence"]

MAX_NAME = 40
MAX_CHAT = 256
"""Characters: at four bytes each such a message still is one packet."""


@dataclass(frozen=True, slots=True)
class Presence:
    """How the person at the sender of this stands; sent at the start and at each change.

    here: somebody is there to see and hear. camera, microphone: what they send at present; recording: they keep what
    they receive. name: at most 40 characters, any; whoever shows it does so as text.
    """

    here: bool = True
    camera: bool = True
    microphone: bool = True
    recording: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """A line that the person wrote: text, 1 to 256 characters, any; whoever shows it does so as text."""

    text: str


def presence_fields(m: Presence) -> list[wire.Value]:
    """As they stand in the message."""
    return [m.here, m.camera, m.microphone, m.recording, m.name]


def presence(f: list[wire.Value]) -> Presence:
    """Raises BitstreamError."""
    return Presence(
        wire.boolean(f[0], "here"), wire.boolean(f[1], "camera"), wire.boolean(f[2], "microphone"),
        wire.boolean(f[3], "recording"), wire.text(f[4], MAX_NAME, "name"),
    )  # fmt: skip


def chat(f: list[wire.Value]) -> Chat:
    """Raises BitstreamError."""
    text = wire.text(f[0], MAX_CHAT, "text")
    if not text:
        raise BitstreamError("text is empty, expected 1 to 256 characters")
    return Chat(text)
