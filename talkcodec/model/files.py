"""Model files: safetensors with the configuration, a hash and the licence in the metadata.

Nothing is ever unpickled. The hash names a model on the wire: SHA-256 over the configuration as
stored, then name, type, shape and bytes of every tensor in order of names. It is checked on loading.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import safetensors

from talkcodec.errors import ConfigError, ModelError
from talkcodec.model.config import PRESETS, ModelConfig

if TYPE_CHECKING:
    from torch import nn

    from talkcodec.model.network import Network

__all__ = [
    "RESTORATION",
    "UNTRAINED",
    "WEIGHTS",
    "Label",
    "LoadedModel",
    "ModelFile",
    "StoredConfig",
    "load_model",
    "read_label",
    "read_model_file",
    "save_model",
    "shipped_models",
]


WEIGHTS = Path(__file__).parent.parent / "weights"
UNTRAINED = "untrained:"
"""Prefix of a model name: a preset with random weights of a fixed seed, for tests and timing."""


RESTORATION = "restore-"
"""How the names of restoration networks in the package begin (restoration_files.py)."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model as stored, without torch: tensors are still the file's bytes.

    hash: 32 bytes. metadata: free text by key, "licence" among them. path: None for an untrained model.
    """

    name: str
    config: ModelConfig
    hash: bytes
    metadata: dict[str, str]
    path: Path | None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network in evaluation mode on the CPU, and what its file says about it."""

    network: "Network"
    config: ModelConfig
    hash: bytes
    name: str
    metadata: dict[str, str]


def shipped_models() -> list[str]:
    """Names of the models of motion in the package."""
    return sorted(p.stem for p in WEIGHTS.glob("*.safetensors") if not p.stem.startswith(RESTORATION))


class StoredConfig(Protocol):
    """Any configuration that can be written beside weights; "architecture" is one of its keys."""

    def to_dict(self) -> dict[str, Any]: ...


class Label(NamedTuple):
    """What stands in a model file beside its tensors, its hash checked. config: as JSON gives it."""

    name: str
    config: dict[str, Any]
    hash: bytes
    metadata: dict[str, str]
    path: Path


def save_model(path: str | Path, network: "nn.Module", config: StoredConfig, metadata: Mapping[str, str]) -> bytes:
    """Write weights and configuration to a safetensors file, atomically; returns the hash.

    metadata must have a "licence"; "config", "hash" and "format" are set here.
    """
    from safetensors.torch import save

    if not metadata.get("licence"):
        raise ModelError("a model file names its licence: metadata has no 'licence'")
    if reserved := {"config", "hash", "format"} & set(metadata):
        raise ModelError(f"metadata: {', '.join(sorted(reserved))} are set by save_model")
    stored_config = json.dumps(config.to_dict(), sort_keys=True, separators=(",", ":"))
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    digest = _hash(stored_config, save(tensors))
    stored = {**metadata, "format": "talkcodec-1", "config": stored_config, "hash": digest.hex()}
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(save(tensors, metadata=stored))
    os.replace(partial, path)
    return digest


def read_model_file(name_or_path: str | Path) -> ModelFile:
    """Find a model by name ("lite-256") or path, check its hash, and read its configuration.

    "untrained:PRESET" names a preset with seeded random weights. Raises ModelError.
    """
    name = str(name_or_path)
    if name.startswith(UNTRAINED):
        return _untrained(name)
    label = read_label(name_or_path)
    if label.config.get("architecture") == "restoration":
        raise ModelError(f"{label.path} restores pictures of the hybrid rung; expected a model of motion")
    try:
        config = ModelConfig.from_dict(label.config)
    except (ConfigError, TypeError) as error:
        raise ModelError(f"{label.path}: bad configuration: {error}") from error
    return ModelFile(label.name, config, label.hash, label.metadata, label.path)


def read_label(name_or_path: str | Path) -> Label:
    """Find a model file by name or path and check its hash, of whatever architecture it is. Raises ModelError."""
    path = _find(name_or_path)
    try:
        with safetensors.safe_open(path, framework="numpy") as opened:
            metadata = dict(opened.metadata() or {})
        data = path.read_bytes()
        digest = _hash(metadata.get("config", ""), data)
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error}") from error
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is no safetensors file, or is damaged: {error}") from error
    if metadata.get("format") != "talkcodec-1" or "config" not in metadata:
        raise ModelError(f"{path} has no talkcodec configuration inside; was it made by `talkcodec model import`?")
    if digest.hex() != metadata.get("hash"):
        raise ModelError(f"{path} is damaged: its hash is {digest.hex()[:16]}, its label {metadata.get('hash')!r:.18}")
    try:
        config = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: bad configuration: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path}: bad configuration: expected an object, got {type(config).__name__}")
    rest = {key: value for key, value in metadata.items() if key not in ("config", "hash", "format")}
    return Label(path.stem, config, digest, rest, path)


def load_model(name_or_path: str | Path) -> LoadedModel:
    """Build the network and load its weights strictly; raises ModelError.

    Same names and paths as `read_model_file`.
    """
    import torch
    from safetensors.torch import load_file

    from talkcodec.model.network import build_network

    file = read_model_file(name_or_path)
    tensors = {} if file.path is None else load_file(file.path)
    try:
        with torch.device("meta"):  # the sizes come from the file: compare them before memory is taken
            skeleton = build_network(file.config)
        if file.path is not None:
            check_tensors(skeleton, tensors, str(file.path))
    except (TypeError, ValueError, IndexError, RuntimeError, ZeroDivisionError) as error:
        raise ModelError(f"{name_or_path}: its configuration makes no network: {error}") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(file.config)
    if file.path is not None:
        network.load_state_dict(tensors)
    network.eval().requires_grad_(False)
    return LoadedModel(network, file.config, file.hash, file.name, file.metadata)


def load_strictly(network: "nn.Module", tensors: Mapping[str, Any], origin: str) -> None:
    """Load a state dict whose names and shapes must all agree; ModelError lists what does not."""
    check_tensors(network, tensors, origin)
    network.load_state_dict(tensors)


def check_tensors(network: "nn.Module", tensors: Mapping[str, Any], origin: str) -> None:
    """Names and shapes of a state dict against a network's, which may be on the meta device."""
    expected = network.state_dict()
    missing, unexpected = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    wrong = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(set(expected) & set(tensors))
        if tensors[key].shape != expected[key].shape
    ]
    found = (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if keys[3:] else ''})" for what, keys in found if keys
    ]
    if not faults:
        endless = [key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
        found_endless = f"{len(endless)} with values that are no numbers ({', '.join(sorted(endless)[:3])})"
        faults = [found_endless] if endless else []
    if faults:
        raise ModelError(f"{origin} does not fit its configuration: {'; '.join(faults)}")


def _find(name_or_path: str | Path) -> Path:
    name = str(name_or_path)
    shipped = WEIGHTS / f"{name}.safetensors"
    if "/" not in name and "\\" not in name and shipped.is_file():
        return shipped
    path = Path(name_or_path)
    if not path.is_file():
        raise ModelError(f"no model {name!r}: no such file, and shipped are {', '.join(shipped_models()) or 'none'}")
    return path


def _untrained(name: str) -> ModelFile:
    config = PRESETS.get(name.removeprefix(UNTRAINED))
    if config is None:
        raise ModelError(f"no preset in {name!r}; there are {', '.join(PRESETS)}")
    stored = json.dumps(config.to_dict(), sort_keys=True)
    digest = hashlib.sha256(f"{name} {stored}".encode()).digest()
    return ModelFile(name, config, digest, {"licence": "none: random weights"}, None)


def _hash(stored_config: str, file_bytes: bytes) -> bytes:
    digest = hashlib.sha256(stored_config.encode())
    tensors = sorted(safetensors.deserialize(file_bytes), key=lambda item: item[0])  # type: ignore[no-untyped-call]
    for name, tensor in tensors:
        digest.update(json.dumps([name, tensor["dtype"], list(tensor["shape"])]).encode())
        digest.update(tensor["data"])
    return digest.digest()
