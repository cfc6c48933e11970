"""Sizes of a restoration network, stored with its weights."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from talkcodec.errors import ConfigError

__all__ = ["RestorationConfig"]


@dataclass(frozen=True, slots=True)
class RestorationConfig:
    """What a restoration network is, apart from its weights.

    picture_size: side S of keyframe and result; the base picture has half of it. channels: at S/2, S/4 and S/8.
    reference_channels: of the keyframe's features; context_channels: of the flow's refinement.
    blocks: residual blocks at S/4 on the way down, at S/8, and at S/4 on the way up.
    """

    picture_size: int = 256
    channels: tuple[int, int, int] = (24, 56, 80)
    reference_channels: int = 32
    context_channels: int = 32
    blocks: tuple[int, int, int] = (1, 2, 1)

    def __post_init__(self) -> None:
        size = self.picture_size
        if type(size) is not int or size % 64 or not 64 <= size <= 1024:
            raise ConfigError(f"picture_size: got {size!r}, expected a multiple of 64 up to 1024")
        for name, least in (("channels", 1), ("blocks", 0)):
            value, most = getattr(self, name), 512 if least else 16
            if (
                not isinstance(value, tuple)
                or len(value) != 3
                or any(type(n) is not int or not least <= n <= most for n in value)
            ):
                raise ConfigError(f"{name}: got {value!r}, expected three whole numbers, {least} to {most}")
        for name in ("reference_channels", "context_channels"):
            if type(getattr(self, name)) is not int or not 1 <= getattr(self, name) <= 512:
                raise ConfigError(f"{name}: got {getattr(self, name)!r}, expected a whole number, 1 to 512")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {"architecture": "restoration", **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RestorationConfig":
        """The inverse of to_dict; raises ConfigError for an unknown key or a bad value."""
        values = dict(values)
        if (architecture := values.pop("architecture", "restoration")) != "restoration":
            raise ConfigError(f"architecture: got {architecture!r}, expected 'restoration'")
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"{cls.__name__}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        fitting: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fitting)
