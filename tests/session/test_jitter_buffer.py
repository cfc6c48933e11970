"""What is shown when: exact, concealed, frozen, each frame once."""

import numpy as np
import pytest

from talkcodec.errors import ConfigError
from talkcodec.session import PlayoutConfig, Shown
from talkcodec.session.jitter_buffer import JitterBuffer, TimedUnit
from talkcodec.session.playout_clock import PlayoutClock
from talkcodec.types import Drive, Kind, Motion

PERIOD = 3600


def unit(index: int, sequence: int | None = None, timestamp: int | None = None) -> TimedUnit[int]:
    """Frame `index` of a movement of 0.01 a frame."""
    motion = Motion(np.full((2, 2), 0.01 * index, np.float32))
    stamp = index * PERIOD if timestamp is None else timestamp
    return TimedUnit((index if sequence is None else sequence) & 0xFFFF, stamp & 0xFFFFFFFF, 0, Drive(motion))


def play(buffer: JitterBuffer[int], arrivals: dict[float, list[TimedUnit[int]]], until_ms: float) -> list[Shown[int]]:
    shown, now, waiting = [], 0.0, sorted(arrivals.items())
    while now <= until_ms:
        while waiting and waiting[0][0] <= now:
            for item in waiting.pop(0)[1]:
                buffer.push(item, now)
        frame = buffer.due(now)
        if frame is not None:
            shown.append(frame)
        now += 2.0
    return shown


def test_steady_stream_is_exact_and_in_order() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    shown = play(buffer, {i * 40.0: [unit(i)] for i in range(50)}, 49 * 40.0 + 20)
    assert [frame.kind for frame in shown] == [Kind.EXACT] * 50
    assert [frame.timestamp for frame in shown] == [i * PERIOD for i in range(50)]
    assert buffer.counts.shown == 50


def test_one_lost_unit_costs_one_concealed_frame_close_to_the_truth() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    shown = play(buffer, {i * 40.0: [unit(i)] for i in range(50) if i != 20}, 49 * 40.0 + 20)
    assert [i for i, frame in enumerate(shown) if frame.kind is Kind.CONCEALED] == [20]
    assert np.allclose(shown[20].drive.motion.keypoints, 0.20, atol=0.005)


def test_long_gap_conceals_for_a_bounded_time_then_freezes_then_resumes() -> None:
    buffer = JitterBuffer(PlayoutConfig(conceal_ms=200))
    shown = play(buffer, {i * 40.0: [unit(i)] for i in range(60) if not 10 <= i < 40}, 59 * 40.0 + 20)
    kinds = [frame.kind for frame in shown]
    assert kinds[10:15] == [Kind.CONCEALED] * 5
    assert kinds[15:40] == [Kind.FROZEN] * 25
    assert set(kinds[40:]) == {Kind.EXACT}
    assert np.abs(shown[14].drive.motion.keypoints).max() < 0.01 * 14, "extrapolation must slow down"


def test_what_comes_after_a_long_gap_is_shown_early_and_the_picture_stands_still_for_less() -> None:
    buffer = JitterBuffer(PlayoutConfig(conceal_ms=200, minimum_delay_ms=160))
    shown = play(buffer, {i * 40.0: [unit(i)] for i in range(60) if not 10 <= i < 40}, 59 * 40.0 + 170)
    kinds = [frame.kind for frame in shown]
    assert kinds[15:36] == [Kind.FROZEN] * 21
    assert kinds[36:40] == [Kind.CONCEALED] * 4, "frame 40 is there 160 ms before its time"
    assert all(np.allclose(frame.drive.motion.keypoints, 0.40) for frame in shown[36:40])
    assert set(kinds[40:]) == {Kind.EXACT}


def test_half_the_motion_rate_is_interpolated_and_counts_as_exact() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    arrivals = {i * 40.0: [unit(i, sequence=i // 2)] for i in range(0, 100, 2)}
    shown = play(buffer, arrivals, 97 * 40.0)
    middle = [frame for frame in shown[10:] if (frame.timestamp // PERIOD) % 2]
    assert all(frame.kind is Kind.EXACT and frame.interpolated for frame in middle)
    for frame in shown[10:]:
        assert np.allclose(frame.drive.motion.keypoints, 0.01 * (frame.timestamp / PERIOD), atol=1e-5)


def test_a_gap_in_the_numbers_is_a_loss_even_at_half_the_rate() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    arrivals = {i * 40.0: [unit(i, sequence=i // 2)] for i in range(0, 100, 2) if i != 50}
    shown = play(buffer, arrivals, 97 * 40.0)
    concealed = [frame.timestamp // PERIOD for frame in shown[10:] if frame.kind is Kind.CONCEALED]
    assert concealed == [49, 50, 51]


def test_bundles_are_waited_for() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    arrivals = {(i + 2) * 40.0: [unit(i), unit(i + 1), unit(i + 2)] for i in range(0, 90, 3)}
    shown = play(buffer, arrivals, 89 * 40.0)
    assert {frame.kind for frame in shown[3:]} == {Kind.EXACT}
    assert 80 <= buffer.delay_ms <= 110


def test_reordered_units_are_put_in_order() -> None:
    buffer = JitterBuffer(PlayoutConfig(minimum_delay_ms=60))
    arrivals: dict[float, list[TimedUnit[int]]] = {}
    for i in range(0, 50, 2):
        arrivals[i * 40.0 + 40] = [unit(i + 1), unit(i)]
    shown = play(buffer, arrivals, 49 * 40.0)
    assert [frame.timestamp for frame in shown] == sorted(frame.timestamp for frame in shown)
    assert all(frame.kind is Kind.EXACT for frame in shown[3:])


def test_late_unit_is_counted_and_not_shown() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    play(buffer, {i * 40.0: [unit(i)] for i in range(20) if i != 10}, 19 * 40.0)
    before = buffer.counts
    assert not buffer.push(unit(10), 20 * 40.0)
    assert buffer.counts.late == before.late + 1


def test_frames_missed_because_nobody_asked_count_as_frozen() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    for i in range(20):
        buffer.push(unit(i), i * 40.0)
    shown = buffer.due(19 * 40.0 + 15)
    assert shown is not None
    assert shown.timestamp == 19 * PERIOD
    assert buffer.counts.frozen == 19
    assert buffer.counts.shown == 20


def test_timestamps_wrap_unseen() -> None:
    start = 2**32 - 10 * PERIOD
    buffer = JitterBuffer(PlayoutConfig())
    arrivals = {i * 40.0: [unit(i, timestamp=start + i * PERIOD)] for i in range(30)}
    shown = play(buffer, arrivals, 29 * 40.0 + 20)
    assert {frame.kind for frame in shown} == {Kind.EXACT}
    assert len(shown) == 30


def test_the_buffer_is_bounded_and_absurd_times_are_refused() -> None:
    buffer = JitterBuffer(PlayoutConfig(units=16))
    buffer.push(unit(0), 0.0)
    for i in range(1000):
        buffer.push(unit(i, timestamp=1 + i), 1.0)
    assert buffer.buffered <= 16
    assert not buffer.push(unit(1, timestamp=90_000 * 3600), 2.0)
    frame = buffer.due(100.0)
    assert frame is not None


def test_a_media_clock_that_jumps_is_believed_after_some_units() -> None:
    buffer = JitterBuffer(PlayoutConfig())
    jump = 90_000 * 5000
    arrivals = {i * 40.0: [unit(i, timestamp=i * PERIOD + (jump if i >= 25 else 0))] for i in range(100)}
    shown = play(buffer, arrivals, 99 * 40.0 + 20)
    assert [frame.kind for frame in shown[-50:]] == [Kind.EXACT] * 50
    assert shown[-1].timestamp == 99 * PERIOD + jump


@pytest.mark.parametrize("field", [{"period_ticks": 100}, {"units": 2}, {"conceal_ms": -1.0}])
def test_playout_config_is_checked(field: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        PlayoutConfig(**field)  # type: ignore[arg-type]


def test_shorter_packets_of_sound_bring_the_delay_down_within_seconds() -> None:
    """A call begins with long packets; what waited for them must not hold the pictures back for ten seconds."""
    clock = PlayoutClock()
    now_ms, delays = 0.0, []
    for number in range(300):
        length_ms = 120.0 if number < 50 else 60.0
        now_ms += length_ms
        media = round((now_ms - length_ms) * 90)  # sound and units of a packet wait for its end
        clock.observe(media, round((now_ms - (320.0 if number == 20 else 1.2 * length_ms)) * 90), now_ms)
        clock.observe_other(media, now_ms, length_ms)
        delays.append((now_ms, clock.delay_ms))
    assert max(delay for _, delay in delays) > 200
    assert next(delay for at_ms, delay in delays if at_ms > 6000 + 6000) < 90


def test_longer_packets_of_sound_are_waited_for_at_once() -> None:
    clock = PlayoutClock()
    for number in range(100):
        length_ms = 60.0 if number < 50 else 120.0
        now_ms = min(number, 50) * 60.0 + max(0, number - 50) * 120.0
        clock.observe(round((now_ms - length_ms) * 90), round((now_ms - length_ms) * 90), now_ms)
        clock.observe_other(round((now_ms - length_ms) * 90), now_ms, length_ms)
    assert clock.deadline_ms(round((now_ms - 120.0) * 90)) >= now_ms
