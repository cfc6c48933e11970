"""Bad weather: what one direction of a network does to what enters it. For the relay and the simulated network."""

import random
from dataclasses import dataclass

from talkcodec.errors import ConfigError

__all__ = ["Impairment", "Way"]


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to the datagrams of one direction.

    loss: share lost at random, [0, 1]. burst_length: mean length in datagrams of a burst of losses (Gilbert model with
    the same share lost); 1 is independent loss. delay_ms: added to each. jitter_ms: a further delay, drawn from an
    exponential distribution with this mean, cut at five times it; datagrams may overtake each other only if `reorder`
    is set. rate_bps: bottleneck rate, 0 for none, with a queue of queue_bytes that drops at its tail.
    """

    loss: float = 0.0
    burst_length: float = 1.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    reorder: bool = False
    rate_bps: int = 0
    queue_bytes: int = 30_000

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1 or self.burst_length < 1 or min(self.delay_ms, self.jitter_ms, self.rate_bps) < 0:
            raise ConfigError("impairment: loss in [0, 1), burst_length >= 1, delays and rate not negative expected")


class Way:
    """One direction under an impairment, which may change; the same seed gives the same fates."""

    def __init__(self, impairment: Impairment, seed: int) -> None:
        self.impairment = impairment
        self._random = random.Random(seed)
        self._bad = False
        self._link_free_s = 0.0
        self._last_s = 0.0

    def lost(self) -> bool:
        """Draw the fate of one datagram (Gilbert model: all lost in the bad state, none in the good one)."""
        loss, length = self.impairment.loss, self.impairment.burst_length
        if loss <= 0:
            self._bad = False
        elif length <= 1:
            self._bad = self._random.random() < loss
        elif self._bad:
            self._bad = self._random.random() >= 1 / length
        else:
            self._bad = self._random.random() < loss / (length * (1 - loss))
        return self._bad

    def leaves_at_s(self, wire_bytes: int, now_s: float) -> float | None:
        """When a datagram of this size, with its headers, comes out; None when the bottleneck's queue is full."""
        imp = self.impairment
        at_s = now_s
        if imp.rate_bps:
            start_s = max(now_s, self._link_free_s)
            if (start_s - now_s) * imp.rate_bps / 8 > imp.queue_bytes:
                return None
            at_s = self._link_free_s = start_s + wire_bytes * 8 / imp.rate_bps
        at_s += imp.delay_ms / 1000
        if imp.jitter_ms:
            at_s += min(self._random.expovariate(1000 / imp.jitter_ms), imp.jitter_ms / 200)
        if not imp.reorder:
            at_s = max(at_s, self._last_s)
        self._last_s = max(at_s, self._last_s)
        return at_s
