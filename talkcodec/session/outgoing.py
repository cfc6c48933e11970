"""What a session hands to the transport, and when it wants to be asked again."""

from dataclasses import dataclass
from enum import Enum

from talkcodec.bitstream import Message

__all__ = ["Channel", "Outgoing"]


class Channel(Enum):
    """The two data channels of a connection; the values are their labels."""

    CONTROL = "talkcodec-control"
    """Reliable and ordered: Hello, keyframe pieces, acknowledgements, requests, Bye."""
    MOTION = "talkcodec-motion"
    """Unordered, never sent again: motion bundles one way, receiver reports the other."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for one of the channels."""

    channel: Channel
    message: Message
