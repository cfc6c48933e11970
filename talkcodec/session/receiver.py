"""The receiving end of a call as a state machine: no I/O, no clock; time is an argument (milliseconds, steady)."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from talkcodec.bitstream import (
    BaseRequest,
    BundlePiece,
    CodedUnit,
    Hello,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    KeyframeUnit,
    MotionBundle,
    ReceiverReport,
    units_of,
)
from talkcodec.clock import CLOCK_HZ
from talkcodec.coding import HeldReferences, UnitReader
from talkcodec.errors import BitstreamError, ConfigError, StateError
from talkcodec.session.arrivals import Arrivals
from talkcodec.session.base_order import BaseOrder, NumberedUnit
from talkcodec.session.fragments import BundleAssembler, KeyframeAssembler
from talkcodec.session.jitter_buffer import JitterBuffer, PlayedFrames, PlayoutConfig, Shown, TimedUnit
from talkcodec.session.limits import Limits
from talkcodec.session.outgoing import Outgoing
from talkcodec.session.sound_way import SoundWay
from talkcodec.types import Delivery, Drive

__all__ = ["Receiver", "ReceiverConfig", "ReceiverCounts"]

T = TypeVar("T")
_U32 = 0xFFFFFFFF
BURST = 3
"""So many base pictures in a row are not on their way: no network changes their order that much."""
_REPORT_BITS = 65  # the highest unit and the 64 before it


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """report_ms: time between receiver reports while units arrive, a report and its acknowledgement costing as much as
    five units; early_report_ms: the first ones come faster, so that prediction starts; loss_report_ms: while units are
    lost, so that rate control hears of it; queue_report_ms: when sound begins to wait in a queue of more than
    queue_report_from_ms, which must shrink within a second. request_gap_ms: shortest time between two keyframe
    requests; stall_ms: no reference for this long after the handshake asks for one. base_gap_ms: a base picture that is
    missing may be on its way for so long; base_request_ms: then a fresh start is asked for, and again after this
    time."""

    report_ms: float = 4000.0
    loss_report_ms: float = 1500.0
    early_report_ms: float = 250.0
    early_reports: int = 2
    queue_report_from_ms: float = 40.0
    queue_report_ms: float = 200.0
    request_gap_ms: float = 1000.0
    stall_ms: float = 4000.0
    base_gap_ms: float = 40.0
    base_request_ms: float = 100.0

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
    keyframe_bytes: int
    base_requests: int = 0


class Receiver(Generic[T]):
    """Feed the peer's messages; take keyframes to decode, hand back ready references, ask `due` for frames to show.

    T is what a decoded reference is to the caller, who gives the store of them (`Decoder.held`). A unit that cannot be
    used is counted and concealed, a missing reference is requested; nothing that a peer sends raises out of `receive`.
    """

    def __init__(
        self,
        hello: Hello,
        held: HeldReferences[T],
        playout: PlayoutConfig,
        config: ReceiverConfig = ReceiverConfig(),
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        """`hello` is the sending end's: it says how its motion is coded. Raises MismatchError for an unknown table."""
        self._config, self._limits = config, limits
        self._held = held
        self._reader = UnitReader(hello, held)
        self._assembler = KeyframeAssembler(limits)
        self._arrivals = Arrivals(_REPORT_BITS)
        self._jitter_buffer: JitterBuffer[T] = JitterBuffer(playout)
        self._to_decode: deque[KeyframeUnit] = deque()
        self._bundle_assembler = BundleAssembler(limits)
        self._order = BaseOrder()
        self._bases: deque[NumberedUnit] = deque()
        self._base_requested_ms: float | None = None
        self._base_requests = 0
        self.sound_way: SoundWay | None = None
        """Of the sound that comes beside the units; may be set, and reports say then what it knows."""
        self._outbox: deque[Outgoing] = deque()
        self._last_bundle: tuple[int, int, float] | None = None  # wire time, 90 kHz timestamp, arrival
        self._last_report_ms: float | None = None
        self._reported_queue = False
        self._reported_bursts = 0
        self._reported_units = 0
        self._reported_lost = 0
        self._last_request_ms: float | None = None
        self._opened_ms: float | None = None
        self._unknown = self._malformed = self._keyframes = self._damaged = self._requests = self._reports = 0
        self._unit_bytes = self._keyframe_bytes = 0

    @property
    def counts(self) -> ReceiverCounts:
        """Totals so far."""
        return ReceiverCounts(
            self._arrivals.received_total, self._arrivals.lost_total, self._unknown, self._malformed, self._keyframes,
            self._damaged, self._requests, self._reports, self._arrivals.jitter_ms, self._unit_bytes,
            self._keyframe_bytes, self._base_requests,
        )  # fmt: skip

    @property
    def played(self) -> PlayedFrames:
        """Frames shown so far."""
        return self._jitter_buffer.counts

    @property
    def jitter_buffer(self) -> "JitterBuffer[T]":
        """The jitter buffer, for its delay and its clock."""
        return self._jitter_buffer

    @property
    def base_waiting(self) -> int:
        """Base pictures that wait, for one before them or to be decoded."""
        return self._order.waiting + len(self._bases)

    @property
    def reference_ids(self) -> tuple[int, ...]:
        """References held."""
        return self._held.ids

    def receive(self, message: KeyframePiece | MotionBundle | BundlePiece, now_ms: float) -> None:
        """A message of the sending end. Never raises for what it holds."""
        if isinstance(message, BundlePiece):
            try:
                bundle = self._bundle_assembler.add(message)
            except BitstreamError:
                self._malformed += 1
                return
            if bundle is not None:
                self._receive_bundle(bundle, now_ms)
            return
        if isinstance(message, MotionBundle):
            self._receive_bundle(message, now_ms)
            return
        try:
            data = self._assembler.add(message)
            if data is None:
                return
            unit = self._reader.keyframe(data)
            if unit.reference_id != message.reference_id:
                raise BitstreamError(f"keyframe {message.reference_id} calls itself {unit.reference_id}")
        except BitstreamError:
            self._damaged += 1
            self.request_keyframe(2, now_ms)
            return
        self._keyframe_bytes += len(data)
        self._to_decode.append(unit)
        while len(self._to_decode) > self._limits.assemblies:  # newest wins
            self._to_decode.popleft()

    def malformed(self) -> bool:
        """A message did not parse; False when there were so many that the peer should be given up."""
        self._malformed += 1
        return self._malformed < self._limits.malformed

    def _receive_bundle(self, bundle: MotionBundle, now_ms: float) -> None:
        timestamp = self._timestamp(bundle.timestamp, now_ms)
        self._last_bundle = (bundle.timestamp, timestamp, now_ms)
        if bundle.reference_id not in self._held:
            self._unknown += len(bundle.units)
            self.request_keyframe(1, now_ms)
            return
        for left, unit in enumerate(units_of(bundle, timestamp, self._reader.time_base), 1 - len(bundle.units)):
            self._receive_unit(replace(unit, timestamp=unit.timestamp & _U32), now_ms, newest=left == 0)

    def _receive_unit(self, coded: CodedUnit, now_ms: float, newest: bool) -> None:
        if self._arrivals.arrived(coded.sequence):  # said once more, or a duplicate of the network's
            self._arrivals.duplicates += 1
            return
        try:
            unit = self._reader.unit(coded)
        except StateError:
            self._unknown += 1
            return
        except BitstreamError:
            self._malformed += 1
            return
        if not self._arrivals.add(coded.sequence, coded.timestamp, now_ms, timed=newest):
            return
        self._unit_bytes += len(coded.payload)
        if unit.base is not None:
            self._bases.extend(self._order.add(coded.sequence, unit, now_ms))
            while len(self._bases) > self._limits.base_units:
                self._bases.popleft()
        if unit.motion is None:
            return
        motion = self._reader.motion(unit.motion)
        reference = self._held.use(unit.reference_id)
        self._jitter_buffer.push(TimedUnit(coded.sequence, coded.timestamp, reference, Drive(motion)), now_ms)

    def _timestamp(self, wire: int, now_ms: float) -> int:
        """The 90 kHz timestamp of a wire time: the one nearest to where the media clock should be by now."""
        near = round(now_ms * CLOCK_HZ / 1000)
        if self._last_bundle is not None:
            _, timestamp, arrival_ms = self._last_bundle
            near = timestamp + round((now_ms - arrival_ms) * CLOCK_HZ / 1000)
        return self._reader.time_base.from_wire(wire, near) & _U32

    def next_keyframe(self) -> KeyframeUnit | None:
        """A keyframe whose picture is to be decoded, outside this state machine; None when there is none."""
        return self._to_decode.popleft() if self._to_decode else None

    def next_base(self) -> NumberedUnit | None:
        """A base picture to decode, outside this state machine, in the order in which they come out here; None when
        there is none."""
        return self._bases.popleft() if self._bases else None

    def base_ready(self, item: NumberedUnit, reference: T, drive: Drive, now_ms: float) -> None:
        """The base picture was decoded: it is shown at its time."""
        self._jitter_buffer.push(TimedUnit(item.sequence, item.unit.timestamp, reference, drive), now_ms)

    def base_failed(self, item: NumberedUnit, now_ms: float) -> None:
        """The base picture did not decode: ask for a fresh start."""
        self._order.failed(item.sequence, now_ms - self._config.base_gap_ms)

    def reference_ready(self, keyframe: KeyframeUnit, reference: T) -> None:
        """The keyframe was decoded: hold it, and tell the sender."""
        self._held.store(keyframe.reference_id, keyframe.state, reference)
        self._keyframes += 1
        self._outbox.append(Outgoing(Delivery.RELIABLE, KeyframeAck(keyframe.reference_id)))

    def reference_failed(self, now_ms: float) -> None:
        """The picture of a keyframe did not decode: ask for another."""
        self._damaged += 1
        self.request_keyframe(2, now_ms)

    def request_keyframe(self, reason: int, now_ms: float) -> None:
        """Ask for a keyframe; at most one request in `request_gap_ms`."""
        if self._last_request_ms is not None and now_ms - self._last_request_ms < self._config.request_gap_ms:
            return
        self._last_request_ms = now_ms
        self._requests += 1
        self._outbox.append(Outgoing(Delivery.RELIABLE, KeyframeRequest(reason)))

    def due(self, now_ms: float) -> "Shown[T] | None":
        """The frame to show now, None when none is due."""
        return self._jitter_buffer.due(now_ms)

    def poll(self, now_ms: float) -> list[Outgoing]:
        """Messages to send now."""
        if self._opened_ms is None:
            self._opened_ms = now_ms
        busy = self._to_decode or self._assembler.unfinished or len(self._held)
        if not busy and now_ms - self._opened_ms > self._config.stall_ms:
            self.request_keyframe(0, now_ms)
        if self._base_request_due(now_ms):
            highest = self._arrivals.highest_sequence
            assert highest is not None
            self._base_requested_ms = now_ms
            self._base_requests += 1
            self._outbox.append(Outgoing(Delivery.DROPPABLE, self._report(now_ms)))  # which are missing
            self._outbox.append(Outgoing(Delivery.DROPPABLE, BaseRequest(highest)))
        elif self._report_due(now_ms):
            self._outbox.append(Outgoing(Delivery.DROPPABLE, self._report(now_ms)))
        out = list(self._outbox)
        self._outbox.clear()
        return out

    def _base_request_due(self, now_ms: float) -> bool:
        since_ms, asked_ms = self._order.gap_since_ms, self._base_requested_ms
        wait_ms = self._config.base_gap_ms if self._order.missing < BURST else 0.0
        if since_ms is None or now_ms - since_ms < wait_ms or self._arrivals.highest_sequence is None:
            return False
        return asked_ms is None or now_ms - asked_ms >= self._config.base_request_ms

    def _report_due(self, now_ms: float) -> bool:
        if self._last_bundle is None:
            return False
        if self._burst_ended and (self._last_report_ms or 0.0) + self._config.base_request_ms <= now_ms:
            return True
        if self._arrivals.received_total == self._reported_units:
            return False
        interval = self._config.report_ms
        if self._reports < self._config.early_reports:
            interval = self._config.early_report_ms
        elif self._arrivals.lost_total > self._reported_lost:
            interval = min(interval, self._config.loss_report_ms)
        queue_ms = None if self.sound_way is None else self.sound_way.queue_ms(now_ms)
        if (queue_ms or 0.0) > self._config.queue_report_from_ms and not self._reported_queue:
            interval = min(interval, self._config.queue_report_ms)
        return self._last_report_ms is None or now_ms - self._last_report_ms >= interval

    @property
    def _burst_ended(self) -> bool:
        return self.sound_way is not None and self.sound_way.bursts != self._reported_bursts

    def _report(self, now_ms: float) -> ReceiverReport:
        assert self._last_bundle is not None
        summary = self._arrivals.summary()
        assert summary is not None
        self._last_report_ms = now_ms
        self._reported_units = self._arrivals.received_total
        self._reported_lost = self._arrivals.lost_total
        self._reports += 1
        played = self._jitter_buffer.counts
        queue_ms = rate_bps = None
        if self.sound_way is not None:
            self._reported_bursts = self.sound_way.bursts
            queue_ms, rate_bps = self.sound_way.queue_ms(now_ms), self.sound_way.take_rate_bps()
            self._reported_queue = (queue_ms or 0.0) > self._config.queue_report_from_ms
        return ReceiverReport(
            highest_sequence=summary.highest_sequence,
            received=summary.bitmap >> 1,
            expected=(self._arrivals.received_total + self._arrivals.lost_total) & _U32,
            lost=self._arrivals.lost_total & _U32,
            jitter=min(_U32, round(summary.jitter_ms * CLOCK_HZ / 1000)),
            echo=self._last_bundle[0],
            hold_ms=min(_U32, max(0, round(now_ms - self._last_bundle[2]))),
            exact=played.exact & _U32,
            concealed=played.concealed & _U32,
            frozen=played.frozen & _U32,
            queue_ms=None if queue_ms is None else min(_U32, round(queue_ms)),
            rate_bps=None if rate_bps is None else min(_U32, round(rate_bps)),
        )

    def next_wakeup_ms(self, now_ms: float) -> float:
        """When `due` or `poll` is to be called again without new input, at the latest."""
        times = [now_ms + 100.0]
        if (deadline := self._jitter_buffer.next_deadline_ms()) is not None:
            times.append(deadline)
        if (since_ms := self._order.gap_since_ms) is not None:
            asked_ms = self._base_requested_ms
            again_ms = 0.0 if asked_ms is None else asked_ms + self._config.base_request_ms
            times.append(max(since_ms + self._config.base_gap_ms, again_ms))
        return max(now_ms, min(times))
