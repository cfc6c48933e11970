"""One connection between two talkcodec peers: handshake, pump, end. Works on any Transport.

Sending and receiving ends are attached by composition: one of them for a one-way call, both for a two-way call.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from talkcodec.bitstream import (
    BundlePiece,
    Bye,
    Chat,
    Hello,
    KeyframePiece,
    Message,
    MotionBundle,
    Presence,
    SoundClock,
    agree,
    parse,
    serialize,
)
from talkcodec.errors import BitstreamError, ClosedError, MismatchError, PeerError
from talkcodec.peer.config import LinkConfig
from talkcodec.peer.receiving import ReceivingEnd
from talkcodec.peer.sending import SendingEnd
from talkcodec.session import Limits, Outgoing, bye_for
from talkcodec.transport.boundary import Transport
from talkcodec.types import Delivery

__all__ = ["Link"]

logger = logging.getLogger(__name__)

BYE_DONE = 0
BYE_MISMATCH = 1
BYE_ERROR = 2
_BYE_WAIT_S = 1.0


class SoundSink(Protocol):
    """Where SoundClock messages go."""

    def set_clock(self, clock: SoundClock) -> None:
        """Position and time of one sample of the peer's sound."""
        ...


class Link:
    """Handshake and message pump on a transport; `run` it once."""

    def __init__(
        self,
        transport: Transport,
        hello: Hello,
        on_agreed: Callable[["Link"], None],
        config: LinkConfig | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`on_agreed` is called once, when the Hellos fit: it attaches the ends to `sending` and `receiving`."""
        self.transport = transport
        self._on_agreed = on_agreed
        self._failure: Exception | None = None
        self._leaving = False
        self.hello = hello
        self.config = config or LinkConfig()
        self.limits = limits or Limits()
        self.malformed = 0
        self.sending: SendingEnd | None = None
        self.receiving: ReceivingEnd | None = None
        self.sound: SoundSink | None = None
        self.on_person: Callable[[Presence | Chat], None] = lambda message: None
        self.peer_hello: Hello | None = None
        self.agreed = asyncio.Event()
        self.last_motion_s = float("-inf")
        self._opened = asyncio.Event()
        self._hello_arrived = asyncio.Event()
        self._input = asyncio.Event()
        self._ended: asyncio.Future[Bye | None] = asyncio.get_running_loop().create_future()
        self._last_heard_s = time.monotonic()
        transport.attach(self._opened.set, self._received, lambda reason: self._end(Bye(BYE_ERROR, reason)))

    @property
    def silent_s(self) -> float:
        """Time since anything was heard from the peer."""
        return time.monotonic() - self._last_heard_s

    def wake(self) -> None:
        """Something was put into an end: poll soon."""
        self._input.set()

    def fail(self, error: Exception) -> None:
        """Something beside the link went wrong: the call ends with this, and the peer is told that it ends."""
        if self._failure is None and not self._ended.done():
            self._failure = error
            self._input.set()
            self._hello_arrived.set()

    async def run(self) -> Bye | None:
        """Shake hands, pump until the end; closes the ends, not the connection.

        Returns the peer's Bye, or None when this side ended the call with `say_bye`. Raises MismatchError when the two
        do not fit, ClosedError when the peer left without a word or fell silent, and what an end or a callback failed
        with.
        """
        try:
            await self._wait(self._opened.wait(), self.config.open_timeout_s, "the connection could not be established")
            self.send(self.hello)
            await self._wait(self._hello_arrived.wait(), self.config.handshake_timeout_s, "the peer sent no Hello")
            await self._raise_failure()
            self.agreed.set()
            return await self._pump()
        finally:
            for end in (self.sending, self.receiving):
                if end is not None:
                    await asyncio.get_running_loop().run_in_executor(None, end.close)

    async def say_bye(self, bye: Bye = Bye(BYE_DONE, "done")) -> None:  # noqa: B008 (frozen)
        """End the call from this side; the peer is told, as far as it can be reached."""
        self._leaving = True  # the peer may hang up before we have seen our goodbye off: that is no loss
        self.send(bye)
        await self._flushed()
        self._end(None)

    async def _raise_failure(self) -> None:
        error = self._failure
        if error is None:
            return
        self.send(bye_for(error) if isinstance(error, MismatchError) else Bye(BYE_ERROR, "a fault on the other side"))
        await self._flushed()
        raise error

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

    async def _flushed(self) -> None:
        """What was sent last has left, as far as a transport can tell; not for longer than a second."""
        until_s = time.monotonic() + _BYE_WAIT_S
        while self.transport.backlog_bytes(Delivery.RELIABLE) and time.monotonic() < until_s:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    async def _pump(self) -> Bye | None:
        while not self._ended.done():
            now_ms = time.monotonic() * 1000
            self._poll(now_ms)
            if self.silent_s > self.config.silence_timeout_s:
                raise ClosedError(f"nothing heard from the peer for {self.silent_s:.0f} s")
            next_ms = now_ms + 100.0
            for end in (self.sending, self.receiving):
                if end is not None:
                    if end.error is not None:
                        self.fail(end.error)
                    wanted_ms = end.next_poll_ms(now_ms)
                    next_ms = next_ms if wanted_ms is None else min(next_ms, wanted_ms)
            await self._raise_failure()
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

    def packet_leaves(self) -> None:
        """A packet of sound is about to leave, and takes what waits for it."""
        if self.agreed.is_set() and not self._ended.done():
            self._poll_sending(time.monotonic() * 1000, leaving=True)

    def _poll_sending(self, now_ms: float, leaving: bool = False) -> None:
        waiting = self.transport.backlog_bytes
        if self.sending is not None:
            self._send(self.sending.poll(now_ms, waiting(Delivery.RELIABLE), waiting(Delivery.DROPPABLE), leaving))

    def _poll(self, now_ms: float) -> None:
        self._poll_sending(now_ms)
        if self.receiving is not None:
            self._send(self.receiving.poll(now_ms))

    @staticmethod
    def _raise_bye(bye: Bye) -> None:
        if bye.code == BYE_MISMATCH:
            raise MismatchError(f"the peer refused: {bye.text}")
        raise ClosedError(f"the peer ended the call: {bye.text} (code {bye.code})")

    def send(self, message: Message) -> None:
        """A message of the application, reliably."""
        self.transport.send(serialize(message), Delivery.RELIABLE)

    def _send(self, messages: list[Outgoing]) -> None:
        for out in messages:
            self.transport.send(serialize(out.message), out.delivery)

    def _received(self, data: bytes) -> None:
        self._last_heard_s = time.monotonic()
        try:
            if len(data) > self.limits.message_bytes:
                raise BitstreamError(f"message of {len(data)} bytes, expected at most {self.limits.message_bytes}")
            self._dispatch(parse(data))
        except PeerError as error:
            self.malformed += 1
            logger.debug("message dropped: %s", error)
            if self.malformed >= self.limits.malformed:
                self._end(Bye(BYE_ERROR, "too many malformed messages"))
        except Exception as error:  # the transport that called us could only log it
            logger.debug("a message could not be handled", exc_info=True)
            self.fail(error)

    def _dispatch(self, message: Message) -> None:
        now_s = time.monotonic()
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
        elif isinstance(message, Presence | Chat):
            if self.peer_hello is not None:
                self.on_person(message)
        elif isinstance(message, KeyframePiece | MotionBundle | BundlePiece):
            if self.receiving is not None:
                self.last_motion_s = now_s
                self.receiving.receive(message, now_s * 1000)
                self._input.set()
        elif self.sending is not None:  # what is left: an acknowledgement, a request, a report
            self.sending.receive(message, now_s * 1000)
            self._input.set()

    def _agree(self, theirs: Hello) -> None:
        # At once, in the callback: what the peer sends next may stand in the same datagram.
        try:
            agree(self.hello, theirs)
            self._on_agreed(self)
        except Exception as error:  # whatever it is: `run` raises it, and the peer hears a word
            self.fail(error)
            return
        self.last_motion_s = time.monotonic()
        for end in (self.sending, self.receiving):
            if end is not None:
                end.start(self.wake)

    def _end(self, bye: Bye | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None if self._leaving else bye)
