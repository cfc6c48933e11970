"""Base pictures that were lost and leave once more, where a fresh start would be longer."""

from dataclasses import replace

import pytest
from base_simulation import BaseCall

from talkcodec.bitstream import BundledUnit, Layer, MotionBundle, ReceiverReport
from talkcodec.clock import seq16_add
from talkcodec.session import RateConfig
from talkcodec.session.allowance import Allowance
from talkcodec.session.sender import SenderConfig
from talkcodec.session.sent_base import SentBase
from talkcodec.session.sound_way import SoundWay
from talkcodec.transport.impairment import Impairment
from talkcodec.types import Kind

START, NEXT = 0x80, 0x00


def bundle(sequence: int, size: int = 20, first: int = NEXT, time: int | None = None) -> MotionBundle:
    unit = BundledUnit(0, bytes([first]) + bytes(size - 1), Layer.BASE)
    return MotionBundle(0, sequence, (sequence if time is None else time) * 10 & 0xFFFF, (unit,))


def report(highest: int, missing: tuple[int, ...] = ()) -> ReceiverReport:
    shown = sum(1 << i for i in range(64) if seq16_add(highest, -1 - i) not in missing)
    return ReceiverReport(highest, shown, 0, 0, 0, 0, 0)


def sent(start: int, count: int, start_bytes: int = 400, size: int = 20) -> SentBase:
    base = SentBase(16)
    base.left(bundle(start, start_bytes, START), 0.0)
    for number in range(1, count):
        base.left(bundle(seq16_add(start, number), size), 100.0 * number)
    return base


@pytest.mark.parametrize("start", [0, 0xFFFF - 3])
def test_what_a_report_lacks_leaves_again_in_one_message_and_not_while_it_is_on_its_way(start: int) -> None:
    base = sent(start, 8)
    lost = tuple(seq16_add(start, n) for n in (3, 4, 5))
    again = base.once_more(report(seq16_add(start, 6), lost), before_ms=650.0, now_ms=750.0)
    assert [(b.sequence, len(b.units)) for b in again] == [(lost[0], 3)]
    assert [unit.delta for unit in again[0].units] == [0, 10, 10] or start, "times are those of then"
    assert base.on_its_way(report(seq16_add(start, 6), lost), since_ms=700.0)
    assert not base.on_its_way(report(seq16_add(start, 6), lost), since_ms=760.0)
    assert base.once_more(report(seq16_add(start, 6), lost), before_ms=700.0, now_ms=800.0) == []
    assert base.once_more(report(seq16_add(start, 7)), before_ms=900.0, now_ms=900.0) == []


def test_what_left_within_a_round_trip_is_not_missed_yet() -> None:
    base = sent(0, 6)
    assert base.once_more(report(3), before_ms=450.0, now_ms=600.0, beyond=False) == []
    assert [b.sequence for b in base.once_more(report(3), before_ms=450.0, now_ms=600.0)] == [4]


def test_what_waits_in_a_queue_is_not_sent_again() -> None:
    """A way that carries less than is sent: a long picture takes a second, and its report says nothing of it."""
    narrow = Impairment(rate_bps=20_000, queue_bytes=100_000)
    call = BaseCall(narrow, rate=RateConfig(budget_bps=16_000), base_fps=12.5, noise=8)
    call.receiver._config = replace(call.receiver._config, report_ms=300.0)
    call.run(12)
    assert call.sender.counts.repeated_bytes == 0


def test_a_fresh_start_is_left_to_the_encoder_where_it_is_shorter() -> None:
    base = sent(0, 7, start_bytes=50)
    assert base.once_more(report(6, (3, 4, 5)), before_ms=1000.0, now_ms=1000.0) == []
    assert len(base.once_more(report(6, (3, 4)), before_ms=1000.0, now_ms=1000.0)) == 1


def test_what_lies_before_a_start_is_needed_no_more_and_nothing_grows() -> None:
    base = sent(0, 8)
    base.left(bundle(8, 300, START), 800.0)
    base.left(bundle(7), 800.0)  # a copy of what was forgotten
    assert base.once_more(report(8, (3, 4, 5)), before_ms=2000.0, now_ms=2000.0) == []
    for number in range(9, 9 + 3 * SentBase.KEPT):
        base.left(bundle(number), 1000.0)
    assert len(base._units) == SentBase.KEPT


def test_a_burst_costs_no_fresh_start_and_all_its_pictures_come() -> None:
    call = BaseCall(sender_config=SenderConfig(repeat=True), noise=4)  # a start is as long as ten others
    call.run(5)
    call.network.go_down(call.now_ms / 1000, call.now_ms / 1000 + 0.2)
    call.run(3)
    assert [base for at_ms, base in call.coded if base.start is not None and at_ms > 1000] == []
    assert call.decoded >= len(call.coded) - 2
    assert call.failed == 0
    assert call.worst_level(Kind.EXACT) < 8.0


def test_a_start_is_not_said_twice() -> None:
    call = BaseCall(sender_config=SenderConfig(repeat=True))
    call.run(3)
    starts = [
        unit
        for _, message in call.messages
        if isinstance(message, MotionBundle)
        for unit in message.units
        if unit.layer is Layer.BASE and unit.payload[0] & START
    ]
    assert len(starts) == 1


def test_a_burst_of_lost_sound_is_reported_before_a_picture_shows_it() -> None:
    call = BaseCall(base_fps=2)  # the next picture is half a second away
    call.receiver.sound_way = way = SoundWay()
    call.run(5.1)
    for number in range(4):
        way.packet(number, number * 2880, 60, call.now_ms)
    before = call.sender.counts.reports
    call.run(0.3)
    assert call.sender.counts.reports == before
    way.packet(9, 9 * 2880, 60, call.now_ms)  # five packets did not come
    call.run(0.03)
    assert call.sender.counts.reports == before + 1
    call.run(0.15)
    assert call.sender.counts.reports == before + 1, "once"


@pytest.mark.parametrize("picture_bps", [2500.0, 3000.0])
def test_what_is_said_twice_is_within_the_rate(picture_bps: float) -> None:
    """Units alone take 2.2 kbit/s with 17 bytes around each message, and all of them twice 3.6."""
    call = BaseCall(sender_config=SenderConfig(repeat=True), noise=1, base_fps=6.25)
    call.sender.allowance.bps = picture_bps
    call.run(40)
    late = [m for at_ms, m in call.messages if at_ms > 5000 and isinstance(m, MotionBundle)]
    sent_bps = 8 * sum(17 + sum(len(unit.payload) for unit in m.units) for m in late) / 35
    alone_bps = 8 * sum(17 + len(m.units[-1].payload) for m in late) / 35
    assert alone_bps < picture_bps
    assert alone_bps + 50 < sent_bps <= 1.02 * picture_bps


def test_an_allowance_is_saved_for_two_seconds_and_owed_for_two() -> None:
    allowance = Allowance()
    assert allowance.affords(1e9, 0.0)
    allowance.bps = 8000.0
    assert not allowance.affords(1, 0.0)
    assert allowance.affords(2000, 60_000.0)
    assert not allowance.affords(2001, 60_000.0)
    allowance.took(100_000, 60_000.0)
    assert not allowance.affords(1, 62_000.0)
    assert allowance.affords(900, 63_000.0)
