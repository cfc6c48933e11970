"""The carrier with the sound: messages in packets, spread, lost, reordered, hostile."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.transport.boundary import Traffic
from talkcodec.transport.fragments import LARGEST_MESSAGE, MessagePacker, MessageUnpacker
from talkcodec.transport.with_sound import ROOM, WithSound
from talkcodec.types import Delivery, WireCost


class Loopback:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.cost, self.largest_payload_bytes, self.traffic = WireCost(93, 46.5), 1200, Traffic(WireCost(93, 46.5))
        self.sent: list[tuple[bytes, Delivery]] = []

    def attach(self, opened: object, received: object, closed: object) -> None: ...

    def send(self, data: bytes, delivery: Delivery) -> None:
        self.sent.append((data, delivery))

    def backlog_bytes(self, delivery: Delivery) -> int:
        return 7


def packet(number: int = 0) -> bytes:
    return bytes([8, number % 256]) + b"sound"


@given(st.lists(st.binary(min_size=1, max_size=LARGEST_MESSAGE), max_size=12), st.integers(160, 500))
def test_all_messages_arrive_in_order(messages: list[bytes], room: int) -> None:
    packer, unpacker, out = MessagePacker(waiting_bytes=100_000), MessageUnpacker(), []
    for message in messages:
        packer.add(message)
    while packer.waiting_bytes:
        data = packer.take(room)
        assert 0 < len(data) <= room
        out += unpacker.add(data)
    assert out == messages
    assert not unpacker.damaged
    assert packer.take(room) == b""


@pytest.mark.parametrize("seed", range(5))
def test_a_lost_packet_costs_its_own_messages_and_reordering_none(seed: int) -> None:
    rng = random.Random(seed)
    packer, unpacker = MessagePacker(waiting_bytes=1_000_000), MessageUnpacker()
    messages = [rng.randbytes(rng.choice((20, 60, 300, 900))) for _ in range(200)]
    carried = []
    for message in messages:
        packer.add(message)
        carried.append(packer.take(ROOM))
    while packer.waiting_bytes:
        carried.append(packer.take(ROOM))
    for at in range(0, len(carried) - 1, 2):
        carried[at], carried[at + 1] = carried[at + 1], carried[at]
    assert sorted(m for data in carried for m in unpacker.add(data)) == sorted(messages)
    unpacker = MessageUnpacker()
    kept = [data for data in carried if rng.random() > 0.05]
    got = [m for data in kept for m in unpacker.add(data)]
    assert set(got) <= set(messages)
    assert len(got) > 0.7 * len(messages)


@given(st.lists(st.binary(max_size=60), max_size=60))
def test_hostile_pieces_are_bounded(packets: list[bytes]) -> None:
    unpacker = MessageUnpacker()
    for data in packets:
        for message in unpacker.add(data):
            assert 0 < len(message) <= LARGEST_MESSAGE
        assert len(unpacker._spread) <= 4
        assert all(len(pieces) <= 8 for pieces in unpacker._spread.values())


def test_a_message_that_never_ends_is_given_up() -> None:
    unpacker = MessageUnpacker()
    for number in range(32):
        for place in range(8):
            assert unpacker.add(bytes([1 << 6 | 50, number << 3 | place]) + bytes(50)) == []
    assert len(unpacker._spread) <= 4
    assert unpacker.damaged >= 28


def test_a_queue_that_nobody_empties_drops_the_oldest() -> None:
    packer = MessagePacker(waiting_bytes=1000)
    for number in range(100):
        packer.add(bytes([number]) * 100)
    assert packer.waiting_bytes <= 1000
    assert packer.dropped == 90
    assert packer.take(300)[1 + 2] == 90


def test_only_what_may_be_dropped_rides_with_the_sound() -> None:
    inner = Loopback()
    here, there, woken, got = WithSound(inner), WithSound(Loopback()), [], []
    there.attach(lambda: None, got.append, lambda reason: None)
    here.send(b"early", Delivery.DROPPABLE)
    assert inner.sent == [(b"early", Delivery.DROPPABLE)]
    assert here.dress(packet()) == packet()
    here.carry(lambda: woken.append(1))
    here.send(b"keyframe", Delivery.RELIABLE)
    here.send(b"unit 1", Delivery.DROPPABLE)
    here.send(b"unit 2", Delivery.DROPPABLE)
    assert inner.sent[1:] == [(b"keyframe", Delivery.RELIABLE)]
    assert woken == [1, 1]
    assert here.waiting
    assert here.backlog_bytes(Delivery.DROPPABLE) == 0
    dressed = here.dress(packet())
    assert len(dressed) == len(packet()) + 3 + 2 + len(b"unit 1unit 2")
    there.undress(dressed)
    there.undress(b"")
    there.undress(packet())
    assert got == [b"unit 1", b"unit 2"]
    assert not here.waiting
    for _ in range(9):
        here.send(bytes(100), Delivery.DROPPABLE)
    assert here.backlog_bytes(Delivery.DROPPABLE) == 900 - ROOM
    assert here.backlog_bytes(Delivery.RELIABLE) == 7
