"""The words that every layer shares: plain values, numpy and the standard library only."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Crop", "FloatArray", "Motion", "Picture"]

Picture = npt.NDArray[np.uint8]
"""A decoded image, (H, W, 3) uint8 RGB."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Motion:
    """Sparse motion of one frame (Siarohin et al., NeurIPS 2019, section 3.1).

    keypoints: (K, 2) float32, normalised to [-1, 1], x right, y down.
    jacobians: (K, 2, 2) float32 local affine at each keypoint; None for a zeroth-order model.
    """

    keypoints: FloatArray
    jacobians: FloatArray | None = None


class Crop(NamedTuple):
    """A square of the captured frame that the codec sees, in captured pixels; size > 0."""

    x: int
    y: int
    size: int
