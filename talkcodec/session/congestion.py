"""What share of a call's budget the network carries at present, from what the other end reports."""

from dataclasses import dataclass

__all__ = ["Congestion", "Feedback"]

ROUND_TRIP_MS = 150.0
"""A round trip so much above the smallest is a queue, where nothing better is known."""

QUEUE_MS = 40.0
"""So long do packets of sound wait for those before them, three in a row, where the way is full."""

JUDGED_UNITS, JUDGED_LOST = 60, 10
"""Loss is judged when so many units were reported on, or so many of them lost: at 5 % at random, one report of eight
units in twenty says 25 % or more."""

FALL, FASTEST_CLIMB, CLIMB, CAREFUL_CLIMB = 0.7, 1.1, 1.05, 1.01
"""At a report: without a measured rate; upwards before the first congestion; then; and near where it was last."""

CAREFUL_REPORTS = 25
"""So many good reports after a congestion its rate is forgotten."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one receiver report says: share of units lost in [0, 1], and round-trip time if it could be measured;
    units: how many the share is of. queue_ms: what packets of sound wait on their way, and rate_bps: what
    the way carried a second while they did; None where no sound comes there."""

    loss: float
    rtt_ms: float | None
    units: int = JUDGED_UNITS
    queue_ms: float | None = None
    rate_bps: float | None = None


class Congestion:
    """`share` of the budget. While packets of sound wait in a queue, reports say what the way carries: the share
    goes at once to less than that, so that the queue drains within two seconds. Where no sound tells, a queue is
    a round trip that is long twice in a row, or very long once, and the share falls by 30 %; so it does where loss is
    above 10 %, of enough units to tell, twice in a row, or more than 25 % once and no word of a queue.

    It climbs with each report of less than 2 % loss: fast before the first congestion, and carefully near the last.
    """

    def __init__(self, least: float, share: float = 1.0) -> None:
        self.share, self.least = share, least
        self._climb = FASTEST_CLIMB if share < 1 else CLIMB
        self._careful_from = float("inf")
        self._good = 0  # reports since the last congestion
        self._smallest_rtt_ms: float | None = None
        self._last_rtt_ms: float | None = None
        self._judged_units, self._judged_lost = 0, 0.0
        self._bad_losses = self._bad_queues = 0  # in a row

    def heard(self, feedback: Feedback, budget_bps: float, slack_ms: float) -> None:
        """A report. budget_bps: what the share is of. slack_ms: a round trip varies by so much without any queue."""
        queued_ms, grown_ms = self._queued_ms(feedback, slack_ms)
        longer_ms = queued_ms if feedback.queue_ms is None else grown_ms  # a report of a queue waited itself
        loss = self._judge(feedback)
        if loss is not None:
            self._bad_losses = self._bad_losses + 1 if loss > 0.1 else 0
        lossy = self._bad_losses >= 2 or (loss is not None and loss > 0.25 and feedback.queue_ms is None)
        if feedback.queue_ms is not None and feedback.queue_ms > QUEUE_MS and feedback.rate_bps:
            drain = min(0.9, max(0.6, 0.95 - feedback.queue_ms / 2000))
            self._fall_to(min(self.share, drain * feedback.rate_bps / budget_bps))
        elif lossy or (feedback.queue_ms is None and (self._bad_queues >= 2 or queued_ms > 2 * ROUND_TRIP_MS)):
            self._fall_to(FALL * self.share)
        elif feedback.loss < 0.02 and longer_ms <= ROUND_TRIP_MS and (feedback.queue_ms or 0.0) <= QUEUE_MS / 2:
            self._good += 1
            if self._good >= CAREFUL_REPORTS:
                self._careful_from = float("inf")
            self.share = min(1.0, self.share * (CAREFUL_CLIMB if self.share >= self._careful_from else self._climb))

    def _fall_to(self, share: float) -> None:
        self.share = max(self.least, share)
        self._careful_from, self._climb, self._good = self.share, CLIMB, 0
        self._bad_losses = self._bad_queues = 0

    def _queued_ms(self, feedback: Feedback, slack_ms: float) -> tuple[float, float]:
        """How much longer the round trip is than the smallest, and than the last."""
        if feedback.rtt_ms is None:
            return 0.0, 0.0
        last_ms, self._last_rtt_ms = self._last_rtt_ms, feedback.rtt_ms
        smallest = self._smallest_rtt_ms
        self._smallest_rtt_ms = feedback.rtt_ms if smallest is None else min(smallest * 1.01, feedback.rtt_ms)
        queued_ms = feedback.rtt_ms - self._smallest_rtt_ms - slack_ms
        self._bad_queues = self._bad_queues + 1 if queued_ms > ROUND_TRIP_MS else 0
        return queued_ms, feedback.rtt_ms - (last_ms or feedback.rtt_ms) - slack_ms

    def _judge(self, feedback: Feedback) -> float | None:
        """Share of units lost since it was judged last; None while that is too few to tell."""
        self._judged_units += feedback.units
        self._judged_lost += feedback.loss * feedback.units
        if self._judged_units < JUDGED_UNITS and self._judged_lost < JUDGED_LOST:
            return None
        loss = self._judged_lost / self._judged_units
        self._judged_units, self._judged_lost = 0, 0.0
        return loss
