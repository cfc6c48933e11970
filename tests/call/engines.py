"""Engines as processes of their own, for the browser tests."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chrome import Tab

ROOT = Path(__file__).parent.parent.parent
MODEL = "untrained:tiny"
PATIENCE_S = 240.0
_running: "list[subprocess.Popen[str]]" = []


@contextmanager
def engine(*arguments: str) -> Iterator[dict[str, str]]:
    """A process of `python -m call`; the addresses that it printed."""
    command = [sys.executable, "-m", "call", "--model", MODEL, "--threads", "1", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    _running.append(process)
    try:
        printed: dict[str, str] = {}
        wanted = {"page"} if any(word.startswith("http") for word in arguments) else {"page", "invitation"}
        assert process.stdout is not None
        while not wanted <= printed.keys():
            line = process.stdout.readline()
            assert line, f"the engine ended with {process.wait()}"
            if match := re.search(r"(page|invitation):.*?(http\S+#[\w-]+)", line, re.IGNORECASE):
                printed[match[1].lower()] = match[2]
        yield printed
    finally:
        _running.remove(process)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def until(tab: Tab, expression: str) -> None:
    try:
        await tab.until(expression, PATIENCE_S)
    except AssertionError as error:
        ended = [process.poll() for process in _running]
        raise AssertionError(f"{error}\nengines ended with (None: running): {ended}") from None
