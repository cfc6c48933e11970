"""Image animation: motion of one face carried over to another (Siarohin et al., NeurIPS 2019, section 3.3, eq. 14)."""

import cv2
import numpy as np

from talkcodec.types import FloatArray, Motion

__all__ = ["relative_motion"]

_SMALLEST_DETERMINANT = 1e-3


def relative_motion(source: Motion, driving: Motion, driving_start: Motion, adapt_scale: bool = True) -> Motion:
    """The source face moved as the driving face moved since its start.

    Keypoints: source + (driving - start), Jacobians: J_driving J_start^-1 J_source. The start should show about the
    pose of the source. adapt_scale: movements shrink or grow with the ratio of the two faces' sizes, taken as the
    square root of the areas that their keypoints span (as the authors' demo does).
    """
    scale = _span(source.keypoints) / max(_span(driving_start.keypoints), 1e-6) if adapt_scale else 1.0
    moved = source.keypoints + (driving.keypoints - driving_start.keypoints) * np.float32(scale)
    if source.jacobians is None or driving.jacobians is None or driving_start.jacobians is None:
        return Motion(np.asarray(moved, dtype=np.float32))
    change = driving.jacobians @ _inverse(driving_start.jacobians)
    jacobians = np.asarray(change @ source.jacobians, dtype=np.float32)
    return Motion(np.asarray(moved, dtype=np.float32), jacobians)


def _span(keypoints: FloatArray) -> float:
    """Square root of the area of the convex hull of (K, 2) points."""
    return float(np.sqrt(cv2.contourArea(cv2.convexHull(keypoints.astype(np.float32)))))


def _inverse(jacobians: FloatArray) -> FloatArray:
    """Inverse of (K, 2, 2); a nearly singular one counts as the identity instead of giving what is not finite."""
    singular = np.abs(np.linalg.det(jacobians)) < _SMALLEST_DETERMINANT
    safe = np.where(singular[:, None, None], np.eye(2, dtype=np.float32), jacobians)
    return np.asarray(np.linalg.inv(safe), dtype=np.float32)
