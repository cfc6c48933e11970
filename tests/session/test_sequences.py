"""Valid, mutated and invented messages in any order, into every state machine that hears a peer or reads a file.

Nothing but the peer's error type may come out, memory stays bounded, and what is sent in return is well-formed.
"""

import asyncio
import io
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from base_simulation import BaseCall
from hypothesis import example, given
from hypothesis import strategies as st
from simulation import HELLO, Call, keyframe_unit, state_at

from talkcodec.bitstream import (
    AudioFormat,
    BasePicture,
    BaseRequest,
    BaseStart,
    BundledUnit,
    BundlePiece,
    Bye,
    Hello,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    KeyframeUnit,
    Layer,
    Message,
    MotionBundle,
    ReceiverReport,
    RecordedAudio,
    RecordingHeader,
    RecordingReader,
    RecordingWriter,
    SoundClock,
    TimeBase,
    parse,
    serialize,
    units_of,
)
from talkcodec.clock import seq16_add
from talkcodec.coding import AccessUnit, HeldReferences, UnitReader, UnitWriter, next_reference_id
from talkcodec.errors import MismatchError, PeerError
from talkcodec.peer.link import Link
from talkcodec.session import Limits, PlayoutConfig, Receiver, Sender
from talkcodec.session.base_order import BaseOrder
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.simulated import SimulatedNetwork, SimulatedTransport
from talkcodec.types import Base, Crop, Drive
from tests.bitstream.test_fuzz import mutated

FILE_HELLO = replace(HELLO, time_base=TimeBase(ticks=30, bits=32))
U16, U32, U64 = 0xFFFF, 2**32 - 1, 2**64 - 1
LIMITS = Limits()


def corpus() -> list[bytes]:
    """Messages of a real call over a bad network, both ways, and those that a call seldom has."""
    weather = Impairment(loss=0.1, delay_ms=10, jitter_ms=30, reorder=True)
    call = Call(weather, Impairment(loss=0.1, delay_ms=10))
    seen: list[bytes] = []
    deliver = call.send
    call.send = lambda end, data, delivery: (seen.append(data), deliver(end, data, delivery))  # type: ignore[method-assign]
    call.run(6)
    base = BaseCall(weather, Impairment(loss=0.1, delay_ms=10), noise=60)
    deliver_base = base.send
    base.send = lambda end, data, delivery: (seen.append(data), deliver_base(end, data, delivery))  # type: ignore[method-assign]
    base.run(4)
    others = (HELLO, SoundClock(0, 0), Bye(0, "done"), KeyframeRequest(1), KeyframePiece(3, 1, 2, b"x"))
    return seen + [serialize(message) for message in others]


@pytest.fixture(scope="module")
def messages() -> list[bytes]:
    return corpus()


def invented(rng: random.Random) -> Message:
    """Well-formed, with fields near what is live, or anywhere."""
    sequence = rng.choice([0, 1, 2, 65535, 65534, rng.randrange(300), rng.randrange(65536)])
    number = rng.choice([0, 1, 2, 255, rng.randrange(256)])
    kind = rng.randrange(9)
    if kind == 6:
        return BaseRequest(sequence)
    if kind == 7:
        count = rng.choice([2, 2, 3, 64])
        return BundlePiece(sequence, rng.randrange(count), count, rng.randbytes(rng.choice([1, 30, 1100])))
    if kind == 8:
        payloads = [rng.randbytes(rng.choice([2, 10, 40])) for _ in range(rng.randint(1, 4))]
        bases = [BundledUnit(rng.randrange(9000) if n else 0, data, Layer.BASE) for n, data in enumerate(payloads)]
        return MotionBundle(number, sequence, rng.randrange(2**16), tuple(bases))
    if kind == 0:
        return KeyframeAck(number)
    if kind == 1:
        return KeyframeRequest(rng.randrange(4))
    if kind == 2:
        bitmap = rng.choice([0, 1, U64, rng.getrandbits(64)])
        totals = [rng.choice([0, 1, 50, U32, rng.randrange(2**32)]) for _ in range(8)]
        return ReceiverReport(sequence, bitmap, *totals)
    if kind == 3:
        count = rng.choice([1, 1, 2, 8])
        index = rng.randrange(count)
        size = rng.randint(1, 60) if index == count - 1 else LIMITS.piece_bytes
        return KeyframePiece(number, index, count, rng.randbytes(size))
    if kind == 4:
        units = [BundledUnit(0, rng.randbytes(rng.randrange(30)))]
        units += [BundledUnit(rng.randrange(2**16), rng.randbytes(rng.randrange(30))) for _ in range(rng.randrange(4))]
        return MotionBundle(number, sequence, rng.randrange(2**16), tuple(units))
    return SoundClock(rng.randrange(2**32), rng.randrange(2**32))


def next_bytes(rng: random.Random, seeds: list[bytes], place: int) -> bytes:
    """As it came, at its place or any; mutated; or invented."""
    kind = rng.randrange(4)
    if kind == 0:
        return seeds[place % len(seeds)]
    if kind == 1:
        return rng.choice(seeds)
    return mutated(rng.choice(seeds), seeds, rng) if kind == 2 else serialize(invented(rng))


class Machine:
    """A session under fire. `take` gets each message; `step` lets time pass."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.now_ms = rng, rng.choice([0.0, 1e6, 4e7])

    def step(self) -> None:
        long = 300.0 if self.rng.random() < 0.9 else 20_000.0
        self.now_ms += self.rng.choice([0.0, 5.0, 20.0, 40.0, 40.0, 40.0, long])


class Receiving(Machine):
    """A receiving end that decodes, or fails to, now and then."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.held: HeldReferences[int] = HeldReferences(LIMITS.references)
        self.session: Receiver[int] = Receiver(HELLO, self.held, PlayoutConfig())

    def take(self, message: Message) -> None:
        if isinstance(message, KeyframePiece | MotionBundle | BundlePiece):
            self.session.receive(message, self.now_ms)

    def step(self) -> None:
        super().step()
        if self.rng.random() < 0.5:
            while (unit := self.session.next_keyframe()) is not None:
                if self.rng.random() < 0.8:
                    self.session.reference_ready(unit, unit.reference_id)
                else:
                    self.session.reference_failed(self.now_ms)
            while (item := self.session.next_base()) is not None:
                if self.rng.random() < 0.8:
                    base = Base(np.zeros((16, 16, 3), np.float32), np.zeros((2, 2, 2), np.float32))
                    self.session.base_ready(item, item.unit.reference_id, Drive(base=base), self.now_ms)
                else:
                    self.session.base_failed(item, self.now_ms)
        self.session.due(self.now_ms)
        assert self.session.base_waiting <= BaseOrder.LIMIT + LIMITS.base_units
        for out in self.session.poll(self.now_ms):
            assert parse(serialize(out.message)) == out.message
        assert self.session.jitter_buffer.buffered <= PlayoutConfig().units
        assert len(self.held.ids) <= LIMITS.references
        assert self.session.next_wakeup_ms(self.now_ms) >= self.now_ms


class Sending(Machine):
    """A sending end that captures, whatever the peer claims to hold."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.held: HeldReferences[int] = HeldReferences(4)
        self.session = Sender(HELLO, self.held)
        self.states = [state_at(number / 25) for number in range(50)]
        self.next, self.frame, self.number = 0, 0, 0

    def take(self, message: Message) -> None:
        if isinstance(message, KeyframeAck | KeyframeRequest | BaseRequest | ReceiverReport):
            self.session.receive(message, self.now_ms)

    def step(self) -> None:
        super().step()
        self.frame += 1
        state, unit = self.states[self.frame % 50], None
        if self.session.keyframe_wanted or self.rng.random() < 0.02:
            unit = keyframe_unit(self.next, state, self.rng.choice([1, 900, 3500]))
            self.held.offer(self.next, state, self.next)
            self.next = next_reference_id(self.next)
        timestamp = round(self.now_ms * 90) & U32
        if unit is not None or self.session.wants_motion(timestamp):
            current = self.held.newest if self.held.newest is not None else (self.next - 1) & 0xFF
            base = None
            if self.rng.random() < 0.5:
                self.number = (self.number + 1) % 128
                wanted = self.session.base_start_wanted
                start = BaseStart(1, Crop(0, 0, 64)) if wanted and self.rng.random() < 0.8 else None
                base = BasePicture(self.number, bytes(self.rng.choice([20, 500, 3000])), start)
            self.session.repeat = self.rng.random() < 0.5
            self.session.offer(AccessUnit(timestamp, current, state, unit, base), self.now_ms)
        buffered = self.rng.choice([0, 0, 0, 5000])
        for out in self.session.poll(self.now_ms, buffered, buffered):
            assert parse(serialize(out.message)) == out.message
        assert len(self.held.ids) <= 4
        assert 1 <= self.session.plan.bundle <= 4
        wakeup_ms = self.session.next_poll_ms(self.now_ms)
        assert wakeup_ms is None or wakeup_ms >= self.now_ms


def fire(make: Callable[[random.Random], Any], seeds: list[bytes], count: int, seed: int) -> tuple[int, int]:
    """Send `count` messages, to a new machine now and then; returns how many parsed, and how many were refused."""
    rng, good, bad, sent = random.Random(seed), 0, 0, 0
    while sent < count:
        machine, start = make(rng), rng.randrange(len(seeds))
        for place in range(start, start + min(count - sent, rng.choice([5, 50, 500, 3000]))):
            data, sent = next_bytes(rng, seeds, place), sent + 1
            try:
                message = parse(data)
            except PeerError:
                bad += 1
                continue
            good += 1
            try:
                machine.take(message)
                machine.step()
            except Exception as error:
                raise AssertionError(f"message {sent} of --fuzz-seed={seed}: {message}") from error
    return good, bad


class Linked:
    """A link whose ends are bare sessions: the dispatch of bytes, before and after the Hellos."""

    def __init__(self, rng: random.Random, transport: SimulatedTransport, ends: bool) -> None:
        self.receiving, self.sending = Receiving(rng), Sending(rng)
        self.link = Link(transport, HELLO, self._agreed if ends else lambda _: None)
        self.link.sound = self  # type: ignore[assignment]
        self.clocks = 0

    def _agreed(self, link: Link) -> None:
        link.receiving, link.sending = self, self  # type: ignore[assignment]

    def start(self, wake: object) -> None:
        """As an end; nothing to start."""

    def receive(self, message: Message, now_ms: float) -> None:
        self.receiving.take(message)
        self.sending.take(message)

    def set_clock(self, clock: SoundClock) -> None:
        self.clocks += 1


async def fire_at_links(seeds: list[bytes], count: int, seed: int) -> int:
    """Bytes into links; returns how many did not parse."""
    rng, malformed, sent = random.Random(seed), 0, 0
    while sent < count:
        transport = SimulatedNetwork(Impairment()).a
        linked = Linked(rng, transport, ends=rng.random() < 0.9)
        if rng.random() < 0.7:
            transport.arrived(serialize(HELLO))
        for place in range(min(count - sent, rng.choice([5, 50, 500]))):
            data = next_bytes(rng, seeds, place)
            sent += 1
            if rng.random() < 0.01:
                data = rng.choice([b"", bytes(LIMITS.message_bytes + 1)])
            try:
                transport.arrived(data)
                linked.receiving.step()
                linked.sending.step()
                assert isinstance(linked.link._failure, MismatchError | None), linked.link._failure
            except Exception as error:
                raise AssertionError(f"message {sent} of --fuzz-seed={seed}: {data!r}") from error
        assert isinstance(linked.link.peer_hello, Hello | None)
        assert linked.link.malformed <= transport.traffic.received_messages
        malformed += linked.link.malformed
        await asyncio.sleep(0)
    return malformed


def recorded(rng: random.Random) -> tuple[bytes, int]:
    """A recording with its records in a foolish order, their fields valid, wild or damaged; and how many it has."""
    file = io.BytesIO()
    header = RecordingHeader(FILE_HELLO, frame_ticks=3600, audio=AudioFormat(), layers=tuple(Layer))
    recording = RecordingWriter(file, header)
    held: HeldReferences[int] = HeldReferences()
    writer, records, timestamp = UnitWriter(FILE_HELLO, held), 0, rng.choice([0, 2**32 - 9000, 2**40])
    for _ in range(rng.choice([1, 10, 60])):
        records += 1
        timestamp += rng.choice([0, 3600, 3600, 3600, 2**20])
        kind = rng.randrange(5)
        state = state_at(records / 25)
        if kind == 0 or records == 1:
            number = rng.randrange(4)
            held.store(number, state, number)
            data = writer.keyframe(keyframe_unit(number, state, 100))
            recording.write_keyframe(timestamp, data if rng.random() < 0.7 else mutated(data, [data], rng) or b"x")
        elif kind == 1:
            recording.write_audio(timestamp, 1800, rng.randbytes(rng.randint(1, 40)))
        elif kind == 2 and rng.random() < 0.3:
            message = invented(rng)
            if isinstance(message, MotionBundle):
                recording.write_bundle(message, timestamp)
                timestamp += sum(unit.delta for unit in message.units) * FILE_HELLO.time_base.ticks
        else:
            for _ in range(rng.randint(1, 4)):
                writer.add(AccessUnit(timestamp, rng.choice(held.ids), state))
            while (bundle := writer.take()) is not None:
                if rng.random() < 0.8:  # else lost: later units may be predicted from it
                    recording.write_bundle(bundle, timestamp)
                writer.acknowledge_unit(seq16_add(writer.next_sequence, -1))
    recording.close()
    data = file.getvalue()
    return (mutated(data, [data], rng) if rng.random() < 0.3 else data), records


def play(data: bytes, rng: random.Random) -> int:
    """Read a recording as a player does, from the start and from places in it; returns the units that were decoded."""
    decoded = 0
    try:
        reader = RecordingReader(io.BytesIO(data))
    except (PeerError, MismatchError):
        return 0
    held: HeldReferences[int] = HeldReferences(LIMITS.references)
    units = UnitReader(FILE_HELLO, held)
    for seek in (None, 0, rng.randrange(2**33)):
        if seek is not None:
            reader.seek(seek)
        for record in reader:
            if isinstance(record, RecordedAudio):
                continue
            keyframe: KeyframeUnit | None = None
            try:
                if record.keyframe is not None:
                    keyframe = units.keyframe(record.keyframe)
                    held.store(keyframe.reference_id, keyframe.state, 0)
                units.unit(record, keyframe)
                decoded += 1
            except PeerError:
                continue
        assert len(held.ids) <= LIMITS.references
    return decoded


def fire_recordings(count: int, seed: int) -> tuple[int, int]:
    """Recordings with `count` records in all; returns how many, and the units that could be decoded."""
    rng, records, decoded = random.Random(seed), 0, 0
    while records < count:
        data, added = recorded(rng)
        records += added
        try:
            decoded += play(data, rng)
        except Exception as error:
            raise AssertionError(f"record {records} of --fuzz-seed={seed}: {data.hex()}") from error
    return records, decoded


@pytest.mark.parametrize("make", [Receiving, Sending])
def test_sequences_of_messages(make: type[Machine], messages: list[bytes]) -> None:
    good, bad = fire(make, messages, 2000, seed=1)
    assert good > 1000
    assert bad > 100


async def test_sequences_of_bytes_into_a_link(messages: list[bytes]) -> None:
    assert await fire_at_links(messages, 2000, seed=1) > 100


def test_sequences_of_records() -> None:
    records, decoded = fire_recordings(2000, seed=1)
    assert decoded > records // 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make", [Receiving, Sending])
def test_sequences_of_a_third_of_a_million_messages(make: type[Machine], messages: list[bytes], fuzz_seed: int) -> None:
    good, bad = fire(make, messages, 350_000, fuzz_seed)
    assert good > 175_000
    assert bad > 17_500


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_sequences_of_two_hundred_thousand_messages_into_a_link(messages: list[bytes], fuzz_seed: int) -> None:
    assert await fire_at_links(messages, 200_000, fuzz_seed) > 10_000


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_sequences_of_a_hundred_thousand_records(fuzz_seed: int) -> None:
    records, decoded = fire_recordings(100_000, fuzz_seed)
    assert decoded > records // 5


REPORTED = [KeyframeAck(0), KeyframeAck(0), KeyframeAck(0), ReceiverReport(0, 1, 0, 0, 0, 0, 0), KeyframeAck(0)]
"""The report's bit 0 names unit 65535, which was never sent: predicted from, it ended the sender."""


@example(REPORTED, 40.0)
@given(
    st.lists(
        st.one_of(
            st.builds(KeyframeAck, st.integers(0, 3)),
            st.builds(KeyframeRequest, st.integers(0, 3)),
            st.builds(
                ReceiverReport, st.integers(0, 30) | st.integers(65500, U16), st.integers(0, U64),
                *[st.integers(0, U32)] * 5,
            ),
        ),
        max_size=40,
    ),
    st.sampled_from([0.0, 5.0, 40.0, 400.0]),
)  # fmt: skip
def test_what_a_peer_claims_to_hold_counts_only_when_it_was_sent(reports: list[Message], step_ms: float) -> None:
    """Every unit that is sent is predicted from the keyframe or a unit that was sent and is kept."""
    held: HeldReferences[int] = HeldReferences()
    sender = Sender(HELLO, held)
    honest: HeldReferences[int] = HeldReferences()
    reader = UnitReader(HELLO, honest)
    held.offer(0, state_at(0), 0)
    honest.store(0, state_at(0), 0)
    sender.offer(AccessUnit(0, 0, state_at(0), keyframe_unit(0, state_at(0), 100)), 0.0)
    for index, message in enumerate(reports):
        sender.receive(message, index * step_ms)  # type: ignore[arg-type]
        sender.offer(AccessUnit(index * 3600, 0, state_at(index / 25)), index * step_ms)
        for out in sender.poll(index * step_ms, 0, 0):
            if isinstance(out.message, MotionBundle):
                for unit in units_of(out.message, index * 3600, reader.time_base):
                    reader.unit(unit)  # a receiver that got everything can decode it
