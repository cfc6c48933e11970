"""A bad network in user space: a UDP relay that two peers are talked into using by rewriting their SDP.

    peer A  <->  relay port facing A  --impairment-->  relay port facing B  <->  peer B

Every datagram is counted with its IPv4 and UDP headers, before it may be lost: that is what the sender paid for.
"""

import asyncio
import heapq
import re
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from talkcodec.transport.impairment import Impairment, Way

__all__ = ["IP_UDP_BYTES", "Relay", "WireCount", "count_kind"]

IP_UDP_BYTES = 28
KINDS = ("stun", "dtls", "rtp")
_CANDIDATE = re.compile(r"^a=candidate:(\S+) (\d+) udp (\d+) (\S+) (\d+) typ host.*$", re.IGNORECASE)


@dataclass(slots=True)
class WireCount:
    """Datagrams and bytes with IP and UDP headers that entered one direction, by what they carry."""

    datagrams: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    wire_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    lost: int = 0
    lost_rtp: int = 0
    """Of those lost."""

    def add(self, data: bytes) -> None:
        """Count one datagram."""
        kind = count_kind(data)
        self.datagrams[kind] += 1
        self.wire_bytes[kind] += len(data) + IP_UDP_BYTES

    @property
    def total_bytes(self) -> int:
        """All bytes on the wire."""
        return sum(self.wire_bytes.values())

    @property
    def total_datagrams(self) -> int:
        """All datagrams."""
        return sum(self.datagrams.values())

    def copy(self) -> "WireCount":
        """A snapshot."""
        return WireCount(dict(self.datagrams), dict(self.wire_bytes), self.lost, self.lost_rtp)


def count_kind(data: bytes) -> str:
    """ "stun", "dtls" or "rtp" (which includes RTCP), by the first byte (RFC 7983)."""
    first = data[0] if data else 0
    if first < 4:
        return "stun"
    return "dtls" if first < 64 else "rtp"


class _Direction(Way):
    """The impaired way from one port to the other, with its count."""

    def __init__(self, impairment: Impairment, seed: int) -> None:
        super().__init__(impairment, seed)
        self.count = WireCount()


class _Port(asyncio.DatagramProtocol):
    def __init__(self, relay: "Relay", outgoing: int) -> None:
        self._relay = relay
        self._outgoing = outgoing
        self.peer: tuple[str, int] | None = None
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.peer = (addr[0], addr[1])
        self._relay.forward(self._outgoing, data)


class Relay:
    """Stands between two peers of one call. `forward_way` is A to B (offerer to answerer), `back_way` B to A.

    Use: offer = relay.offer_for_answerer(offer); answer = relay.answer_for_offerer(answer).
    """

    def __init__(
        self, forward: Impairment, back: Impairment | None = None, seed: int = 1, host: str = "127.0.0.1"
    ) -> None:
        self._host = host
        self._ways = (_Direction(forward, seed), _Direction(back or forward, seed + 1))
        self._ports: list[_Port] = []
        self._queue: list[tuple[float, int, int, bytes]] = []
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.blocked = False

    async def start(self) -> None:
        """Open the two ports on this machine."""
        loop = asyncio.get_running_loop()
        for outgoing in (0, 1):
            _, port = await loop.create_datagram_endpoint(partial(_Port, self, outgoing), local_addr=(self._host, 0))
            self._ports.append(port)

    def close(self) -> None:
        """Close both ports; what is in flight is lost."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for port in self._ports:
            if port.transport is not None:
                port.transport.close()
        self._queue.clear()

    @property
    def forward_count(self) -> WireCount:
        """What A sent towards B."""
        return self._ways[0].count

    @property
    def back_count(self) -> WireCount:
        """What B sent towards A."""
        return self._ways[1].count

    def impair(self, forward: Impairment, back: Impairment | None = None) -> None:
        """Change the weather from now on."""
        self._ways[0].impairment = forward
        self._ways[1].impairment = back or forward

    def offer_for_answerer(self, sdp: str) -> str:
        """A's offer as B should see it: one candidate, the relay's port that faces B."""
        return self._rewrite(sdp, 1)

    def answer_for_offerer(self, sdp: str) -> str:
        """B's answer as A should see it: one candidate, the relay's port that faces A."""
        return self._rewrite(sdp, 0)

    def _rewrite(self, sdp: str, facing: int) -> str:
        transport = self._ports[facing].transport
        assert transport is not None
        port = transport.get_extra_info("sockname")[1]
        lines, seen_peer = [], False
        for line in sdp.splitlines():
            match = _CANDIDATE.match(line)
            if match is None:
                if not line.startswith("a=candidate"):
                    lines.append(line)
                continue
            if ":" in match[4] or match[2] != "1":
                continue
            if not seen_peer:
                self._ports[1 - facing].peer = (match[4], int(match[5]))
                seen_peer = True
            if not lines or not lines[-1].startswith("a=candidate"):
                lines.append(f"a=candidate:{match[1]} 1 udp {match[3]} {self._host} {port} typ host")
        return "\r\n".join(lines) + "\r\n"

    def forward(self, way: int, data: bytes) -> None:
        """A datagram entered direction `way` (0: from A, 1: from B)."""
        direction = self._ways[way]
        direction.count.add(data)
        now_s = asyncio.get_running_loop().time()
        at_s = None if self.blocked or direction.lost() else direction.leaves_at_s(len(data) + IP_UDP_BYTES, now_s)
        if at_s is None:
            direction.count.lost += 1
            direction.count.lost_rtp += count_kind(data) == "rtp"
        elif at_s <= now_s:
            self._deliver(way, data)
        else:
            self._order += 1
            heapq.heappush(self._queue, (at_s, self._order, way, data))
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue and not self._closed:
            self._timer = asyncio.get_running_loop().call_at(self._queue[0][0], self._release)

    def _release(self) -> None:
        now_s = asyncio.get_running_loop().time()
        while self._queue and self._queue[0][0] <= now_s + 0.0005:
            _, _, way, data = heapq.heappop(self._queue)
            self._deliver(way, data)
        self._timer = None
        self._schedule()

    def _deliver(self, way: int, data: bytes) -> None:
        port = self._ports[1 - way]
        if port.transport is not None and port.peer is not None and not self._closed:
            port.transport.sendto(data, port.peer)
