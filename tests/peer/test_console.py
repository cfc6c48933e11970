"""How the programs are stopped; each signal goes to a process of its own, as it does in life."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, signal
from talkcodec.command.console import interruptible

async def main():
    stop = asyncio.Event()
    with interruptible(stop):
        os.kill(os.getpid(), getattr(signal, "{name}"))
        await asyncio.wait_for(stop.wait(), 30)
    print("in order")

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_every_ordinary_signal_ends_the_program_in_order(name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip("this system has no such signal")
    command = [sys.executable, "-c", PROGRAM.format(name=name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "in order"), done.stderr
