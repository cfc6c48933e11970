"""From coded bytes to bytes on the wire, with the constants named.

RTP: IPv4 20 + UDP 8 + RTP 12 + SRTP tag 10 = 50 B a packet of at most 1200 B (RFC 3550, RFC 3711). RTCP reports, some
1-5 %, are left out in the anchors' favour.

Data channel: a message of N <= 1200 B is one SCTP packet of N + 93 B on IPv4: IP 20, UDP 8, DTLS record 37, SCTP common
header 12 and DATA chunk header 16 (RFC 8831, RFC 9260), and the receiver acknowledges every second packet with a SACK
of 93 B the other way. docs/network.md measures both between real peers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = [
    "DATA_CHANNEL_BYTES",
    "MTU_PAYLOAD_BYTES",
    "RTP_PACKET_BYTES",
    "SACK_BYTES",
    "Traffic",
    "data_channel_traffic",
    "rtp_traffic",
]

MTU_PAYLOAD_BYTES = 1200
RTP_PACKET_BYTES = 50
DATA_CHANNEL_BYTES = 93
SACK_BYTES = 93


@dataclass(frozen=True)
class Traffic:
    """Bytes of one coded clip, counted on the stream that was decoded.

    payload_bytes: coded pictures and motion alone; keyframe_bytes: the part of it that is keyframes; message_bytes:
    with the envelope of each message; wire_up_bytes, wire_down_bytes: with every header, from and to the sender of
    the picture.
    """

    payload_bytes: int
    keyframe_bytes: int
    message_bytes: int
    wire_up_bytes: int
    wire_down_bytes: int

    def bitrates_bps(self, duration_s: float) -> dict[str, float]:
        """Bits a second of each count over the clip; `wire_bps` is both directions together."""
        counts = {
            "payload_bps": self.payload_bytes,
            "keyframe_bps": self.keyframe_bytes,
            "message_bps": self.message_bytes,
            "wire_up_bps": self.wire_up_bytes,
            "wire_bps": self.wire_up_bytes + self.wire_down_bytes,
        }
        return {name: 8 * count / duration_s for name, count in counts.items()}


def rtp_traffic(access_unit_bytes: list[int]) -> Traffic:
    """A conventional video stream over RTP: each access unit in as few packets as fit; the first one is the
    keyframe.
    """
    total = sum(access_unit_bytes)
    packets = sum(-(-size // MTU_PAYLOAD_BYTES) for size in access_unit_bytes)
    return Traffic(total, access_unit_bytes[0], total, total + packets * RTP_PACKET_BYTES, 0)


def data_channel_traffic(
    payload_bytes: int, keyframe_bytes: int, messages_up: Iterable[int], messages_down: Iterable[int] = ()
) -> Traffic:
    """Messages over data channels, cut where they are too long for a packet; sizes of those in each direction."""
    up, down = list(_packets(messages_up)), list(_packets(messages_down))
    return Traffic(
        payload_bytes=payload_bytes,
        keyframe_bytes=keyframe_bytes,
        message_bytes=sum(up),
        wire_up_bytes=sum(up) + len(up) * DATA_CHANNEL_BYTES + _acknowledged(down),
        wire_down_bytes=sum(down) + len(down) * DATA_CHANNEL_BYTES + _acknowledged(up),
    )


def _packets(messages: Iterable[int]) -> Iterator[int]:
    for size in messages:
        whole, rest = divmod(size, MTU_PAYLOAD_BYTES)
        yield from [MTU_PAYLOAD_BYTES] * whole
        if rest:
            yield rest


def _acknowledged(messages: list[int]) -> int:
    return (len(messages) + 1) // 2 * SACK_BYTES
