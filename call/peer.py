"""One connection to one peer: sending and receiving end on the same link, sound beside them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aiortc import MediaStreamTrack, RTCSessionDescription
from aiortc.exceptions import InvalidStateError

from call.compare import H264Cost, WatchedCropper
from call.options import CALL_FPS, CallOptions
from call.sound import OutgoingSound
from call.stage import Stage
from talkcodec.bitstream import Bye, Hello, KeyframePiece, KeyframeRequest, MotionBundle
from talkcodec.clock import CLOCK_HZ
from talkcodec.codec import FaceCropper, hello_for
from talkcodec.errors import PeerError
from talkcodec.peer.link import (
    CLOCK_EXTRA,
    PERIOD_EXTRA,
    Link,
    clock_id,
    extra,
    frame_period_ticks,
    new_connection,
)
from talkcodec.peer.receiving import ReceivingConfig, ReceivingEnd
from talkcodec.peer.sending import Cropper, SendingConfig, SendingEnd
from talkcodec.peer.signalling import MalformedOfferError
from talkcodec.peer.sound import SoundReceiver
from talkcodec.session import FEATURE_AUDIO, Outgoing, SenderConfig
from talkcodec.types import Picture, PlayedPicture, PlayedSound

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["PeerCall"]

CREATOR = "talkcodec call"
_WISH = 4  # KeyframeRequest.reason: a person asked


class MirroredEnd(SendingEnd):
    """A sending end that can show what it sends: its own messages also go to a receiving end of this machine.

    While nobody looks, messages are parsed and keyframes held, but no picture is generated.
    """

    def __init__(
        self,
        engine: "Engine",
        hello: Hello,
        config: SendingConfig,
        cropper: Cropper,
        on_picture: Callable[[PlayedPicture], None],
    ) -> None:
        super().__init__(engine, hello, config, cropper)
        self.looking = False
        playout = replace(ReceivingConfig().playout, period_ticks=frame_period_ticks(hello))
        self._view = ReceivingEnd(engine, hello, ReceivingConfig(playout=playout), on_picture, same_clock=True)

    def start(self, wake: Callable[[], None]) -> None:
        """The handshake is done."""
        super().start(wake)
        self._view.start(wake)

    def close(self) -> None:
        """Stop both threads."""
        super().close()
        self._view.close()

    def poll(self, now_ms: float, control_buffered_bytes: int, motion_buffered_bytes: int) -> list[Outgoing]:
        """Messages to send now."""
        sent = super().poll(now_ms, control_buffered_bytes, motion_buffered_bytes)
        for out in sent:
            if isinstance(out.message, KeyframePiece | MotionBundle):
                self._view.receive(out.message, now_ms)
        if self.looking:
            self._view.poll(now_ms)
        else:
            self._view.session.due(now_ms)
            self._view.session.poll(now_ms)
        return sent

    def next_poll_ms(self, now_ms: float) -> float | None:
        """When to poll again."""
        own_ms = super().next_poll_ms(now_ms)
        if not self.looking:
            return own_ms
        view_ms = self._view.next_poll_ms(now_ms)
        return view_ms if own_ms is None else min(own_ms, view_ms)


class PeerCall:
    """The connection, from the offer to the end; a new one for each call. Keyframes live and die with it."""

    def __init__(self, engine: "Engine", options: CallOptions, stage: Stage) -> None:
        self._engine, self._options, self._stage = engine, options, stage
        self.connection = new_connection(options.ice_servers)
        hello = hello_for(engine, options.encoder, creator=CREATOR)
        extras = ((CLOCK_EXTRA, clock_id()), (PERIOD_EXTRA, round(CLOCK_HZ / CALL_FPS)))
        self.link = Link(
            self.connection, replace(hello, features=FEATURE_AUDIO, extras=extras), self._agreed, options.link
        )
        self.sound_out = OutgoingSound()
        self.sound_in = SoundReceiver(self._play)
        self.link.sound = self.sound_in
        self.h264: H264Cost | None = None
        self.same_clock = False
        self.last_motion_s = float("-inf")
        self._units_seen = 0
        self.connection.on("track", self._track)

    async def offer(self) -> str:
        """The SDP offer to post."""
        self.connection.addTransceiver(self.sound_out, direction="sendrecv")
        self.link.open_channels()
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def answered(self, answer: str) -> None:
        """Take the answer. Raises PeerError."""
        try:
            await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except (ValueError, KeyError, IndexError, AttributeError, InvalidStateError) as error:
            raise PeerError(f"the peer's SDP answer cannot be used: {error}") from error

    async def answer(self, offer: str) -> str:
        """The SDP answer to an offer. Raises MalformedOfferError."""
        try:
            await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if any(transceiver.kind == "audio" for transceiver in self.connection.getTransceivers()):
                self.connection.addTrack(self.sound_out)
            self.link.open_channels()
            await self.connection.setLocalDescription(await self.connection.createAnswer())
        except (ValueError, KeyError, IndexError, AttributeError, AssertionError, InvalidStateError) as error:
            await self.connection.close()
            raise MalformedOfferError(f"the SDP offer cannot be used: {error or type(error).__name__}") from error
        return str(self.connection.localDescription.sdp)

    async def run(self) -> Bye | None:
        """As Link.run."""
        return await self.link.run()

    def _track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self.sound_in.attach(track)

    def _agreed(self, link: Link) -> None:
        theirs = link.peer_hello
        assert theirs is not None
        options, size = self._options, self._engine.config.picture_size
        self.same_clock = extra(theirs, CLOCK_EXTRA) == clock_id()
        playout = replace(ReceivingConfig().playout, period_ticks=frame_period_ticks(theirs))
        link.receiver = ReceivingEnd(
            self._engine, theirs, ReceivingConfig(playout=playout), self._stage.show, same_clock=self.same_clock
        )
        self.h264 = H264Cost(size, CALL_FPS) if options.compare else None
        config = SendingConfig(encoder=options.encoder, session=SenderConfig(capture_fps=CALL_FPS))
        cropper = WatchedCropper(FaceCropper(size), self.h264)
        link.sender = MirroredEnd(self._engine, link.hello, config, cropper, self._stage.show_self)
        self.sound_out.start(link.send)
        self._stage.port = self
        self.last_motion_s = time.monotonic()

    def push(self, picture: Picture, captured_s: float) -> None:
        """A captured frame, from any thread."""
        sender = self.link.sender
        if sender is not None:
            sender.push(picture, captured_s)

    def push_sound(self, packet: bytes, captured_s: float) -> None:
        """20 ms of Opus."""
        self.sound_out.push(packet, captured_s)

    def look(self, looking: bool) -> None:
        """Generate our own picture too, as the peer does, or stop that."""
        sender = self.link.sender
        if isinstance(sender, MirroredEnd) and sender.looking != looking:
            sender.looking = looking
            self.link.wake()

    def request_keyframe(self) -> None:
        """Ask the peer for a fresh picture."""
        self.link.send(KeyframeRequest(_WISH))

    def tick(self) -> None:
        """Once a second: stay alive, notice whether motion comes."""
        self.sound_out.keep_alive()
        receiver = self.link.receiver
        if receiver is not None and receiver.session.counts.units != self._units_seen:
            self._units_seen = receiver.session.counts.units
            self.last_motion_s = time.monotonic()

    def _play(self, sound: PlayedSound) -> None:
        end = self.link.receiver
        due_s = sound.arrived_s
        if end is not None:
            # Pictures are on the screen once they are generated: sound is played that much later too.
            due_ms = end.session.jitter_buffer.sound_ready(sound.timestamp, sound.arrived_s * 1000)
            if due_ms is not None:
                due_s = max(due_s, (due_ms + (end.generate_ms.at(0.5) or 0.0)) / 1000)
        self._stage.play(sound, due_s)

    async def close(self) -> None:
        """End the connection; what it held of the peer is gone."""
        if self._stage.port is self:
            self._stage.port = None
        self.sound_out.stop()
        await self.sound_in.close()
        await self.connection.close()
        for end in (self.link.sender, self.link.receiver):  # not yet closed when the link never ran
            if end is not None:
                await asyncio.to_thread(end.close)
