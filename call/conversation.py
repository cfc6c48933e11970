"""The call's life: wait or dial, talk, end; dial again when the network went away. States in words."""

import asyncio
import logging
import socket
import time
from enum import Enum
from typing import TYPE_CHECKING

from call.invitation import InvitationPage, Inviting
from call.options import CallOptions, Invitation
from call.stage import Stage
from call.talk import Talk
from talkcodec.errors import BusyError, ClosedError, MismatchError, RefusedError, TalkcodecError
from talkcodec.peer.report import CallMeter, StatsFile
from talkcodec.peer.signalling import WhipCall, WhipServer, dial, is_loopback

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Conversation", "Phase"]

logger = logging.getLogger(__name__)

_SILENT_S = 2.5
_LOSSY = 0.08


class Phase(Enum):
    """Where the call stands."""

    WAITING = "waiting"
    CALLING = "calling"
    CONNECTING = "connecting"
    TALKING = "talking"
    BAD_NETWORK = "bad-network"
    LOST = "lost"
    PEER_LEFT = "peer-left"
    ENDED = "ended"
    FAILED = "failed"


class Conversation:
    """At most one call at a time. Without an invitation it waits for a caller, with one it calls."""

    def __init__(self, engine: "Engine", options: CallOptions, stage: Stage) -> None:
        self._engine, self.options, self.stage = engine, options, stage
        self.call: Talk | None = None
        self.calls = 0
        self.since_s: float | None = None
        self._phase = Phase.WAITING if options.invitation is None else Phase.CALLING
        self._reason = ""
        self._hanging_up = False
        self._task: asyncio.Task[None] | None = None
        self._posted: WhipCall | None = None
        self._stats = StatsFile(options.stats)
        self._whip: WhipServer | None = None
        if options.invitation is None:
            page = InvitationPage(options.whip.path, lambda: self._whip.key if self._whip else "", self._inviting)
            self._whip = WhipServer(options.whip, self._offered, self._deleted, page.routes())

    async def start(self) -> None:
        """Listen, or call. Raises UsageError when the port is taken."""
        if self._whip is not None:
            await self._whip.start()
        else:
            self._dial()

    @property
    def invitation(self) -> Invitation | None:
        """What the peer needs to join; None on the side that was invited."""
        if self._whip is None:
            return None
        return Invitation(self.options.public_url or _named(self._whip.url), self._whip.key)

    def _inviting(self) -> Inviting:
        """What the invitation's page tells."""
        return Inviting(str(self.invitation), self.options.name, self._phase is not Phase.ENDED and self.call is None)

    @property
    def reachable(self) -> bool:
        """False when the invitation works on this machine only."""
        return bool(self.options.public_url) or not is_loopback(self.options.whip.host)

    @property
    def phase(self) -> Phase:
        """The present state; a call that goes badly is BAD_NETWORK."""
        call = self.call
        if self._phase is not Phase.TALKING or call is None:
            return self._phase
        sender = call.peer.sending
        lossy = sender is not None and sender.session.counts.loss > _LOSSY
        return Phase.BAD_NETWORK if call.peer.silent_s > self._silence_s or lossy else Phase.TALKING

    @property
    def _silence_s(self) -> float:
        # With camera and microphone off the peer only says every five seconds that it is there.
        call = self.call
        quiet = call is not None and call.peer.motionless_s > 2 * _SILENT_S
        return 3 * _SILENT_S if quiet else _SILENT_S

    @property
    def text(self) -> str:
        """The state in words, for the person."""
        call, reason = self.call, self._reason
        if self.phase is Phase.BAD_NETWORK and call is not None:
            if call.peer.silent_s > self._silence_s:
                return f"Bad network: nothing heard from your peer for {call.peer.silent_s:.0f} s. Still trying."
            return "Bad network: a part of what is sent gets lost. The picture is held together."
        if self.phase is Phase.TALKING and call is not None and call.peer.motionless_s > _SILENT_S:
            return "You are connected. Your peer's camera is off."
        return {
            Phase.WAITING: "Waiting for your peer. Give them the link below.",
            Phase.CALLING: f"Calling your peer. {reason}".strip(),
            Phase.CONNECTING: "Your peer is here. Connecting.",
            Phase.TALKING: "You are in a call.",
            Phase.LOST: f"The connection was lost. {reason}".strip(),
            Phase.PEER_LEFT: "Your peer left the call.",
            Phase.ENDED: "You hung up.",
            Phase.FAILED: reason,
        }[self.phase]

    def look(self) -> None:
        """Apply the switch of the self view to the present call."""
        if self.call is not None:
            self.call.peer.look(self.stage.switches.self_view and self.stage.viewer is not None)

    async def hang_up(self) -> None:
        """End the call, or the dialling, or the waiting; the peer is told."""
        self._hanging_up = True
        self._phase, self._reason = Phase.ENDED, ""
        call, task = self.call, self._task
        if call is not None and call.peer.agreed.is_set():
            await call.peer.say_bye()
            if task is not None:
                await asyncio.wait([task], timeout=3.0)
        await self._stop()
        self._phase = Phase.ENDED

    async def again(self) -> None:
        """After the end: wait for the peer, or call it."""
        if self._task is not None and not self._task.done():
            return
        self._hanging_up, self._reason = False, ""
        if self._whip is not None:
            self._phase = Phase.WAITING
        else:
            self._dial()

    async def close(self) -> None:
        """End everything."""
        if self.call is not None:
            await self.hang_up()
        await self._stop()
        self._stats.close()
        if self._whip is not None:
            await self._whip.close()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._drop()

    async def _drop(self) -> None:
        call, self.call = self.call, None
        posted, self._posted = self._posted, None
        self.since_s = None
        if call is not None:
            await call.close()
        if posted is not None:
            await posted.delete()
        if self._whip is not None:
            self._whip.call_over()

    # the side that waits

    async def _offered(self, offer: str) -> str:
        if self._phase is Phase.ENDED:
            raise BusyError("they have hung up")
        if self.call is not None:
            self.call.peer.give_way(self.options.takeover_s)
            await self._stop()
        call = Talk(self._engine, self.options, self.stage)
        answer = await call.connection.answer(offer)
        self.call, self._phase, self._hanging_up = call, Phase.CONNECTING, False
        self._task = asyncio.create_task(self._answered(call))
        return answer

    async def _answered(self, call: Talk) -> None:
        phase, reason = await self._talk(call)
        await self._drop()
        self._phase, self._reason = phase, reason
        if phase is Phase.LOST:
            self._reason = f"{reason} They can come back with the same link."

    async def _deleted(self) -> None:
        call = self.call
        await asyncio.sleep(0.3)  # a Bye may still be on its way
        if call is not None and self.call is call:
            await self._stop()
            self._phase = Phase.PEER_LEFT

    # the side that calls

    def _dial(self) -> None:
        self._phase, self._reason = Phase.CALLING, ""
        self._task = asyncio.create_task(self._dialling())

    async def _dialling(self) -> None:
        while True:
            phase, reason = await self._dial_once()
            await self._drop()
            self._phase, self._reason = phase, reason
            if phase not in (Phase.CALLING, Phase.LOST) or self._hanging_up:
                return
            await asyncio.sleep(self.options.redial_s)

    async def _dial_once(self) -> tuple[Phase, str]:
        invitation = self.options.invitation
        assert invitation is not None
        call = self.call = Talk(self._engine, self.options, self.stage)  # whoever cancels this drops it
        try:
            self._posted = await dial(call.connection, invitation.url, invitation.key, self.options.ca_file)
        except RefusedError as error:
            return Phase.FAILED, f"The link was refused: {error}. Ask your peer for a new one."
        except BusyError:
            return Phase.CALLING, "They are busy; trying again."
        except ClosedError:
            return Phase.CALLING, "Nobody answers yet; trying again."
        except TalkcodecError as error:
            return Phase.FAILED, str(error)
        self._phase = Phase.CONNECTING
        return await self._talk(call)

    # both

    async def _talk(self, call: Talk) -> tuple[Phase, str]:
        """Until this call ends; how it did."""
        noticing = asyncio.create_task(self._notice(call))
        try:
            await call.peer.run()
        except MismatchError as error:
            return Phase.FAILED, f"The two ends do not fit together: {error}."
        except ClosedError as error:
            return Phase.LOST, f"({error})"
        except TalkcodecError as error:
            logger.error("the call failed: %s", error)
            return Phase.FAILED, str(error)
        except Exception as error:  # a fault of ours ends this call, and is said on the page
            logger.error("the call failed", exc_info=error)
            return Phase.FAILED, f"The call failed: {type(error).__name__}: {error}. This is a fault of the program."
        finally:
            noticing.cancel()
        return (Phase.ENDED, "") if self._hanging_up else (Phase.PEER_LEFT, "")

    async def _notice(self, call: Talk) -> None:
        try:
            await self._attend(call)
        except Exception as error:  # nobody awaits this task
            call.peer.link.fail(error)

    async def _attend(self, call: Talk) -> None:
        await call.peer.agreed.wait()
        self._phase, self.calls, self.since_s = Phase.TALKING, self.calls + 1, time.monotonic()
        self.look()
        meter = CallMeter()
        while True:
            await asyncio.sleep(1.0)
            call.peer.keep_alive()
            self._stats.write(await meter.read(call.peer, self.phase.value))


def _named(url: str) -> str:
    """The URL of an endpoint on all addresses with the address by which other machines know this one."""
    for wildcard, family, elsewhere in (
        ("//0.0.0.0:", socket.AF_INET, "192.0.2.1"),
        ("//[::]:", socket.AF_INET6, "2001:db8::1"),
    ):
        if wildcard in url:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:  # connecting a datagram socket sends nothing
                try:
                    probe.connect((elsewhere, 9))
                    address = probe.getsockname()[0]
                except OSError:
                    address = "127.0.0.1" if family == socket.AF_INET else "::1"
            return url.replace(wildcard, f"//[{address}]:" if ":" in address else f"//{address}:")
    return url
