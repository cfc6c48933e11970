"""talkcodec train"""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def train(
    config: Annotated[Path, typer.Option(metavar="FILE", help="Training configuration (talkcodec/training/configs).")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="A folder of videos, searched below too.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="For the model, logs and checkpoint; resumes if not empty.")],
    validation: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Videos of other people; else a tenth of DATA.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="For decoded clips; else OUT/cache.")] = None,
    init: Annotated[Path | None, typer.Option(metavar="FILE", help="A checkpoint whose weights to start from.")] = None,
    landmarks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="dlib's 68-point shape predictor, for guided keypoints.")
    ] = None,
    face_features: Annotated[
        Path | None, typer.Option(metavar="DIR", help="`model` of npm's @vladmandic/face-api, for a loss on identity.")
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Written into the model file.")
    ] = "unstated: as free as the training data",
) -> None:
    """Train a model on a folder of videos. Stop it with Ctrl-C; the same command goes on where it stopped."""
    from talkcodec.training.command import train as run

    run(
        config,
        data,
        out,
        validation=validation,
        cache=cache,
        init=init,
        landmarks=landmarks,
        face_features=face_features,
        licence=licence,
    )
