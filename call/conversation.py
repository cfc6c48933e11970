"""The call's life: wait or dial, talk, end; dial again when the network went away. States in words."""

import asyncio
import logging
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from call.company import Company
from call.invitation import InvitationPage, Inviting
from call.options import CallOptions, Invitation
from call.stage import Stage
from call.summary import Summary, Tally
from call.talk import Talk
from call.words import Phase, Scene, sentence
from talkcodec.bitstream import Chat, Presence
from talkcodec.errors import BusyError, ClosedError, MismatchError, RefusedError, TalkcodecError, UsageError
from talkcodec.peer.report import CallMeter, StatsFile
from talkcodec.peer.signalling import WhipCall, WhipServer, dial, is_loopback

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Conversation"]

logger = logging.getLogger(__name__)

_SILENT_S = 2.5
_LOSSY = 0.08
_RINGING_S = 6.0
_OVER = (Phase.PEER_LEFT, Phase.ENDED, Phase.FAILED)
_REFUSED = "This link was refused: it is not valid any more, or not whole. Ask your peer for a new one."


class Conversation:
    """At most one call at a time. Without an invitation it waits for a caller, with one it calls."""

    def __init__(self, engine: "Engine", options: CallOptions, stage: Stage) -> None:
        self._engine, self.options, self.stage = engine, options, stage
        self.call: Talk | None = None
        self.calls = 0
        self.since_s: float | None = None
        self.company = Company(options.name)
        self.summary: Summary | None = None
        self._tally: Tally | None = None
        self._told: Presence | None = None
        self._rang_s = float("-inf")
        self._phase = Phase.WAITING if options.invitation is None else Phase.CALLING
        self._reason = ""
        self._hanging_up = False
        self._task: asyncio.Task[None] | None = None
        self._ordered = asyncio.Lock()  # a person's orders, one after the other
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
        waiting = self._phase is not Phase.ENDED and self.call is None
        return Inviting(str(self.invitation), self.company.name, waiting, self.reachable)

    @property
    def reachable(self) -> bool:
        """False when the invitation works on this machine only."""
        return bool(self.options.public_url) or not is_loopback(self.options.whip.host)

    @property
    def phase(self) -> Phase:
        """The present state; a call that goes badly is BAD_NETWORK, one in which nobody is there yet ALONE."""
        call = self.call
        if self._phase is not Phase.TALKING or call is None:
            return self._phase
        sender = call.peer.sending
        lossy = sender is not None and sender.session.counts.loss > _LOSSY
        if call.peer.silent_s > self._silence_s:
            return Phase.BAD_NETWORK
        if not self.peer_here:
            return Phase.ALONE
        return Phase.BAD_NETWORK if lossy else Phase.TALKING

    @property
    def here(self) -> bool:
        """Somebody is at this side's page, or this side has none."""
        return not self.options.page or self.stage.viewer is not None

    @property
    def peer_here(self) -> bool:
        """Somebody is at the other side; an older program does not say, and counts as there."""
        call, theirs = self.call, self.company.theirs
        if call is None or not call.peer.agreed.is_set():
            return False
        return theirs.here if theirs is not None else not call.peer.reads_people

    @property
    def ringing(self) -> bool:
        """Somebody has called within the last seconds, while this side takes no calls."""
        return self._phase is Phase.ENDED and time.monotonic() - self._rang_s < _RINGING_S

    @property
    def _silence_s(self) -> float:
        # With camera and microphone off the peer only says every five seconds that it is there.
        call = self.call
        quiet = call is not None and call.peer.motionless_s > 2 * _SILENT_S
        return 3 * _SILENT_S if quiet else _SILENT_S

    @property
    def text(self) -> str:
        """The state in words, for the person."""
        call, theirs = self.call, self.company.theirs
        quiet = call is not None and call.peer.motionless_s > _SILENT_S
        return sentence(
            self.phase,
            Scene(
                self.company.their_name, self._reason, here=self.here, met=self.since_s is not None,
                camera_off=quiet and (theirs is None or not theirs.camera), ringing=self.ringing,
                silent_s=call.peer.silent_s if call is not None and call.peer.silent_s > self._silence_s else None,
            ),
        )  # fmt: skip

    def look(self) -> None:
        """To be called after each switch, and each second: the self view, and what the peer is told of this side."""
        call = self.call
        if call is None:
            return
        call.peer.look(self.stage.switches.self_view and self.stage.viewer is not None)
        self.stage.audience = self.peer_here
        if call.peer.agreed.is_set():
            self._introduce(call)

    def spend(self, budget_kbps: float) -> None:
        """All that this side sends, in this call and the next ones. Raises ConfigError where no call fits in."""
        self.options = replace(self.options, peer=replace(self.options.peer, budget_kbps=budget_kbps))
        if self.call is not None:
            self.call.peer.spend(budget_kbps)

    def write(self, text: str) -> None:
        """A line of chat for the peer. Raises UsageError where nobody reads it."""
        call = self.call
        if call is None or not call.peer.reads_people:
            raise UsageError("there is nobody who could read it: wait until you are connected, with a newer talkcodec")
        line = self.company.write(text)
        if line is not None:
            call.peer.tell(line)

    def _introduce(self, call: Talk) -> None:
        """Tell the peer how this side stands, if that is new to them."""
        stage, switches = self.stage, self.stage.switches
        filmed = time.monotonic() - stage.captured_s < _SILENT_S
        now = Presence(
            self.here, switches.camera and filmed, switches.microphone, stage.recording is not None, self.company.name
        )
        if now != self._told:
            self._told = now
            call.peer.tell(now)

    def _agreed(self) -> None:
        self.company.theirs = self._told = None
        call = self.call
        self.stage.audience = call is not None and not call.peer.reads_people

    def _heard(self, message: Presence | Chat) -> None:
        self.company.heard(message)
        self.look()

    def _talk_to(self) -> Talk:
        return Talk(self._engine, self.options, self.stage, self._agreed, self._heard)

    def _begin(self) -> None:
        """Another call: nothing of the one before is shown any more."""
        self.company.begin()
        self.summary, self.stage.recorded = None, None

    async def hang_up(self) -> None:
        """End the call, or the dialling, or the waiting; the peer is told."""
        async with self._ordered:
            self._hanging_up = True
            self._phase, self._reason = Phase.ENDED, ""
            call, task = self.call, self._task
            if call is not None and call.peer.agreed.is_set():
                await call.peer.say_bye()
                if task is not None:
                    await asyncio.wait([task], timeout=3.0)
            await self._stop()
            self._phase = Phase.ENDED
            await self._over(Phase.ENDED)

    async def again(self) -> None:
        """After the end, all of it: wait for the peer, or call it. Nothing where there is a call again."""
        async with self._ordered:
            if self._phase in _OVER and self._task is not None:
                await asyncio.wait([self._task])  # it may still be closing the connection and the recording
            if self._phase not in _OVER:
                return
            self._hanging_up, self._reason = False, ""
            self._begin()
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
        if self._tally is not None:
            self.summary = self._tally.summary(time.monotonic())
        self.since_s = self._tally = None
        if self._whip is not None:
            self._whip.call_over()  # before anything is waited for: the next caller may come meanwhile
        if call is not None:
            await call.close()
        if posted is not None:
            await posted.delete()

    # the side that waits

    async def _offered(self, offer: str) -> str:
        if self._phase is Phase.ENDED:
            self._rang_s = time.monotonic()
            raise BusyError("they have hung up")
        if self.call is not None:
            self.call.peer.give_way(self.options.takeover_s)
            await self._stop()
        if self._phase is not Phase.LOST:
            self._begin()
        call = self._talk_to()
        answer = await call.connection.answer(offer)
        if self._hanging_up:  # meanwhile
            await call.close()
            raise BusyError("they have hung up")
        self.call, self._phase, self._hanging_up = call, Phase.CONNECTING, False
        self._task = asyncio.create_task(self._answered(call))
        return answer

    async def _answered(self, call: Talk) -> None:
        phase, reason = await self._talk(call)
        # At once: what follows takes its time on a slow machine, and the next caller's call must not get this phase.
        back = " They can come back with the same link." if phase is Phase.LOST else ""
        self._phase, self._reason = phase, f"{reason}{back}"
        await self._drop()
        await self._over(phase)

    async def _deleted(self) -> None:
        call = self.call
        await asyncio.sleep(0.3)  # a Bye may still be on its way
        async with self._ordered:
            if call is not None and self.call is call:
                self._phase, self._reason = Phase.PEER_LEFT, ""
                await self._stop()
                await self._over(Phase.PEER_LEFT)

    async def _over(self, phase: Phase) -> None:
        """A recording ends with its call; not where the network may come back."""
        if phase in _OVER:
            try:
                await asyncio.to_thread(self.stage.stop_recording)
            except TalkcodecError as error:
                logger.error("%s", error)

    # the side that calls

    def _dial(self) -> None:
        self._phase, self._reason = Phase.CALLING, ""
        self._task = asyncio.create_task(self._dialling())

    async def _dialling(self) -> None:
        while True:
            phase, reason = await self._dial_once()
            self._phase, self._reason = phase, reason
            await self._drop()
            await self._over(phase)
            again = phase in (Phase.CALLING, Phase.LOST) or (phase is Phase.PEER_LEFT and not self.options.page)
            if not again or self._hanging_up:
                return
            await asyncio.sleep(self.options.redial_s)

    async def _dial_once(self) -> tuple[Phase, str]:
        invitation = self.options.invitation
        assert invitation is not None
        call = self.call = self._talk_to()  # whoever cancels this drops it
        try:
            self._posted = await dial(call.connection, invitation.url, invitation.key, self.options.ca_file)
        except RefusedError:
            logger.error("%s", _REFUSED)
            return Phase.FAILED, _REFUSED
        except BusyError as error:
            logger.debug("%s", error)
            return Phase.CALLING, "They are busy or have hung up; trying again."
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
        self._phase, self.calls = Phase.TALKING, self.calls + 1  # and our Hello has left: they can be told who we are
        self.look()
        meter = CallMeter()
        while True:
            await self._count(call)
            await asyncio.sleep(1.0)
            call.peer.keep_alive()
            self.look()
            self._stats.write(await meter.read(call.peer, self.phase.value))

    async def _count(self, call: Talk) -> None:
        """The clock and the bytes, from when both are there."""
        traffic = call.peer.link.transport.traffic
        up, down = await call.connection.wire_bytes() or (traffic.wire_up_bytes, traffic.wire_down_bytes)
        now_s = time.monotonic()
        if self._tally is not None:
            self._tally.read(now_s, up, down)
        elif self.here and self.peer_here:
            self.since_s, self._tally = now_s, Tally(now_s, up, down)


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
