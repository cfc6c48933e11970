"""How the programs are stopped."""

import asyncio
import os
import signal

import pytest

from talkcodec.command.console import interruptible


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
async def test_every_ordinary_signal_ends_the_program_in_order(name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip("this system has no such signal")
    stop = asyncio.Event()
    with interruptible(stop):
        os.kill(os.getpid(), getattr(signal, name))
        await asyncio.wait_for(stop.wait(), 30)
