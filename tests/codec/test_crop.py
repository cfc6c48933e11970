"""The face crop: found, stable, moved when the face moves, and pasted back where it was."""

import av
import cv2
import numpy as np
import pytest

from talkcodec.codec import CropperConfig, FaceCropper, paste_back
from talkcodec.codec.crop import fit
from talkcodec.codec.face import FaceBox, FaceDetector
from talkcodec.sample import sample_path
from talkcodec.types import Crop, Picture


class ScriptedDetector(FaceDetector):
    """Finds what the test says."""

    def __init__(self, boxes: list[FaceBox | None]) -> None:
        self.boxes = boxes

    def find(self, picture: Picture, near: FaceBox | None = None) -> list[FaceBox]:
        box = self.boxes.pop(0) if len(self.boxes) > 1 else self.boxes[0]
        return [box] if box else []


@pytest.fixture(scope="module")
def face() -> Picture:
    with av.open(str(sample_path())) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def scene(face: Picture, x: int, y: int, size: int, width: int = 640, height: int = 480) -> Picture:
    """The sample's first picture inside a larger grey frame."""
    frame = np.full((height, width, 3), 110, np.uint8)
    frame[y : y + size, x : x + size] = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    return frame


def test_a_square_clip_that_the_face_fills_passes_unchanged(face: Picture) -> None:
    result = FaceCropper(256).crop(face, 0.0)
    assert result.crop == Crop(0, 0, 256)
    assert result.face_found
    np.testing.assert_array_equal(result.picture, face)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (1280, 720)])
def test_the_face_is_found_in_landscape_and_portrait(face: Picture, width: int, height: int) -> None:
    frame = scene(face, 180, 150, 256, width, height)
    result = FaceCropper(256).crop(frame, 0.0)
    assert result.face_found
    assert abs(result.crop.x + result.crop.size / 2 - (180 + 128)) < 30
    assert abs(result.crop.y + result.crop.size / 2 - (150 + 128)) < 30
    assert 190 < result.crop.size < 300
    assert result.picture.shape == (256, 256, 3)
    assert result.captured_size == (width, height)


def test_jitter_does_not_move_the_crop_and_a_step_does() -> None:
    rng = np.random.default_rng(0)
    boxes: list[FaceBox | None] = [FaceBox(*(np.array([300, 240, 100]) + rng.normal(0, 5, 3))) for _ in range(20)]
    boxes += [FaceBox(400, 240, 100)]
    cropper = FaceCropper(64, CropperConfig(search_s=0.0), ScriptedDetector(boxes))
    frame = np.zeros((480, 640, 3), np.uint8)
    crops = [cropper.crop(frame, number / 25).crop for number in range(30)]
    assert len(set(crops[:20])) == 1
    assert 2 <= len(set(crops)) <= 3
    assert abs(crops[-1].x + crops[-1].size / 2 - 400) < 15


def test_the_crop_stays_inside_the_frame() -> None:
    for box in (FaceBox(5, 5, 90), FaceBox(635, 475, 90), FaceBox(320, 240, 600)):
        crop = FaceCropper(64, detector=ScriptedDetector([box])).crop(np.zeros((480, 640, 3), np.uint8), 0.0).crop
        assert crop.x >= 0
        assert crop.y >= 0
        assert crop.x + crop.size <= 640
        assert crop.y + crop.size <= 480


def test_a_lost_face_keeps_the_crop_and_is_counted() -> None:
    boxes: list[FaceBox | None] = [FaceBox(300, 240, 100), None]
    cropper = FaceCropper(64, CropperConfig(search_s=0.0), ScriptedDetector(boxes))
    results = [cropper.crop(np.zeros((480, 640, 3), np.uint8), number / 25) for number in range(4)]
    assert [result.face_found for result in results] == [True, False, False, False]
    assert [round(result.missing_s, 3) for result in results] == [0, 0.04, 0.08, 0.12]
    assert len({result.crop for result in results}) == 1


def test_no_face_gives_the_middle_square() -> None:
    result = FaceCropper(64).crop(np.full((480, 640, 3), 90, np.uint8), 0.0)
    assert not result.face_found
    assert result.crop == Crop(80, 0, 480)


def test_paste_back_puts_the_picture_where_it_was_cut(face: Picture) -> None:
    frame = scene(face, 200, 100, 300)
    crop = Crop(200, 100, 300)
    back = paste_back(fit(frame, crop, 256), crop, frame)
    assert np.abs(back.astype(int) - frame).mean() < 1
    np.testing.assert_array_equal(back[:100], frame[:100])


def test_crops_that_hang_over_the_edge_repeat_it_and_paste_what_is_inside() -> None:
    frame = np.arange(100 * 100 * 3, dtype=np.uint32).reshape(100, 100, 3).astype(np.uint8)
    crop = Crop(-20, 60, 80)
    cut = fit(frame, crop, 80)
    np.testing.assert_array_equal(cut[0, :20], np.repeat(frame[60:61, 0], 20, axis=0))
    np.testing.assert_array_equal(paste_back(cut, crop, frame), frame)
