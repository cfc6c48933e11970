"""talkcodec bench"""

from typing import Annotated

import typer

from talkcodec.cli.common import DEFAULT_MODEL, EngineKind, EngineOption, ModelOption

__all__ = ["bench"]


def bench(
    model: ModelOption = DEFAULT_MODEL,
    engine: EngineOption = EngineKind.auto,
    frames: Annotated[int, typer.Option(help="Frames that are timed, after a warm-up.")] = 100,
    threads: Annotated[int | None, typer.Option(help="CPU threads; the default is all.")] = None,
) -> None:
    """Time a model on this machine: detect, encode_reference, generate; median and 95th percentile."""
    from talkcodec.runtime.bench import bench as run

    typer.echo(run(model, engine=engine.value, frames=frames, threads=threads))
