"""The commands by name. Their errors are one sentence and an exit code, as of every program (talkcodec.command)."""

from typing import Annotated

import typer

from call.command import call
from eval.cli import app as eval_app
from receiver.command import receive
from sender.command import send
from talkcodec import __version__
from talkcodec.cli import animate, bench, decode, demo, encode, info, model, train
from talkcodec.command.apps import new_app
from talkcodec.command.exits import run_app, set_up_logging

__all__ = ["app", "main"]

app = new_app(
    "Talking heads at a few kbit/s: one good picture of the face, then only what moves or changes.\n\n"
    "Begin with: talkcodec call --demo\n\n"
    "Exit codes of every command: 0 done, 1 failed, 2 wrong usage, 3 refused (key, or busy), 4 the peer is gone, "
    "5 the two ends do not fit together, 130 interrupted.",
    completion=True,
    no_args_is_help=True,
)
app.command()(call)
app.command()(send)
app.command()(receive)
app.command()(encode.encode)
app.command()(decode.decode)
app.command()(info.info)
app.command()(animate.animate)
app.add_typer(model.app, name="model")
app.add_typer(eval_app, name="eval")
app.command()(train.train)
app.command()(bench.bench)
app.command()(demo.demo)


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what happens.")] = False,
) -> None:
    """Options that stand before the command."""
    if version:
        typer.echo(f"talkcodec {__version__}")
        raise typer.Exit
    set_up_logging(verbose)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Entry point of the `talkcodec` script."""
    run_app(app)
