"""How the programs are stopped; each signal goes to a process of its own, as it does in life."""

import signal
import subprocess
import sys

import pytest

from talkcodec.command.console import started_as

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


@pytest.mark.parametrize(
    ("program", "found", "expected"),
    [
        (".venv/bin/talkcodec", None, ".venv/bin/talkcodec call"), ("/usr/bin/talkcodec", None, "talkcodec call"),
        (".venv/bin/talkcodec", "/usr/bin/talkcodec", "talkcodec call"), ("call/__main__.py", None, "python -m call"),
    ],
)  # fmt: skip
def test_a_command_is_named_so_that_it_works_when_it_is_copied(
    program: str, found: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr("shutil.which", lambda name: found)
    assert started_as("call", "call") == expected
