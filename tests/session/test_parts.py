"""The small state machines, one by one."""

import pytest

from talkcodec.bitstream import Hello, KeyframePiece, MotionSteps, agree
from talkcodec.errors import BitstreamError, ConfigError, MismatchError, UsageError
from talkcodec.session import FEATURE_AUDIO, Limits, RateConfig, bye_for
from talkcodec.session.arrivals import Arrivals
from talkcodec.session.congestion import Feedback
from talkcodec.session.fragments import KeyframeAssembler, KeyframeTransfer
from talkcodec.session.playout_clock import MediaTime, PlayoutClock
from talkcodec.session.rate import RateControl
from talkcodec.types import WireCost


def test_keyframe_goes_in_pieces_and_comes_together_in_any_order() -> None:
    limits = Limits()
    data = bytes(range(256)) * 20
    transfer, assembler = KeyframeTransfer(limits), KeyframeAssembler(limits)
    transfer.offer(7, data, 0.0)
    pieces = []
    while (piece := transfer.next_piece(0.0)) is not None:
        assert len(piece.data) <= 1100
        pieces.append(piece)
    results = [assembler.add(piece) for piece in reversed(pieces)]
    assert results[:-1] == [None] * (len(pieces) - 1)
    assert results[-1] == data
    assert transfer.outstanding == 7
    assert not transfer.acknowledge(6)
    assert transfer.acknowledge(7)
    assert transfer.outstanding is None


def test_pieces_may_be_short_and_are_no_more_than_the_format_counts() -> None:
    transfer, assembler = KeyframeTransfer(Limits()), KeyframeAssembler(Limits())
    for reference_id, (size, wanted, count) in enumerate([(1607, 250, 7), (1607, 5000, 2), (60_000, 100, 239)]):
        data = bytes(number % 251 for number in range(size))
        transfer.offer(reference_id, data, 0.0, wanted)
        assert transfer.pieces_left == count
        while (piece := transfer.next_piece(0.0)) is not None:
            whole = assembler.add(piece)
        assert whole == data


def test_a_keyframe_is_overdue_after_its_last_piece_not_its_first() -> None:
    transfer = KeyframeTransfer(Limits())
    transfer.offer(1, bytes(2000), 0.0)
    transfer.next_piece(5000.0)
    assert transfer.age_ms(6000.0) == 1000
    transfer.next_piece(9000.0)
    assert transfer.age_ms(12_000.0) == 3000


def test_newer_keyframe_replaces_the_unsent_rest_of_an_older_one() -> None:
    transfer = KeyframeTransfer(Limits())
    transfer.offer(1, bytes(5000), 0.0)
    transfer.next_piece(0.0)
    transfer.offer(2, bytes(100), 5.0)
    piece = transfer.next_piece(0.0)
    assert piece is not None
    assert (piece.reference_id, transfer.pieces_left) == (2, 0)
    assert not transfer.acknowledge(1)


def test_keyframe_is_not_acknowledged_before_all_pieces_left() -> None:
    transfer = KeyframeTransfer(Limits())
    transfer.offer(1, bytes(5000), 0.0)
    assert not transfer.acknowledge(1)


def test_keyframe_caps() -> None:
    limits = Limits(keyframe_bytes=3000)
    with pytest.raises(UsageError, match="keyframe quality"):
        KeyframeTransfer(limits).offer(0, bytes(3001), 0.0)
    assembler = KeyframeAssembler(limits)
    for index in range(3):
        assembler.add(KeyframePiece(0, index, 4, bytes(1000)))
    with pytest.raises(BitstreamError, match="pieces"):
        assembler.add(KeyframePiece(0, 3, 4, b"o"))
    for reference_id in range(50):
        assembler.add(KeyframePiece(reference_id, 0, 3, bytes(1100)))
    assert len(assembler.unfinished) == limits.assemblies


def test_reused_id_starts_the_keyframe_anew() -> None:
    assembler = KeyframeAssembler(Limits())
    assembler.add(KeyframePiece(3, 0, 3, b"o" * 1100))
    assembler.add(KeyframePiece(3, 1, 2, b"new"))
    assert assembler.add(KeyframePiece(3, 0, 2, b"n" * 1100)) == b"n" * 1100 + b"new"


@pytest.mark.parametrize("field", [{"keyframe_bytes": 0}, {"states": 256}, {"references": 1}, {"message_bytes": "1"}])
def test_limits_are_checked(field: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Limits(**field)


CHANNEL = WireCost(93, 93 / 2)
HELLO = Hello(b"12345678", 256, 10, True, 0)


def test_equal_hellos_agree_and_unknown_extras_are_skipped() -> None:
    other = Hello(
        b"12345678", 256, 10, True, 0, MotionSteps(16, 16), features=FEATURE_AUDIO | 1 << 30, extras=(("colour", 5),)
    )
    agree(HELLO, other)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Hello(b"87654321", 256, 10, True, 0), "model differs: here 3132333435363738, there 3837363534333231"),
        (Hello(b"12345678", 128, 10, True, 0), "picture size differs: here 256, there 128"),
        (Hello(b"12345678", 256, 9, True, 0), "keypoints differs"),
        (Hello(b"12345678", 256, 10, False, 0), "Jacobians differs"),
        (Hello(b"12345678", 256, 10, True, 65535), "table 65535"),
        (Hello(b"12345678", 256, 10, True, 0, protocol_version=2), "run the same version"),
    ],
)
def test_mismatch_is_one_clear_sentence_on_both_sides(other: Hello, words: str) -> None:
    with pytest.raises(MismatchError, match=words) as caught:
        agree(HELLO, other)
    bye = bye_for(caught.value)
    assert bye.code == 1
    assert 0 < len(bye.text) <= 64


def test_media_time_goes_on_over_the_wrap_and_back() -> None:
    time = MediaTime()
    start = 2**32 - 9000
    assert time.unwrap(start) == 0
    assert time.unwrap((start + 18000) % 2**32) == 18000
    assert time.unwrap((start + 3600) % 2**32) == 3600
    assert time.wrap(18000) == 9000


def test_delay_covers_jitter_and_falls_slowly() -> None:
    clock = PlayoutClock(minimum_ms=10, maximum_ms=400)
    now = 0.0
    for index in range(200):
        now = index * 40.0
        clock.observe(index * 3600, index * 3600, now + (50.0 if index % 4 == 0 else 0.0))
    assert 50 <= clock.delay_ms <= 70
    high = clock.delay_ms
    for index in range(200, 260):
        clock.observe(index * 3600, index * 3600, index * 40.0)
    assert high - 60 <= clock.delay_ms <= high
    for index in range(260, 1200):
        clock.observe(index * 3600, index * 3600, index * 40.0)
    assert clock.delay_ms < 25


def test_clock_drift_is_followed() -> None:
    clock = PlayoutClock()
    for index in range(25 * 600):
        clock.observe(index * 3600, index * 3600, index * 40.0 * 1.0005)
    late_ms = clock.deadline_ms((25 * 600) * 3600) - 25 * 600 * 40.0 * 1.0005
    assert 0 <= late_ms < 40


def test_arrivals_counts_loss_reordering_and_repeats_over_the_wrap() -> None:
    arrivals = Arrivals(65)
    order = [65533, 65534, 0, 65535, 3, 0]
    news = [arrivals.add(sequence, index * 3600, index * 40.0) for index, sequence in enumerate(order)]
    assert news == [True, True, True, True, True, False]
    assert (arrivals.received_total, arrivals.lost_total, arrivals.duplicates) == (5, 2, 1)
    assert arrivals.missing() == (2, 1)
    summary = arrivals.summary()
    assert summary is not None
    assert summary.highest_sequence == 3
    assert summary.bitmap == 0b1111001
    assert arrivals.arrived(65535)
    assert not arrivals.arrived(1)


def test_jitter_is_zero_for_a_steady_stream_and_grows_otherwise() -> None:
    steady, uneven = Arrivals(), Arrivals()
    for index in range(100):
        steady.add(index, index * 3600, index * 40.0)
        uneven.add(index, index * 3600, index * 40.0 + (index % 2) * 16)
    assert steady.jitter_ms == pytest.approx(0)
    assert 12 < uneven.jitter_ms < 17


def test_rate_control_prefers_little_delay_within_the_budget() -> None:
    def plan(**config: float) -> tuple[int, int]:
        control = RateControl(RateConfig(**config), 25.0, CHANNEL)  # type: ignore[arg-type]
        return control.plan.bundle, control.plan.every

    assert plan(budget_bps=60_000) == (1, 1)
    assert plan(budget_bps=30_000) == (2, 1)
    assert plan(budget_bps=16_500) == (3, 1)
    assert plan(budget_bps=8_000, max_added_delay_ms=280) == (3, 2)
    assert plan(bundle=4) == (4, 1) or plan(bundle=4) == (4, 2)
    assert plan(motion_fps=12.5)[1] == 2


def test_within_a_calls_budget_a_channel_takes_delay_rather_than_more_than_it_may() -> None:
    control = RateControl(RateConfig(), 25.0, CHANNEL)
    for left_bps, plan in ((16_500, (3, 1)), (8_000, (3, 2)), (1_000, (4, 2))):
        control.allot(lambda share, left_bps=left_bps: left_bps, 20_000)  # type: ignore[misc]
        assert (control.plan.bundle, control.plan.every) == plan


def test_congestion_lowers_the_budget_and_quiet_restores_it() -> None:
    control = RateControl(RateConfig(budget_bps=60_000), 25.0, CHANNEL)
    for _ in range(8):
        control.feedback(Feedback(0.3, 50.0))
    assert control.budget_bps < 20_000
    assert control.plan.bundle > 1
    for _ in range(100):
        control.feedback(Feedback(0.0, 50.0))
    assert control.budget_bps == 60_000
    assert control.plan.bundle == 1


def test_queueing_delay_counts_as_congestion_without_loss() -> None:
    control = RateControl(RateConfig(budget_bps=60_000), 25.0, CHANNEL)
    control.feedback(Feedback(0.0, 40.0))
    for _ in range(6):
        control.feedback(Feedback(0.0, 400.0))
    assert control.budget_bps < 30_000


@pytest.mark.parametrize(
    "field", [{"bundle": 5}, {"budget_bps": 500}, {"motion_fps": -1.0}, {"max_added_delay_ms": 5000.0}]
)
def test_rate_config_is_checked(field: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        RateConfig(**field)  # type: ignore[arg-type]
