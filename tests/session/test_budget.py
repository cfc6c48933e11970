"""What a call's budget buys, and how the network's share of it falls and climbs."""

import random

import pytest

from talkcodec.errors import ConfigError
from talkcodec.session.budget import BESIDE_BPS, LEAST_PICTURE_BPS, CallBudget
from talkcodec.session.congestion import QUEUE_MS, Congestion, Feedback
from talkcodec.session.rate import FIRST_SHARE, RateConfig, RateControl
from talkcodec.types import WireCost

CARRIED = WireCost(message_overhead_bytes=4)


@pytest.mark.parametrize("kbps", [12, 14, 17, 18, 20, 24, 32, 36, 48, 56, 64, 80, 120])
def test_all_parts_together_are_the_budget(kbps: int) -> None:
    plan = CallBudget(kbps * 1000).plan()
    assert plan.sound_wire_bps + plan.picture_bps + BESIDE_BPS == pytest.approx(kbps * 1000, rel=1e-9)
    assert plan.coded_bps < plan.picture_bps
    assert plan.sound_bps >= 6000


def test_the_voice_comes_first() -> None:
    for kbps in (8, 9, 10, 11):
        plan = CallBudget(kbps * 1000).plan()
        assert (plan.sound_bps, plan.frame_ms, plan.picture_bps) == (6000, 120, LEAST_PICTURE_BPS)
    assert CallBudget(20_000).plan().frame_ms == 60
    assert CallBudget(100_000).plan().frame_ms == 20


def test_more_budget_never_buys_a_worse_voice_or_a_later_one() -> None:
    plans = [CallBudget(kbps * 1000).plan() for kbps in range(8, 120)]
    assert [p.sound_bps for p in plans] == sorted(p.sound_bps for p in plans)
    assert [-p.frame_ms for p in plans] == sorted(-p.frame_ms for p in plans)


def test_without_sound_the_picture_has_it_all() -> None:
    plan = CallBudget(20_000, sound=False).plan()
    assert plan.picture_bps == 20_000 - BESIDE_BPS


def test_loss_brings_repetition_where_it_is_affordable() -> None:
    budget = CallBudget(24_000)
    calm, lossy = budget.plan(), budget.plan(loss=0.05)
    assert (calm.repeat, lossy.repeat) == (False, True)
    assert lossy.coded_bps * 1.85 == pytest.approx(calm.coded_bps)
    assert not CallBudget(12_000).plan(loss=0.05).repeat


def test_what_is_no_budget() -> None:
    for bps in (0, 7_999, 3_000_000, float("nan")):
        with pytest.raises(ConfigError, match="budget"):
            CallBudget(bps)


def test_a_queue_takes_the_share_down_at_once_and_it_climbs_back() -> None:
    asked: list[float] = []
    rate = RateControl(RateConfig(), 25.0, CARRIED)
    budget = CallBudget(20_000)

    def allot(share: float) -> float:
        asked.append(share)
        return budget.plan(share).picture_bps

    rate.allot(allot, 20_000)
    assert rate.share == FIRST_SHARE
    for _ in range(6):
        rate.feedback(Feedback(0.0, 80.0))
    assert rate.share == 1.0
    rate.feedback(Feedback(0.0, 480.0))
    assert rate.share == pytest.approx(0.7), "a queue of 400 ms is no chance"
    for _ in range(20):
        rate.feedback(Feedback(0.0, 900.0))
    assert rate.share == pytest.approx(0.1)
    for _ in range(100):
        rate.feedback(Feedback(0.0, 80.0))
    assert rate.share == 1.0
    assert asked[-1] == 1.0


@pytest.mark.parametrize("rtt_ms", [600.0, 80.0])
def test_distance_jitter_and_random_loss_are_no_congestion(rtt_ms: float) -> None:
    rate = RateControl(RateConfig(), 25.0, CARRIED)
    rate.allot(lambda share: CallBudget(20_000).plan(share).picture_bps, 20_000)
    for number in range(100):
        rate.feedback(Feedback(0.05 if number % 3 == 0 else 0.0, rtt_ms + 30.0 * (number % 2)))
    assert rate.share == 1.0


def test_reports_of_few_units_do_not_make_random_loss_of_5_percent_a_congestion() -> None:
    """Eight units a report: one report in twenty says 25 % or more, and none says 5."""
    for seed in range(20):
        draw = random.Random(seed)
        rate = RateControl(RateConfig(), 25.0, CARRIED)
        shares = []
        for _ in range(120):
            lost = sum(draw.random() < 0.05 for _ in range(8))
            rate.feedback(Feedback(lost / 8, 80.0, units=8))
            shares.append(rate.share)
        assert sum(shares) / len(shares) > 0.95


def test_loss_of_a_fifth_is_one_in_short_reports_too() -> None:
    draw = random.Random(1)
    rate = RateControl(RateConfig(), 25.0, CARRIED)
    for _ in range(30):
        rate.feedback(Feedback(sum(draw.random() < 0.3 for _ in range(8)) / 8, 80.0, units=8))
    assert rate.share < 0.5


def test_waiting_for_packets_is_no_queue() -> None:
    rate = RateControl(RateConfig(), 25.0, CARRIED)
    rate.packet_ms = 120.0
    for number in range(60):
        rate.feedback(Feedback(0.0, 30.0 + 240.0 * (number % 3 > 0)))
    assert rate.share == 1.0
    rate.feedback(Feedback(0.0, 600.0))
    assert rate.share == pytest.approx(0.7)


def test_what_waits_for_a_packet_of_sound_is_one_message() -> None:
    rate = RateControl(RateConfig(), 25.0, CARRIED)
    rate.packet_ms = 120.0
    every_frame = 8000 / 120 * (4 + 8 + 3 * (3 + 14))
    rate.allot(lambda share: every_frame + 1, 20_000)
    assert (rate.plan.bundle, rate.plan.every, rate.plan.added_delay_ms) == (3, 1, 0)
    assert rate.plan.wire_bps == pytest.approx(every_frame)
    rate.allot(lambda share: every_frame - 1, 20_000)
    assert (rate.plan.bundle, rate.plan.every) == (1, 2), "three frames in two packets"
    rate.allot(lambda share: 1_550, 20_000)
    assert (rate.plan.bundle, rate.plan.every) == (2, 3), "a message in every second packet"
    rate.allot(lambda share: 100, 20_000)
    assert (rate.plan.every, rate.plan.wire_bps < 1_200) == (5, True), "no less can be had"


def test_a_way_that_is_long_is_climbed_on_and_one_that_grows_longer_is_not() -> None:
    congestion = Congestion(0.1, FIRST_SHARE)
    congestion.heard(Feedback(0.0, 50.0, 10, 0.0, 0.0), 20_000, 0.0)
    before = congestion.share
    congestion.heard(Feedback(0.0, 650.0, 10, 0.0, 0.0), 20_000, 0.0)
    assert congestion.share == before, "the report itself may have waited"
    for _ in range(8):
        congestion.heard(Feedback(0.0, 650.0, 10, 0.0, 0.0), 20_000, 0.0)
    assert congestion.share == 1.0


def test_another_budget_begins_with_what_was_carried_of_the_one_before() -> None:
    rate = RateControl(RateConfig(), 25.0, CARRIED)
    rate.allot(lambda share: 5_000, 20_000)
    for _ in range(10):
        rate.feedback(Feedback(0.0, 80.0))
    rate.allot(lambda share: 5_000, 40_000)
    assert rate.share == pytest.approx(0.5)
    rate.allot(lambda share: 5_000, 10_000)
    assert rate.share == 1.0


def test_a_carrier_with_headers_of_its_own_leaves_less_for_the_picture() -> None:
    riding, channel = (CallBudget(20_000).plan(message_bytes=size) for size in (4, 139.5))
    assert riding == CallBudget(20_000).plan()
    assert channel.coded_bps == 1000, "so little that the ladder takes motion, whose messages hold several units"
    assert CallBudget(60_000).plan(message_bytes=139.5).coded_bps > 11_000


class Narrow:
    """A way of `carries_bps` in virtual time: what is sent beyond waits, and reports say so."""

    def __init__(self, carries_bps: float, budget_bps: float = 20_000, report_s: float = 0.4) -> None:
        self.carries_bps, self.budget_bps, self.report_s = carries_bps, budget_bps, report_s
        self.queue_s = 0.0
        self.congestion = Congestion(0.1, FIRST_SHARE)

    def run(self, seconds: float, floor_bps: float = 0.0) -> list[tuple[float, float]]:
        """Queue in milliseconds and share at each report."""
        out = []
        for _ in range(round(seconds / self.report_s)):
            sent_bps = max(floor_bps, self.congestion.share * self.budget_bps)
            before_s, full = self.queue_s, sent_bps / self.carries_bps - 1
            self.queue_s = max(0.0, before_s + full * self.report_s)
            arrived_bps = self.carries_bps if self.queue_s > 0 else sent_bps
            feedback = Feedback(0.0, 80.0, 10, self.queue_s * 1000, arrived_bps)
            self.congestion.heard(feedback, self.budget_bps, 0.0)
            out.append((self.queue_s * 1000, self.congestion.share))
        return out


@pytest.mark.parametrize("carries_bps", [12_000, 16_000, 19_000, 30_000])
def test_a_narrow_way_is_found_from_below_and_its_queue_stays_short(carries_bps: float) -> None:
    way = Narrow(carries_bps)
    course = way.run(120)
    assert max(queue_ms for queue_ms, _ in course) < 250
    assert sum(queue_ms for queue_ms, _ in course) / len(course) < QUEUE_MS
    late = [share * 20_000 for _, share in course[len(course) // 2 :]]
    assert sum(late) / len(late) > 0.85 * min(20_000, carries_bps)


def test_a_way_that_becomes_narrow_is_met_within_a_second_and_the_queue_drains() -> None:
    way = Narrow(100_000)
    assert way.run(10)[-1][1] == 1.0
    way.carries_bps = 12_000
    course = way.run(1.0)
    assert course[-1][1] * 20_000 < 12_000
    assert way.run(4.0)[-1][0] < QUEUE_MS
    way.carries_bps = 100_000
    assert way.run(120)[-1][1] == 1.0, "what was learned of it is forgotten"


def test_loss_in_one_burst_is_no_congestion_where_the_sound_knows_of_no_queue() -> None:
    congestion = Congestion(0.1)
    congestion.heard(Feedback(0.8, 80.0, 14, 5.0, 18_000), 20_000, 0.0)
    assert congestion.share == 1.0
    for _ in range(3):
        congestion.heard(Feedback(0.3, 80.0, 70, 5.0, 12_000), 20_000, 0.0)
    assert congestion.share < 0.8, "a way that drops what is too much has no queue"
