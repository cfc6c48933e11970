"""Motion states: what both ends hold, and how motion becomes one and back (docs/bitstream.md, section 4).

A state is a vector of integers in a decorrelated domain. Float arithmetic happens before the rounding at the encoder
and after the last integer at the decoder, never between: two machines that parse the same bytes hold the same state.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from talkcodec.errors import ConfigError, UsageError
from talkcodec.types import Motion

if TYPE_CHECKING:
    from talkcodec.bitstream.tables import MotionTable

__all__ = ["MAX_KEYPOINTS", "STATE_LIMIT", "STEP_UNIT", "MotionState", "MotionSteps", "dequantise", "quantise"]

STEP_UNIT = 1 / 4096
"""One unit of a step: in normalised coordinates for keypoints, in Jacobian entries for Jacobians."""

MAX_STEP = 4096
MAX_KEYPOINTS = 64
STATE_LIMIT = 2**20 - 1
"""Every coefficient of a state lies in [-STATE_LIMIT, STATE_LIMIT]."""

KEYPOINT_LIMIT = 2.0
JACOBIAN_LIMIT = 16.0

KEEP = 0.67
"""Steps by which a coefficient must leave its predictor; 0.5 would be plain rounding. Only the encoder knows it."""


@dataclass(frozen=True, slots=True)
class MotionSteps:
    """Quantiser steps in units of 1/4096; each in [1, 4096].

    `keypoint_step=64` is 1/64 of the normalised coordinate, 2 pixels of 256.
    """

    keypoint_step: int = 32
    jacobian_step: int = 128

    def __post_init__(self) -> None:
        for name, value in (("keypoint_step", self.keypoint_step), ("jacobian_step", self.jacobian_step)):
            if not 1 <= value <= MAX_STEP:
                raise ConfigError(f"{name} is {value}, expected 1 to {MAX_STEP} (units of 1/4096)")


class MotionState(NamedTuple):
    """The integers that both ends hold for one frame: (n,) coefficients, n = 2 K or, with Jacobians, 6 K."""

    values: tuple[int, ...]


def coefficient_count(keypoints: int, jacobians: bool) -> int:
    """Length of a state for K keypoints."""
    return keypoints * (6 if jacobians else 2)


def quantise(
    motion: Motion, table: "MotionTable", steps: MotionSteps, predictor: MotionState | None = None
) -> MotionState:
    """The state to send for a motion.

    With a predictor, coefficients keep its value until they leave it by KEEP steps, and further ones round towards it
    likewise: 6 to 10 % fewer bytes at equal error, and less trembling. Without, the nearest state.
    Keypoints are clamped to [-2, 2] and Jacobian entries to [-16, 16] first: nothing wraps. A table without Jacobians
    ignores those of the motion. Raises UsageError for another K, missing Jacobians, or values that are not finite.
    """
    values = coordinates(motion, table, steps)
    if predictor is None:
        return MotionState(tuple(np.rint(values).astype(np.int64).tolist()))
    if len(predictor.values) != table.coefficients:
        raise UsageError(f"predictor has {len(predictor.values)} coefficients, the table expects {table.coefficients}")
    base = np.array(predictor.values, np.int64)
    return MotionState(tuple((base + round_towards_zero(values - base)).tolist()))


def round_towards_zero(residuals: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Integers near the residuals: the dead zone of quantise."""
    rounded: npt.NDArray[np.int64] = (np.sign(residuals) * np.floor(np.abs(residuals) + 1 - KEEP)).astype(np.int64)
    return rounded


def coordinates(motion: Motion, table: "MotionTable", steps: MotionSteps) -> npt.NDArray[np.float64]:
    """The motion in the domain of the state, not rounded yet, within its legal range, (n,)."""
    if motion.keypoints.shape != (table.keypoints, 2):
        raise UsageError(f"keypoints have shape {motion.keypoints.shape}, the table expects {(table.keypoints, 2)}")
    parts = [motion.keypoints.astype(np.float64).ravel()]
    limits = [np.full(2 * table.keypoints, KEYPOINT_LIMIT)]
    if table.jacobians:
        if motion.jacobians is None or motion.jacobians.shape != (table.keypoints, 2, 2):
            raise UsageError(f"the table codes Jacobians ({table.keypoints}, 2, 2), the motion has none of that shape")
        parts.append(motion.jacobians.astype(np.float64).ravel())
        limits.append(np.full(4 * table.keypoints, JACOBIAN_LIMIT))
    values, limit = np.concatenate(parts), np.concatenate(limits)  # (n,): x0 y0 x1 y1 ... then Jacobians row by row
    if not np.isfinite(values).all():
        raise UsageError("motion holds values that are not finite; the detector failed, send no unit for this frame")
    values = np.clip(values, -limit, limit)
    scaled = (values - table.mean) / step_vector(table, steps)
    if table.transform is not None:
        scaled = table.transform @ scaled
    limited: npt.NDArray[np.float64] = np.clip(scaled, -STATE_LIMIT, STATE_LIMIT)
    return limited


def dequantise(state: MotionState, table: "MotionTable", steps: MotionSteps) -> Motion:
    """The motion that a state stands for, float32; raises UsageError for a state of another length."""
    if len(state.values) != table.coefficients:
        raise UsageError(f"state has {len(state.values)} coefficients, the table expects {table.coefficients}")
    scaled = np.array(state.values, np.float64)
    if table.transform is not None:
        scaled = table.transform.T @ scaled
    values = (scaled * step_vector(table, steps) + table.mean).astype(np.float32)
    split = 2 * table.keypoints
    jacobians = values[split:].reshape(table.keypoints, 2, 2) if table.jacobians else None
    return Motion(values[:split].reshape(table.keypoints, 2), jacobians)


def step_vector(table: "MotionTable", steps: MotionSteps) -> npt.NDArray[np.float64]:
    """The step of each value before the transform, (n,)."""
    vector = np.full(table.coefficients, steps.jacobian_step * STEP_UNIT)
    vector[: 2 * table.keypoints] = steps.keypoint_step * STEP_UNIT
    return vector
