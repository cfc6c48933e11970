"""What a session hands to the transport."""

from dataclasses import dataclass

from talkcodec.bitstream import Message
from talkcodec.types import Delivery

__all__ = ["Outgoing"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message, and how it is to be carried."""

    delivery: Delivery
    message: Message
