"""What carries a call's messages, as the peer sees it: bytes with a kind of delivery, and what they cost."""

from collections.abc import Callable
from typing import Protocol

from talkcodec.types import Delivery, WireCost

__all__ = ["Traffic", "Transport"]


class Traffic:
    """Counts messages and their bytes; with what carries them, what they came to on the wire."""

    def __init__(self, cost: WireCost) -> None:
        """cost: of a message for which no other is said."""
        self._cost = cost
        self.sent_messages = self.sent_bytes = 0
        self.received_messages = self.received_bytes = 0
        self._up = self._down = 0.0

    def sent(self, size: int, cost: WireCost | None = None) -> None:
        """A message of this many bytes left."""
        self.sent_messages += 1
        self.sent_bytes += size
        cost = cost or self._cost
        self._up += size + cost.message_overhead_bytes
        self._down += cost.acknowledgement_bytes

    def received(self, size: int, cost: WireCost | None = None) -> None:
        """A message of this many bytes came."""
        self.received_messages += 1
        self.received_bytes += size
        cost = cost or self._cost
        self._down += size + cost.message_overhead_bytes
        self._up += cost.acknowledgement_bytes

    @property
    def wire_up_bytes(self) -> int:
        """Estimated bytes on the wire from here: our messages, and acknowledgements of the peer's."""
        return round(self._up)

    @property
    def wire_down_bytes(self) -> int:
        """Estimated bytes on the wire to here."""
        return round(self._down)


class Transport(Protocol):
    """Carries messages between two peers. It knows nothing of what they mean.

    largest_payload_bytes: no message that is to be sent may be longer. traffic: what went over it so far.
    """

    @property
    def cost(self) -> WireCost:
        """What it adds to a message."""
        ...

    largest_payload_bytes: int
    traffic: Traffic

    def attach(
        self, opened: Callable[[], None], received: Callable[[bytes], None], closed: Callable[[str], None]
    ) -> None:
        """Say what happens from now on: it can send (also when it could before), a message came, it is over (why)."""
        ...

    def send(self, data: bytes, delivery: Delivery) -> None:
        """Hand a message over. Nothing is raised: one that has nowhere to go any more is dropped."""
        ...

    def backlog_bytes(self, delivery: Delivery) -> int:
        """Bytes handed over that have not left; while there are some, droppable messages had better wait."""
        ...
