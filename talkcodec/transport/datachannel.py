"""Messages over two data channels of a WebRTC connection: DTLS and SCTP, one stream that is reliable, one that is not.

A message of N bytes costs N + 93 bytes on the wire (IP 20, UDP 8, DTLS 37, SCTP 28), and an acknowledgement of 93
bytes comes back for every second one (docs/network.md has the measurement).
"""

import logging
from collections.abc import Callable

from aiortc import RTCDataChannel, RTCPeerConnection
from aiortc.exceptions import InvalidStateError

from talkcodec.transport.acknowledgements import delay_acknowledgements
from talkcodec.transport.boundary import Traffic
from talkcodec.types import Delivery, WireCost

__all__ = ["DATA_CHANNEL_COST", "DataChannels"]

logger = logging.getLogger(__name__)

DATA_CHANNEL_COST = WireCost(message_overhead_bytes=93, acknowledgement_bytes=93 / 2)
LABELS = {Delivery.RELIABLE: "talkcodec-control", Delivery.DROPPABLE: "talkcodec-motion"}
SCTP_PAYLOAD_BYTES = 1200
"""What fits one packet; a longer message is cut into several, and one lost is all lost."""


class DataChannels:
    """The Transport of a WebRTC connection.

    Both channels are negotiated in advance, with stream ids 0 and 1, so either side may offer. Call `create` before
    createOffer, or after setRemoteDescription on the answering side.
    """

    def __init__(self, connection: RTCPeerConnection) -> None:
        self.cost, self.largest_payload_bytes = DATA_CHANNEL_COST, SCTP_PAYLOAD_BYTES
        self.traffic = Traffic(self.cost)
        self._connection = connection
        self._channels: dict[Delivery, RTCDataChannel] = {}
        self._opened: Callable[[], None] = lambda: None
        self._received: Callable[[bytes], None] = lambda data: None
        self._closed: Callable[[str], None] = lambda reason: None
        connection.on("connectionstatechange", self._state_changed)

    def create(self) -> None:
        """Make both channels."""
        for stream_id, (delivery, label) in enumerate(LABELS.items()):
            reliable = delivery is Delivery.RELIABLE
            channel = self._connection.createDataChannel(
                label, ordered=reliable, maxRetransmits=None if reliable else 0, negotiated=True, id=stream_id
            )
            channel.on("open", self._channel_opened)
            channel.on("message", self._message)
            channel.on("close", lambda: self._closed("the channel was closed without a goodbye"))
            self._channels[delivery] = channel
        if self._connection.sctp is not None:
            delay_acknowledgements(self._connection.sctp)

    def attach(
        self, opened: Callable[[], None], received: Callable[[bytes], None], closed: Callable[[str], None]
    ) -> None:
        """As Transport."""
        self._opened, self._received, self._closed = opened, received, closed
        self._channel_opened()

    def send(self, data: bytes, delivery: Delivery) -> None:
        """As Transport."""
        try:
            self._channels[delivery].send(data)
        except (InvalidStateError, KeyError):  # closing, or never opened
            return
        self.traffic.sent(len(data))

    def backlog_bytes(self, delivery: Delivery) -> int:
        """As Transport; nothing leaves a closed channel, so nothing waits there."""
        channel = self._channels.get(delivery)
        return channel.bufferedAmount if channel is not None and channel.readyState == "open" else 0

    def _channel_opened(self) -> None:
        channels = self._channels.values()
        if channels and all(channel.readyState == "open" for channel in channels):
            self._opened()

    def _message(self, data: bytes | str) -> None:
        self.traffic.received(len(data))
        # A text is no message of ours; nothing at all is the message that no reader takes.
        self._received(b"" if isinstance(data, str) else data)

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        logger.debug("connection %s", state)
        if state in ("failed", "closed"):
            self._closed("the connection was lost")
