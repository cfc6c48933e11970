"""A base picture of an instant between two: both moved along what moved between them, and mixed.

A plain mean shows what moves twice. Nothing of this is sent, and nothing is predicted from it.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.runtime.restorer import as_picture, dense_flow, displaced
from talkcodec.types import Base, FloatArray, Picture

__all__ = ["between", "between_pictures"]


def between(a: Base, b: Base, share: float, same: bool = True) -> Base:
    """The base picture of the instant that is `share` of the way from a to b, 0 to 1; its flow leads to a's reference.

    same: so does b's flow. Where sizes differ, as when the rung has changed, it has the smaller one.
    """
    size = min(a.picture.shape[0], b.picture.shape[0])
    path = _path(a, b)
    half = path.shape[0]
    there, back = -share * path, (1 - share) * path  # where in a, and where in b, each place of the instant lies
    scale = np.float32(size / half)
    wide = _resized(path, size) * scale
    picture = (1 - share) * displaced(_resized(a.picture, size), -share * wide)
    picture += share * displaced(_resized(b.picture, size), (1 - share) * wide)
    unit = np.float32(2 / half)
    flow = displaced(a.flow.transpose(1, 2, 0), there) + there * unit
    if same:
        flow = (1 - share) * flow + share * (displaced(b.flow.transpose(1, 2, 0), back) + back * unit)
    flow = np.ascontiguousarray(flow.transpose(2, 0, 1), dtype=np.float32)
    quantiser = max(a.quantiser, b.quantiser)
    return Base(np.asarray(picture, np.float32), flow, a.crop, quantiser)


def between_pictures(a: Picture, b: Picture, share: float) -> Picture:
    """As `between`, of two pictures (S, S, 3), RGB, 0 to 255, that are restored with no reference."""
    still: FloatArray = np.zeros((2, a.shape[0] // 2, a.shape[0] // 2), np.float32)
    first, second = (Base(picture.astype(np.float32), still) for picture in (a, b))
    return as_picture(between(first, second, share).picture)


@lru_cache(maxsize=4)
def _path(a: Base, b: Base) -> FloatArray:
    """How what is between two base pictures moves from a to b, (h, h, 2) in pixels of the flow's size: the mean of
    both directions' flow (DIS). Kept for the instants that follow: it takes as long as finding both flows."""
    half = a.flow.shape[1]
    first, second = (_grey(base.picture, half) for base in (a, b))
    return np.asarray((dense_flow(first, second) - dense_flow(second, first)) / 2, dtype=np.float32)


def _grey(picture: FloatArray, size: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(as_picture(_resized(picture, size)), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _resized(values: FloatArray, size: int) -> Any:
    if values.shape[0] == size:
        return values
    larger = values.shape[0] < size
    return cv2.resize(values, (size, size), interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)
