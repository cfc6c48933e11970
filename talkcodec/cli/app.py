"""The commands by name. Their errors are one sentence and an exit code, as of every program (talkcodec.command)."""

from typing import Annotated

import typer

from call.command import call
from receiver.command import receive
from sender.command import send
from talkcodec import __version__
from talkcodec.cli import animate, bench, decode, demo, encode, info, model, train
from talkcodec.command.exits import run_app, set_up_logging

__all__ = ["app", "main"]

app = typer.Typer(
    help="Talking heads at a few kbit/s: one picture of the face, then only keypoints.\n\n"
    "Begin with: talkcodec encode VIDEO call.tkc, then talkcodec decode call.tkc call.mp4 --side-by-side VIDEO",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(encode.encode)
app.command()(decode.decode)
app.command()(info.info)
app.command()(send)
app.command()(receive)
app.command()(call)
app.command()(animate.animate)
app.add_typer(model.app, name="model")
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
