"""talkcodec model list|info|import"""

from pathlib import Path
from typing import Annotated

import typer

from talkcodec.command.options import DEFAULT_MODEL

__all__ = ["app"]

app = typer.Typer(help="The models: which there are, what they are; import of published ones.", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """Name the models in the package."""
    from talkcodec.model.files import read_label, read_model_file, shipped_models
    from talkcodec.model.restoration_files import shipped_restorations

    for name in shipped_models():
        file = read_model_file(name)
        config = file.config
        size = file.path.stat().st_size / 1e6 if file.path else 0.0
        mark = " (default)" if name == DEFAULT_MODEL else ""
        typer.echo(
            f"{name}{mark}: {config.architecture}, {config.picture_size}x{config.picture_size}, "
            f"{config.keypoints} keypoints{', Jacobians' if config.jacobians else ''}, {size:.1f} MB, "
            f"licence: {file.metadata.get('licence', 'not stated')}"
        )
    for name in shipped_restorations():
        label = read_label(name)
        side, size = label.config["picture_size"], label.path.stat().st_size / 1e6
        typer.echo(
            f"{name}: restores base pictures, {side}x{side}, {size:.1f} MB, "
            f"licence: {label.metadata.get('licence', 'not stated')}"
        )


@app.command("info")
def model_info(model: Annotated[str, typer.Argument(help="A model's name or file.")] = DEFAULT_MODEL) -> None:
    """Show a model's configuration, hash and licence."""
    from talkcodec.model.files import UNTRAINED, read_label, read_model_file

    file = read_model_file(model) if model.startswith(UNTRAINED) else read_label(model)
    config = file.config if isinstance(file.config, dict) else file.config.to_dict()
    typer.echo(f"name      {file.name}\nhash      {file.hash.hex()}")
    for key, value in sorted(file.metadata.items()):
        typer.echo(f"{key:9} {value}")
    for key, value in config.items():
        typer.echo(f"{key:16} {value}")


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
    """Convert a published first-order-motion checkpoint to a model file (nothing in it is executed)."""
    from talkcodec.model.published import import_published

    digest = import_published(checkpoint, config, out, licence=licence, align_corners=align_corners)
    typer.echo(f"{out}: hash {digest.hex()}")
