"""How every program ends: exit codes, and errors as one sentence. Light, so that --help is quick."""

import errno
import logging
import sys
from enum import IntEnum

import typer

from talkcodec.errors import (
    BusyError,
    ClosedError,
    EngineError,
    MediaError,
    MismatchError,
    ModelError,
    RefusedError,
    TalkcodecError,
    UsageError,
)

__all__ = ["ExitCode", "exit_code_of", "run_app", "set_up_logging", "tell"]


class ExitCode(IntEnum):
    """Exit codes, the same for every program."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    LOST = 4
    MISMATCH = 5
    INTERRUPTED = 130


def exit_code_of(error: BaseException) -> ExitCode:
    """The code that tells which error ended the program."""
    refused_here = isinstance(error, UsageError) and isinstance(error.__cause__, OSError)  # by the system: file, port
    if refused_here or isinstance(error, MediaError | ModelError | EngineError):
        return ExitCode.FAILED
    if isinstance(error, UsageError):
        return ExitCode.USAGE
    if isinstance(error, BusyError | RefusedError):
        return ExitCode.REFUSED
    if isinstance(error, MismatchError):
        return ExitCode.MISMATCH
    if isinstance(error, ClosedError):
        return ExitCode.LOST
    return ExitCode.FAILED


def tell(error: BaseException) -> ExitCode:
    """Say an error in one sentence on stderr; the code to end with."""
    if isinstance(error, TalkcodecError):
        sentence = str(error)
    else:
        sentence = f"{type(error).__name__}: {error}; this is a fault of the program, --verbose shows where it is"
    sys.stderr.write(f"talkcodec: {' '.join(sentence.split())}\n")
    logging.getLogger(__name__).debug("ended by this", exc_info=error)
    return exit_code_of(error)


def set_up_logging(verbose: bool) -> None:
    """Warnings and errors, or everything, to stderr."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    if verbose:
        logging.getLogger().setLevel(logging.DEBUG)
    elif logging.getLogger().level != logging.DEBUG:
        for chatty in ("aioice", "aiortc"):
            logging.getLogger(chatty).setLevel(logging.ERROR)


def run_app(app: typer.Typer) -> None:
    """Entry point of a program: its errors become a sentence and an exit code."""
    try:
        app()
    except TalkcodecError as error:
        sys.exit(tell(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(tell(MediaError(f"the disk is full, or that to which the output goes: {error.strerror}")))
