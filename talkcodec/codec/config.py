"""What may be set on an encoder and a decoder; defaults stand here and nowhere else."""

from dataclasses import dataclass, field
from enum import Enum

from talkcodec.bitstream import MotionSteps
from talkcodec.codec.base import BaseConfig
from talkcodec.errors import ConfigError
from talkcodec.picture import DEFAULT_QUALITY, STILL_IDS

__all__ = ["DecoderConfig", "EncoderConfig", "Rung"]


class Rung(Enum):
    """What is sent beside keyframes.

    motion: keypoints and Jacobians. hybrid: small base pictures, restored with the keyframe. video: base pictures that
    need no keyframe, of the picture's own size; smaller ones in a recording that is too short to pay for one.
    """

    MOTION = "motion"
    HYBRID = "hybrid"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Policies of the encoder.

    rung: what is sent beside keyframes; base: how the base pictures of the hybrid and the video rung are coded.
    steps: quantiser steps of the motion. table_id: probability table, None for the newest that fits the model.
    still, still_quality: coding of keyframe pictures, quality 0 to 100.
    keyframe_interval_s: a keyframe at the latest after this time; None for never.
    refresh_l1: a keyframe (or an older reference that fits better) when the mean absolute error of what the receiver
    sees, pictures in [0, 1], passes this; None switches the check off. It generates a picture every check_interval_s.
    min_keyframe_interval_s: no keyframe for reasons of quality sooner than this after the last, unless it is urgent:
    another scene or face, an error far above refresh_l1, a crop that moved. Of those urgent_keyframes may come at
    once, and then one every urgent_interval_s.
    references: how many reference pictures both ends keep, 1 to 8.
    smoothing: 0 (none) to below 1, how much of the motion of still keypoints is held back against jitter.
    acknowledged: animate only references that were acknowledged through `Encoder.held` (a call); else each counts as
    held once it is encoded (a file).
    """

    rung: Rung = Rung.MOTION
    base: BaseConfig = field(default_factory=BaseConfig)
    steps: MotionSteps = field(default_factory=MotionSteps)
    table_id: int | None = None
    still: str = "av1"
    still_quality: int = DEFAULT_QUALITY
    keyframe_interval_s: float | None = None
    refresh_l1: float | None = 0.06
    check_interval_s: float = 1.0
    min_keyframe_interval_s: float = 3.0
    urgent_keyframes: int = 3
    urgent_interval_s: float = 1.5
    references: int = 4
    smoothing: float = 0.0
    acknowledged: bool = False

    def __post_init__(self) -> None:
        if self.still not in STILL_IDS:
            raise ConfigError(f"still is {self.still!r}, expected one of {', '.join(STILL_IDS)}")
        _in_range("still_quality", self.still_quality, 0, 100)
        _in_range("references", self.references, 1, 8)
        _in_range("smoothing", self.smoothing, 0.0, 0.99)
        _in_range("check_interval_s", self.check_interval_s, 0.04, 3600.0)
        _in_range("min_keyframe_interval_s", self.min_keyframe_interval_s, 0.0, 3600.0)
        _in_range("urgent_keyframes", self.urgent_keyframes, 1, 100)
        _in_range("urgent_interval_s", self.urgent_interval_s, 0.0, 3600.0)
        if self.keyframe_interval_s is not None:
            _in_range("keyframe_interval_s", self.keyframe_interval_s, 0.04, 36_000.0)
        if self.refresh_l1 is not None:
            _in_range("refresh_l1", self.refresh_l1, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """What the decoder must know of the stream (talkcodec.codec.accept_hello makes it from a Hello), and its limits.

    steps, table_id: as the encoder's; the defaults are its defaults.
    references: reference pictures kept; the one unused for longest is dropped first.
    """

    steps: MotionSteps = field(default_factory=MotionSteps)
    table_id: int | None = None
    references: int = 8

    def __post_init__(self) -> None:
        _in_range("references", self.references, 1, 64)


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, expected {low} to {high}")
