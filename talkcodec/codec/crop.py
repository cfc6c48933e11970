"""A square around the speaker's face that stays where it is until the face leaves its middle, and the way back."""

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from talkcodec.codec.change import Thumbnail, change, thumbnail
from talkcodec.codec.face import FaceBox, FaceDetector, face_colours
from talkcodec.codec.follow import Face, FollowerConfig, SpeakerFollower
from talkcodec.errors import ConfigError
from talkcodec.types import Crop, Picture

__all__ = ["CroppedPicture", "CropperConfig", "FaceCropper", "fit", "paste_back"]


CUT_SHARE = 0.6
"""So many cells of the captured frame changed at once: another scene. A second face leaves more as it was."""

STIRRED_SHARE = 0.1
"""So many cells changed since the last search: worth an earlier one."""

RETURN_S = 1.0
"""For so long after a cut the first face that is found counts as the new scene's."""


@dataclass(frozen=True, slots=True)
class CropperConfig:
    """How the crop follows the face.

    face_fraction: width of the face as a share of the crop. raise_fraction: how far the crop's middle lies above the
    face's, as a share of the crop; both as in the clips that the models were trained on.
    search_s: media time between two searches; stirred_s: when much of the picture changed; missing_s: while no face
    is in sight, so that its return is seen soon. A cut is searched at once.
    median_s, median_of: boxes of so much media time, and at least so many, are averaged against jitter.
    drift_fraction: the crop moves when the face's middle is further than this share of it from its place;
    zoom_ratio: or when the face grew or shrank by more than this ratio. Each move costs a keyframe.
    leap_fraction, leap_ratio: the same for a single box, without the average: the face is about to leave the crop.
    follower: which face.
    """

    face_fraction: float = 0.51
    raise_fraction: float = 0.02
    search_s: float = 0.4
    stirred_s: float = 0.2
    missing_s: float = 0.12
    median_s: float = 2.0
    median_of: int = 5
    drift_fraction: float = 0.15
    zoom_ratio: float = 1.35
    leap_fraction: float = 0.25
    leap_ratio: float = 1.7
    follower: FollowerConfig = field(default_factory=FollowerConfig)

    def __post_init__(self) -> None:
        if not (0.1 <= self.face_fraction <= 1 and 1 <= self.median_of <= 64):
            raise ConfigError("face_fraction must lie in 0.1 to 1, median_of in 1 to 64")
        if not all(0 <= seconds <= 60 for seconds in (self.search_s, self.stirred_s, self.missing_s, self.median_s)):
            raise ConfigError("search_s, stirred_s, missing_s, median_s: expected 0 to 60")


@dataclass(frozen=True, slots=True)
class CroppedPicture:
    """What the codec sees of a captured frame.

    picture: (S, S, 3). captured_size: (width, height). face_found: in the last search; missing_s: media time since
    the face was last in sight, 0 while it is. new_face: with this frame another face is followed than before, or the
    first one: its picture should be sent.
    """

    picture: Picture
    crop: Crop
    captured_size: tuple[int, int]
    face_found: bool
    missing_s: float
    new_face: bool = False


class FaceCropper:
    """Cuts size x size pictures out of captured frames; state is the speaker, the crop and the last boxes.

    The speaker is the largest face at first, and after a cut; later faces take over as SpeakerFollower says.
    A square frame that the face fills already passes whole. Without any face so far, the middle square is cut;
    without a face for a while, the crop stays.
    """

    def __init__(self, size: int, config: CropperConfig | None = None, detector: FaceDetector | None = None) -> None:
        self.config = config or CropperConfig()
        self._size = size
        self._detector = detector or FaceDetector()
        self._start((0, 0))

    def _start(self, captured_size: tuple[int, int]) -> None:
        self._captured_size = captured_size
        self._follower = SpeakerFollower(self.config.follower)
        self._boxes: deque[tuple[float, FaceBox]] = deque(maxlen=64)  # with their times
        self._crop: Crop | None = None
        self._found = False
        self._in_sight_s: float | None = None  # when a face was last found, or at first, looked for
        self._searched_s: float | None = None
        self._cut_s: float | None = None
        self._last: Thumbnail | None = None
        self._searched: Thumbnail | None = None

    def crop(self, frame: Picture, time_s: float) -> CroppedPicture:
        """The next captured frame (H, W, 3), RGB, 0 to 255, at least 16 px on each side, and its media time."""
        captured_size = (frame.shape[1], frame.shape[0])
        if captured_size != self._captured_size:  # another camera, or the phone was turned
            self._start(captured_size)
        speakers = self._follower.speakers
        if self._search_is_due(thumbnail(frame), time_s):
            self._search(frame, time_s)
        if self._in_sight_s is None or self._found:
            self._in_sight_s = time_s
        if self._boxes:
            self._crop = self._follow()
        crop = self._crop or _middle_square(captured_size)
        return CroppedPicture(
            fit(frame, crop, self._size),
            crop,
            captured_size,
            self._found,
            max(0.0, time_s - self._in_sight_s),
            self._follower.speakers != speakers,
        )

    def _search_is_due(self, cells: Thumbnail, time_s: float) -> bool:
        last, self._last = self._last, cells
        if last is None or self._searched is None or self._searched_s is None:
            due = True
        else:
            if change(cells, last).share >= CUT_SHARE:
                self._cut_s = time_s
            stirred = change(cells, self._searched).share >= STIRRED_SHARE
            interval_s = self.config.stirred_s if stirred else self.config.search_s
            if not self._found:
                interval_s = self.config.missing_s
            elapsed_s = time_s - self._searched_s
            due = self._cut_s == time_s or not 0 <= elapsed_s < interval_s - 1e-3
        if due:
            self._searched, self._searched_s = cells, time_s
        return due

    def _search(self, frame: Picture, time_s: float) -> None:
        boxes = self._detector.find(frame, self._follower.place)
        faces = [Face(box, face_colours(frame, box)) for box in boxes]
        cut = self._cut_s is not None and 0 <= time_s - self._cut_s <= RETURN_S
        speakers = self._follower.speakers
        box = self._follower.follow(faces, time_s, cut)
        self._found = box is not None
        if box is None:
            return
        self._cut_s = None
        if self._follower.speakers != speakers:
            self._boxes.clear()
        self._boxes.append((time_s, box))
        while len(self._boxes) > self.config.median_of and time_s - self._boxes[0][0] > self.config.median_s:
            self._boxes.popleft()

    def _follow(self) -> Crop:
        """The crop that is held, or a new one when the face has left its place in it."""
        newest = self._boxes[-1][1]
        held = self._crop
        if held is None:
            return self._around(newest)
        x, y, width = np.median(np.array([box for _, box in self._boxes]), axis=0)
        if self._rests(held, FaceBox(x, y, width), self.config.drift_fraction, self.config.zoom_ratio) and self._rests(
            held, newest, self.config.leap_fraction, self.config.leap_ratio
        ):
            return held
        # The median lags behind a face that moved for good: restart it from the newest box.
        while len(self._boxes) > 1:
            self._boxes.popleft()
        return self._around(newest)

    def _rests(self, held: Crop, box: FaceBox, drift_fraction: float, zoom_ratio: float) -> bool:
        wanted = self._around(box)
        drift = max(abs(_middle(wanted, axis) - _middle(held, axis)) for axis in (0, 1)) / held.size
        zoom = max(wanted.size / held.size, held.size / wanted.size)
        return drift <= drift_fraction and zoom <= zoom_ratio

    def _around(self, box: FaceBox) -> Crop:
        """The crop that suits a face."""
        width, height = self._captured_size
        largest = min(width, height)
        size = min(largest, round(box.width / self.config.face_fraction))
        if width == height and size >= 0.75 * largest:
            return Crop(0, 0, largest)
        left = round(box.x - size / 2)
        top = round(box.y - self.config.raise_fraction * size - size / 2)
        return Crop(int(np.clip(left, 0, width - size)), int(np.clip(top, 0, height - size)), size)


def fit(frame: Picture, crop: Crop, size: int) -> Picture:
    """The crop of a frame (H, W, 3), RGB, 0 to 255, scaled to size x size; beyond its edge its last pixels repeat."""
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
    """A copy of the captured frame (H, W, 3) with the decoded picture in its crop; both RGB, 0 to 255."""
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
