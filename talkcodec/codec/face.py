"""Find faces in a picture, with the cascades that OpenCV bundles (Viola and Jones, CVPR 2001), and their colours."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from talkcodec.errors import EngineError
from talkcodec.types import FloatArray, Picture

__all__ = ["FaceBox", "FaceDetector", "colour_distance", "face_colours"]

_CASCADES = ("frontalface_alt2", "frontalface_default", "profileface")  # tried in this order
_WORKING_SIZE_PX = 180  # of the shorter side: a face of a tenth of it is still found


class FaceBox(NamedTuple):
    """A face in captured pixels: its middle, and the width that the cascade gives it (ear to ear, brow to chin)."""

    x: float
    y: float
    width: float

    def distance(self, other: "FaceBox") -> float:
        """Between the middles, in widths of the larger face."""
        return float(np.hypot(self.x - other.x, self.y - other.y)) / max(self.width, other.width)

    def ratio(self, other: "FaceBox") -> float:
        """Of the sizes, at least 1."""
        return max(self.width / other.width, other.width / self.width)


class FaceDetector:
    """Frontal faces, else profiles; about 15 ms a picture on one core. Not for several threads at once."""

    def __init__(self) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._cascades = [cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml")) for name in _CASCADES]
        if any(cascade.empty() for cascade in self._cascades):
            raise EngineError(f"OpenCV's face cascades are not in {folder}: install opencv-python 4.14, as pinned")

    def find(self, picture: Picture, near: FaceBox | None = None) -> list[FaceBox]:
        """Faces in a picture (H, W, 3), RGB, 0 to 255, the largest first.

        The cascades are tried one after another until one finds a face; with `near`, until a face is found there.
        """
        scale = min(1.0, _WORKING_SIZE_PX / min(picture.shape[:2]))
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        smallest = max(20, min(grey.shape) // 9)
        faces: list[FaceBox] = []
        for number, cascade in enumerate(self._cascades):
            # The bundled profile cascade knows faces that look to the left only: try the mirrored picture too.
            for mirrored in (False, True) if number == 2 else (False,):
                view = cv2.flip(grey, 1) if mirrored else grey
                found = np.asarray(cascade.detectMultiScale(view, 1.1, 4, minSize=(smallest, smallest)))
                for x, y, width, height in found.reshape(-1, 4).tolist():
                    left = grey.shape[1] - x - width if mirrored else x
                    box = FaceBox((left + width / 2) / scale, (y + height / 2) / scale, width / scale)
                    if all(box.distance(known) > 0.5 for known in faces):  # else the same face, found twice
                        faces.append(box)
                if any(near is None or box.distance(near) < 1 for box in faces):
                    return sorted(faces, key=lambda box: -box.width)
        return sorted(faces, key=lambda box: -box.width)


def face_colours(picture: Picture, box: FaceBox) -> FloatArray:
    """Histogram of the chroma (Cr, Cb) inside a face, (32, 32), sum 1. picture: (H, W, 3), RGB, 0 to 255."""
    height, width = picture.shape[:2]
    reach = 0.35 * box.width
    left, top = int(np.clip(box.x - reach, 0, width - 2)), int(np.clip(box.y - reach, 0, height - 2))
    right, bottom = int(np.clip(box.x + reach, left + 2, width)), int(np.clip(box.y + reach, top + 2, height))
    inside = cv2.resize(picture[top:bottom, left:right], (48, 48), interpolation=cv2.INTER_AREA)
    chroma = cv2.cvtColor(inside, cv2.COLOR_RGB2YCrCb)
    counts = cv2.GaussianBlur(cv2.calcHist([chroma], [1, 2], None, [32, 32], [96, 224, 64, 192]), (3, 3), 0)
    return np.asarray(counts / max(1.0, float(counts.sum())), dtype=np.float32)


def colour_distance(a: FloatArray, b: FloatArray) -> float:
    """Bhattacharyya's distance of two histograms, 0 (same) to 1."""
    return float(np.sqrt(max(0.0, 1.0 - float(np.sqrt(a * b).sum()))))
