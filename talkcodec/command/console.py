"""What the programs share while they run: the live status line, Ctrl-C, the event loop."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from talkcodec.command.exits import ExitCode, set_up_logging, tell

__all__ = ["interruptible", "run_program", "started_as", "status_display"]


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


def started_as(module: str, command: str) -> str:
    """How a person here starts a program: as this one was, by the installed command, from where it lies if the shell
    would not find it, or as a module."""
    program = Path(sys.argv[0])
    if program.stem != "talkcodec":
        return f"python -m {module}"
    return f"{program if not program.is_absolute() and not shutil.which('talkcodec') else 'talkcodec'} {command}"


def run_program(main: Callable[[], Awaitable[ExitCode]], verbose: bool) -> ExitCode:
    """Run a program's main coroutine, on uvloop where there is one; errors become a sentence and an exit code."""
    set_up_logging(verbose)
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(_await(main))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # the last place where it can become a sentence
        return tell(error)


async def _await(main: Callable[[], Awaitable[ExitCode]]) -> ExitCode:
    return await main()
