"""Both state machines over a simulated network: what is shown, and that nothing drifts apart."""

import pytest
from simulation import HELLO, STEPS, Call, keyframe_unit, state_at

from talkcodec.bitstream import KeyframeAck, MotionBundle, MotionState, ReceiverReport, TimeBase
from talkcodec.clock import ticks
from talkcodec.coding import AccessUnit, HeldReferences
from talkcodec.session import Outgoing, PlayoutConfig, RateConfig, Sender, SenderConfig
from talkcodec.transport.impairment import Impairment
from talkcodec.types import Delivery, Kind

STEP = STEPS.keypoint_step / 4096
SINGLE = RateConfig(bundle=1, motion_fps=25)
EXACT = STEP  # half a step of quantisation, and the time base's rounding


def sending(**options: RateConfig) -> Sender:
    return Sender(HELLO, HeldReferences(), **options)  # type: ignore[arg-type]


def offer_keyframe(sender: Sender, reference_id: int, state: MotionState, size: int, now_ms: float) -> None:
    """As an encoder does: the new reference is animated once nothing older is held."""
    sender.held.offer(reference_id, state, reference_id)
    current = sender.held.newest
    unit = keyframe_unit(reference_id, state, size)
    sender.offer(AccessUnit(ticks(now_ms / 1000), reference_id if current is None else current, state, unit), now_ms)


def test_clean_network_shows_every_frame_exactly() -> None:
    call = Call()
    call.run(20)
    played = call.receiver.played
    assert played.concealed + played.frozen <= 2
    assert played.exact >= 24 * 19
    assert call.worst_error(Kind.EXACT) < EXACT


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_loss_never_desynchronises(loss: float) -> None:
    weather = Impairment(loss=loss, delay_ms=10, jitter_ms=5, reorder=True)
    call = Call(weather, Impairment(loss=loss, delay_ms=10), rate=SINGLE, seed=5)
    call.run(40)
    played = call.receiver.played
    assert call.receiver.counts.unknown_state == 0, "a unit was predicted from a state that the receiver lacks"
    assert call.worst_error(Kind.EXACT) < EXACT
    assert played.frozen <= 0.01 * played.shown
    assert played.exact >= (1 - 1.4 * loss) * played.shown
    assert abs(call.receiver.counts.lost / (25 * 39) - loss) < 0.06


def test_one_lost_message_costs_its_own_frame_only() -> None:
    call = Call(rate=SINGLE)
    call.run(5)
    before = call.receiver.played
    call.network.go_down(5.0, 5.04)
    call.run(0.04)
    call.run(5)
    assert call.receiver.played.concealed - before.concealed == 1
    assert call.receiver.played.frozen == before.frozen


def test_network_down_for_ten_seconds_resumes_within_a_round_trip_and_a_frame() -> None:
    call = Call(rate=SINGLE)
    call.network.go_down(5.0, 15.0)
    call.run(20)
    frozen = [shown for shown, frame in call.shown if frame.kind is Kind.FROZEN and shown > 5000]
    assert frozen[0] - 5000 < 400
    assert frozen[-1] <= 15_000 + 2 * 10 + 2 * 40 + call.receiver.jitter_buffer.delay_ms
    assert call.worst_error(Kind.EXACT) < EXACT


def test_old_reference_stays_in_use_until_the_new_one_is_acknowledged() -> None:
    call = Call(Impairment(delay_ms=80), rate=SINGLE)
    call.run(3)
    call.sender.request_keyframe(3, call.now_ms)
    asked_ms = call.now_ms
    call.run(3)
    switched = [shown for shown, frame in call.shown if frame.reference == 1]
    assert switched
    assert switched[0] - asked_ms > 3 * 80
    assert call.receiver.counts.unknown_state == 0
    assert call.receiver.reference_ids == (0, 1)
    during = [frame.kind for shown, frame in call.shown if asked_ms <= shown < switched[0]]
    assert set(during) == {Kind.EXACT}, "motion must not wait for the keyframe"


def test_many_keyframes_wrap_their_ids_and_hold_a_bounded_number() -> None:
    call = Call(sender_config=SenderConfig(keyframe_bps=5_000_000, request_gap_ms=0), decode_ms=0)
    for _ in range(300):
        call.sender.request_keyframe(3, call.now_ms)
        call.run(0.2)
    assert call.sender.counts.keyframes_sent > 280
    assert len(call.receiver.reference_ids) == 8
    assert call.receiver.counts.damaged_keyframes == 0
    assert call.receiver.played.frozen <= 3


def test_keyframe_pieces_leave_room_for_motion() -> None:
    sender = sending(rate=SINGLE)
    offer_keyframe(sender, 0, state_at(0), 100, 0.0)
    assert len(sender.poll(0.0, 0, 0)) == 1
    sender.receive(KeyframeAck(0), 1.0)
    offer_keyframe(sender, 1, state_at(1), 9000, 10.0)
    order = []
    for tick in range(200):
        now = 10.0 + tick * 5
        if tick % 8 == 0:
            sender.offer(AccessUnit(ticks(now / 1000), 0, state_at(now / 1000)), now)
        order += [out.delivery for out in sender.poll(now, 0, 0)]
    pieces = [index for index, delivery in enumerate(order) if delivery is Delivery.RELIABLE]
    assert len(pieces) == 9
    assert order[: pieces[-1]].count(Delivery.DROPPABLE) >= 5


def test_busy_channel_drops_stale_motion_before_sending_and_the_receiver_sees_no_loss() -> None:
    sender = sending(rate=RateConfig(bundle=2))
    offer_keyframe(sender, 0, state_at(0), 100, 0.0)
    sender.poll(0.0, 0, 0)
    sender.receive(KeyframeAck(0), 1.0)
    for frame in range(10):
        sender.offer(AccessUnit(frame * 3600, 0, state_at(frame / 25)), frame * 40.0)
        assert sender.poll(frame * 40.0, 5000, 500) == []
    out = sender.poll(400.0, 5000, 0)
    assert [type(item.message) for item in out] == [MotionBundle]
    bundle = out[0].message
    assert isinstance(bundle, MotionBundle)
    assert (bundle.sequence, len(bundle.units)) == (0, 2)
    assert bundle.timestamp == TimeBase().to_wire(8 * 3600)
    assert sender.counts.dropped_stale == 8


def test_incomplete_bundle_leaves_when_its_frames_do_not_come() -> None:
    sender = sending(rate=RateConfig(bundle=4, motion_fps=25))
    offer_keyframe(sender, 0, state_at(0), 100, 0.0)
    sender.poll(0.0, 0, 0)
    sender.receive(KeyframeAck(0), 1.0)
    sender.offer(AccessUnit(0, 0, state_at(0)), 10.0)
    assert sender.poll(20.0, 0, 0) == []
    wake = sender.next_poll_ms(20.0)
    assert wake is not None
    assert len(sender.poll(wake + 1, 0, 0)) == 1


def test_prediction_uses_only_what_reports_acknowledge() -> None:
    sender = sending(rate=SINGLE)
    offer_keyframe(sender, 0, state_at(0), 100, 0.0)
    sender.poll(0.0, 0, 0)
    sender.receive(KeyframeAck(0), 1.0)
    sizes = []
    for frame in range(40):
        now = 10 + frame * 40.0
        if frame == 20:
            sender.receive(ReceiverReport(19, 0, 20, 0, 0, 0, 0), now)
        sender.offer(AccessUnit(ticks(now / 1000), 0, state_at(now / 1000)), now)
        sizes += [len(out.message.units[0].payload) for out in sender.poll(now, 0, 0)]  # type: ignore[union-attr]
    assert min(sizes[20:24]) < min(sizes[15:20]), "an acknowledged near state must predict better than the keyframe"


def test_report_about_units_never_sent_is_ignored() -> None:
    sender = sending(rate=SINGLE)
    sender.receive(ReceiverReport(30_000, 2**64 - 1, 2**32 - 1, 2**32 - 1, 0, 0, 2**32 - 1), 0.0)
    offer_keyframe(sender, 0, state_at(0), 100, 0.0)
    sender.poll(0.0, 0, 0)
    sender.receive(KeyframeAck(0), 1.0)
    sender.offer(AccessUnit(0, 0, state_at(0)), 2.0)
    assert len(sender.poll(2.0, 0, 0)) == 1


def test_keyframe_wishes_in_quick_succession_are_one() -> None:
    sender = sending()
    offer_keyframe(sender, 0, state_at(0), 100, 0.0)
    sender.poll(0.0, 0, 0)
    sender.receive(KeyframeAck(0), 1.0)
    wanted = 0
    for tick in range(100):
        now = 100.0 + tick * 10
        sender.request_keyframe(4, now)
        if sender.keyframe_wanted:
            wanted += 1
            offer_keyframe(sender, wanted, state_at(0), 100, now)
            sender.poll(now, 0, 0)
            sender.receive(KeyframeAck(wanted), now)
    assert wanted == 1


def test_lost_keyframe_is_sent_anew_after_the_timeout() -> None:
    sender = sending()
    offer_keyframe(sender, 0, state_at(0), 100, 0.0)
    sender.poll(0.0, 0, 0)
    assert not sender.keyframe_wanted
    sender.poll(10_000.0, 0, 0)
    assert sender.keyframe_wanted


def test_receiver_without_a_reference_asks_for_one() -> None:
    call = Call()
    requests = [out for second in range(6) for out in call.receiver.poll(second * 1000.0)]
    assert len(requests) == 1


@pytest.mark.parametrize("start_s", [2**32 / 90_000 - 10, 46.6 - 5])
def test_timestamp_wraps_unseen(start_s: float) -> None:
    call = Call(start_s=start_s, rate=RateConfig(bundle=3))
    call.run(20)
    assert call.receiver.played.concealed + call.receiver.played.frozen <= 3
    assert call.worst_error(Kind.EXACT) < EXACT


def test_sequence_number_wraps_unseen() -> None:
    call = Call(
        Impairment(loss=0.05, delay_ms=10), rate=SINGLE, sender_config=SenderConfig(first_sequence=65_300), seed=3,
    )  # fmt: skip
    call.run(30)
    assert call.sender.counts.units_sent > 700
    assert call.receiver.counts.unknown_state == 0
    assert call.receiver.counts.lost < 80
    assert call.receiver.played.frozen <= 0.01 * call.receiver.played.shown
    assert call.worst_error(Kind.EXACT) < EXACT


@pytest.mark.slow
def test_a_day() -> None:
    """24 hours at 2 frames a second: 172,800 units, the sequence number wraps twice and the timestamp once."""
    call = Call(
        Impairment(loss=0.02, delay_ms=10), rate=RateConfig(bundle=1, motion_fps=2), seed=3,
        sender_config=SenderConfig(capture_fps=2), fps=2, tick_ms=250,
        playout=PlayoutConfig(period_ticks=45_000, conceal_ms=1500),
    )  # fmt: skip
    for _ in range(24):
        call.run(3600)
        assert call.receiver.jitter_buffer.buffered < 8
        assert call.receiver.counts.unknown_state == 0
        assert call.worst_error(Kind.EXACT, call.now_ms - 60_000) < EXACT
        call.shown.clear()
    assert call.now_ms * 90 > 2**32
    assert call.sender.counts.units_sent > 2 * 65_536
    assert call.receiver.played.frozen < 0.002 * call.receiver.played.shown


def motion_of(messages: list[Outgoing]) -> list[MotionBundle]:
    return [out.message for out in messages if isinstance(out.message, MotionBundle)]


def test_units_that_ride_wait_for_the_packet_and_share_its_message() -> None:
    sender = sending()
    offer_keyframe(sender, 0, state_at(0.0), 300, 0.0)
    sender.poll(0.0, 0, 0)
    sender.receive(KeyframeAck(0), 1.0)
    sender.ride(120.0)
    sender.allot(lambda share: 20_000, 30_000)
    for packet in range(5):
        for frame in range(3):
            now_ms = 120.0 * packet + 40 * frame
            sender.offer(AccessUnit(ticks(now_ms / 1000), 0, state_at(now_ms / 1000)), now_ms)
            assert motion_of(sender.poll(now_ms, 0, 0)) == []
        (bundle,) = motion_of(sender.poll(120.0 * (packet + 1), 0, 0, leaving=True))
        assert len(bundle.units) == 3
    assert motion_of(sender.poll(720.0, 0, 0, leaving=True)) == []
    assert sender.counts.dropped_stale == 0


def test_without_a_packet_units_that_ride_go_by_themselves() -> None:
    sender = sending()
    offer_keyframe(sender, 0, state_at(0.0), 300, 0.0)
    sender.poll(0.0, 0, 0)
    sender.receive(KeyframeAck(0), 1.0)
    sender.ride(60.0)
    sender.offer(AccessUnit(ticks(0.04), 0, state_at(0.04)), 40.0)
    due_ms = sender.next_poll_ms(40.0)
    assert due_ms is not None
    assert motion_of(sender.poll(due_ms - 1, 0, 0)) == []
    assert len(motion_of(sender.poll(due_ms, 0, 0))) == 1
    assert due_ms <= 40 + 2 * 60 + 40
