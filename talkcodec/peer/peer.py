"""One side of a call, in one direction or both: what is captured goes in, what the other side sends comes out.

    push, push_sound -> SendingEnd -> Link -> transport
    transport -> Link -> ReceivingEnd -> on_picture, on_sound

A program supplies source, sink and policy. A direction that is left out costs nothing: no thread, no message.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from aiortc import MediaStreamTrack

from talkcodec.bitstream import Bye, Chat, Hello, KeyframeRequest, Presence
from talkcodec.codec import hello_for
from talkcodec.errors import BusyError
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.hello import same_clock, shows_base, with_extras
from talkcodec.peer.link import Link
from talkcodec.peer.meters import LipSync
from talkcodec.peer.receiving import ReceivingEnd
from talkcodec.peer.selfview import MirroredEnd
from talkcodec.peer.sending import Cropper, SendingEnd
from talkcodec.peer.sound import OutgoingSound, SoundConfig, SoundReceiver
from talkcodec.session import (
    FEATURE_AUDIO,
    FEATURE_BASE,
    FEATURE_PEOPLE,
    FEATURE_READS_PADDING,
    FEATURE_SHORT_PIECES,
)
from talkcodec.session.budget import CallBudget
from talkcodec.session.rate import FIRST_SHARE
from talkcodec.session.sender import FIRST_KEYFRAME_PACE
from talkcodec.session.voice_buffer import VoiceCounts
from talkcodec.transport.boundary import Transport
from talkcodec.transport.with_sound import WithSound
from talkcodec.types import Kind, Picture, PlayedPicture, PlayedSound, SoundArray

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Connection", "Peer", "Receives", "Sends"]

logger = logging.getLogger(__name__)

_WISH = 4  # KeyframeRequest.reason: a person asked
_PIECE_ENVELOPE_BYTES = 100
"""More than a KeyframePiece has beside its data."""
CARRIED_REPORT_MS = 800.0
"""Between receiver reports that ride with the sound: some 25 bytes each."""
AIM_STEP = 0.03
LOSS_REMEMBERED_S = 30.0
_SLOWEST_FPS = 1.0
"""What rate control reckons with for a source that is slower still."""


class Connection(Protocol):
    """What a peer talks over: a transport for messages, and a way for sound."""

    @property
    def transport(self) -> Transport:
        """For messages."""
        ...

    def carry_sound(self, sound: MediaStreamTrack | None, arrived: Callable[[bytes, int, int], None] | None) -> None:
        """Our track, None for none, and who takes the peer's packets (payload, RTP number, time), None for nobody."""
        ...

    async def wire_bytes(self) -> tuple[int, int] | None:
        """Bytes on the wire (up, down) with sound, if they are counted."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class Sends:
    """What this side sends. fps: pictures a second that will be pushed. sound: whether it will be pushed too.
    cropper: cuts the face out, None for the usual one. on_self: our own pictures as the peer sees them, made while
    `Peer.look` asks for them; called in a thread."""

    fps: float
    sound: bool = False
    cropper: Cropper | None = None
    on_self: Callable[[PlayedPicture], None] | None = None


@dataclass(frozen=True, slots=True)
class Receives:
    """What is done with what comes. on_picture: every shown frame, in the generator's thread. on_sound: 20 ms and
    when the first of them is to be heard, monotonic clock; on the event loop."""

    on_picture: Callable[[PlayedPicture], None]
    on_sound: Callable[[PlayedSound, float], None] = lambda sound, due_s: None


class Peer:
    """From before the handshake to the end; a new one for each call. Keyframes live and die with it."""

    def __init__(
        self,
        engine: "Engine",
        connection: Connection,
        config: PeerConfig,
        *,
        creator: str = "",
        sends: Sends | None = None,
        receives: Receives | None = None,
        on_agreed: Callable[[], None] = lambda: None,
        on_person: Callable[[Presence | Chat], None] | None = None,
    ) -> None:
        """on_agreed: the two fit together; what it raises ends the call. on_person: takes what the other person says,
        on the event loop; None where nobody reads it. Raises ConfigError for settings that do not
        go together, and MismatchError for a table that is not here: before anything connects."""
        self._engine, self._sends, self._receives, self._on_agreed = engine, sends, receives, on_agreed
        transport = connection.transport
        if sends is not None:
            config = replace(config, sender=replace(config.sender, capture_fps=max(_SLOWEST_FPS, sends.fps)))
        self._budget: CallBudget | None = None
        self._aimed_bps = 1.0
        self._loss = (0.0, 0.0)  # and until when it is remembered
        if sends is not None and config.budget_kbps is not None:
            self._budget, config = _within(config, config.budget_kbps, sends.sound)
        room = transport.largest_payload_bytes - _PIECE_ENVELOPE_BYTES
        self.config = replace(config, limits=replace(config.limits, piece_bytes=min(config.limits.piece_bytes, room)))
        self.connection = connection
        self._carrier = transport if isinstance(transport, WithSound) and config.carrier != "data-channel" else None
        self._on_person = on_person
        self.link = Link(transport, self._hello(creator), self._agreed, config.link, self.config.limits)
        if on_person is not None:
            self.link.on_person = on_person
        self.lip_sync = LipSync()
        self.first_timestamp: int | None = None
        self.same_clock = False
        self._sound_out: OutgoingSound | None = None
        if sends is not None and sends.sound:
            dress = self._carrier.dress if self._carrier is not None else bytes
            self._sound_out = OutgoingSound(config.sound, dress)
        self._sound_in = None if receives is None else SoundReceiver(self._play, self.link.fail)
        self.link.sound = self._sound_in
        connection.carry_sound(self._sound_out, None if self._sound_in is None else self._sound_in.packet)

    def _hello(self, creator: str) -> Hello:
        hello = hello_for(self._engine, self.config.encoder, creator=creator)
        features = 0 if self._receives is None else FEATURE_BASE | FEATURE_SHORT_PIECES
        if self._receives is not None and self._carrier is not None:
            features |= FEATURE_READS_PADDING
        if self._on_person is not None:
            features |= FEATURE_PEOPLE
        if self._sends is None:
            return replace(hello, features=features)
        features |= FEATURE_AUDIO if self._sends.sound else 0
        return replace(with_extras(hello, self._sends.fps), features=features)

    @property
    def sending(self) -> SendingEnd | None:
        """The sending end; None before the two agreed, and in a call that only receives."""
        return self.link.sending

    @property
    def receiving(self) -> ReceivingEnd | None:
        """The receiving end; None before the two agreed, and in a call that only sends."""
        return self.link.receiving

    @property
    def agreed(self) -> asyncio.Event:
        """Set when the call has begun."""
        return self.link.agreed

    @property
    def silent_s(self) -> float:
        """Time since anything was heard from the other side."""
        return self.link.silent_s

    @property
    def motionless_s(self) -> float:
        """Time since motion came; the other side's camera may be off."""
        return time.monotonic() - self.link.last_motion_s

    async def run(self) -> Bye | None:
        """As Link.run."""
        return await self.link.run()

    async def say_bye(self) -> None:
        """End the call from this side."""
        await self.link.say_bye()

    async def close(self) -> None:
        """End the connection; what was held of the other side is gone."""
        if self._sound_in is not None:
            await self._sound_in.close()
        if self._sound_out is not None:
            self._sound_out.stop()
        await self.connection.close()
        for end in (self.sending, self.receiving):  # not yet closed when the link never ran
            if end is not None:
                await asyncio.to_thread(end.close)

    @property
    def carrier(self) -> str:
        """What units and reports from here ride on."""
        return "sound" if self._carrier is not None and self._carrier.carrying else "data-channel"

    @property
    def sound_sent(self) -> tuple[int, int] | None:
        """Bytes of voice so far, and milliseconds in a packet at present; None where no sound is sent."""
        sound = self._sound_out
        return None if sound is None else (sound.coded_bytes, sound.config.frame_ms)

    @property
    def voice_received(self) -> VoiceCounts:
        """What became of the peer's packets of sound."""
        return VoiceCounts() if self._sound_in is None else self._sound_in.counts

    def give_way(self, silent_s: float) -> None:
        """Somebody else is calling: they may take over from a peer that was silent for so long, a sender that was
        started again, say. Raises BusyError before that."""
        if self.silent_s < silent_s:
            raise BusyError("a call is going on")
        logger.warning("the caller before fell silent; a new one takes over")

    def push(self, picture: Picture, captured_s: float) -> None:
        """A captured frame (H, W, 3), RGB, 0 to 255, and its time on the monotonic clock. From any thread."""
        sending = self.sending
        if sending is not None:
            sending.push(picture, captured_s)

    def push_sound(self, samples: SoundArray, captured_s: float) -> None:
        """20 ms of sound, (960,) int16 mono at 48 kHz; on the event loop."""
        if self._sound_out is not None:
            self._sound_out.push(samples, captured_s)

    def spend(self, budget_kbps: float) -> None:
        """Another budget for all that this side sends; a running call begins with what was carried of the one before.
        Raises ConfigError for one that no call fits in."""
        if self._sends is None:
            return
        self._budget, self.config = _within(self.config, budget_kbps, self._sends.sound)
        if self.sending is not None:
            self.sending.session.allot(self._allot, self._budget.bps)

    @property
    def aimed_bps(self) -> float | None:
        """What the picture is to take, coded, keyframes included; None where nothing bounds it."""
        bounds = [self.config.bitrate_bps, None if self._budget is None else self._aimed_bps]
        return min((bps for bps in bounds if bps is not None), default=None)

    def keep_alive(self) -> None:
        """To be called now and then where camera and microphone may be off: says that we are there."""
        if self._sound_out is not None:
            self._sound_out.keep_alive()

    def look(self, looking: bool) -> None:
        """Generate our own picture too, as the peer does, or stop that."""
        sending = self.sending
        if isinstance(sending, MirroredEnd) and sending.looking != looking:
            sending.looking = looking
            self.link.wake()

    @property
    def reads_people(self) -> bool:
        """Whether both sides read what the other tells, an older program does not; False before the two agreed."""
        theirs = self.link.peer_hello
        return self._on_person is not None and theirs is not None and bool(theirs.features & FEATURE_PEOPLE)

    def tell(self, message: Presence | Chat) -> None:
        """Something from person to person; not sent to a side that does not read it."""
        if self.reads_people:
            self.link.send(message)

    def request_keyframe(self) -> None:
        """A person wants a fresh picture of the other side."""
        self.link.send(KeyframeRequest(_WISH))

    def _agreed(self, link: Link) -> None:
        theirs, sends = link.peer_hello, self._sends
        assert theirs is not None
        self._choose_carrier(theirs)
        if self._receives is not None:
            self.same_clock = same_clock(theirs)
            link.receiving = ReceivingEnd(self._engine, theirs, self.config, self._show, same_clock=self.same_clock)
            if self._sound_in is not None:
                link.receiving.session.sound_way = self._sound_in.way
                self._sound_in.due_ms = link.receiving.session.jitter_buffer.sound_due_ms
        if sends is not None:
            cost = link.transport.cost
            if sends.on_self is None:
                link.sending = SendingEnd(
                    self._engine, link.hello, self.config, sends.cropper, cost, shows_base(theirs)
                )
            else:
                link.sending = MirroredEnd(
                    self._engine, link.hello, self.config, sends.cropper, cost, sends.on_self, shows_base(theirs)
                )
            if self.carrier == "sound":
                link.sending.session.ride(self.config.sound.frame_ms)
            if self._budget is not None:
                link.sending.session.allot(self._allot, self._budget.bps)
        if self._sound_out is not None:
            self._sound_out.start(link.send)
        self._on_agreed()

    def _choose_carrier(self, theirs: Hello) -> None:
        """With the sound, where we send it and the peer reads it; then reports of what arrived cost little."""
        if self._sound_out is None or self._carrier is None:
            if self.config.carrier == "sound" and self._sends is not None:
                logger.warning("--carrier sound: there is no sound here; the data channel carries")
            return
        if theirs.features & FEATURE_READS_PADDING:
            self._carrier.carry(self._sound_out.carry, self.link.packet_leaves)
            often = replace(self.config.receiver, report_ms=CARRIED_REPORT_MS, loss_report_ms=CARRIED_REPORT_MS)
            self.config = replace(self.config, receiver=often)
        elif self.config.carrier == "sound":
            logger.warning("--carrier sound: the peer reads nothing in the sound's packets; the data channel carries")

    def _allot(self, share: float) -> float:
        """What a share of the budget leaves for the picture; the sound is coded at what it leaves for that."""
        assert self._budget is not None
        sending = self.sending
        cost = self.link.transport.cost
        message_bytes = cost.message_overhead_bytes + cost.acknowledgement_bytes
        plan = self._budget.plan(share, 0.0 if sending is None else self._remembered_loss(sending), message_bytes)
        if self._sound_out is not None:
            self._sound_out.code(SoundConfig(plan.sound_bps, plan.frame_ms))
        if sending is not None:
            if self.carrier == "sound":
                sending.session.ride(plan.frame_ms)
            sending.session.repeat, sending.session.keyframe_bps = plan.repeat, plan.keyframe_bps
            sending.session.allowance.bps = plan.picture_bps
            if self._takes_short_pieces:
                sending.session.piece_bytes = plan.piece_bytes
            if abs(plan.coded_bps / self._aimed_bps - 1) > AIM_STEP:
                self._aimed_bps = plan.coded_bps
                wished_bps = self.config.bitrate_bps or float("inf")
                sending.aim(min(wished_bps, plan.coded_bps), self.config.rung)
        return plan.picture_bps

    @property
    def _takes_short_pieces(self) -> bool:
        theirs = self.link.peer_hello
        return theirs is not None and bool(theirs.features & FEATURE_SHORT_PIECES)

    def _remembered_loss(self, sending: SendingEnd) -> float:
        """The worst of the last half minute: units that are sent twice hide the loss for which they are."""
        now_s, loss = time.monotonic(), sending.session.counts.loss
        if loss >= self._loss[0] or now_s > self._loss[1]:
            self._loss = (loss, now_s + LOSS_REMEMBERED_S)
        return self._loss[0]

    def _show(self, picture: PlayedPicture) -> None:
        """In the generator's thread."""
        assert self._receives is not None
        if self.first_timestamp is None:
            self.first_timestamp = picture.timestamp
        if picture.kind is not Kind.FROZEN:
            self.lip_sync.picture(picture.timestamp, picture.shown_s * 1000)
        self._receives.on_picture(picture)

    def _play(self, sound: PlayedSound) -> None:
        assert self._receives is not None
        due_s, end = sound.arrived_s, self.receiving
        if end is not None:
            packet_ms = 0.0 if self._sound_in is None else self._sound_in.packet_ms
            due_ms = end.session.jitter_buffer.sound_ready(sound.timestamp, sound.arrived_s * 1000, packet_ms)
            if due_ms is not None:
                # Pictures are on the screen once they are generated: sound is played that much later too.
                due_s = max(due_s, (due_ms + (end.generate_ms.at(0.5) or 0.0)) / 1000)
                self.lip_sync.sound(sound.timestamp, due_s * 1000)
        self._receives.on_sound(sound, due_s)


def _within(config: PeerConfig, budget_kbps: float, sound: bool) -> tuple[CallBudget, PeerConfig]:
    """The budget, and the settings that follow from as much of it as a call begins with."""
    budget = CallBudget(budget_kbps * 1000, sound, config.voice_bps, config.sound_frame_ms)
    plan = budget.plan(FIRST_SHARE)
    sender = replace(config.sender, keyframe_bps=round(budget.bps / FIRST_KEYFRAME_PACE))  # others as plans say
    voice = SoundConfig(plan.sound_bps, plan.frame_ms)
    return budget, replace(config, budget_kbps=budget_kbps, sound=voice, sender=sender)
