"""Restoration networks by name or file; files are those of `files.py`, checked as strictly."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from talkcodec.errors import ConfigError, ModelError
from talkcodec.model.files import RESTORATION, WEIGHTS, check_tensors, read_label
from talkcodec.model.restoration_config import RestorationConfig

if TYPE_CHECKING:
    from talkcodec.model.restoration import RestorationNetwork

__all__ = ["LoadedRestoration", "load_restoration", "shipped_restorations"]


@dataclass(frozen=True, slots=True)
class LoadedRestoration:
    """A network in evaluation mode on the CPU, in fp32, and what its file says about it. hash: 32 bytes."""

    network: "RestorationNetwork"
    config: RestorationConfig
    hash: bytes
    name: str
    metadata: dict[str, str]


def shipped_restorations() -> list[str]:
    """Names of the restoration networks in the package."""
    return sorted(path.stem for path in WEIGHTS.glob(f"{RESTORATION}*.safetensors"))


def load_restoration(name_or_path: str | Path) -> LoadedRestoration:
    """By name ("restore-256") or path; fp16 weights are widened. Raises ModelError."""
    import torch
    from safetensors.torch import load_file

    from talkcodec.model.restoration import RestorationNetwork

    label = read_label(name_or_path)
    try:
        config = RestorationConfig.from_dict(label.config)
    except (ConfigError, TypeError) as error:
        raise ModelError(f"{label.path} is no restoration network: {error}") from error
    with torch.device("meta"):  # the sizes come from the file: compare them before memory is taken
        skeleton = RestorationNetwork(config)
    tensors = load_file(label.path)
    check_tensors(skeleton, tensors, str(label.path))
    network = RestorationNetwork(config)
    network.load_state_dict({name: value.float() for name, value in tensors.items()})
    network.eval().requires_grad_(False)
    return LoadedRestoration(network, config, label.hash, label.name, label.metadata)
