"""The sound's buffer in virtual time: order, losses, pauses, jitter, drift, hostile numbers."""

import heapq
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.session.voice_buffer import VoiceBuffer, VoicePiece

FRAME_MS = 60
FRAME = FRAME_MS * 48
Arrival = tuple[float, int]


def play(
    arrivals: Iterable[Arrival],
    start: int = 65_500,
    clock: int = 0xFFFF_F000,
    position: dict[int, int] | None = None,
    heard_after_ms: float | None = None,
) -> tuple[list[tuple[float, VoicePiece]], VoiceBuffer]:
    """Packets by their arrival (ms, number) -> what was played when. position: of packets that do not lie at number x
    FRAME. heard_after_ms: sound of position p is to be heard so long after p; None: at once."""
    heard = (lambda at: None) if heard_after_ms is None else (lambda at: at / 48 + heard_after_ms)
    buffer, played = VoiceBuffer(heard), []
    waiting = sorted(arrivals)
    heapq.heapify(waiting)
    now_ms = 0.0
    while waiting:
        due_ms = buffer.next_due_ms()
        if due_ms is not None and due_ms < waiting[0][0]:
            now_ms = max(now_ms, due_ms)
        else:
            now_ms, number = heapq.heappop(waiting)
            at = (position or {}).get(number, number * FRAME)
            buffer.push((start + number) & 0xFFFF, (clock + at) & 0xFFFFFFFF, b"%d" % number, now_ms)
        while (piece := buffer.due(now_ms)) is not None:
            played.append((now_ms, piece))
            if piece.packet is not None:
                buffer.decoded(FRAME)
    return played, buffer


def numbers(played: list[tuple[float, VoicePiece]]) -> list[int | None]:
    return [None if piece.packet is None else int(piece.packet) for _, piece in played]


def whole(played: list[tuple[float, VoicePiece]]) -> bool:
    """Each piece begins where the one before ended."""
    end = played[0][1].position
    for _, piece in played:
        if piece.position != end:
            return False
        end += piece.samples or FRAME
    return True


@pytest.mark.parametrize("late_ms", [90.0, 250.0])
def test_what_comes_late_but_before_it_is_to_be_heard_is_not_made_up(late_ms: float) -> None:
    """A queue that grows and drains again, as when a way is probed: sound waits for the pictures anyway."""
    arrivals = [(20 + FRAME_MS * n + max(0.0, late_ms - 55 * (n - 50)) * (n >= 50), n) for n in range(200)]
    played, buffer = play(arrivals, heard_after_ms=20 + 320.0)
    assert numbers(played) == list(range(200))
    assert buffer.counts.concealed == 0
    _, without = play(arrivals)
    assert without.counts.concealed > 0


def test_what_does_not_come_is_made_up_before_it_is_to_be_heard() -> None:
    arrivals = [(20 + FRAME_MS * n, n) for n in range(100) if n not in (50, 51, 52, 80)]
    played, _ = play(arrivals, heard_after_ms=20 + 200.0)
    made_up = [(at, piece) for at, piece in played if piece.packet is None]
    assert made_up
    assert all(at <= piece.position / 48 + 220 for at, piece in made_up)
    assert whole(played)
    far = play(arrivals, heard_after_ms=1e9)[1]
    assert far.counts.concealed > 0, "not for ever"


def test_what_comes_in_order_is_played_at_once() -> None:
    arrivals = [(20 + FRAME_MS * n, n) for n in range(200)]
    played, buffer = play(arrivals)
    assert numbers(played) == list(range(200))
    assert [at for at, _ in played] == [at for at, _ in arrivals]
    assert whole(played)
    assert buffer.counts.concealed == buffer.counts.late == 0


@pytest.mark.parametrize("burst", [1, 4])
def test_a_loss_costs_its_own_sound_and_no_delay(burst: int) -> None:
    lost = {50 + n for n in range(burst)}
    played, buffer = play([(FRAME_MS * n, n) for n in range(120) if n not in lost])
    assert [n for n in numbers(played) if n is not None] == [n for n in range(120) if n not in lost]
    assert whole(played)
    made = [piece for _, piece in played if piece.packet is None]
    assert sum(piece.samples for piece in made) == burst * FRAME
    assert all(at == FRAME_MS * int(piece.packet) for at, piece in played if piece.packet), "nothing waits for it"
    first = next(at for at, piece in played if piece.packet is None)
    assert first <= 50 * FRAME_MS + buffer.LONGEST_WAIT_MS, "made up before the next packet is there"


@pytest.mark.parametrize("seed", range(4))
def test_five_percent_loss_with_jitter_and_reordering(seed: int) -> None:
    rng = random.Random(seed)
    arrivals = [(FRAME_MS * n + 40 + rng.uniform(0, 30), n) for n in range(1000) if n == 0 or rng.random() > 0.05]
    played, buffer = play(arrivals)
    heard = [n for n in numbers(played) if n is not None]
    assert heard == sorted(heard)
    assert len(heard) >= len(arrivals) - 5, "jitter is no loss"
    assert whole(played)
    waits = [at - arrived for (at, piece) in played if piece.packet for arrived, n in [arrivals_of(arrivals, piece)]]
    assert max(waits) <= buffer.LONGEST_WAIT_MS


@pytest.mark.parametrize("seed", range(4))
def test_jitter_of_30_ms_makes_up_little_that_was_not_lost(seed: int) -> None:
    rng = random.Random(seed)
    arrivals = [(FRAME_MS * n + min(150.0, rng.expovariate(1 / 30)), n) for n in range(1000)]
    _, buffer = play(arrivals)
    assert buffer.counts.concealed < 20


def arrivals_of(arrivals: list[Arrival], piece: VoicePiece) -> Arrival:
    assert piece.packet is not None
    return next(arrival for arrival in arrivals if arrival[1] == int(piece.packet))


def test_a_pause_is_no_loss() -> None:
    before = [(FRAME_MS * n, n) for n in range(10)]
    after = [(3000 + FRAME_MS * n, n) for n in range(10, 20)]
    place = {n: n * FRAME + 48 * 3000 for n in range(10, 20)}
    played, buffer = play(before + after, position=place)
    assert [n for n in numbers(played) if n is not None] == list(range(20))
    made = sum(piece.samples for _, piece in played if piece.packet is None)
    assert made <= (buffer.CONCEALED_MS + FRAME_MS) * 48
    assert played[-1][1].position == place[19]


def test_a_way_that_becomes_longer_costs_no_more_than_the_step() -> None:
    arrivals = [(FRAME_MS * n + (0 if n < 40 else 500), n) for n in range(120)]
    played, _ = play(arrivals)
    heard = [n for n in numbers(played) if n is not None]
    assert heard[-70:] == list(range(50, 120))
    assert len(heard) > 108


def test_duplicates_and_old_packets_are_dropped() -> None:
    arrivals = [(FRAME_MS * n, n) for n in range(20)]
    played, buffer = play([*arrivals, *((at + 5, n) for at, n in arrivals), (1300.0, 2)])
    assert [n for n in numbers(played) if n is not None] == list(range(20))
    assert buffer.counts.late == 21


@pytest.mark.parametrize("ppm", [-200, 200])
def test_clocks_that_drift_for_ten_minutes_add_no_delay(ppm: int) -> None:
    arrivals = [(FRAME_MS * n * (1 + ppm / 1e6) + (7 * n % 5), n) for n in range(10_000)]
    played, buffer = play(arrivals)
    assert [n for n in numbers(played) if n is not None] == list(range(10_000))
    assert buffer.counts.concealed == 0
    assert buffer.wait_ms <= 40


def test_a_long_outage_is_silence_and_the_sound_comes_back_at_once() -> None:
    arrivals = [(FRAME_MS * n, n) for n in range(100) if not 40 <= n < 75]
    played, buffer = play(arrivals)
    back = next(at for at, piece in played if piece.packet == b"75")
    assert back <= 75 * FRAME_MS + buffer.LONGEST_WAIT_MS
    made = sum(piece.samples for _, piece in played if piece.packet is None)
    assert made <= (buffer.CONCEALED_MS + FRAME_MS) * 48


@pytest.mark.parametrize("seconds", [-44_000, -600, 600, 44_000])
def test_a_time_that_steps_costs_neither_concealment_nor_delay(seconds: int) -> None:
    """As when a browser changes its source: the numbers go on, the timestamps do not."""
    lost = {150, 250, 251, 252, 253}
    place = {n: n * FRAME + (48_000 * seconds if n >= 100 else 0) for n in range(300)}
    played, buffer = play([(FRAME_MS * n, n) for n in range(300) if n not in lost], position=place)
    assert [n for n in numbers(played) if n is not None] == [n for n in range(300) if n not in lost]
    assert all(at == FRAME_MS * int(piece.packet) for at, piece in played if piece.packet)
    assert sum(piece.samples for _, piece in played if piece.packet is None) == len(lost) * FRAME
    assert buffer.wait_ms < 40


@pytest.mark.parametrize("absurd", [2**31 - 1, 2**30, -(2**30), -(2**31)])
def test_one_absurd_timestamp_does_not_end_concealment(absurd: int) -> None:
    place = {50: 50 * FRAME + absurd}
    played, _ = play([(FRAME_MS * n, n) for n in range(200) if n != 150], position=place)
    assert [n for n in numbers(played) if n is not None] == [n for n in range(200) if n != 150]
    assert FRAME in [piece.samples for at, piece in played if piece.packet is None and at > 149 * FRAME_MS]


def test_long_round_trips_reordering_bursts_and_drift_for_ten_minutes() -> None:
    rng, arrivals, left = random.Random(7), [], 0
    for n in range(10_000):
        left = 4 if rng.random() < 0.01 and left == 0 and n else max(0, left - 1)
        if not left:
            arrivals.append((300 + FRAME_MS * n * (1 + 200e-6) + rng.uniform(0, 30), n))
    played, buffer = play(arrivals)
    heard = {int(piece.packet): at for at, piece in played if piece.packet is not None}
    assert len(heard) >= 0.999 * len(arrivals)
    assert max(heard[n] - at for at, n in arrivals if n in heard) <= buffer.LONGEST_WAIT_MS
    made = sum(piece.samples for _, piece in played if piece.packet is None)
    lost = 10_000 - len(heard)
    assert made <= (lost + 5) * FRAME


def test_a_flood_of_numbers_is_bounded() -> None:
    buffer, heard = VoiceBuffer(), []
    for n in range(100):
        now_ms = float(FRAME_MS * n)
        buffer.push(n, n * FRAME, b"%d" % n, now_ms)
        for ahead in range(2, 102):
            buffer.push((n + 400 + ahead) & 0xFFFF, (n + 400 + ahead) * FRAME, b"-1", now_ms)
        assert len(buffer._waiting) <= buffer.WAITING
        while (piece := buffer.due(now_ms)) is not None:
            heard.append(piece)
            if piece.packet is not None:
                buffer.decoded(FRAME)
        assert len(heard) < 200 * (n + 1)


def test_numbers_that_begin_anew_are_followed() -> None:
    buffer, got = VoiceBuffer(), []
    for n in range(30):
        number, clock = (100 + n, n * FRAME) if n < 10 else (30_000 + n, 900_000_000 + n * FRAME)
        buffer.push(number, clock, b"%d" % n, n * 60.0)
        while (piece := buffer.due(n * 60.0)) is not None:
            if piece.packet is not None:
                got.append(int(piece.packet))
                buffer.decoded(FRAME)
    assert got[:10] == list(range(10))
    assert got[-10:] == list(range(20, 30))


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.floats(0, 200), st.integers(0, 9000)),
        max_size=150,
    )
)
def test_hostile_numbers_are_bounded(packets: list[tuple[int, int, float, int]]) -> None:
    buffer, now_ms = VoiceBuffer(), 0.0
    for number, clock, pause_ms, size in packets:
        now_ms += pause_ms
        buffer.push(number, clock, b"x", now_ms)
        pieces = 0
        while (piece := buffer.due(now_ms)) is not None:
            pieces += 1
            assert pieces < 200
            assert piece.samples <= buffer.CONCEALED_MS * 48
            if piece.packet is not None:
                buffer.decoded(size)
        assert len(buffer._waiting) <= buffer.WAITING
