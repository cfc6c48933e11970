"""Rate control: how many units a message, and how many motion frames a second.

What counts is the wire, both ways: the transport says what it adds to a message and what comes back for one. Bundling
divides that by the number of units and delays the first of them; halving the motion rate halves it and leaves the
frames between to interpolation at the receiver.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from talkcodec.errors import ConfigError
from talkcodec.session.congestion import Congestion, Feedback
from talkcodec.types import WireCost

__all__ = ["RateConfig", "RateControl", "SendPlan"]

ENVELOPE_BYTES, EACH_BYTES = 8, 3
"""Of a bundle (docs/bitstream.md, section 8.3): once, and for each unit in it; times and numbers are short at first."""

SOUND_PACKETS = (1, 2)
SOUND_EVERY: tuple[int, ...] = (1, 2, 3, 5)
"""Where units ride with the sound: in how many of its packets there is one message, and how few frames are sent."""
LEAST_SHARE, FIRST_SHARE = 0.1, 0.6
"""Of a call's budget: a network that carries less carries no call; and what a call begins with, until reports say that
the network carries it."""


@dataclass(frozen=True, slots=True)
class RateConfig:
    """budget_bps: motion and its acknowledgements on the wire, both directions together.
    bundle: units a message, 1 to 4, or 0 to let rate control choose; max_added_delay_ms: bound of its choice.
    motion_fps: 0 lets rate control choose between the captured rate and half of it.
    floor_bps: congestion never drives the budget below this."""

    budget_bps: int = 16_000
    bundle: int = 0
    max_added_delay_ms: float = 80.0
    motion_fps: float = 0.0
    floor_bps: int = 6_000

    def __post_init__(self) -> None:
        if not 0 <= self.bundle <= 4:
            raise ConfigError(f"bundle: got {self.bundle}, expected 1 to 4 units a message, or 0 for automatic")
        if self.budget_bps < self.floor_bps or self.floor_bps < 1000:
            raise ConfigError("budget_bps: expected at least floor_bps, and floor_bps at least 1000")
        if not 0 <= self.motion_fps <= 120 or not 0 <= self.max_added_delay_ms <= 1000:
            raise ConfigError("motion_fps: expected 0 to 120; max_added_delay_ms: expected 0 to 1000")


@dataclass(frozen=True, slots=True)
class SendPlan:
    """units a message; keep one of `every` captured frames; what that costs on the wire, both ways."""

    bundle: int
    every: int
    wire_bps: float
    added_delay_ms: float


class RateControl:
    """Chooses the SendPlan with the least added delay that keeps within what the network carries of the budget.

    packet_ms: may be set where units ride in packets of sound that leave so often: what waits for a packet, or for
    every second one, is one message then, and a round trip varies by two packets without any queue.
    """

    def __init__(self, config: RateConfig, capture_fps: float, cost: WireCost) -> None:
        self._config, self._cost, self._fps = config, cost, capture_fps
        self._congestion = Congestion(config.floor_bps / config.budget_bps)
        self._total_bps: float = config.budget_bps
        self._allot: Callable[[float], float] = lambda share: share * config.budget_bps
        self._allotted = False
        self.packet_ms = 0.0
        self._unit_bytes = 14.0
        self.rtt_ms: float | None = None
        self.loss = 0.0
        self.plan = self._choose()

    @property
    def budget_bps(self) -> float:
        """Present budget, lowered by congestion."""
        return self._allot(self.share)

    @property
    def share(self) -> float:
        """What the network carries of the budget, as far as is known."""
        return self._congestion.share

    def allot(self, allot: Callable[[float], float], total_bps: float) -> None:
        """Somebody else shares out the whole call's budget of `total_bps`: what a share of it leaves for motion, in
        bit/s. Asked at each report. The call begins with less, so that a way that carries less is not flooded; another
        budget later begins with what was carried of the one before."""
        share = min(1.0, self.share * self._total_bps / total_bps) if self._allotted else FIRST_SHARE
        self._allot, self._total_bps, self._allotted = allot, total_bps, True
        self._congestion = Congestion(LEAST_SHARE, share)
        self.plan = self._choose()

    def unit_sent(self, unit_bytes: int) -> None:
        """A motion unit of this many bytes was coded; follows the mean."""
        self._unit_bytes += (unit_bytes - self._unit_bytes) / 64

    def feedback(self, feedback: Feedback) -> SendPlan:
        """A receiver report came; returns the plan from now on."""
        self.loss += (feedback.loss - self.loss) / 4
        if feedback.rtt_ms is not None:
            self.rtt_ms = feedback.rtt_ms
        self._congestion.heard(feedback, self._total_bps, 2 * self.packet_ms)
        self.plan = self._choose()
        return self.plan

    def _choose(self) -> SendPlan:
        config, budget_bps = self._config, self.budget_bps  # whoever shares it out may set packet_ms
        plans = self._candidates()
        quick = plans
        if not config.bundle:
            quick = [p for p in plans if p.added_delay_ms <= config.max_added_delay_ms] or plans[:1]
        affordable = plans if self._allotted else quick  # in a call's budget, delay is better than a queue
        for some in (quick, affordable):
            within = [p for p in some if p.wire_bps <= budget_bps]
            if within:
                return min(within, key=lambda p: (p.every, p.added_delay_ms))
        return min(affordable, key=lambda p: p.wire_bps)

    def _candidates(self) -> list[SendPlan]:
        config = self._config
        rides = self.packet_ms and not config.bundle
        rates = SOUND_EVERY if rides else (1, 2)
        if config.motion_fps:
            rates = (max(1, round(self._fps / config.motion_fps)),)
        if rides:
            return [self._riding(packets, every) for every, packets in product(rates, SOUND_PACKETS)]
        bundles = [config.bundle] if config.bundle else [1, 2, 3, 4]
        return [self._plan(bundle, every) for every, bundle in product(rates, bundles)]

    def _plan(self, bundle: int, every: int) -> SendPlan:
        frame_ms = 1000 / self._fps
        delay_ms = ((bundle - 1) * every + (every - 1)) * frame_ms  # waiting for the last unit; for the one between
        return SendPlan(bundle, every, self._message_bytes(bundle) * 8 * self._fps / (every * bundle), delay_ms)

    def _riding(self, packets: int, every: int) -> SendPlan:
        unit_ms = every * 1000 / self._fps
        units = max(1.0, packets * self.packet_ms / unit_ms)  # on average
        delay_ms = (packets - 1) * self.packet_ms + (every - 1) * 1000 / self._fps
        return SendPlan(int(units), every, self._message_bytes(units) * 8000 / (units * unit_ms), delay_ms)

    def _message_bytes(self, units: float) -> float:
        beside = self._cost.message_overhead_bytes + self._cost.acknowledgement_bytes
        return beside + ENVELOPE_BYTES + units * (EACH_BYTES + self._unit_bytes)
