"""A square around the face that stays where it is until the face leaves its middle, and the way back."""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.codec.face import FaceBox, FaceDetector
from talkcodec.errors import ConfigError
from talkcodec.types import Crop, Picture

__all__ = ["CroppedPicture", "CropperConfig", "FaceCropper", "fit", "paste_back"]


@dataclass(frozen=True, slots=True)
class CropperConfig:
    """How the crop follows the face.

    face_fraction: width of the face as a share of the crop. raise_fraction: how far the crop's middle lies above the
    face's, as a share of the crop; both as in the clips that the models were trained on.
    detect_every: frames between two searches. median_of: boxes that are averaged against jitter.
    drift_fraction: the crop moves when the face's middle is further than this share of it from its place;
    zoom_ratio: or when the face grew or shrank by more than this ratio. Each move costs a keyframe.
    """

    face_fraction: float = 0.51
    raise_fraction: float = 0.02
    detect_every: int = 10
    median_of: int = 5
    drift_fraction: float = 0.15
    zoom_ratio: float = 1.35

    def __post_init__(self) -> None:
        if not (0.1 <= self.face_fraction <= 1 and self.detect_every >= 1 and self.median_of >= 1):
            raise ConfigError("face_fraction must lie in 0.1 to 1, detect_every and median_of be at least 1")


@dataclass(frozen=True, slots=True)
class CroppedPicture:
    """What the codec sees of a captured frame.

    picture: (S, S, 3). captured_size: (width, height). face_found: in the last search; missing_frames: captured
    frames since a face was last found, 0 while it is.
    """

    picture: Picture
    crop: Crop
    captured_size: tuple[int, int]
    face_found: bool
    missing_frames: int


class FaceCropper:
    """Cuts size x size pictures out of captured frames; state is the crop and the last boxes.

    A square frame that the face fills already passes whole. Without any face so far, the middle square is cut;
    without a face for a while, the crop stays.
    """

    def __init__(self, size: int, config: CropperConfig | None = None, detector: FaceDetector | None = None) -> None:
        self.config = config or CropperConfig()
        self._size = size
        self._detector = detector or FaceDetector()
        self._boxes: deque[FaceBox] = deque(maxlen=self.config.median_of)
        self._crop: Crop | None = None
        self._captured_size: tuple[int, int] | None = None
        self._count = 0
        self._missing = 0

    def crop(self, frame: Picture) -> CroppedPicture:
        """The next captured frame (H, W, 3), at least 16 px on each side."""
        captured_size = (frame.shape[1], frame.shape[0])
        if captured_size != self._captured_size:  # another camera, or the phone was turned
            self._captured_size, self._crop, self._count = captured_size, None, 0
            self._boxes.clear()
        self._missing += 1 if self._missing else 0
        # While no face is in sight, search more often, so that its return is seen soon.
        if (
            self._count % (self.config.detect_every if not self._missing else max(1, self.config.detect_every // 3))
            == 0
        ):
            box = self._detector.find(frame)
            if box is None:
                self._missing = max(1, self._missing)
            else:
                self._missing = 0
                self._boxes.append(box)
        self._count += 1
        if self._boxes:
            self._crop = self._follow(captured_size)
        crop = self._crop or _middle_square(captured_size)
        return CroppedPicture(fit(frame, crop, self._size), crop, captured_size, self._missing == 0, self._missing)

    def _follow(self, captured_size: tuple[int, int]) -> Crop:
        """The crop that is held, or a new one when the face has left its place in it."""
        wanted = self._wanted(captured_size)
        held = self._crop
        if held is None:
            return wanted
        drift = max(abs(_middle(wanted, axis) - _middle(held, axis)) for axis in (0, 1)) / held.size
        zoom = max(wanted.size / held.size, held.size / wanted.size)
        if drift <= self.config.drift_fraction and zoom <= self.config.zoom_ratio:
            return held
        # The median lags behind a face that moved for good: restart it from the newest box.
        newest = self._boxes[-1]
        self._boxes.clear()
        self._boxes.append(newest)
        return self._wanted(captured_size)

    def _wanted(self, captured_size: tuple[int, int]) -> Crop:
        x, y, width = np.median(np.array(self._boxes), axis=0)
        largest = min(captured_size)
        size = min(largest, round(width / self.config.face_fraction))
        if captured_size[0] == captured_size[1] and size >= 0.75 * largest:
            return Crop(0, 0, largest)
        left = round(x - size / 2)
        top = round(y - self.config.raise_fraction * size - size / 2)
        return Crop(int(np.clip(left, 0, captured_size[0] - size)), int(np.clip(top, 0, captured_size[1] - size)), size)


def fit(frame: Picture, crop: Crop, size: int) -> Picture:
    """The crop of a frame, scaled to size x size; what hangs over the frame's edge repeats its last pixels."""
    height, width = frame.shape[:2]
    if crop == Crop(0, 0, size) and (width, height) == (size, size):
        return frame
    rows = np.clip(np.arange(crop.y, crop.y + crop.size), 0, height - 1)
    columns = np.clip(np.arange(crop.x, crop.x + crop.size), 0, width - 1)
    square = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if square.shape[:2] != (crop.size, crop.size):
        square = frame[rows[:, None], columns[None, :]]
    method = cv2.INTER_AREA if crop.size > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(square), (size, size), interpolation=method), dtype=np.uint8)


def paste_back(picture: Picture, crop: Crop, frame: Picture) -> Picture:
    """A copy of the captured frame (H, W, 3) with the decoded picture in its crop; overhanging parts are cut off."""
    method = cv2.INTER_AREA if crop.size < picture.shape[0] else cv2.INTER_CUBIC
    square = cv2.resize(picture, (crop.size, crop.size), interpolation=method)
    height, width = frame.shape[:2]
    left, top = max(0, crop.x), max(0, crop.y)
    right, bottom = min(width, crop.x + crop.size), min(height, crop.y + crop.size)
    result = frame.copy()
    if right > left and bottom > top:
        result[top:bottom, left:right] = square[top - crop.y : bottom - crop.y, left - crop.x : right - crop.x]
    return result


def _middle(crop: Crop, axis: int) -> float:
    return crop[axis] + crop.size / 2


def _middle_square(captured_size: tuple[int, int]) -> Crop:
    side = min(captured_size)
    return Crop((captured_size[0] - side) // 2, (captured_size[1] - side) // 2, side)
