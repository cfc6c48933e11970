"""What the training of a restoration network is made of."""

from dataclasses import asdict, dataclass, field
from typing import Any

from talkcodec.errors import ConfigError
from talkcodec.model.restoration_config import RestorationConfig
from talkcodec.training.toml import checked

__all__ = ["RestorationLosses", "RestorationStage", "RestorationTraining", "restoration_training"]


@dataclass(frozen=True, slots=True)
class RestorationLosses:
    """Weight of each term, 0 leaves it out; face_focus: how much more eyes and mouth count in pixels and structure.

    identity: of the distance between face features, on at most `FACES` samples a step and process.
    """

    pixels: float = 10.0
    structure: float = 1.5
    gradient: float = 2.0
    warp: float = 1.0
    face_focus: float = 3.0
    identity: float = 0.0

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 0 or not self.pixels:
            raise ConfigError(f"losses: pixels must be above 0, no weight below; got {self}")


@dataclass(frozen=True, slots=True)
class RestorationStage:
    """Some steps with parts of one size.

    size: side in pixels of the part of the picture that is restored. batch: samples a step and process. rate: Adam's
    step size, reached after `warmup` steps and brought to zero over the last `decay` share of the stage.
    """

    size: int = 144
    steps: int = 5_000
    batch: int = 6
    rate: float = 8e-4
    warmup: int = 200
    decay: float = 0.3
    losses: RestorationLosses = field(default_factory=RestorationLosses)

    def __post_init__(self) -> None:
        if self.size % 16 or self.size < 32 or self.steps <= 0 or self.batch <= 0 or self.rate <= 0:
            raise ConfigError(f"stage: size is a multiple of 16 from 32 on, steps, batch, rate above 0; got {self}")
        if not 0 <= self.decay <= 1:
            raise ConfigError(f"stage: decay is a share, 0 to 1; got {self.decay}")


@dataclass(frozen=True, slots=True)
class RestorationTraining:
    """model: the network's configuration. Everything else is how it is trained.

    whole: restore pictures that were coded at the whole size, as in the video rung; each is its own keyframe.
    keyframes: stills of each clip; qualities: range of theirs. streams: coded streams of each identity.
    each: samples of one keyframe. near_share: of the samples within a second of the keyframe; between_share: of those
    that lie between two coded pictures, where a stream has such.
    """

    model: RestorationConfig = field(default_factory=RestorationConfig)
    stages: tuple[RestorationStage, ...] = (RestorationStage(),)
    seed: int = 0
    precision: str = "bf16"
    ema: float = 0.998
    whole: bool = False
    keyframes: int = 8
    qualities: tuple[int, int] = (25, 60)
    streams: int = 13
    each: int = 2
    near_share: float = 0.15
    between_share: float = 0.4
    validate_every: int = 500
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision: got {self.precision!r}, expected 'fp32' or 'bf16'")
        if not self.stages:
            raise ConfigError("a training configuration needs at least one [[stages]]")
        low, high = self.qualities
        if not 0 <= low <= high <= 100:
            raise ConfigError(f"qualities: got {self.qualities}, expected two still qualities, 0 to 100, low and high")
        if min(self.keyframes, self.streams, self.each) < 1:
            raise ConfigError("keyframes, streams and each must be at least 1")
        if self.whole and self.each != 1:
            raise ConfigError(f"each: got {self.each}, expected 1 where whole is true: a picture is its own keyframe")
        if any(stage.batch % self.each or stage.size > self.model.picture_size for stage in self.stages):
            raise ConfigError(f"stages: batch is a multiple of each ({self.each}), size at most the picture's")
        if not (0 <= self.near_share <= 1 and 0 <= self.between_share <= 1):
            raise ConfigError("near_share and between_share are shares, 0 to 1")

    @property
    def needs_landmarks(self) -> bool:
        """Whether the losses of some stage look at landmarks."""
        return any(stage.losses.face_focus for stage in self.stages) or self.needs_features

    @property
    def needs_features(self) -> bool:
        """Whether the losses of some stage look at face features."""
        return any(stage.losses.identity for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, stored with the weights."""
        return {**asdict(self), "model": self.model.to_dict()}


def restoration_training(values: dict[str, Any]) -> RestorationTraining:
    """From the values of a TOML file; ConfigError for an unknown key or a bad value."""
    values = dict(values)
    values["model"] = RestorationConfig.from_dict(values.get("model", {}))
    stages = []
    for stage in values.get("stages", [{}]):
        losses = checked(RestorationLosses, stage.get("losses", {}))
        stages.append(checked(RestorationStage, {**stage, "losses": losses}))
    values["stages"] = tuple(stages)
    if "qualities" in values:
        values["qualities"] = tuple(values["qualities"])
    return checked(RestorationTraining, values)
