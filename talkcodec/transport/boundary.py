"""What carries a call's messages, as the peer sees it: bytes with a kind of delivery, and what they cost."""

from collections.abc import Callable
from typing import Protocol

from talkcodec.types import Delivery, WireCost

__all__ = ["Traffic", "Transport"]


class Traffic:
    """Counts messages and their bytes; with the transport's cost, what they came to on the wire."""

    def __init__(self, cost: WireCost) -> None:
        self._cost = cost
        self.sent_messages = self.sent_bytes = 0
        self.received_messages = self.received_bytes = 0

    def sent(self, size: int) -> None:
        """A message of this many bytes left."""
        self.sent_messages += 1
        self.sent_bytes += size

    def received(self, size: int) -> None:
        """A message of this many bytes came."""
        self.received_messages += 1
        self.received_bytes += size

    @property
    def wire_up_bytes(self) -> int:
        """Estimated bytes on the wire from here: our messages, and acknowledgements of the peer's."""
        acknowledgements = round(self._cost.acknowledgement_bytes * self.received_messages)
        return self.sent_bytes + self._cost.message_overhead_bytes * self.sent_messages + acknowledgements

    @property
    def wire_down_bytes(self) -> int:
        """Estimated bytes on the wire to here."""
        acknowledgements = round(self._cost.acknowledgement_bytes * self.sent_messages)
        return self.received_bytes + self._cost.message_overhead_bytes * self.received_messages + acknowledgements


class Transport(Protocol):
    """Carries messages between two peers. It knows nothing of what they mean.

    cost: what it adds to a message. largest_payload_bytes: no message that is to be sent may be longer.
    traffic: what went over it so far.
    """

    cost: WireCost
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
