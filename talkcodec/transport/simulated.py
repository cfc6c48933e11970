"""Two transports and the network between them in virtual time: for state machines, without a socket or a clock."""

import heapq
from collections.abc import Callable

from talkcodec.transport.boundary import Traffic
from talkcodec.transport.impairment import Impairment, Way
from talkcodec.types import Delivery, WireCost

__all__ = ["SimulatedNetwork", "SimulatedTransport"]

_RETRANSMISSION_S = 1.0
"""After so long a lost reliable message is sent again, as SCTP does at the earliest."""


class SimulatedTransport:
    """One end of a SimulatedNetwork. A reliable message that is lost comes later, and all after it behind it."""

    def __init__(self, way: Way, cost: WireCost, largest_payload_bytes: int) -> None:
        self.cost, self.largest_payload_bytes = cost, largest_payload_bytes
        self.traffic = Traffic(cost)
        self.way = way
        self.outage_s = (0.0, 0.0)
        """From when to when nothing gets out of here."""
        self.now_s = 0.0
        self._flying: list[tuple[float, int, bytes]] = []
        self._order = 0
        self._reliable_s = 0.0
        self._received: Callable[[bytes], None] = lambda data: None

    def attach(
        self, opened: Callable[[], None], received: Callable[[bytes], None], closed: Callable[[str], None]
    ) -> None:
        """As Transport."""
        self._received = received  # it opens at once and never closes
        opened()

    def send(self, data: bytes, delivery: Delivery) -> None:
        """As Transport."""
        self.traffic.sent(len(data))
        at_s = self._arrives_at_s(len(data) + self.cost.message_overhead_bytes, delivery)
        if at_s is not None:
            self._order += 1
            heapq.heappush(self._flying, (at_s, self._order, data))

    def backlog_bytes(self, delivery: Delivery) -> int:
        """As Transport: everything leaves at once."""
        return 0

    def _arrives_at_s(self, wire_bytes: int, delivery: Delivery) -> float | None:
        down = self.outage_s[0] <= self.now_s < self.outage_s[1]
        at_s = None if down or self.way.lost() else self.way.leaves_at_s(wire_bytes, self.now_s)
        if delivery is Delivery.DROPPABLE:
            return at_s
        if at_s is None:
            again_s = (self.outage_s[1] if down else self.now_s) + _RETRANSMISSION_S
            at_s = again_s + self.way.impairment.delay_ms / 1000
        self._reliable_s = max(at_s, self._reliable_s)
        return self._reliable_s

    def take_arrived(self) -> bytes | None:
        """A message that has reached the other end by now."""
        return heapq.heappop(self._flying)[2] if self._flying and self._flying[0][0] <= self.now_s else None

    def arrived(self, data: bytes) -> None:
        """A message of the other end came out here."""
        self.traffic.received(len(data))
        self._received(data)


class SimulatedNetwork:
    """`a` and `b` are its two ends. Nothing moves but by `advance`, which is told the time."""

    def __init__(
        self,
        forward: Impairment,
        back: Impairment | None = None,
        *,
        seed: int = 1,
        start_s: float = 0.0,
        cost: WireCost = WireCost(),  # noqa: B008 (frozen)
        largest_payload_bytes: int = 1200,
    ) -> None:
        """forward: from `a` to `b`; back: the other way, else the same weather. seed: of all that is random."""
        self.a = SimulatedTransport(Way(forward, seed), cost, largest_payload_bytes)
        self.b = SimulatedTransport(Way(back or forward, seed + 1), cost, largest_payload_bytes)
        self._ends = ((self.a, self.b), (self.b, self.a))
        self.advance(start_s)

    def go_down(self, from_s: float, to_s: float) -> None:
        """Nothing gets through, in neither direction, between these times."""
        self.a.outage_s = self.b.outage_s = (from_s, to_s)

    def advance(self, now_s: float) -> None:
        """It is now `now_s`: deliver what has come through by then."""
        self.a.now_s = self.b.now_s = now_s
        for sender, receiver in self._ends:
            while (data := sender.take_arrived()) is not None:
                receiver.arrived(data)
