"""Messages in the padding of the sound's packets; what must arrive goes over another transport.

A packet of sound leaves every 20 to 60 ms in any case, with 57 bytes of headers. A motion or base unit that rides in it
costs four bytes beside its own. Any receiver that knows nothing of this hears the sound.
"""

from collections.abc import Callable

from talkcodec.bitstream.opus_padding import add_padding, read_padding
from talkcodec.errors import BitstreamError
from talkcodec.transport.boundary import Traffic, Transport
from talkcodec.transport.fragments import LARGEST_MESSAGE, MessagePacker, MessageUnpacker
from talkcodec.types import Delivery, WireCost

__all__ = ["SOUND_COST", "WithSound"]

SOUND_COST = WireCost(message_overhead_bytes=4, acknowledgement_bytes=0.0)
"""A message's own: its length, and its share of the extension around it."""

ROOM = 400
"""Bytes of messages in one packet: a packet stays well below what every path takes."""


class WithSound:
    """A Transport on top of another. Until `carry`, everything goes there; from then on what may be dropped rides in
    the packets that pass through `dress`."""

    def __init__(self, inner: Transport) -> None:
        self._inner, self.cost = inner, inner.cost
        self.largest_payload_bytes = min(inner.largest_payload_bytes, LARGEST_MESSAGE)
        self.traffic: Traffic = inner.traffic
        self.carrying = False
        self._packer, self._unpacker = MessagePacker(), MessageUnpacker()
        self._received: Callable[[bytes], None] = lambda data: None
        self._waits: Callable[[], None] = lambda: None

    def carry(self, waits: Callable[[], None]) -> None:
        """The peer reads what rides with our sound: begin. waits: called when a message waits for a packet."""
        self.carrying, self._waits, self.cost = True, waits, SOUND_COST

    def attach(
        self, opened: Callable[[], None], received: Callable[[bytes], None], closed: Callable[[str], None]
    ) -> None:
        """As Transport."""
        self._received = received
        self._inner.attach(opened, received, closed)

    def send(self, data: bytes, delivery: Delivery) -> None:
        """As Transport."""
        if not self.carrying or delivery is Delivery.RELIABLE:
            self._inner.send(data, delivery)
            return
        self._packer.add(data)
        self._waits()

    def backlog_bytes(self, delivery: Delivery) -> int:
        """As Transport: what one packet takes does not wait, it leaves with the next."""
        if self.carrying and delivery is Delivery.DROPPABLE:
            return max(0, self._packer.waiting_bytes - ROOM)
        return self._inner.backlog_bytes(delivery)

    @property
    def waiting(self) -> bool:
        """Whether a message waits for a packet."""
        return self._packer.waiting_bytes > 0

    def dress(self, packet: bytes) -> bytes:
        """An Opus packet on its way out, with what waits."""
        data = self._packer.take(ROOM) if self.carrying else b""
        if not data:
            return packet
        try:
            dressed = add_padding(packet, data)
        except BitstreamError:  # no packet of ours
            return packet
        self.traffic.sent(len(data))
        return dressed

    def undress(self, packet: bytes) -> None:
        """An Opus packet that came: what rides in it is received. Never raises for what it holds."""
        data = read_padding(packet)
        if data is None:
            return
        self.traffic.received(len(data))
        for message in self._unpacker.add(data):
            self._received(message)
