"""What packets of sound tell of queues on their way."""

import random

import pytest

from talkcodec.session.sound_way import SoundWay


def feed(way: SoundWay, waits_ms: list[float], start: int = 0) -> float:
    """Packets of 60 ms from `start` on that wait so long each; when the last came. The clocks are 5 s apart."""
    now_ms = 0.0
    for index, wait_ms in enumerate(waits_ms, start):
        now_ms = 5000 + (index + 1) * 60.0 + wait_ms
        way.packet(index & 0xFFFF, round(index * 60.0 * 48) & 0xFFFFFFFF, 100, now_ms)
    return now_ms


def test_a_queue_is_told_whatever_the_clocks_say_and_numbers_wrap() -> None:
    for start in (0, 0xFFFF - 20, 1_491_300):  # times wrap too
        way = SoundWay()
        now_ms = feed(way, [7.0] * 30, start=start)
        assert way.queue_ms(now_ms) == pytest.approx(0, abs=0.1)
        now_ms = feed(way, [7.0 + 170, 7.0 + 150, 7.0 + 160], start=start + 30)
        now_ms = feed(way, [7.0], start=start + 33)
        assert way.queue_ms(now_ms) == pytest.approx(90, abs=0.1), "beyond a packet's own 60 ms"


def test_jitter_and_one_late_packet_are_no_queue() -> None:
    draw, way = random.Random(2), SoundWay()
    told = [way.queue_ms(feed(way, [min(draw.expovariate(1 / 30), 119)], start=index)) or 0.0 for index in range(400)]
    assert sum(queue_ms > 0 for queue_ms in told) < 0.02 * len(told)
    feed(way, [0.0] * 5, start=400)
    assert way.queue_ms(feed(way, [250.0, 190.0, 0.0], start=405)) == pytest.approx(0, abs=1)


def test_longer_packets_and_lost_ones_are_no_queue() -> None:
    way = SoundWay()
    time_ms, now_ms = 0.0, 0.0
    for number, frame_ms in enumerate([60.0] * 20 + [120.0] * 20 + [20.0] * 20):
        time_ms += frame_ms
        now_ms = time_ms + 12
        if number % 5:
            way.packet(number, round((time_ms - frame_ms) * 48), 50, now_ms)
    assert way.queue_ms(now_ms) == pytest.approx(0, abs=0.1)


def test_pauses_are_no_queue_and_old_news_is_none() -> None:
    way = SoundWay()
    now_ms = feed(way, [0.0] * 20)
    for index in range(20, 40):  # packets that hold no sound
        way.packet(index, 20 * 60 * 48 + 120 * (index - 20), 30, now_ms + 100 * (index - 19))
    assert way.queue_ms(now_ms) == pytest.approx(0, abs=0.1)
    assert way.queue_ms(now_ms + 2200) is None


def test_a_way_that_becomes_longer_is_no_queue_and_its_length_after_a_while() -> None:
    way = SoundWay()
    feed(way, [0.0] * 50)
    assert way.queue_ms(feed(way, [200.0] * 5, start=50)) == pytest.approx(140, abs=0.1)
    assert way.queue_ms(feed(way, [200.0] * 5, start=55)) == 0
    uneven = [400.0, 420.0] * 200
    assert way.queue_ms(feed(way, uneven[:40], start=60)) == pytest.approx(140, abs=0.1)
    assert way.queue_ms(feed(way, uneven, start=100)) == pytest.approx(0, abs=0.1)


def test_the_rate_is_that_of_the_way_while_packets_follow_each_other() -> None:
    way, free_ms = SoundWay(), 0.0
    for index in range(100):
        size = 150 if index < 60 else 400  # and then more than 40 kbit/s carry
        sent_ms = (index + 1) * 60.0
        free_ms = max(sent_ms, free_ms) + (size + 50) * 8 / 40
        way.packet(index, index * 60 * 48, size, free_ms)
        if index == 50:
            assert way.take_rate_bps() == 0, "nothing followed close behind anything"
    assert way.take_rate_bps() == pytest.approx(40_000, rel=0.01)
    assert way.take_rate_bps() == 0
