"""One configuration for the whole family of networks, stored with the weights."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from talkcodec.errors import ConfigError

__all__ = ["DEFAULT_MODEL", "PRESETS", "FommNetworks", "LiteNetworks", "ModelConfig", "preset"]

DEFAULT_MODEL = "lite-256"
"""The shipped model that is taken when none is named."""


@dataclass(frozen=True, slots=True)
class FommNetworks:
    """Sizes of the published networks (names as in the published YAML files)."""

    detector_expansion: int = 32
    detector_max_features: int = 1024
    detector_blocks: int = 5
    detector_scale: float = 0.25
    dense_expansion: int = 64
    dense_max_features: int = 1024
    dense_blocks: int = 5
    dense_scale: float = 0.25
    generator_expansion: int = 64
    generator_max_features: int = 512
    generator_down_blocks: int = 2
    generator_bottleneck_blocks: int = 6
    occlusion: bool = True

    def __post_init__(self) -> None:
        _check_sizes(self)


@dataclass(frozen=True, slots=True)
class LiteNetworks:
    """Sizes and switches of our own light networks.

    motion_size: side in pixels at which keypoints and dense motion are computed.
    skips: "bottleneck" warps the source features at the lowest scale only, as in the first-order
        paper (there quarter size, here all up to it); "deformable" warps every scale (Siarohin et al., CVPR 2018).
    references: how many source pictures the generator fuses by attention
        (Lathuilière et al., WACV 2020); 1 means no attention.
    channels: generator widths at half, quarter, eighth and sixteenth size.
    bottleneck_blocks: residual blocks at the smallest scale, where parameters are cheap.
    """

    motion_size: int = 64
    detector_channels: tuple[int, ...] = (24, 48, 96, 128)
    dense_channels: tuple[int, ...] = (32, 48, 64, 96)
    channels: tuple[int, ...] = (32, 48, 64, 96)
    bottleneck_blocks: int = 2
    skips: Literal["bottleneck", "deformable"] = "deformable"
    references: int = 1

    def __post_init__(self) -> None:
        _check_sizes(self)
        if self.skips not in ("bottleneck", "deformable"):
            raise ConfigError(f"skips: got {self.skips!r}, expected 'bottleneck' or 'deformable'")
        if not 1 <= self.references <= 4:
            raise ConfigError(f"references: got {self.references}, expected 1 to 4")
        if self.motion_size % 16:
            raise ConfigError(f"motion_size: got {self.motion_size}, expected a multiple of 16")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a model is, apart from its weights.

    architecture: "lite" (ours) or "fomm" (as published, Siarohin et al., NeurIPS 2019).
    picture_size: side S of the square pictures in pixels, a multiple of 64.
    keypoints: K. jacobians: True for first-order motion, False for zeroth-order (Monkey-Net, CVPR 2019).
    align_corners: sampling convention of every bilinear resize and warp.
    temperature: of the softmax that turns detector scores into heatmaps.
    """

    architecture: Literal["lite", "fomm"] = "lite"
    picture_size: int = 256
    keypoints: int = 10
    jacobians: bool = True
    align_corners: bool = False
    temperature: float = 0.1
    kp_variance: float = 0.01
    lite: LiteNetworks = field(default_factory=LiteNetworks)
    fomm: FommNetworks = field(default_factory=FommNetworks)

    def __post_init__(self) -> None:
        if self.architecture not in ("lite", "fomm"):
            raise ConfigError(f"architecture: got {self.architecture!r}, expected 'lite' or 'fomm'")
        for name in ("keypoints", "picture_size"):
            if type(getattr(self, name)) is not int:
                raise ConfigError(f"{name}: got {getattr(self, name)!r}, expected a whole number")
        if not 1 <= self.keypoints <= 64:
            raise ConfigError(f"keypoints: got {self.keypoints}, expected 1 to 64")
        if self.picture_size % 64 or not 64 <= self.picture_size <= 1024:
            raise ConfigError(f"picture_size: got {self.picture_size}, expected a multiple of 64 up to 1024")
        for name in ("temperature", "kp_variance"):
            if not isinstance(getattr(self, name), int | float) or not 0 < getattr(self, name) <= 1000:
                raise ConfigError(f"{name}: got {getattr(self, name)!r}, expected a number above 0, at most 1000")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary: only the sizes of the chosen architecture are kept."""
        values = asdict(self)
        del values["fomm" if self.architecture == "lite" else "lite"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """The inverse of to_dict; raises ConfigError for an unknown key or a bad value."""
        values = dict(values)
        try:
            if "lite" in values:
                values["lite"] = _build(LiteNetworks, values["lite"])
            if "fomm" in values:
                values["fomm"] = _build(FommNetworks, values["fomm"])
            config: ModelConfig = _build(cls, values)
        except TypeError as error:
            raise ConfigError(f"model configuration: {error}") from error
        return config


def _check_sizes(networks: "FommNetworks | LiteNetworks") -> None:
    """Widths, depths and scales come from files: bounded, so that no file asks for a network beyond all memory."""
    for item in fields(networks):
        value = getattr(networks, item.name)
        if item.name in ("skips", "occlusion"):
            continue
        if item.name.endswith("_scale"):
            good = isinstance(value, int | float) and 0 < value <= 1
        elif isinstance(value, tuple):
            good = 2 <= len(value) <= 8 and all(type(width) is int and 1 <= width <= 4096 for width in value)
        else:
            good = type(value) is int and 0 <= value <= 4096
        if not good:
            raise ConfigError(f"{item.name}: got {value!r}, which is no size of a network")


def _build(cls: type, values: dict[str, Any]) -> Any:
    known = {f.name for f in fields(cls)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{cls.__name__}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


PRESETS = {
    "tiny": ModelConfig(
        picture_size=64,
        keypoints=5,
        lite=LiteNetworks(
            motion_size=32,
            detector_channels=(8, 16, 24),
            dense_channels=(12, 16, 24),
            channels=(8, 12, 16, 24),
            bottleneck_blocks=1,
        ),
    ),
    "lite-256": ModelConfig(),
    "vox-256": ModelConfig(architecture="fomm"),
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """A named configuration, optionally with some fields replaced; ConfigError names the known ones."""
    if name not in PRESETS:
        raise ConfigError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)
