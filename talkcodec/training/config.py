"""What a training run is made of; a TOML file holds one, `talkcodec train --config` reads it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from talkcodec.errors import ConfigError
from talkcodec.model.config import DEFAULT_MODEL, PRESETS, ModelConfig
from talkcodec.training.restoration.config import RestorationTraining, restoration_training
from talkcodec.training.toml import checked, read_toml

__all__ = ["LossWeights", "Stage", "TrainingConfig", "load_config"]


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weight of each term of `talkcodec.training.losses`; 0 leaves it out, and its cost too.

    Without reconstruction, the detector is trained alone. motion_focus and face_focus are not terms
    but how much more the moved, and eyes and mouth, count in the others.
    """

    reconstruction: float = 10.0
    structure: float = 1.0
    gradient: float = 5.0
    warp: float = 5.0
    equivariance_keypoints: float = 2.0
    equivariance_jacobians: float = 1.0
    keypoint_spread: float = 0.2
    nearest_neighbour: float = 0.0
    adversarial: float = 0.0
    feature_matching: float = 0.0
    perceptual: float = 0.0
    motion_focus: float = 5.0
    guide: float = 0.0
    face_focus: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Some steps at one picture size.

    size: side in pixels. batch: pairs a step and process. rate: Adam's step size, reached after
    `warmup` steps and brought to zero over the last `decay` share of the stage.
    freeze_detector: leave the keypoint detector as it is, and its losses out; the wire's probability
    tables, trained on its keypoints, then stay right while the generator goes on learning.
    """

    size: int = 256
    steps: int = 10_000
    batch: int = 8
    rate: float = 5e-4
    warmup: int = 200
    decay: float = 0.3
    freeze_detector: bool = False
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.size % 64 or self.size <= 0 or self.steps <= 0 or self.batch <= 0 or self.rate <= 0:
            raise ConfigError(f"stage: size must be a multiple of 64, steps, batch and rate above 0; got {self}")
        if not 0 <= self.decay <= 1:
            raise ConfigError(f"stage: decay is a share, 0 to 1; got {self.decay}")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """model: the networks' configuration. Everything else is how they are trained.

    guide: for each keypoint the landmarks (of 68) whose mean it is drawn to, none for a free one.
    """

    model: ModelConfig
    stages: tuple[Stage, ...] = (Stage(),)
    seed: int = 0
    precision: str = "bf16"
    ema: float = 0.999
    keyframes: int = 12
    keypoint_noise: float = 0.004
    jacobian_noise: float = 0.02
    near_share: float = 0.5
    zoom_share: float = 0.2
    validate_every: int = 1000
    checkpoint_every: int = 250
    guide: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision: got {self.precision!r}, expected 'fp32' or 'bf16'")
        if not self.stages:
            raise ConfigError("a training configuration needs at least one [[stages]]")
        if len(self.guide) > self.model.keypoints or any(not 0 <= n < 68 for group in self.guide for n in group):
            raise ConfigError("guide: at most one list for each keypoint, of landmarks 0 to 67")

    @property
    def needs_landmarks(self) -> bool:
        """Whether a loss of some stage looks at landmarks."""
        return any(stage.weights.guide or stage.weights.face_focus for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, stored with the weights."""
        return {**asdict(self), "model": self.model.to_dict()}


def load_config(path: Path) -> TrainingConfig | RestorationTraining:
    """Read a TOML file; the model's architecture decides what it configures.

    ConfigError names the file and the unknown or missing key.
    """
    values = read_toml(path)
    try:
        model = values.get("model")
        if isinstance(model, dict) and model.get("architecture") == "restoration":
            return restoration_training(values)
        return _motion_training(values)
    except KeyError as error:
        raise ConfigError(f"{path}: no preset {error}; there are {', '.join(PRESETS)}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _motion_training(values: dict[str, Any]) -> TrainingConfig:
    model = values.pop("model", DEFAULT_MODEL)
    if isinstance(model, dict):
        base = PRESETS[model.pop("preset", DEFAULT_MODEL)].to_dict()
        networks = {**base.get(base["architecture"], {}), **model.pop(base["architecture"], {})}
        config = ModelConfig.from_dict({**base, **model, base["architecture"]: networks})
    else:
        config = PRESETS[model]
    stages = []
    for stage in values.pop("stages", [{}]):
        weights = checked(LossWeights, stage.pop("weights", {}))
        stages.append(checked(Stage, {**stage, "weights": weights}))
    values["guide"] = tuple(tuple(group) for group in values.get("guide", ()))
    return checked(TrainingConfig, {"model": config, "stages": tuple(stages), **values})
