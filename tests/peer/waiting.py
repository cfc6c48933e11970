"""Waiting in tests of real connections: for an effect, however long this machine takes, and for the next moment."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from typing import Any


async def eventually(condition: Callable[[], Any], timeout_s: float = 120.0, what: str = "the condition") -> Any:
    """What the condition, or what it promises, says once that is true.

    The one place where a test polls: what WebRTC or a browser does next is nobody's event.
    """
    until_s = time.monotonic() + timeout_s
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < until_s, f"{what} did not come true"
        await asyncio.sleep(0.02)


async def real_time(fps: float) -> AsyncIterator[float]:
    """The moments of a camera's frames, on the monotonic clock, without end: a source, not a way to wait."""
    at_s = time.monotonic()
    while True:
        yield at_s
        at_s = max(at_s + 1 / fps, time.monotonic())
        await asyncio.sleep(at_s - time.monotonic())
