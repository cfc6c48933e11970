"""talkcodec decode"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.cli.common import check_output, print_json, progress
from talkcodec.command.options import DEFAULT_MODEL, EngineKind, EngineOption, ForceOption, JsonOption, open_model

if TYPE_CHECKING:
    from talkcodec.bitstream import RecordingHeader
    from talkcodec.runtime import Engine

__all__ = ["decode"]


def decode(
    source: Annotated[Path, typer.Argument(metavar="IN.tkc", help="A recording.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.mp4", help="The video to write, with the sound.")],
    side_by_side: Annotated[
        Path | None, typer.Option(metavar="VIDEO", help="The original, shown to the left of the decoded picture.")
    ] = None,
    paste: Annotated[bool, typer.Option("--paste", help="Put the face back into the whole captured frame.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", help="A model's name or file; the default is the one the recording names.")
    ] = None,
    engine: EngineOption = EngineKind.auto,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decode a recording to a video.

    \b
    Example:
    talkcodec decode talk.tkc talk-decoded.mp4 --side-by-side talk.mp4
    """
    check_output(out, source, side_by_side, suffix=".mp4", force=force)
    from talkcodec.convert import decode_recording

    with progress("decoding", _frames(source), out) as report:
        done = decode_recording(
            source, out, lambda header: _open(header, model, engine), beside=side_by_side, paste=paste, report=report
        )
    if as_json:
        print_json({"file": str(out), **asdict(done)})
        return
    damaged = f", {done.concealed} concealed because their unit is damaged" if done.concealed else ""
    typer.echo(f"{out}: {done.frames} frames{damaged}")


def _frames(source: Path) -> int | None:
    """How many frames stand in a recording, for the progress bar; what is wrong with it, decoding says."""
    from talkcodec.bitstream import CodedUnit, RecordingReader
    from talkcodec.errors import TalkcodecError

    try:
        with source.open("rb") as file:
            return sum(isinstance(record, CodedUnit) for record in RecordingReader(file))
    except (OSError, TalkcodecError):
        return None


def _open(header: "RecordingHeader", model: str | None, engine: EngineKind) -> "Engine":
    """The model asked for, else the one of the recording's name: only a shipped one, never a path from a file."""
    if model is None:
        from talkcodec.model.config import PRESETS
        from talkcodec.model.files import UNTRAINED, shipped_models

        known = [*shipped_models(), *(UNTRAINED + name for name in PRESETS)]
        model = header.model_name if header.model_name in known else DEFAULT_MODEL
    return open_model(model, engine)
