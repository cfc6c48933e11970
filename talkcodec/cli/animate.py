"""talkcodec animate"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.cli.common import check_output, progress
from talkcodec.command.options import DEFAULT_MODEL, EngineKind, EngineOption, ForceOption, ModelOption, open_model
from talkcodec.errors import UsageError

if TYPE_CHECKING:
    from talkcodec.command.exits import ExitCode
    from talkcodec.runtime import Engine

__all__ = ["animate"]


def animate(
    portrait: Annotated[Path | None, typer.Argument(metavar="PORTRAIT", help="A picture with one face.")] = None,
    driving: Annotated[
        Path | None, typer.Argument(metavar="DRIVING", help="A video; the portrait moves like its face.")
    ] = None,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT.mp4", help="The video to write, with the driving video's sound.")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Take over the pose itself, not its change since its first face.")
    ] = False,
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="Show the driving video to the left.")] = False,
    audio_track: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Which sound track, 1 for the first; else the default one.")
    ] = None,
    engine: EngineOption = EngineKind.auto,
    force: ForceOption = False,
    page: Annotated[bool, typer.Option("--page", help="On a page of this machine, without files named here.")] = False,
    page_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any.")] = 0,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Move the face of a picture as the face in a video moves.

    It works best when the video begins with about the pose of the portrait. Show nobody what the person of the
    portrait would not want: the result is marked as generated in the file's metadata.
    """
    if page:
        if portrait is not None:
            raise UsageError("--page takes no files: drop them onto the page")
        raise typer.Exit(_serve(open_model(model, engine), page_port, open_page))
    if portrait is None or driving is None or out is None:
        raise UsageError("expected PORTRAIT DRIVING OUT.mp4, or --page")
    check_output(out, portrait, driving, suffix=".mp4", force=force)
    from talkcodec.animate import animate_portrait
    from talkcodec.media import MediaReader

    with MediaReader(driving) as reader:
        total = reader.info.frame_count
    opened = open_model(model, engine)
    with progress("animating", total, out) as report:
        frames = animate_portrait(
            portrait, driving, out, opened,
            relative=not absolute, beside=side_by_side, audio_track=audio_track, report=report,
        )  # fmt: skip
    typer.echo(f"{out}: {frames} frames")


def _serve(engine: "Engine", port: int, open_page: bool) -> "ExitCode":
    """The page, until the program is interrupted."""
    import asyncio
    import webbrowser

    from call.animation import AnimationPage
    from talkcodec.command.console import interruptible, run_program
    from talkcodec.command.exits import ExitCode

    async def run() -> ExitCode:
        stop = asyncio.Event()
        page = AnimationPage(engine, port)
        with interruptible(stop):
            try:
                await page.start()
                typer.echo(f"Your page:   {page.address}")
                if open_page:
                    await asyncio.to_thread(webbrowser.open, page.address)
                await stop.wait()
            finally:
                await page.close()
        return ExitCode.INTERRUPTED

    return run_program(run, verbose=False)
