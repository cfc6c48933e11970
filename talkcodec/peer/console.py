"""What both programs share at the command line: exit codes, the live status line, Ctrl-C."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from rich.console import Console
from rich.live import Live
from rich.text import Text

from talkcodec.errors import ClosedError, MismatchError, TalkcodecError, UsageError
from talkcodec.peer.signalling import BusyError, RefusedError

__all__ = ["ExitCode", "exit_code_of", "interruptible", "run_program", "status_display"]


class ExitCode(IntEnum):
    """How the programs end."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    LOST = 4
    MISMATCH = 5
    INTERRUPTED = 130


def exit_code_of(error: BaseException) -> ExitCode:
    """The code that tells which error ended the program."""
    if isinstance(error, UsageError):
        return ExitCode.USAGE
    if isinstance(error, BusyError | RefusedError):
        return ExitCode.REFUSED
    if isinstance(error, MismatchError):
        return ExitCode.MISMATCH
    if isinstance(error, ClosedError):
        return ExitCode.LOST
    return ExitCode.FAILED


@contextmanager
def status_display(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line on stderr that is written over, where stderr is a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda text: None
        return
    with Live(Text(""), console=console, refresh_per_second=4, transient=True) as live:
        yield lambda text: live.update(Text(text))


@contextmanager
def interruptible(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a terminal that is closed set `stop` instead of tearing the call down."""
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    try:
        for number in signals:
            loop.add_signal_handler(number, stop.set)
    except (NotImplementedError, RuntimeError):  # not the main thread, or a platform without it
        yield
        return
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def run_program(main: Callable[[], Awaitable[ExitCode]], verbose: bool) -> ExitCode:
    """Run a program's main coroutine, on uvloop where there is one; errors become a sentence and an exit code."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if not verbose:
        logging.getLogger("aioice").setLevel(logging.ERROR)
        logging.getLogger("aiortc").setLevel(logging.ERROR)
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(_await(main))
    except TalkcodecError as error:
        sys.stderr.write(f"error: {error}\n")
        return exit_code_of(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


async def _await(main: Callable[[], Awaitable[ExitCode]]) -> ExitCode:
    return await main()
