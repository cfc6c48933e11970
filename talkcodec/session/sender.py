"""The sending end of a call as a state machine: no I/O, no clock; time is an argument (milliseconds, steady)."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from talkcodec.bitstream import (
    BaseRequest,
    BundledUnit,
    Hello,
    KeyframeAck,
    KeyframeRequest,
    Layer,
    MotionBundle,
    ReceiverReport,
)
from talkcodec.bitstream.base import is_start
from talkcodec.clock import CLOCK_HZ, seq16_add, time32_diff
from talkcodec.coding import AccessUnit, HeldReferences, UnitWriter
from talkcodec.errors import ConfigError
from talkcodec.session.allowance import Allowance
from talkcodec.session.base_chain import BaseChain
from talkcodec.session.congestion import QUEUE_MS, Feedback
from talkcodec.session.fragments import KeyframeTransfer, split_bundle
from talkcodec.session.limits import Limits
from talkcodec.session.outgoing import Outgoing
from talkcodec.session.packer import Packer
from talkcodec.session.rate import RateConfig, RateControl, SendPlan
from talkcodec.session.sent_base import SentBase
from talkcodec.types import Delivery, WireCost

__all__ = ["Sender", "SenderConfig", "SenderCounts"]

_REMEMBERED_BUNDLES = 128

_MESSAGE_BYTES = 17
"""Around the units of a message that rides with the sound."""

RIDE_PATIENCE_MS = 40.0
"""So much later than planned a unit goes by itself: no packet comes."""

PIECE_ENVELOPE_BYTES = 100
"""Around a piece, by and large, on any transport."""

QUEUE_REMEMBERED_MS = 1500.0
"""After a report of a queue no piece of a keyframe leaves for so long, or until a report says that there is none."""

REORDERED_MS = 20.0
"""A unit may be overtaken by others that left so much later."""

FIRST_KEYFRAME_PACE = 4
"""So much faster than others: nobody sees anything before it is there."""


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """capture_fps: frames a second that the source delivers. keyframe_bps: rate at which pieces are let go, the first
    keyframe's four times as fast. keyframe_timeout_ms: an unacknowledged keyframe is sent anew after this.
    request_gap_ms: keyframe requests closer together than this are one. bundle_slack_ms: a bundle leaves incomplete
    when its frames come this much later than planned. motion_backlog_bytes: with more than this in the transport,
    motion waits (and goes stale). first_sequence: number of the first unit. base_request_gap_ms: requests for a fresh
    start of the base, and base pictures that leave once more, that come sooner after one another are one. repeat: each
    message carries the units of the one before once more, but for a start of the base."""

    capture_fps: float = 25.0
    keyframe_bps: int = 300_000
    keyframe_timeout_ms: float = 8000.0
    request_gap_ms: float = 1000.0
    bundle_slack_ms: float = 25.0
    motion_backlog_bytes: int = 0
    first_sequence: int = 0
    base_request_gap_ms: float = 150.0
    repeat: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.capture_fps <= 120 or self.keyframe_bps < 2_000:
            raise ConfigError("capture_fps: expected 1 to 120; keyframe_bps: expected at least 2000")
        if not 0 <= self.first_sequence <= 0xFFFF:
            raise ConfigError(f"first_sequence: got {self.first_sequence}, expected 0 to 65535")


@dataclass(frozen=True, slots=True)
class SenderCounts:
    """Running totals of one session, and the latest measurements; loss is a share in [0, 1]."""

    units_sent: int
    bundles_sent: int
    keyframes_sent: int
    dropped_stale: int
    requests: int
    reports: int
    loss: float
    rtt_ms: float | None
    unit_bytes: int
    keyframe_bytes: int
    base_restarts: int = 0
    repeated_bytes: int = 0


class Sender:
    """Feed access units, and the peer's messages; `poll` says what to send.

    The old reference stays in use until the peer acknowledges the new one, which `held` (the encoder's) then says.
    """

    def __init__(
        self,
        hello: Hello,
        held: HeldReferences[Any],
        config: SenderConfig = SenderConfig(),
        rate: RateConfig = RateConfig(),  # noqa: B008 (frozen)
        limits: Limits = Limits(),  # noqa: B008
        cost: WireCost = WireCost(),  # noqa: B008
    ) -> None:
        """`hello` is this end's own. cost: what the transport adds to a message, for rate control."""
        self._config, self.held = config, held
        self.repeat = config.repeat
        """Whether each message carries the units of the one before once more, where `allowance` affords it; may be
        set at any time."""
        self.allowance = Allowance()
        self.keyframe_bps: float = config.keyframe_bps
        self.piece_bytes: int | None = None
        """Pace of keyframes after the first, and length of their pieces; may be set at any time. None: as long as can
        be."""
        self._limits = limits
        self._chain = BaseChain(config.base_request_gap_ms)
        self._sent_base = SentBase(hello.time_base.bits)
        self._again: list[MotionBundle] = []  # base pictures that leave once more
        self._mended_ms = float("-inf")
        self._report: ReceiverReport | None = None
        self._time_mask = (1 << hello.time_base.bits) - 1
        self._previous: MotionBundle | None = None
        self._transfer = KeyframeTransfer(limits)
        self._writer = UnitWriter(hello, held, first_sequence=config.first_sequence, distance=limits.states)
        self._packer = Packer(self._writer, config.capture_fps, config.bundle_slack_ms)
        self._rate = RateControl(rate, config.capture_fps, cost)
        self._sent_at: OrderedDict[int, float] = OrderedDict()  # wire time of a bundle -> when it left
        self._next_piece_ms = self._queued_until_ms = 0.0
        self._wanted: int | None = 0  # reason of the keyframe that the encoder should make
        self._last_request_ms: float | None = None
        self._last_timestamp: int | None = None
        self._reported = (0, 0)
        self._units = self._bundles = self._keyframes = self._requests = self._reports = 0
        self._unit_bytes = self._keyframe_bytes = self._repeated_bytes = 0

    @property
    def base_start_wanted(self) -> bool:
        """True when the encoder should start the base afresh: no other base picture leaves before."""
        return self._chain.broken

    @property
    def keyframe_wanted(self) -> bool:
        """True when the encoder should make a keyframe: at the start, on request, or after a timeout."""
        return self._wanted is not None

    @property
    def plan(self) -> SendPlan:
        """How many units a message and how many captured frames a unit, at present."""
        return self._rate.plan

    def ride(self, packet_ms: float) -> None:
        """Units ride in packets of sound that leave every `packet_ms`: they wait for `poll(leaving=True)`."""
        self._rate.packet_ms = packet_ms
        self._packer.hold_ms = 2 * packet_ms + RIDE_PATIENCE_MS

    @property
    def budget_share(self) -> float:
        """What share of the budget the network carries at present."""
        return self._rate.share

    def allot(self, allot: Callable[[float], float], total_bps: float) -> None:
        """As RateControl.allot."""
        self._rate.allot(allot, total_bps)

    @property
    def counts(self) -> SenderCounts:
        """Totals so far."""
        return SenderCounts(
            self._units, self._bundles, self._keyframes, self._packer.dropped_stale, self._requests,
            self._reports, self._rate.loss, self._rate.rtt_ms, self._unit_bytes, self._keyframe_bytes,
            self._chain.restarts, self._repeated_bytes,
        )  # fmt: skip

    def wants_motion(self, timestamp: int) -> bool:
        """False for frames that the present motion rate leaves out; ask before detecting, in order of time."""
        if self._last_timestamp is not None:
            elapsed = time32_diff(timestamp, self._last_timestamp)
            period = CLOCK_HZ / self._config.capture_fps
            if 0 <= elapsed < (self._rate.plan.every - 0.5) * period:
                return False
        self._last_timestamp = timestamp
        return True

    def offer(self, unit: AccessUnit, now_ms: float) -> None:
        """One frame. Its motion is dropped while the peer has not acknowledged its reference.

        Raises UsageError for a keyframe over the cap.
        """
        if unit.keyframe is not None:
            data = self._writer.keyframe(unit.keyframe)
            self._transfer.offer(unit.keyframe.reference_id, data, now_ms, self.piece_bytes)
            self._wanted = None
            self._keyframes += 1
            self._keyframe_bytes += len(data)
        if unit.base is not None and not self._chain.admits(unit.base):
            return
        if not self._packer.add(unit, self._rate.plan, now_ms):
            self._chain.lost()

    def request_keyframe(self, reason: int, now_ms: float) -> None:
        """Somebody wants a keyframe; wishes that come in quick succession are one."""
        recent = self._last_request_ms is not None and now_ms - self._last_request_ms < self._config.request_gap_ms
        if not recent and self._transfer.outstanding is None:
            self._last_request_ms, self._wanted = now_ms, reason

    def receive(self, message: KeyframeAck | KeyframeRequest | BaseRequest | ReceiverReport, now_ms: float) -> None:
        """A message of the receiving end."""
        if isinstance(message, KeyframeAck):
            if self._transfer.acknowledge(message.reference_id):
                self.held.hold(message.reference_id)
        elif isinstance(message, KeyframeRequest):
            self._requests += 1
            self.request_keyframe(message.reason, now_ms)
        elif isinstance(message, BaseRequest):
            if not self._mends(message, now_ms):
                self._chain.request(message.sequence, self._writer.next_sequence, now_ms)
        else:
            self._receive_report(message, now_ms)

    def _receive_report(self, report: ReceiverReport, now_ms: float) -> None:
        self._reports += 1
        self._writer.acknowledge(report)
        if report.queue_ms is not None:
            self._queued_until_ms = now_ms + QUEUE_REMEMBERED_MS if report.queue_ms > QUEUE_MS else 0.0
        sent_ms = self._sent_at.get(report.echo)
        rtt_ms = None if sent_ms is None else max(0.0, now_ms - sent_ms - report.hold_ms)
        self._report = report
        self._send_again(report, self._rate.rtt_ms if rtt_ms is None else rtt_ms, now_ms)
        expected, lost = self._reported
        self._reported = (report.expected, report.lost)
        new_expected = (report.expected - expected) & 0xFFFFFFFF
        new_lost = (report.lost - lost) & 0xFFFFFFFF
        if new_lost >= 0x80000000:  # late units arrived and lowered the count
            new_lost = 0
        if not 0 < new_expected < 0x80000000:
            return
        loss = min(1.0, new_lost / new_expected)
        self._rate.feedback(Feedback(loss, rtt_ms, new_expected, report.queue_ms, report.rate_bps))

    def _send_again(self, report: ReceiverReport, rtt_ms: float | None, now_ms: float) -> None:
        """Base pictures that were not there when the report left, though all their copies should have been."""
        soon = now_ms - self._mended_ms < self._config.base_request_gap_ms
        if rtt_ms is None or soon or self._chain.broken:
            return
        lossy = self.repeat and (report.queue_ms or 0) <= QUEUE_MS  # else what is not there yet waits in a queue
        again = self._sent_base.once_more(report, now_ms - rtt_ms - REORDERED_MS, now_ms, beyond=lossy)
        if again:
            self._mended_ms = now_ms
            self._again += again

    def _mends(self, request: BaseRequest, now_ms: float) -> bool:
        """Whether what the peer misses is on its way once more, as far as its report with the request tells."""
        report, rtt_ms = self._report, self._rate.rtt_ms
        if report is None or rtt_ms is None or report.highest_sequence != request.sequence:
            return False
        since_ms = now_ms - max(rtt_ms + REORDERED_MS, self._config.base_request_gap_ms)
        return self._sent_base.on_its_way(report, since_ms)

    def poll(
        self, now_ms: float, reliable_backlog_bytes: int, droppable_backlog_bytes: int, leaving: bool = False
    ) -> list[Outgoing]:
        """Messages to send now. The backlogs say what still waits in the transport; motion goes first. leaving: a
        packet of sound is about to leave, and takes what is sent now."""
        bundles, self._again = self._again, []
        out = [Outgoing(Delivery.DROPPABLE, message) for b in bundles for message in split_bundle(b, self._limits)]
        for again in bundles:
            self._repeated_bytes += _payload_bytes(again)
            self.allowance.took(_payload_bytes(again) + _MESSAGE_BYTES, now_ms)
            self._remember(again, now_ms)
        bundle = self._due_bundle(now_ms, droppable_backlog_bytes, leaving)
        if bundle is not None:
            out += [Outgoing(Delivery.DROPPABLE, message) for message in split_bundle(bundle, self._limits)]
        if self._transfer.age_ms(now_ms) > self._config.keyframe_timeout_ms:
            self._wanted = 1
        if reliable_backlog_bytes == 0 and now_ms >= self._next_piece_ms:
            first = not len(self.held)
            piece = self._transfer.next_piece(now_ms) if first or now_ms >= self._queued_until_ms else None
            if piece is not None:
                out.append(Outgoing(Delivery.RELIABLE, piece))
                self.allowance.took(len(piece.data) + PIECE_ENVELOPE_BYTES, now_ms)
                pace_bps = self._config.keyframe_bps * FIRST_KEYFRAME_PACE if first else self.keyframe_bps
                self._next_piece_ms = now_ms + (len(piece.data) + PIECE_ENVELOPE_BYTES) * 8000 / pace_bps
        return out

    def _due_bundle(self, now_ms: float, backlog_bytes: int, leaving: bool) -> MotionBundle | None:
        if backlog_bytes > self._config.motion_backlog_bytes:
            return None
        bundle = self._packer.due(self._rate.plan, now_ms, leaving)
        if bundle is not None:
            self._units += len(bundle.units)
            self._bundles += 1
            for unit in bundle.units:
                if unit.layer is Layer.MOTION:
                    self._rate.unit_sent(len(unit.payload))
                self._unit_bytes += len(unit.payload)
            self._chain.left(bundle)
            self.allowance.took(_payload_bytes(bundle) + _MESSAGE_BYTES, now_ms)
            before, self._previous = self._previous, bundle
            if self.repeat and before is not None and self.allowance.affords(_payload_bytes(before), now_ms):
                bundle = self._with(before, bundle)
                self.allowance.took(_payload_bytes(before) if bundle is not self._previous else 0, now_ms)
            self._sent_base.left(bundle, now_ms)
            self._remember(bundle, now_ms)
        return bundle

    def _remember(self, bundle: MotionBundle, now_ms: float) -> None:
        """For the round trip: reports echo the wire time of the bundle that came last."""
        self._sent_at[bundle.timestamp] = now_ms
        self._sent_at.move_to_end(bundle.timestamp)
        while len(self._sent_at) > _REMEMBERED_BUNDLES:
            self._sent_at.popitem(last=False)

    def _with(self, before: MotionBundle, bundle: MotionBundle) -> MotionBundle:
        """The bundle with the units of the one before in front of it, where both fit one message."""
        size = _payload_bytes(before) + _payload_bytes(bundle)
        follows = seq16_add(before.sequence, len(before.units)) == bundle.sequence
        if any(unit.layer is Layer.BASE and is_start(unit.payload) for unit in before.units):
            return bundle  # long, and where it is lost the peer says so
        if before.reference_id != bundle.reference_id or not follows or size > self._limits.piece_bytes // 2:
            return bundle
        last = before.timestamp + sum(unit.delta for unit in before.units)
        first = bundle.units[0]
        joined = BundledUnit((bundle.timestamp - last) & self._time_mask, first.payload, first.layer)
        self._repeated_bytes += _payload_bytes(before)
        units = (*before.units, joined, *bundle.units[1:])
        return MotionBundle(before.reference_id, before.sequence, before.timestamp, units)

    def next_poll_ms(self, now_ms: float) -> float | None:
        """When `poll` may have something without new input; None when only input can change that."""
        if self._again:
            return now_ms
        due_ms = self._packer.next_due_ms(self._rate.plan, now_ms)
        times = [] if due_ms is None else [due_ms]
        if self._transfer.pieces_left:
            times.append(max(now_ms + 2.0, self._next_piece_ms, self._queued_until_ms if len(self.held) else 0.0))
        return min(times, default=None)


def _payload_bytes(bundle: MotionBundle) -> int:
    return sum(len(unit.payload) for unit in bundle.units)
