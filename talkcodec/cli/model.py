"""talkcodec model list|info|import"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talkcodec.cli.common import print_json
from talkcodec.command.apps import new_app
from talkcodec.command.options import DEFAULT_MODEL, JsonOption

if TYPE_CHECKING:
    from talkcodec.model.files import Label, ModelFile

__all__ = ["app"]

app = new_app("The models: list, info, import of published ones.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """Name the models in the package."""
    from talkcodec.model.files import read_label, shipped_models
    from talkcodec.model.restoration_files import shipped_restorations

    labels = [read_label(name) for name in (*shipped_models(), *shipped_restorations())]
    if as_json:
        print_json([_values(label) for label in labels])
        return
    for label in labels:
        config, size_mb = label.config, label.path.stat().st_size / 1e6
        what = "restores base pictures"
        if "keypoints" in config:
            what = f"{config['architecture']}, {config['keypoints']} keypoints{', Jacobians' * config['jacobians']}"
        typer.echo(
            f"{label.name}{' (default)' * (label.name == DEFAULT_MODEL)}: {what}, "
            f"{config['picture_size']}x{config['picture_size']} px, {size_mb:.1f} MB, "
            f"licence: {label.metadata.get('licence', 'not stated')}"
        )


@app.command("info")
def model_info(
    model: Annotated[str, typer.Argument(help="A model's name or file.")] = DEFAULT_MODEL, as_json: JsonOption = False
) -> None:
    """Show a model's configuration, hash and licence."""
    from talkcodec.model.files import UNTRAINED, read_label, read_model_file

    values = _values(read_model_file(model) if model.startswith(UNTRAINED) else read_label(model))
    if as_json:
        print_json(values)
        return
    typer.echo(f"name      {values['name']}\nhash      {values['hash']}")
    for key, value in values["metadata"].items():
        typer.echo(f"{key:9} {value}")
    for key, value in values["config"].items():
        typer.echo(f"{key:16} {value}")


def _values(model: "Label | ModelFile") -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "name": model.name,
        "default": model.name == DEFAULT_MODEL,
        "hash": model.hash.hex(),
        "file": None if model.path is None else str(model.path),
        "bytes": None if model.path is None else model.path.stat().st_size,
        "metadata": dict(sorted(model.metadata.items())),
        "config": model.config if isinstance(model.config, dict) else model.config.to_dict(),
    }


@app.command("import")
def import_model(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A published *-cpk.pth.tar.")],
    config: Annotated[Path, typer.Option(metavar="YAML", help="The YAML file published with it.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.safetensors", help="The model file to write.")],
    licence: Annotated[str, typer.Option(help="Licence of the weights, written into the file.")] = "not stated",
    align_corners: Annotated[
        bool, typer.Option("--align-corners", help="For weights trained with torch before 1.3, as the authors' were.")
    ] = False,
) -> None:
    """Convert a published checkpoint to a model file.

    One of the first-order motion model; nothing in it is executed.
    """
    from talkcodec.model.published import import_published

    digest = import_published(checkpoint, config, out, licence=licence, align_corners=align_corners)
    typer.echo(f"{out}: hash {digest.hex()}")
