"""Find the largest face in a picture, with the cascades that OpenCV bundles (Viola and Jones, CVPR 2001)."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from talkcodec.errors import EngineError
from talkcodec.types import Picture

__all__ = ["FaceBox", "FaceDetector"]

_CASCADES = ("frontalface_alt2", "frontalface_default", "profileface")  # tried in this order
_WORKING_SIZE_PX = 180  # of the shorter side: a face of a tenth of it is still found


class FaceBox(NamedTuple):
    """A face in captured pixels: its middle, and the width that the cascade gives it (ear to ear, brow to chin)."""

    x: float
    y: float
    width: float


class FaceDetector:
    """Frontal faces, else profiles; about 15 ms a picture on one core. Not for several threads at once."""

    def __init__(self) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._cascades = [cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml")) for name in _CASCADES]
        if any(cascade.empty() for cascade in self._cascades):
            raise EngineError(f"OpenCV's face cascades are not in {folder}: install opencv-python 4.14, as pinned")

    def find(self, picture: Picture) -> FaceBox | None:
        """The largest face in a picture (H, W, 3), or None."""
        scale = min(1.0, _WORKING_SIZE_PX / min(picture.shape[:2]))
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        smallest = max(20, min(grey.shape) // 9)
        for number, cascade in enumerate(self._cascades):
            # The bundled profile cascade knows faces that look to the left only: try the mirrored picture too.
            for mirrored in (False, True) if number == 2 else (False,):
                view = cv2.flip(grey, 1) if mirrored else grey
                found = np.asarray(cascade.detectMultiScale(view, 1.1, 4, minSize=(smallest, smallest)))
                if found.size:
                    x, y, width, height = max(found.tolist(), key=lambda box: box[2])
                    if mirrored:
                        x = grey.shape[1] - x - width
                    return FaceBox((x + width / 2) / scale, (y + height / 2) / scale, width / scale)
        return None
