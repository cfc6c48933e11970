"""talkcodec demo"""

from pathlib import Path
from typing import Annotated

import typer

from talkcodec.command.options import DEFAULT_MODEL, EngineKind, EngineOption, ModelOption, open_model

__all__ = ["demo"]

DEMO_BPS = 6000.0


def demo(
    video: Annotated[Path | None, typer.Argument(help="Your own video; else the embedded sample.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path("demo-out"),
    model: ModelOption = DEFAULT_MODEL,
    engine: EngineOption = EngineKind.auto,
) -> None:
    """Encode the sample, decode it, and show both side by side."""
    from talkcodec.cli.contact_sheet import write_contact_sheet
    from talkcodec.cli.decode import decode
    from talkcodec.cli.encode import encode_file
    from talkcodec.cli.info import info
    from talkcodec.codec import EncoderConfig
    from talkcodec.sample import sample_path

    source = video or sample_path()
    out.mkdir(parents=True, exist_ok=True)
    recording, film, sheet = out / "demo.tkc", out / "demo.mp4", out / "contact-sheet.png"
    encode_file(source, recording, open_model(model, engine), EncoderConfig(), bitrate_bps=DEMO_BPS)
    decode(recording, film, side_by_side=source, model=model, engine=engine, force=True)
    write_contact_sheet(film, sheet)
    typer.echo("")
    info(recording)
    typer.echo(f"\nOriginal left, decoded right: {film.resolve()}\nSix moments of it:            {sheet.resolve()}")
