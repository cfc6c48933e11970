"""What a slow machine brings out: an order before the last one is carried out, a call while the last one closes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from callpair import Side, two_sides
from waiting import eventually

from call.words import Phase
from talkcodec.peer import signalling


class Held:
    """Stands for a call that is slow: it reaches `begun`, and goes on when it is let go."""

    def __init__(self, real: Callable[..., Awaitable[Any]]) -> None:
        self._real = real
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, *given: Any) -> Any:
        self.begun.set()
        await self.go_on.wait()
        return await self._real(*given)


async def test_calling_again_waits_for_the_end_that_one_reads_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_sides(tmp_path) as (host, guest):
        slow = Held(signalling.WhipCall.delete)
        monkeypatch.setattr(signalling.WhipCall, "delete", lambda call: slow(call))
        ending = asyncio.create_task(guest.conversation.hang_up())
        await slow.begun.wait()
        assert guest.phase is Phase.ENDED  # the page says so, and offers to call again
        again = asyncio.create_task(guest.conversation.again())
        await eventually(lambda: host.phase is Phase.PEER_LEFT)
        slow.go_on.set()
        await asyncio.gather(ending, again)
        await eventually(lambda: host.conversation.calls == 2 and guest.conversation.calls == 2)
        assert guest.phase is Phase.TALKING


async def test_the_next_call_does_not_get_the_end_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_sides(tmp_path) as (host, guest):
        first = host.conversation.call
        assert first is not None
        slow = Held(first.close)
        monkeypatch.setattr(first, "close", slow)
        await guest.conversation.hang_up()
        await slow.begun.wait()
        closing = host.conversation._task
        assert closing is not None
        assert host.phase is Phase.PEER_LEFT
        await guest.conversation.again()
        await eventually(lambda: host.conversation.calls == 2 and guest.conversation.calls == 2)
        slow.go_on.set()
        await closing
        assert host.phase is Phase.TALKING
        await guest.conversation.hang_up()
        await eventually(lambda: host.phase is Phase.PEER_LEFT)


async def test_a_caller_who_gave_up_waiting_for_the_answer_gets_through_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Side(None, tmp_path, takeover_s=0.2)
    await host.conversation.start()
    guest = Side(host.conversation.invitation, tmp_path)
    real = host.conversation._talk_to
    held: list[Held] = []

    def talk_to() -> Any:
        call = real()
        if not held:
            held.append(Held(call.connection.answer))
            call.connection.answer = held[0]  # type: ignore[method-assign]
        return call

    monkeypatch.setattr(host.conversation, "_talk_to", talk_to)
    try:
        with monkeypatch.context() as patience:
            patience.setattr(signalling, "_ANSWER_TIMEOUT_S", 0.1)
            await guest.conversation.start()
            await eventually(lambda: "Nobody answers yet" in guest.conversation.text)
        held[0].go_on.set()  # and the answer goes to nobody
        await eventually(lambda: host.phase is Phase.TALKING and guest.phase is Phase.TALKING)
    finally:
        await guest.conversation.close()
        await host.conversation.close()


async def test_who_hangs_up_while_a_caller_is_answered_is_not_in_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Side(None, tmp_path)
    await host.conversation.start()
    guest = Side(host.conversation.invitation, tmp_path)
    call = host.conversation._talk_to()
    slow = Held(call.connection.answer)
    call.connection.answer = slow  # type: ignore[method-assign]
    monkeypatch.setattr(host.conversation, "_talk_to", lambda: call)
    try:
        await guest.conversation.start()
        await slow.begun.wait()
        await host.conversation.hang_up()
        slow.go_on.set()
        await eventually(lambda: "They are busy or have hung up" in guest.conversation.text)
        assert host.phase is Phase.ENDED
        assert host.conversation.call is None
    finally:
        await guest.conversation.close()
        await host.conversation.close()
