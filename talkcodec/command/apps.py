"""One style for the help of every program: plain text, as wide as the terminal, whole where it is piped."""

from typing import Any

import typer

__all__ = ["new_app"]


def new_app(help_text: str | None = None, *, completion: bool = False, **how: Any) -> typer.Typer:
    """A program's commands. completion: options that set up the shell's completion, for programs with a name."""
    return typer.Typer(
        help=help_text, add_completion=completion, pretty_exceptions_enable=False, rich_markup_mode=None, **how
    )
