"""Drawing a film strip: a few instants of a clip, several ways one below the other, with eyes and mouth enlarged, and
one column of all of them over time."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from eval.clips import as_unit
from talkcodec.types import FloatArray, Picture

__all__ = ["SIDE", "Frames", "close_ups", "film_strip", "instants", "shown", "time_slices"]

Frames = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Centre x, y, width and height in pixels; width and height are odd."""

INSTANTS, SIDE, SLICE = 5, 192, 128
_EYES, _MOUTH = slice(36, 48), slice(48, 68)
_PARTS = ((_EYES, 1.35, 0.42), (_MOUTH, 1.6, 0.55))
"""Landmarks, how much wider than these the box is, and its height over its width."""


def instants(length: int) -> list[int]:
    """Numbers of the frames that are shown: evenly spread, the last one included."""
    return [int(number) for number in np.unique(np.linspace(0, length - 1, INSTANTS).round())]


def shown(frame: Frames) -> Picture:
    """A frame as it is shown, uint8."""
    return np.rint(as_unit(frame) * 255).astype(np.uint8)


def close_ups(landmarks: Sequence[FloatArray | None]) -> list[list[Box]]:
    """Boxes of the eyes and of the mouth at each instant, by the truth's landmarks (68, 2) there.

    They follow the face and keep their size, so that all pictures of a clip are enlarged alike. An instant without a
    face takes the boxes of the one before, or of the first that has one; without any there are none.
    """
    seen = [points for points in landmarks if points is not None]
    if not seen:
        return []
    sizes = []
    for part, wider, aspect in _PARTS:
        width = wider * max(float(np.ptp(points[part, 0])) for points in seen)
        sizes.append((_odd(width), _odd(width * aspect)))
    boxes, points = [], seen[0]
    for found in landmarks:
        points = points if found is None else found
        centres = [(points[part].min(0) + points[part].max(0)) / 2 for part, _, _ in _PARTS]
        boxes.append([(round(x), round(y), *size) for (x, y), size in zip(centres, sizes, strict=True)])
    return boxes


def film_strip(lines: Sequence[tuple[str, Frames]], boxes: Sequence[Sequence[Box]] = ()) -> Picture:
    """(label, frames) one below the other at `instants`, each with its `boxes` of that instant beneath. RGB."""
    numbers = instants(len(lines[0][1]))
    drawn = []
    for label, frames in lines:
        columns = []
        for index, number in enumerate(numbers):
            picture = shown(frames[number])
            parts = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)]
            parts += [_enlarged(picture, box) for box in (boxes[index] if boxes else ())]
            columns.append(np.vstack([np.pad(part, ((0, 2), (0, 2), (0, 0)), constant_values=255) for part in parts]))
        line = np.hstack(columns)
        drawn += [_caption(label, line.shape[1]), line]
    return np.vstack(drawn)


def time_slices(lines: Sequence[tuple[str, Frames]], column: int, width: int) -> Picture:
    """(label, frames) one below the other: one column of each frame beside that of the next, from the first to the
    last. RGB, `width` px wide. Pictures that jump, tremble or are held show as steps, teeth and bars."""
    drawn = []
    for label, frames in lines:
        columns = np.stack([shown(frame[:, column]) for frame in frames], axis=1)
        size = (width, SLICE)
        drawn += [_caption(label, width), cv2.resize(columns, size, interpolation=cv2.INTER_NEAREST)]
    return np.vstack(drawn)


def _caption(label: str, width: int) -> Picture:
    caption = np.full((24, width, 3), 255, np.uint8)
    cv2.putText(caption, label, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
    return caption


def _enlarged(picture: Picture, box: Box) -> Picture:
    """The box at the strip's width, nothing but its own pixels used; beyond the picture's edge that is repeated."""
    x, y, width, height = box
    part = cv2.getRectSubPix(picture, (width, height), (float(x), float(y)))
    size = (SIDE, round(SIDE * height / width))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _odd(width: float) -> int:
    """So that a box has a middle pixel and is cut without interpolation."""
    return 2 * max(1, round(width / 2)) + 1
