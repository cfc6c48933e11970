"""The receiving end of a call as a state machine: no I/O, no clock; time is an argument (milliseconds, steady)."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from talkcodec.bitstream import (
    HeldStates,
    Hello,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    KeyframeUnit,
    MotionBundle,
    ReceiverReport,
    dequantise,
    parse_keyframe,
    parse_motion,
)
from talkcodec.clock import CLOCK_HZ, seq16_add
from talkcodec.errors import BitstreamError, ConfigError, StateError
from talkcodec.session.arrivals import Reception
from talkcodec.session.fragments import KeyframeAssembler
from talkcodec.session.handshake import decoding_table
from talkcodec.session.jitter_buffer import PlayedFrames, Player, PlayoutConfig, Shown, TimedMotion
from talkcodec.session.limits import Limits
from talkcodec.session.outgoing import Channel, Outgoing
from talkcodec.session.references import ReferenceStore

__all__ = ["ReceivedKeyframe", "ReceiverConfig", "ReceiverCounts", "ReceiverSession"]

T = TypeVar("T")
_U32 = 0xFFFFFFFF
_REPORT_BITS = 65  # the highest unit and the 64 before it


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """report_ms: time between receiver reports while units arrive, a report and its acknowledgement costing as much as
    five units; early_report_ms: the first ones come faster, so that prediction starts; loss_report_ms: while units are
    lost, so that rate control hears of it. request_gap_ms: shortest time between two keyframe requests; stall_ms: no
    reference for this long after the handshake asks for one."""

    report_ms: float = 4000.0
    loss_report_ms: float = 1500.0
    early_report_ms: float = 250.0
    early_reports: int = 2
    request_gap_ms: float = 1000.0
    stall_ms: float = 4000.0

    def __post_init__(self) -> None:
        if not 50 <= self.early_report_ms <= self.report_ms <= 8000:
            raise ConfigError("report_ms: expected early_report_ms <= report_ms <= 8000, early_report_ms >= 50")


@dataclass(frozen=True, slots=True)
class ReceiverCounts:
    """Running totals: units decoded, lost, of unknown state, that did not parse; keyframes ready and damaged."""

    units: int
    lost: int
    unknown_state: int
    malformed: int
    keyframes: int
    damaged_keyframes: int
    requests: int
    reports: int
    jitter_ms: float
    unit_bytes: int


@dataclass(frozen=True, slots=True)
class ReceivedKeyframe:
    """A keyframe that came together: its fields, and the same as bytes."""

    unit: KeyframeUnit
    data: bytes


class MotionPayload(NamedTuple):
    """A unit as it stands in a bundle, with what the bundle says about it."""

    reference_id: int
    sequence: int
    timestamp: int
    payload: bytes


class ReceiverSession(Generic[T]):
    """Feed the peer's messages; take keyframes to decode, hand back ready references, ask `due` for frames to show.

    T is what a decoded reference is to the caller. A unit that cannot be used is counted and concealed, a missing
    reference is requested; nothing that a peer sends raises out of `receive`.
    """

    def __init__(
        self,
        hello: Hello,
        playout: PlayoutConfig,
        config: ReceiverConfig = ReceiverConfig(),
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        """`hello` is the sending end's: it says how its motion is coded. Raises MismatchError for an unknown table."""
        self._config, self._limits = config, limits
        self._table, self._steps, self._time_base = decoding_table(hello), hello.steps, hello.time_base
        self._states = HeldStates(keyframes=limits.references * 2, units=limits.states + 1)
        self._references: ReferenceStore[T] = ReferenceStore(limits.references)
        self._assembler = KeyframeAssembler(limits)
        self._reception = Reception(_REPORT_BITS)
        self._player = Player(playout)
        self._to_decode: deque[ReceivedKeyframe] = deque()
        self._outbox: deque[Outgoing] = deque()
        self._last_bundle: tuple[int, int, float] | None = None  # wire time, 90 kHz timestamp, arrival
        self._last_report_ms: float | None = None
        self._reported_units = 0
        self._reported_lost = 0
        self._last_request_ms: float | None = None
        self._opened_ms: float | None = None
        self._unknown = self._malformed = self._keyframes = self._damaged = self._requests = self._reports = 0
        self._unit_bytes = 0

    @property
    def counts(self) -> ReceiverCounts:
        """Totals so far."""
        return ReceiverCounts(
            self._reception.received_total, self._reception.lost_total, self._unknown, self._malformed, self._keyframes,
            self._damaged, self._requests, self._reports, self._reception.jitter_ms, self._unit_bytes,
        )  # fmt: skip

    @property
    def played(self) -> PlayedFrames:
        """Frames shown so far."""
        return self._player.counts

    @property
    def player(self) -> Player:
        """The jitter buffer, for its delay and its clock."""
        return self._player

    @property
    def reference_ids(self) -> tuple[int, ...]:
        """References held."""
        return self._references.ids

    def receive(self, message: KeyframePiece | MotionBundle, now_ms: float) -> None:
        """A message of the sending end. Never raises for what it holds."""
        if isinstance(message, MotionBundle):
            self._receive_bundle(message, now_ms)
            return
        try:
            data = self._assembler.add(message)
            if data is None:
                return
            unit = parse_keyframe(data, self._table, self._steps)
            if unit.reference_id != message.reference_id:
                raise BitstreamError(f"keyframe {message.reference_id} calls itself {unit.reference_id}")
        except BitstreamError:
            self._damaged += 1
            self.request_keyframe(2, now_ms)
            return
        self._to_decode.append(ReceivedKeyframe(unit, data))
        while len(self._to_decode) > self._limits.assemblies:  # newest wins
            self._to_decode.popleft()

    def malformed(self) -> bool:
        """A message did not parse; False when there were so many that the peer should be given up."""
        self._malformed += 1
        return self._malformed < self._limits.malformed

    def _receive_bundle(self, bundle: MotionBundle, now_ms: float) -> None:
        timestamp = self._timestamp(bundle.timestamp, now_ms)
        self._last_bundle = (bundle.timestamp, timestamp, now_ms)
        if bundle.reference_id not in self._references:
            self._unknown += len(bundle.units)
            self.request_keyframe(1, now_ms)
            return
        sequence = bundle.sequence
        for index, bundled in enumerate(bundle.units):
            timestamp = (timestamp + bundled.delta * self._time_base.ticks) & _U32
            unit = MotionPayload(bundle.reference_id, seq16_add(sequence, index), timestamp, bundled.payload)
            self._receive_unit(unit, now_ms, newest=index == len(bundle.units) - 1)

    def _receive_unit(self, coded: MotionPayload, now_ms: float, newest: bool) -> None:
        try:
            unit = parse_motion(
                coded.payload, sequence=coded.sequence, timestamp=coded.timestamp, reference_id=coded.reference_id,
                lookup=self._states, table=self._table, steps=self._steps,
            )  # fmt: skip
        except StateError:
            self._unknown += 1
            return
        except BitstreamError:
            self._malformed += 1
            return
        if not self._reception.add(unit.sequence, unit.timestamp, now_ms, timed=newest):
            return
        self._unit_bytes += len(coded.payload)
        self._states.add_unit(unit.sequence, unit.state)
        motion = dequantise(unit.state, self._table, self._steps)
        self._player.push(TimedMotion(unit.sequence, unit.timestamp, unit.reference_id, motion), now_ms)

    def _timestamp(self, wire: int, now_ms: float) -> int:
        """The 90 kHz timestamp of a wire time: the one nearest to where the media clock should be by now."""
        near = round(now_ms * CLOCK_HZ / 1000)
        if self._last_bundle is not None:
            _, timestamp, arrival_ms = self._last_bundle
            near = timestamp + round((now_ms - arrival_ms) * CLOCK_HZ / 1000)
        return self._time_base.from_wire(wire, near) & _U32

    def next_keyframe(self) -> ReceivedKeyframe | None:
        """A keyframe whose picture is to be decoded, outside this state machine; None when there is none."""
        return self._to_decode.popleft() if self._to_decode else None

    def reference_ready(self, keyframe: ReceivedKeyframe, reference: T) -> None:
        """The keyframe was decoded: hold it, and tell the sender."""
        unit = keyframe.unit
        self._references.store(unit.reference_id, reference)
        self._states.add_keyframe(unit.reference_id, unit.state)
        self._keyframes += 1
        self._outbox.append(Outgoing(Channel.CONTROL, KeyframeAck(unit.reference_id)))

    def reference_failed(self, now_ms: float) -> None:
        """The picture of a keyframe did not decode: ask for another."""
        self._damaged += 1
        self.request_keyframe(2, now_ms)

    def reference(self, reference_id: int) -> T:
        """The reference of a frame to show. Raises StateError when it left meanwhile."""
        return self._references.get(reference_id)

    def request_keyframe(self, reason: int, now_ms: float) -> None:
        """Ask for a keyframe; at most one request in `request_gap_ms`."""
        if self._last_request_ms is not None and now_ms - self._last_request_ms < self._config.request_gap_ms:
            return
        self._last_request_ms = now_ms
        self._requests += 1
        self._outbox.append(Outgoing(Channel.CONTROL, KeyframeRequest(reason)))

    def due(self, now_ms: float) -> Shown | None:
        """The frame to show now, None when none is due."""
        return self._player.due(now_ms)

    def poll(self, now_ms: float) -> list[Outgoing]:
        """Messages to send now."""
        if self._opened_ms is None:
            self._opened_ms = now_ms
        busy = self._to_decode or self._assembler.unfinished or len(self._references)
        if not busy and now_ms - self._opened_ms > self._config.stall_ms:
            self.request_keyframe(0, now_ms)
        if self._report_due(now_ms):
            self._outbox.append(Outgoing(Channel.MOTION, self._report(now_ms)))
        out = list(self._outbox)
        self._outbox.clear()
        return out

    def _report_due(self, now_ms: float) -> bool:
        if self._reception.received_total == self._reported_units or self._last_bundle is None:
            return False
        interval = self._config.report_ms
        if self._reports < self._config.early_reports:
            interval = self._config.early_report_ms
        elif self._reception.lost_total > self._reported_lost:
            interval = min(interval, self._config.loss_report_ms)
        return self._last_report_ms is None or now_ms - self._last_report_ms >= interval

    def _report(self, now_ms: float) -> ReceiverReport:
        assert self._last_bundle is not None
        summary = self._reception.summary()
        assert summary is not None
        self._last_report_ms = now_ms
        self._reported_units = self._reception.received_total
        self._reported_lost = self._reception.lost_total
        self._reports += 1
        played = self._player.counts
        return ReceiverReport(
            highest_sequence=summary.highest_sequence,
            received=summary.bitmap >> 1,
            expected=(self._reception.received_total + self._reception.lost_total) & _U32,
            lost=self._reception.lost_total & _U32,
            jitter=min(_U32, round(summary.jitter_ms * CLOCK_HZ / 1000)),
            echo=self._last_bundle[0],
            hold_ms=min(_U32, max(0, round(now_ms - self._last_bundle[2]))),
            exact=played.exact & _U32,
            concealed=played.concealed & _U32,
            frozen=played.frozen & _U32,
        )

    def next_wakeup_ms(self, now_ms: float) -> float:
        """When `due` or `poll` is to be called again without new input, at the latest."""
        deadline = self._player.next_deadline_ms()
        return now_ms + 100.0 if deadline is None else min(now_ms + 100.0, max(now_ms, deadline))
