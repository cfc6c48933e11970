"""Temporal flicker: what changes from picture to picture although the true motion does not explain it."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from eval.clips import as_unit

__all__ = ["flicker"]

Pictures = Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Plane = npt.NDArray[np.float32]

_REDUCED = 2
"""Pictures are compared at half their size: flicker that is seen is coarser than a pixel."""

_EVERY = 3
"""Frames between the middles of two measured threes: odd or even, coded or between, all have their turn."""


_LEAST_SIDE = 12
"""Of reduced pictures; DIS takes none smaller."""


def flicker(reference: Pictures, generated: Pictures) -> tuple[float, float]:
    """Of both clips: mean absolute second difference in time of luma, in levels of 255, along the true motion.

    Each three successive pictures are laid on the middle one by the optical flow (DIS) of the reference, for both clips
    the same. A still clip has 0, and so has one that changes evenly; compare with the reference's own. Errors of the
    flow count in both clips, noise of the camera in the true one. NaN for fewer than three pictures, and for pictures
    too small for the flow.
    """
    both: list[tuple[float, float]] = []
    if max(reference[0].shape[:2]) // _REDUCED < _LEAST_SIDE:
        return float("nan"), float("nan")
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    for middle in range(1, len(reference) - 1, _EVERY):
        three = range(middle - 1, middle + 2)
        truth = [_plane(reference[index]) for index in three]
        grey = [plane.astype(np.uint8) for plane in truth]
        flows = [finder.calc(grey[1], grey[index], None) for index in (0, 2)]  # type: ignore[call-overload]
        both.append((_second(truth, flows), _second([_plane(generated[index]) for index in three], flows)))
    if not both:
        return float("nan"), float("nan")
    means = np.mean(both, axis=0)
    return float(means[0]), float(means[1])


def _second(planes: list[Plane], flows: list[Plane]) -> float:
    height, width = planes[1].shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    before, after = (
        cv2.remap(plane, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for plane, flow in zip((planes[0], planes[2]), flows, strict=True)
    )
    return float(np.abs(before + after - 2 * planes[1]).mean())


def _plane(picture: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> Plane:
    """Luma (BT.601) in levels of 255, reduced."""
    unit = as_unit(picture).astype(np.float32)
    luma = cv2.cvtColor(np.ascontiguousarray(unit), cv2.COLOR_RGB2GRAY) * np.float32(255)
    size = (luma.shape[1] // _REDUCED, luma.shape[0] // _REDUCED)
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
