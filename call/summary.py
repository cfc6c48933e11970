"""What a call was, once it is over."""

import time
from dataclasses import dataclass

from talkcodec.peer.peer import Peer

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """seconds: that both people were there; bytes: all on the wire; kbps: their mean while connected."""

    seconds: float
    sent_bytes: int
    received_bytes: int
    sent_kbps: float
    received_kbps: float


async def summarise(peer: Peer, since_s: float | None) -> Summary | None:
    """None for a call that never came about. since_s: from when both were there, monotonic clock."""
    if peer.agreed_s is None:
        return None
    traffic = peer.link.transport.traffic
    sent, received = await peer.connection.wire_bytes() or (traffic.wire_up_bytes, traffic.wire_down_bytes)
    now_s = time.monotonic()
    connected_s = max(1.0, now_s - peer.agreed_s)
    return Summary(
        0.0 if since_s is None else now_s - since_s, sent, received,
        8 * sent / 1000 / connected_s, 8 * received / 1000 / connected_s,
    )  # fmt: skip
