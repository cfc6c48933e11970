"""A peer that sends anything: counted, bounded, survived."""

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulation import HELLO, Call, keyframe, keyframe_unit, state_at

from talkcodec.bitstream import (
    BundledUnit,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    MotionBundle,
    ReceiverReport,
    parse,
    serialize,
)
from talkcodec.coding import AccessUnit, HeldReferences
from talkcodec.errors import BitstreamError
from talkcodec.session import Limits, PlayoutConfig, Receiver, Sender
from talkcodec.transport.simulated import SimulatedTransport
from talkcodec.types import Delivery, Kind

u8, u16 = st.integers(0, 255), st.integers(0, 65535)
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
payloads = st.binary(max_size=40)
bundles = st.builds(
    lambda reference_id, sequence, timestamp, first, rest: MotionBundle(
        reference_id, sequence, timestamp, (BundledUnit(0, first), *(BundledUnit(d, p) for d, p in rest))
    ),
    st.integers(0, 3), u16, u16, payloads, st.lists(st.tuples(u16, payloads), max_size=4),
)  # fmt: skip
pieces = st.builds(
    lambda reference_id, count, index, data: KeyframePiece(reference_id, index % count, count, data),
    u8, st.integers(1, 200), st.integers(0, 300), st.binary(min_size=1, max_size=50),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.one_of(bundles, pieces), st.integers(0, 2000)), max_size=40))
def test_receiver_lives_on_whatever_well_formed_messages_come(messages: list[tuple[object, int]]) -> None:
    limits = Limits()
    receiver: Receiver[int] = Receiver(HELLO, HeldReferences(), PlayoutConfig())
    now = 0.0
    out = 0
    for message, wait_ms in messages:
        now += wait_ms
        receiver.receive(message, now)  # type: ignore[arg-type]
        receiver.due(now)
        out += len(receiver.poll(now))
        while (unit := receiver.next_keyframe()) is not None:
            receiver.reference_ready(unit, 1)
        assert receiver.jitter_buffer.buffered <= PlayoutConfig().units
        assert len(receiver.reference_ids) <= limits.references
    assert out <= 6 + 2 * now / 250


@settings(max_examples=60, deadline=None)
@example([KeyframeAck(0), KeyframeAck(0), KeyframeAck(0), ReceiverReport(0, 1, 0, 0, 0, 0, 0), KeyframeAck(0)])
@given(
    st.lists(
        st.one_of(
            st.builds(KeyframeAck, u8),
            st.builds(KeyframeRequest, u8),
            st.builds(ReceiverReport, u16, u64, u32, u32, u32, u32, u32),
        ),
        max_size=40,
    )
)
def test_sender_lives_on_and_its_memory_is_bounded(messages: list[object]) -> None:
    held: HeldReferences[int] = HeldReferences()
    sender = Sender(HELLO, held)
    held.offer(0, state_at(0), 0)
    sender.offer(AccessUnit(0, 0, state_at(0), keyframe_unit(0, state_at(0), 100)), 0.0)
    for index, message in enumerate(messages):
        now = index * 40.0
        sender.receive(message, now)  # type: ignore[arg-type]
        sender.offer(AccessUnit(index * 3600, 0, state_at(index / 25)), now)
        for out in sender.poll(now, 0, 0):
            serialize(out.message)
    assert 1 <= sender.plan.bundle <= 4


def test_mutated_messages_into_a_running_call_are_counted_and_the_call_goes_on() -> None:
    random_ = random.Random(7)
    call = Call()
    call.run(3)
    original = call.send
    mutated = [0]

    def send(end: SimulatedTransport, data: bytes, delivery: Delivery) -> None:
        original(end, data, delivery)
        for _ in range(3):
            broken = bytearray(data)
            for _ in range(random_.randint(1, 2)):
                broken[random_.randrange(len(broken))] = random_.randrange(256)
            if random_.random() < 0.2:
                del broken[random_.randint(1, len(broken)) :]
            try:
                message = parse(bytes(broken))
            except BitstreamError:
                call.receiver.malformed()
                continue
            mutated[0] += 1
            if end is call.network.a and isinstance(message, MotionBundle | KeyframePiece):
                call.to_receiver(message)
            elif end is call.network.b and isinstance(message, KeyframeAck | KeyframeRequest | ReceiverReport):
                call.to_sender(message)

    call.send = send  # type: ignore[method-assign]
    call.run(10)
    assert mutated[0] > 10, "some mutations must parse, or nothing was tested"
    assert call.receiver.counts.malformed > 10
    call.send = original  # type: ignore[method-assign]
    call.run(5)
    late = [frame for shown, frame in call.shown if shown > call.now_ms - 3000]
    assert len(late) > 60
    assert {frame.kind for frame in late} == {Kind.EXACT}


def test_flood_of_keyframes_keeps_the_newest_and_little_else() -> None:
    receiver: Receiver[int] = Receiver(HELLO, HeldReferences(), PlayoutConfig())
    for reference_id in range(200):
        receiver.receive(KeyframePiece(reference_id, 0, 1, keyframe(reference_id, state_at(0), 500)), 0.0)
    waiting = []
    while (unit := receiver.next_keyframe()) is not None:
        waiting.append(unit.reference_id)
    assert waiting == [198, 199]


def test_a_flood_of_garbage_gives_the_peer_up() -> None:
    receiver: Receiver[int] = Receiver(HELLO, HeldReferences(), PlayoutConfig(), limits=Limits(malformed=100))
    assert all(receiver.malformed() for _ in range(99))
    assert not receiver.malformed()
