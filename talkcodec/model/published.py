"""Import of published first-order-motion checkpoints: *-cpk.pth.tar and its YAML file -> safetensors."""

import logging
from pathlib import Path
from typing import Any

from talkcodec.errors import ConfigError, ModelError
from talkcodec.model.config import FommNetworks, ModelConfig
from talkcodec.model.files import load_strictly, save_model

__all__ = ["import_published", "read_published_config"]

logger = logging.getLogger(__name__)

_DETECTOR = {
    "block_expansion": "detector_expansion",
    "max_features": "detector_max_features",
    "num_blocks": "detector_blocks",
    "scale_factor": "detector_scale",
}
_DENSE = {
    "block_expansion": "dense_expansion",
    "max_features": "dense_max_features",
    "num_blocks": "dense_blocks",
    "scale_factor": "dense_scale",
}
_GENERATOR = {
    "block_expansion": "generator_expansion",
    "max_features": "generator_max_features",
    "num_down_blocks": "generator_down_blocks",
    "num_bottleneck_blocks": "generator_bottleneck_blocks",
    "estimate_occlusion_map": "occlusion",
}


def import_published(
    checkpoint: str | Path, config_yaml: str | Path, out: str | Path, *, licence: str, align_corners: bool = False
) -> bytes:
    """Convert a published checkpoint to a model file and return its hash.

    The entries `kp_detector` and `generator` are read, strictly; others are left out with a note.
    align_corners: how the weights were trained to sample; True for torch before 1.3, as the authors' were.
    The checkpoint is never unpickled beyond tensors and plain containers. Raises ModelError, ConfigError.
    """
    import torch

    from talkcodec.model.network import build_network

    config = read_published_config(config_yaml, align_corners=align_corners)
    try:
        entries = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read checkpoint {checkpoint}: {error}") from error
    except Exception as error:  # torch raises nearly every type for one damaged archive or another
        raise ModelError(
            f"{checkpoint} is no checkpoint that can be read safely (tensors and plain containers only): {error}"
        ) from error
    wanted = ("kp_detector", "generator")
    if not isinstance(entries, dict) or any(not isinstance(entries.get(key), dict) for key in wanted):
        found = sorted(map(str, entries)) if isinstance(entries, dict) else type(entries).__name__
        raise ModelError(f"{checkpoint}: expected entries kp_detector and generator, got {found}")
    if others := sorted(str(key) for key in entries if key not in wanted):
        logger.info("%s: left out %s", checkpoint, ", ".join(others))
    tensors = {f"{part}.{key}": value for part in wanted for key, value in entries[part].items()}
    if odd := sorted(key for key, value in tensors.items() if not isinstance(value, torch.Tensor)):
        raise ModelError(f"{checkpoint}: {', '.join(odd[:3])} should be tensors")
    network = build_network(config)
    load_strictly(network, tensors, str(checkpoint))
    origin = f"{Path(checkpoint).name} with {Path(config_yaml).name}"
    return save_model(out, network, config, {"licence": licence, "origin": origin})


def read_published_config(config_yaml: str | Path, *, align_corners: bool) -> ModelConfig:
    """The model part of a published YAML file; ConfigError for what we do not know, rather than a guess."""
    import yaml

    try:
        document = yaml.safe_load(Path(config_yaml).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read configuration {config_yaml}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_yaml} is no YAML file: {error}") from error
    model = _section(document, "model_params", config_yaml)
    common = dict(_section(model, "common_params", config_yaml))
    detector = dict(_section(model, "kp_detector_params", config_yaml))
    generator = dict(_section(model, "generator_params", config_yaml))
    dense = generator.pop("dense_motion_params", None)
    if not isinstance(dense, dict):
        raise ConfigError(f"{config_yaml}: generator_params has no dense_motion_params; there is nothing to warp with")
    if (channels := common.pop("num_channels", 3)) != 3:
        raise ConfigError(f"{config_yaml}: num_channels is {channels}, expected 3")
    dataset = document.get("dataset_params") or {}
    shape = dataset.get("frame_shape", [256, 256, 3]) if isinstance(dataset, dict) else None
    if not isinstance(shape, list) or len(shape) != 3 or shape[0] != shape[1]:
        raise ConfigError(f"{config_yaml}: frame_shape {shape!r}, expected a square such as [256, 256, 3]")
    sizes = {
        **_rename(detector, _DETECTOR, "kp_detector_params", allowed=("temperature",)),
        **_rename(dense, _DENSE, "dense_motion_params", allowed=("kp_variance",)),
        **_rename(generator, _GENERATOR, "generator_params"),
    }
    _rename(common, {}, "common_params", allowed=("num_kp", "estimate_jacobian"))
    try:
        return ModelConfig(
            architecture="fomm",
            picture_size=shape[0],
            keypoints=common.get("num_kp", 10),
            jacobians=common.get("estimate_jacobian", True),
            align_corners=align_corners,
            temperature=detector.get("temperature", 0.1),
            kp_variance=dense.get("kp_variance", 0.01),
            fomm=FommNetworks(**sizes),
        )
    except TypeError as error:
        raise ConfigError(f"{config_yaml}: {error}") from error


def _section(document: Any, key: str, origin: str | Path) -> dict[str, Any]:
    section = document.get(key) if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise ConfigError(f"{origin}: no section {key}")
    return section


def _rename(
    values: dict[str, Any], names: dict[str, str], section: str, allowed: tuple[str, ...] = ()
) -> dict[str, Any]:
    if unknown := sorted(set(values) - set(names) - set(allowed)):
        raise ConfigError(f"{section}: unknown {', '.join(unknown)}; known are {', '.join([*names, *allowed])}")
    return {names[key]: value for key, value in values.items() if key in names}
