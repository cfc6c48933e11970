"""Restoration: a small decoded picture and a reference picture to a whole one (the hybrid rung).

The flow from the small picture into the reference is found here, at the receiver; nothing of it is sent. Both ends need
not agree on a restored picture to the bit: nothing is predicted from it.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.types import Base, FloatArray, Picture

__all__ = [
    "Blend",
    "Restorable",
    "Restorer",
    "as_picture",
    "dense_flow",
    "displaced",
    "find_flow",
    "own_base",
    "reduced_grey",
    "sized",
]

_TOLERANCE = 20.0
"""Difference of base and reference, of 255, at which the reference's share has fallen to 1 / e."""


@dataclass(frozen=True, slots=True, eq=False)
class Restorable:
    """What a restorer computed from a reference picture (S, S, 3) alone. grey: it reduced to S/2, for the flow."""

    picture: Picture
    grey: npt.NDArray[np.uint8]
    arrays: tuple[Any, ...] = ()


class Restorer(Protocol):
    """From one thread at a time."""

    description: str

    def prepare(self, reference: Picture) -> Restorable:
        """Once for each reference picture (S, S, 3), RGB, 0 to 255."""
        ...

    def restore(self, reference: Restorable, base: Base) -> Picture:
        """The whole picture (S, S, 3) uint8 of an instant."""
        ...


class Blend:
    """Without a network: the warped reference where it agrees with the base picture, elsewhere the base picture."""

    description = "untrained blend"

    def prepare(self, reference: Picture) -> Restorable:
        """As Restorer.prepare."""
        return Restorable(reference, reduced_grey(reference))

    def restore(self, reference: Restorable, base: Base) -> Picture:
        """As Restorer.restore."""
        size = reference.picture.shape[0]
        half = size // 2
        enlarged = cv2.resize(base.picture, (size, size), interpolation=cv2.INTER_CUBIC)
        flow = cv2.resize(base.flow.transpose(1, 2, 0), (size, size), interpolation=cv2.INTER_LINEAR) * half
        warped = displaced(reference.picture, flow).astype(np.float32)
        small = cv2.resize(warped, (half, half), interpolation=cv2.INTER_AREA)
        apart = np.square(small - sized(base.picture, half)).mean(axis=2)
        agreement = np.exp(-cv2.blur(apart, (5, 5)) / _TOLERANCE**2)
        mask = cv2.resize(agreement, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
        mixed = mask * warped + (1 - mask) * enlarged
        return as_picture(mixed)


def find_flow(base: Picture, reduced: npt.NDArray[np.uint8]) -> FloatArray:
    """Where in a reference each place of a base picture (h, h, 3), RGB, 0 to 255, is found, as Base.flow (DIS).

    reduced: of the reference, as `reduced_grey` makes it. 3 ms on one thread (Kroeger et al., ECCV 2016). The network
    is trained with flows from here too.
    """
    half = reduced.shape[0]
    grey = cv2.cvtColor(np.ascontiguousarray(sized(base, half)), cv2.COLOR_RGB2GRAY)
    found = dense_flow(np.asarray(grey, dtype=np.uint8), reduced)
    return np.ascontiguousarray(found.transpose(2, 0, 1), dtype=np.float32) / np.float32(half / 2)


def dense_flow(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> FloatArray:
    """How far from each place of one grey picture (h, w) its like lies in another, (h, w, 2) in pixels (DIS)."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found: FloatArray = finder.calc(first, second, None)  # type: ignore[call-overload]
    return found


def displaced(values: Any, moved: FloatArray) -> Any:
    """values (h, h, n) at each place of them, moved by (h, h, 2) pixels; beyond the edge, what stands there."""
    places = np.arange(values.shape[0], dtype=np.float32)
    x, y = np.meshgrid(places, places)
    x, y = x + moved[..., 0], y + moved[..., 1]
    return cv2.remap(np.ascontiguousarray(values), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def reduced_grey(reference: Picture) -> npt.NDArray[np.uint8]:
    """The reference (S, S, 3), RGB, 0 to 255, reduced to half its size, grey."""
    half = reference.shape[0] // 2
    small = cv2.resize(reference, (half, half), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def own_base(picture: Picture) -> FloatArray:
    """A picture (S, S, 3), RGB, reduced to S/2: the base, where a picture of the whole size is restored with itself."""
    half = picture.shape[0] // 2
    return np.asarray(cv2.resize(picture, (half, half), interpolation=cv2.INTER_AREA), dtype=np.float32)


def as_picture(values: FloatArray) -> Picture:
    """(H, W, 3) in [0, 255], rounded."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def sized(picture: Any, size: int) -> Any:
    """A square picture at this size, as a network takes it: by cubic interpolation, itself where it has that size."""
    if picture.shape[0] == size:
        return picture
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
