"""What the commands on files share: checks of their outputs, a progress bar, JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from talkcodec.errors import ConfigError, MediaError, UsageError

__all__ = ["at_terminal", "check_output", "print_json", "progress"]


def check_output(path: Path, *inputs: Path | None, suffix: str, force: bool) -> None:
    """Refuse an output that would overwrite an input, has another suffix, or whose folder is missing.

    One that is there is overwritten with `force`, or when the person at the terminal says so.
    """
    if path.suffix.lower() != suffix:
        raise ConfigError(f"{path} should end in {suffix}")
    if not path.parent.is_dir():
        raise MediaError(f"the folder {path.parent} does not exist")
    for other in inputs:
        if other is not None and other.exists() and path.exists() and path.samefile(other):
            raise ConfigError(f"{path} is the input itself: choose another output")
    if path.exists() and not force:
        if not at_terminal():
            raise UsageError(f"{path} is there already: --force overwrites it")
        if not typer.confirm(f"{path} is there already. Overwrite it?", err=True):
            raise typer.Exit(1)


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def print_json(value: Any) -> None:
    """One JSON value on stdout, for programs to read."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def progress(what: str, total: int | None, out: Path, first: str | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with the time left; the yielded function takes the number of frames done.

    first: what is done until the first of them is.
    Ctrl-C ends the program with 130 and says where the work so far lies.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    says, count = TextColumn("{task.description}"), MofNCompleteColumn()
    columns = (says, BarColumn(), count, TextColumn("frames"), TimeRemainingColumn())
    console = Console(stderr=True)
    done_so_far = 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(first or what, total=None if first else total or None)

        def report(done: int) -> None:
            nonlocal done_so_far
            done_so_far = done
            bar.update(task, description=what, completed=done, total=total or None)

        try:
            yield report
        except KeyboardInterrupt:
            kept = f"{done_so_far} frames are in {out}" if done_so_far else "nothing was written"
            bar.stop()
            typer.echo(f"talkcodec: interrupted; {kept}", err=True)
            raise typer.Exit(130) from None
