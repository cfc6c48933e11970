"""talkcodec animate"""

from pathlib import Path
from typing import Annotated

import typer

from talkcodec.cli.common import check_output, progress
from talkcodec.command.options import DEFAULT_MODEL, EngineKind, EngineOption, ForceOption, ModelOption, open_model

__all__ = ["animate"]


def animate(
    portrait: Annotated[Path, typer.Argument(metavar="PORTRAIT", help="A picture with one face.")],
    driving: Annotated[Path, typer.Argument(metavar="DRIVING", help="A video; the portrait moves like its face.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.mp4", help="The video to write, with the driving video's sound.")],
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
) -> None:
    """Move the face of a picture as the face in a video moves.

    It works best when the video begins with about the pose of the portrait. Show nobody what the person of the
    portrait would not want: the result is marked as generated in the file's metadata.
    """
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
