"""One connection between two talkcodec peers: channels, handshake, pump, end. Works on any RTCPeerConnection.

Sending and receiving ends are attached by composition: one of them for a one-way call, both for a two-way call.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection
from aiortc.exceptions import InvalidStateError

from talkcodec.bitstream import (
    Bye,
    Hello,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    Message,
    MotionBundle,
    ReceiverReport,
    SoundClock,
    parse,
    serialize,
)
from talkcodec.errors import BitstreamError, ClosedError, ConfigError, MismatchError, PeerError
from talkcodec.peer.receiving import ReceivingEnd
from talkcodec.peer.sending import SendingEnd
from talkcodec.session import Channel, Limits, agree, bye_for
from talkcodec.session.rate import ACKNOWLEDGEMENT_BYTES, MESSAGE_OVERHEAD_BYTES
from talkcodec.transport.acknowledgements import delay_acknowledgements

__all__ = ["CLOCK_EXTRA", "PERIOD_EXTRA", "IceServer", "Link", "LinkConfig", "Traffic", "clock_id", "extra",
           "frame_period_ticks", "new_connection"]

logger = logging.getLogger(__name__)

CLOCK_EXTRA = "clock"
"""Name of the Hello extra that says whose monotonic clock the timestamps come from."""

PERIOD_EXTRA = "period"
"""Name of the Hello extra with the ticks (90 kHz) between captured frames; 3600 when it is not there."""

BYE_DONE = 0
BYE_MISMATCH = 1
BYE_ERROR = 2
_BYE_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server: "stun:host:port", "turn:host:port?transport=udp", with credentials for TURN."""

    url: str
    username: str | None = None
    credential: str | None = None

    @classmethod
    def parse(cls, text: str) -> "IceServer":
        """From "URL" or "URL,USERNAME,CREDENTIAL". Raises ConfigError."""
        url, *rest = text.split(",", 2)
        if not url.startswith(("stun:", "stuns:", "turn:", "turns:")) or len(rest) == 1:
            raise ConfigError(f"--ice-server: got {url!r}, expected stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD")
        return cls(url, *rest)


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """open_timeout_s: until the channels are open; handshake_timeout_s: for the peer's Hello after that;
    silence_timeout_s: without a message from the peer before it counts as gone (a network down for ten seconds must
    not end the call)."""

    open_timeout_s: float = 20.0
    handshake_timeout_s: float = 10.0
    silence_timeout_s: float = 20.0


@dataclass(slots=True)
class Traffic:
    """What went over the data channels: messages, their bytes, and their cost on the wire with acknowledgements."""

    sent_messages: int = 0
    sent_bytes: int = 0
    received_messages: int = 0
    received_bytes: int = 0

    @property
    def wire_up_bytes(self) -> int:
        """Estimated bytes on the wire from here: our messages, and acknowledgements of the peer's."""
        acknowledgements = round(ACKNOWLEDGEMENT_BYTES * self.received_messages)
        return self.sent_bytes + MESSAGE_OVERHEAD_BYTES * self.sent_messages + acknowledgements

    @property
    def wire_down_bytes(self) -> int:
        """Estimated bytes on the wire to here."""
        acknowledgements = round(ACKNOWLEDGEMENT_BYTES * self.sent_messages)
        return self.received_bytes + MESSAGE_OVERHEAD_BYTES * self.received_messages + acknowledgements


class SoundSink(Protocol):
    """Where SoundClock messages go."""

    def set_clock(self, clock: SoundClock) -> None:
        """Position and time of one sample of the peer's sound."""
        ...


def clock_id() -> bytes:
    """Names this machine's monotonic clock: equal on both ends means that times can be compared."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = f"{time.time() - time.monotonic():.0f}".encode()
    return hashlib.sha256(boot).digest()[:8]


def extra(hello: Hello, name: str) -> int | str | bytes | None:
    """The value of an extra of a Hello, None when it is not there."""
    return next((value for key, value in hello.extras if key == name), None)


def frame_period_ticks(hello: Hello) -> int:
    """How far apart the peer captures its frames, within 10 to 60 frames a second."""
    value = extra(hello, PERIOD_EXTRA)
    return min(9000, max(1500, value)) if isinstance(value, int) else 3600


def new_connection(ice_servers: tuple[IceServer, ...] = ()) -> RTCPeerConnection:
    """A peer connection with these servers and no others (aiortc would ask a public STUN server by default)."""
    servers = [RTCIceServer(s.url, s.username, s.credential) for s in ice_servers]
    return RTCPeerConnection(RTCConfiguration(iceServers=servers))


class Link:
    """Handshake and message pump on a peer connection.

    The two data channels are negotiated in advance, with stream ids 0 (control) and 1 (motion), so either side may
    offer. Call `open_channels` before createOffer, or after setRemoteDescription on the answering side; then `run`.
    """

    def __init__(
        self,
        connection: RTCPeerConnection,
        hello: Hello,
        on_agreed: Callable[["Link"], None],
        config: LinkConfig | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`on_agreed` is called once, when the Hellos fit: it attaches the ends to `sender` and `receiver`."""
        self.connection = connection
        self._on_agreed = on_agreed
        self._mismatch: MismatchError | None = None
        self._leaving = False
        self.hello = hello
        self.config = config or LinkConfig()
        self.limits = limits or Limits()
        self.traffic = Traffic()
        self.malformed = 0
        self.sender: SendingEnd | None = None
        self.receiver: ReceivingEnd | None = None
        self.sound: SoundSink | None = None
        self.peer_hello: Hello | None = None
        self.agreed = asyncio.Event()
        self._channels: dict[Channel, RTCDataChannel] = {}
        self._hello_arrived = asyncio.Event()
        self._input = asyncio.Event()
        self._ended: asyncio.Future[Bye | None] = asyncio.get_running_loop().create_future()
        self._last_heard_s = time.monotonic()
        connection.on("connectionstatechange", self._state_changed)

    def open_channels(self) -> None:
        """Create both channels."""
        for stream_id, channel in enumerate(Channel):
            reliable = channel is Channel.CONTROL
            opened = self.connection.createDataChannel(
                channel.value, ordered=reliable, maxRetransmits=None if reliable else 0, negotiated=True, id=stream_id
            )
            opened.on("message", self._received)
            opened.on("close", lambda: self._end(Bye(BYE_ERROR, "the channel was closed without a goodbye")))
            self._channels[channel] = opened
        if self.connection.sctp is not None:
            delay_acknowledgements(self.connection.sctp)

    @property
    def silent_s(self) -> float:
        """Time since anything was heard from the peer."""
        return time.monotonic() - self._last_heard_s

    def wake(self) -> None:
        """Something was put into an end: poll soon."""
        self._input.set()

    async def run(self) -> Bye | None:
        """Shake hands, pump until the end; closes the ends, not the connection.

        Returns the peer's Bye, or None when this side ended the call with `say_bye`. Raises MismatchError when the two
        do not fit, ClosedError when the peer left without a word or fell silent, and what an end failed with.
        """
        try:
            await self._wait(self._open(), self.config.open_timeout_s, "the connection could not be established")
            self._send(Channel.CONTROL, self.hello)
            await self._wait(self._hello_arrived.wait(), self.config.handshake_timeout_s, "the peer sent no Hello")
            if self._mismatch is not None:
                self._send(Channel.CONTROL, bye_for(self._mismatch))
                await self._flushed()
                raise self._mismatch
            self.agreed.set()
            return await self._pump()
        finally:
            for end in (self.sender, self.receiver):
                if end is not None:
                    await asyncio.get_running_loop().run_in_executor(None, end.close)

    async def say_bye(self, bye: Bye = Bye(BYE_DONE, "done")) -> None:  # noqa: B008 (frozen)
        """End the call from this side; the peer is told, as far as it can be reached."""
        self._leaving = True  # the peer may hang up before we have seen our goodbye off: that is no loss
        self._send(Channel.CONTROL, bye)
        await self._flushed()
        self._end(None)

    async def _wait(self, waited: Coroutine[Any, Any, Any], timeout_s: float, what: str) -> None:
        task: asyncio.Future[Any] = asyncio.ensure_future(waited)
        await self._first_of(task, timeout_s)
        if task.done():
            task.result()
            return
        task.cancel()
        if self._ended.done():
            bye = self._ended.result()
            if bye is not None:
                self._raise_bye(bye)
            raise ClosedError(f"{what}: the peer closed it")
        raise ClosedError(f"{what} within {timeout_s:.0f} s; check that UDP passes, or use --ice-server")

    async def _first_of(self, task: "asyncio.Future[Any]", timeout_s: float) -> None:
        """Until the task is done, the link has ended, or the time is over."""
        either: set[asyncio.Future[Any]] = {task, self._ended}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def _open(self) -> None:
        while any(channel.readyState != "open" for channel in self._channels.values()):
            await asyncio.sleep(0.01)

    async def _flushed(self) -> None:
        until_s = time.monotonic() + _BYE_WAIT_S
        control = self._channels[Channel.CONTROL]
        while control.readyState == "open" and control.bufferedAmount and time.monotonic() < until_s:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    async def _pump(self) -> Bye | None:
        while not self._ended.done():
            now_ms = time.monotonic() * 1000
            self._poll(now_ms)
            if self.silent_s > self.config.silence_timeout_s:
                raise ClosedError(f"nothing heard from the peer for {self.silent_s:.0f} s")
            next_ms = now_ms + 100.0
            for end in (self.sender, self.receiver):
                if end is not None:
                    if end.error is not None:
                        raise end.error
                    wanted_ms = end.next_poll_ms(now_ms)
                    next_ms = next_ms if wanted_ms is None else min(next_ms, wanted_ms)
            self._input.clear()
            timeout_s = max(0.001, next_ms / 1000 - time.monotonic())
            waiting: asyncio.Future[Any] = asyncio.ensure_future(self._input.wait())
            try:
                await self._first_of(waiting, timeout_s)
            finally:
                waiting.cancel()
        bye = self._ended.result()
        if bye is not None and bye.code != BYE_DONE:
            self._raise_bye(bye)
        return bye

    def _poll(self, now_ms: float) -> None:
        control, motion = (self._channels[channel].bufferedAmount for channel in Channel)
        if self.sender is not None:
            for out in self.sender.poll(now_ms, control, motion):
                self._send(out.channel, out.message)
        if self.receiver is not None:
            for out in self.receiver.poll(now_ms):
                self._send(out.channel, out.message)

    @staticmethod
    def _raise_bye(bye: Bye) -> None:
        if bye.code == BYE_MISMATCH:
            raise MismatchError(f"the peer refused: {bye.text}")
        raise ClosedError(f"the peer ended the call: {bye.text} (code {bye.code})")

    def send(self, message: Message) -> None:
        """A message of the application on the control channel."""
        self._send(Channel.CONTROL, message)

    def _send(self, channel: Channel, message: Message) -> None:
        data = serialize(message)
        try:
            self._channels[channel].send(data)
        except (InvalidStateError, KeyError):  # closing: the message has nowhere to go
            return
        self.traffic.sent_messages += 1
        self.traffic.sent_bytes += len(data)

    def _received(self, data: bytes | str) -> None:
        self._last_heard_s = time.monotonic()
        self.traffic.received_messages += 1
        self.traffic.received_bytes += len(data)
        try:
            if isinstance(data, str) or len(data) > self.limits.message_bytes:
                raise BitstreamError(f"message of {len(data)} bytes, expected at most {self.limits.message_bytes}")
            self._dispatch(parse(data))
        except PeerError as error:
            self.malformed += 1
            logger.debug("message dropped: %s", error)
            if self.malformed >= self.limits.malformed:
                self._end(Bye(BYE_ERROR, "too many malformed messages"))

    def _dispatch(self, message: Message) -> None:
        now_ms = time.monotonic() * 1000
        if isinstance(message, Hello):
            if self.peer_hello is None:
                self.peer_hello = message
                self._agree(message)
                self._hello_arrived.set()
        elif isinstance(message, Bye):
            self._end(message)
        elif isinstance(message, SoundClock):
            if self.sound is not None:
                self.sound.set_clock(message)
        elif isinstance(message, KeyframePiece | MotionBundle):
            if self.receiver is not None:
                self.receiver.receive(message, now_ms)
                self._input.set()
        elif isinstance(message, KeyframeAck | KeyframeRequest | ReceiverReport) and self.sender is not None:
            self.sender.receive(message, now_ms)
            self._input.set()

    def _agree(self, theirs: Hello) -> None:
        # At once, in the callback: what the peer sends next may stand in the same datagram.
        try:
            agree(self.hello, theirs)
            self._on_agreed(self)
        except MismatchError as error:
            self._mismatch = error
            return
        for end in (self.sender, self.receiver):
            if end is not None:
                end.start(self.wake)

    def _state_changed(self) -> None:
        logger.debug("connection %s", self.connection.connectionState)
        if self.connection.connectionState in ("failed", "closed"):
            self._end(Bye(BYE_ERROR, "the connection was lost"))

    def _end(self, bye: Bye | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None if self._leaving else bye)
