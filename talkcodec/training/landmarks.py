"""Face landmarks of cached clips, by which some keypoints can be guided (Guo et al., LivePortrait, 2024).

dlib's 68 points (Kazemi and Sullivan, CVPR 2014), smoothed over time; wanted in training alone, never to call.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from talkcodec.errors import UsageError
from talkcodec.training.data import save_array

__all__ = ["EXPRESSIVE", "MIRRORED", "LandmarkTracker", "add_landmarks"]

LANDMARKS = 68
SEARCH_EVERY = 4
LONGEST_GAP = 12
"""Frames between two found faces over which a face's place is interpolated."""

EXPRESSIVE = slice(36, 68)
"""Eyes and mouth."""

_PAIRS = [(n, 16 - n) for n in range(8)]  # jaw
_PAIRS += [(17 + n, 26 - n) for n in range(5)]  # brows
_PAIRS += [(31, 35), (32, 34)]  # nostrils
_PAIRS += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]  # eyes
_PAIRS += [(48, 54), (49, 53), (50, 52), (58, 56), (59, 55), (60, 64), (61, 63), (67, 65)]  # mouth


def _mirrored() -> list[int]:
    order = list(range(LANDMARKS))
    for left, right in _PAIRS:
        order[left], order[right] = right, left
    return order


MIRRORED: Sequence[int] = tuple(_mirrored())
"""Which landmark each becomes when the picture is flipped."""


class LandmarkTracker:
    """dlib's face detector and shape predictor, over the frames of a clip."""

    def __init__(self, predictor: Path) -> None:
        try:
            import dlib  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise UsageError("landmarks need dlib: pip install 'talkcodec[guide]'") from error
        if not predictor.is_file():
            raise UsageError(
                f"no landmark model {predictor}; the package face_recognition_models holds one: "
                "`pip download --no-deps face_recognition_models`, then unpack shape_predictor_68_face_landmarks.dat"
            )
        self._dlib: Any = dlib
        self._detector = dlib.get_frontal_face_detector()
        try:
            self._predictor = dlib.shape_predictor(str(predictor))
        except RuntimeError as error:
            raise UsageError(f"{predictor} is not a shape predictor of dlib: {error}") from error

    def track(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Frames (T, S, S, 3) -> landmarks (T, 68, 2), x and y in [-1, 1]; NaN where no face is near in time."""
        boxes = self._boxes(frames)
        size = frames.shape[1]
        points = np.full((len(frames), LANDMARKS, 2), np.nan)
        for number, box in enumerate(boxes):
            if np.isfinite(box).all():
                shape = self._predictor(frames[number], self._dlib.rectangle(*(int(v) for v in box.round())))
                points[number] = [(p.x, p.y) for p in shape.parts()]
        padded = np.concatenate([points[:1], points, points[-1:]])
        smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        smooth = np.where(np.isfinite(smooth), smooth, points)
        return np.asarray((smooth + 0.5) / size * 2 - 1, dtype=np.float32)

    def _boxes(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """(T, 4): left, top, right, bottom of the face, interpolated between the frames that were searched."""
        found: list[tuple[int, list[int]]] = []
        for number in range(0, len(frames), SEARCH_EVERY):
            faces = self._detector(frames[number], 0)
            if faces:
                face = max(faces, key=lambda f: f.width())
                found.append((number, [face.left(), face.top(), face.right(), face.bottom()]))
        boxes = np.full((len(frames), 4), np.nan)
        for (first, a), (second, b) in pairwise(found):
            if second - first <= LONGEST_GAP:
                boxes[first : second + 1] = np.linspace(a, b, second - first + 1)
        for number, box in found:
            boxes[number] = box
        if found and len(frames) - 1 - found[-1][0] < SEARCH_EVERY:
            boxes[found[-1][0] :] = found[-1][1]
        return boxes


def add_landmarks(cache: Path, predictor: Path, report: Callable[[int, int, str], None] | None = None) -> None:
    """Write the landmarks of each clip of a cache beside its frames, unless they are there."""
    tracker = LandmarkTracker(predictor)
    clips = sorted(cache.glob("*.json"))
    for number, index in enumerate(clips):
        if report:
            report(number, len(clips), index.stem)
        target = index.with_suffix(".landmarks.npy")
        if not target.exists():
            save_array(target, tracker.track(np.load(index.with_suffix(".frames.npy"), mmap_mode="r")))
    if report:
        report(len(clips), len(clips), "")
