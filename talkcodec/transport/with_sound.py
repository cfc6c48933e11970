"""Messages in the padding of the sound's packets; what must arrive goes over another transport.

A packet of sound leaves every 20 to 60 ms in any case, with 50 bytes of headers. A message that rides in it costs four
bytes beside its own, and nothing comes back for it. Any receiver that knows nothing of this hears the sound.
"""

from collections.abc import Callable

from talkcodec.bitstream.opus_padding import add_padding, read_padding
from talkcodec.errors import BitstreamError
from talkcodec.transport.boundary import Traffic, Transport
from talkcodec.transport.fragments import LARGEST_MESSAGE, MessagePacker, MessageUnpacker
from talkcodec.types import Delivery, WireCost

__all__ = ["RIDING_COST", "ROOM", "SOUND_PACKET_BYTES", "WithSound"]

RIDING_COST = WireCost(message_overhead_bytes=4, acknowledgement_bytes=0.0)
"""Of a message alone in its packet: three bytes of padding around it and one of length. Two in a packet cost five."""

SOUND_PACKET_BYTES = 50
"""What a packet of sound is on the wire beside its Opus: IPv4 20, UDP 8, RTP 12, authentication tag 10."""

ROOM = 800
"""Bytes of messages in one packet: a fresh start of the base as a rule, which half a packet would be of no use for. It
stays below what every path takes."""


class WithSound:
    """A Transport on top of another. Until `carry`, everything goes there; from then on what may be dropped rides in
    the packets that pass through `dress`."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.largest_payload_bytes = min(inner.largest_payload_bytes, LARGEST_MESSAGE)
        self.traffic: Traffic = inner.traffic
        self.carrying = False
        self._packer, self._unpacker = MessagePacker(), MessageUnpacker()
        self._received: Callable[[bytes], None] = lambda data: None
        self._waits: Callable[[], None] = lambda: None
        self._leaves: Callable[[], None] = lambda: None
        self._leaving = False

    @property
    def cost(self) -> WireCost:
        """As Transport, of a droppable message."""
        return RIDING_COST if self.carrying else self.inner.cost

    def carry(self, waits: Callable[[], None], leaves: Callable[[], None] = lambda: None) -> None:
        """The peer reads what rides with our sound: begin. waits: called when a message waits for a packet. leaves:
        called when a packet is about to leave: what is sent now rides in it."""
        self.carrying, self._waits, self._leaves = True, waits, leaves

    def attach(
        self, opened: Callable[[], None], received: Callable[[bytes], None], closed: Callable[[str], None]
    ) -> None:
        """As Transport."""
        self._received = received
        self.inner.attach(opened, received, closed)

    def send(self, data: bytes, delivery: Delivery) -> None:
        """As Transport."""
        if not self.carrying or delivery is Delivery.RELIABLE:
            self.inner.send(data, delivery)
            return
        self._packer.add(data)
        if not self._leaving:
            self._waits()

    def backlog_bytes(self, delivery: Delivery) -> int:
        """As Transport: what the next packet takes does not count as waiting."""
        if self.carrying and delivery is Delivery.DROPPABLE:
            return max(0, self._packer.waiting_bytes - ROOM)
        return self.inner.backlog_bytes(delivery)

    def dress(self, packet: bytes) -> bytes:
        """An Opus packet on its way out, with what waits."""
        if self.carrying:
            self._leaving = True
            try:
                self._leaves()
            finally:
                self._leaving = False
        before = self._packer.waiting_bytes
        if not self.carrying or not before:
            return packet
        try:
            add_padding(packet, b"")
        except BitstreamError:  # no packet: it goes as it is, and what waits goes with the next
            return packet
        dressed = add_padding(packet, self._packer.take(ROOM))
        size = before - self._packer.waiting_bytes
        self.traffic.sent(size, WireCost(len(dressed) - len(packet) - size))
        if self._packer.waiting_bytes:
            self._waits()
        return dressed

    def undress(self, packet: bytes) -> None:
        """An Opus packet that came: what rides in it is received. Never raises for what it holds."""
        for message in self._unpacker.add(read_padding(packet) or b""):
            self.traffic.received(len(message), RIDING_COST)
            self._received(message)
