"""The carrier with the sound: messages in packets, spread, lost, reordered, hostile; and what takes which way."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.transport.boundary import Traffic
from talkcodec.transport.fragments import LARGEST_MESSAGE, LEAST_ROOM, MessagePacker, MessageUnpacker
from talkcodec.transport.with_sound import RIDING_COST, ROOM, WithSound
from talkcodec.types import Delivery, WireCost

COST = WireCost(93, 46.5)


class Kept:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.cost, self.largest_payload_bytes, self.traffic = COST, 1200, Traffic(COST)
        self.sent: list[tuple[bytes, Delivery]] = []

    def attach(self, opened: object, received: object, closed: object) -> None: ...

    def send(self, data: bytes, delivery: Delivery) -> None:
        self.traffic.sent(len(data))
        self.sent.append((data, delivery))

    def backlog_bytes(self, delivery: Delivery) -> int:
        return 7 if delivery is Delivery.RELIABLE else 0


def speech(number: int = 0) -> bytes:
    return bytes([8, number % 256]) + b"sound"


@given(st.lists(st.binary(min_size=1, max_size=LARGEST_MESSAGE), max_size=12), st.integers(LEAST_ROOM, 500))
def test_all_messages_arrive_in_order(messages: list[bytes], room: int) -> None:
    packer, unpacker, out = MessagePacker(largest_queue=100_000), MessageUnpacker(), []
    for message in messages:
        packer.add(message)
    assert packer.waiting_bytes == sum(map(len, messages))
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
    packer = MessagePacker(largest_queue=1_000_000)
    messages = [rng.randbytes(rng.choice((20, 60, 300, 900))) for _ in range(200)]
    carried = []
    for message in messages:
        packer.add(message)
        carried.append(packer.take(ROOM))
    while packer.waiting_bytes:
        carried.append(packer.take(ROOM))
    swapped = list(carried)
    for at in range(0, len(swapped) - 1, 2):
        swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
    unpacker = MessageUnpacker()
    assert sorted(m for data in swapped for m in unpacker.add(data)) == sorted(messages)
    lost = {at for at in range(len(carried)) if rng.random() < 0.1}
    touched = {m for at in lost for m in messages if any(m[i : i + 8] in carried[at] for i in range(0, len(m) - 7, 4))}
    unpacker = MessageUnpacker()
    got = {m for at, data in enumerate(carried) if at not in lost for m in unpacker.add(data)}
    assert got == set(messages) - touched


@given(st.lists(st.binary(max_size=60), max_size=60))
def test_hostile_pieces_are_bounded(packets: list[bytes]) -> None:
    unpacker = MessageUnpacker()
    for data in packets:
        for message in unpacker.add(data):
            assert 0 < len(message) <= LARGEST_MESSAGE
        assert len(unpacker._open) <= 4
        assert all(len(spread.parts) <= 8 for spread in unpacker._open.values())


def part(kind: int, number: int, place: int, data: bytes) -> bytes:
    return bytes([kind << 6 | len(data), number % 32 << 3 | place]) + data


def test_messages_that_never_end_are_given_up() -> None:
    unpacker = MessageUnpacker()
    for number in range(1, 100):
        for place in range(8):
            assert unpacker.add(part(1, number, place, bytes(50))) == []
        assert len(unpacker._open) <= 4
    assert unpacker.damaged == 95
    assert unpacker.add(part(1, 100, 0, b"unit ") + part(2, 100, 1, b"100")) == [b"unit 100"]


def test_parts_of_an_old_message_never_end_up_in_a_new_one() -> None:
    unpacker = MessageUnpacker()
    assert unpacker.add(part(1, 5, 0, b"old")) == []
    for number in range(6, 37):
        assert unpacker.add(part(2, number, 0, b"between")) == [b"between"]
    assert unpacker.add(part(2, 37, 1, b"new")) == []


def test_a_message_that_is_put_together_is_no_longer_than_others() -> None:
    unpacker, size = MessageUnpacker(), 63
    for place in range(8):
        long = bytes([1 << 6 | 63]) + (400 - size).to_bytes(2, "big") + bytes([1 << 3 | place]) + bytes(400)
        assert [m for m in unpacker.add(long) if m] == []
        assert sum(len(p) for spread in unpacker._open.values() for p in spread.parts.values()) <= 1600


def test_damage_ends_a_packet_and_not_the_next() -> None:
    unpacker = MessageUnpacker()
    assert unpacker.add(b"\x04unit" + b"\xc1x" + b"\x04lost") == [b"unit"]
    assert unpacker.add(b"\x00") == []
    assert unpacker.add(b"\x3f\xff\xff" + bytes(100)) == []
    assert unpacker.add(b"\x09short") == []
    assert unpacker.damaged == 4
    assert unpacker.add(b"\x04unit") == [b"unit"]


def test_a_queue_that_nobody_empties_drops_the_oldest() -> None:
    packer = MessagePacker(largest_queue=1000)
    for number in range(100):
        packer.add(bytes([number]) * 100)
    packer.add(b"")
    packer.add(bytes(LARGEST_MESSAGE + 1))
    assert packer.waiting_bytes == 1000
    assert packer.dropped == 92
    assert packer.take(300)[3] == 90


def test_only_what_may_be_dropped_rides_with_the_sound() -> None:
    inner, got, woken = Kept(), [], []
    here, there = WithSound(inner), WithSound(Kept())
    there.attach(lambda: None, got.append, lambda reason: None)
    here.send(b"early", Delivery.DROPPABLE)
    assert inner.sent == [(b"early", Delivery.DROPPABLE)]
    assert here.dress(speech()) == speech()
    assert here.cost == COST
    here.carry(lambda: woken.append(1))
    assert here.cost == RIDING_COST
    assert here.dress(speech()) == speech()
    here.send(b"keyframe", Delivery.RELIABLE)
    here.send(b"unit 1", Delivery.DROPPABLE)
    here.send(b"unit 2", Delivery.DROPPABLE)
    assert inner.sent[1:] == [(b"keyframe", Delivery.RELIABLE)]
    assert woken == [1, 1]
    assert here.backlog_bytes(Delivery.DROPPABLE) == 0
    dressed = here.dress(speech())
    assert len(dressed) == len(speech()) + 3 + 2 + len(b"unit 1unit 2")
    for packet in (dressed, b"", speech(), b"\xff" * 9):
        there.undress(packet)
    assert got == [b"unit 1", b"unit 2"]
    assert here.dress(speech()) == speech()
    for _ in range(12):
        here.send(bytes(100), Delivery.DROPPABLE)
    assert here.backlog_bytes(Delivery.DROPPABLE) == 1200 - ROOM
    assert here.backlog_bytes(Delivery.RELIABLE) == 7


def test_what_no_packet_took_whole_asks_for_the_next() -> None:
    woken, got = [], []
    here, there = WithSound(Kept()), WithSound(Kept())
    there.attach(lambda: None, got.append, lambda reason: None)
    here.carry(lambda: woken.append(1))
    message = bytes(range(250)) * 4
    here.send(message, Delivery.DROPPABLE)
    packets = 0
    while woken:  # nobody speaks: a packet leaves only when one is asked for
        woken.clear()
        there.undress(here.dress(speech()))
        packets += 1
    assert packets == 2
    assert got == [message]


def test_what_is_sent_while_a_packet_leaves_rides_in_it_and_asks_for_no_other() -> None:
    woken, got = [], []
    here, there = WithSound(Kept()), WithSound(Kept())
    there.attach(lambda: None, got.append, lambda reason: None)
    here.dress(speech())
    here.carry(lambda: woken.append(1), lambda: here.send(b"just now", Delivery.DROPPABLE))
    there.undress(here.dress(speech()))
    assert got == [b"just now"]
    assert woken == []


def test_a_packet_that_is_none_goes_as_it_is_and_the_message_with_the_next() -> None:
    carrier = WithSound(Kept())
    carrier.carry(lambda: None)
    carrier.send(b"unit", Delivery.DROPPABLE)
    assert carrier.dress(b"\x0b") == b"\x0b"
    assert b"unit" in carrier.dress(speech())


def test_what_rides_is_counted_at_its_own_cost() -> None:
    here, there = WithSound(Kept()), WithSound(Kept())
    here.carry(lambda: None)
    here.send(bytes(20), Delivery.DROPPABLE)
    there.undress(here.dress(speech()))
    here.send(bytes(50), Delivery.RELIABLE)
    assert here.traffic.sent_bytes == 70
    assert here.traffic.wire_up_bytes == 20 + 4 + 50 + 93
    assert there.traffic.wire_down_bytes == 20 + 4
    assert there.traffic.wire_up_bytes == 0
