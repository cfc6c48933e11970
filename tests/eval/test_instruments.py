"""The local instruments on real faces, when their files are there; and what is said when they are not."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from eval.instruments import available, default_folder, open_instruments
from eval.instruments.base import align_face, five_points
from talkcodec.errors import ModelError

needs_files = pytest.mark.skipif(default_folder() is None, reason="no local instrument files")


@pytest.fixture(scope="module")
def portrait():
    return cv2.resize(astronaut()[:300, 70:370], (256, 256), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def instruments():
    return open_instruments()


@needs_files
def test_landmarks_lie_on_the_face_and_follow_it(instruments, portrait):
    points = instruments.landmarks.detect(portrait)
    eyes, nose, mouth = points[36:48].mean(0), points[30], points[48:].mean(0)
    assert eyes[1] < nose[1] < mouth[1]
    assert points[36:42, 0].mean() < nose[0] < points[42:48, 0].mean()
    shift = np.float32([[1, 0, 12], [0, 1, -7]])
    moved = instruments.landmarks.detect(cv2.warpAffine(portrait, shift, (256, 256), borderMode=cv2.BORDER_REPLICATE))
    assert np.abs(moved - points - [12, -7]).mean() < 1.0


@needs_files
def test_a_picture_without_a_face_has_no_landmarks(instruments):
    assert instruments.landmarks.detect(np.full((256, 256, 3), 128, np.uint8)) is None


@needs_files
def test_identity_is_of_unit_norm_and_tells_a_face_from_its_copy_and_from_noise(instruments, portrait):
    points = instruments.landmarks.detect(portrait)
    same = cv2.GaussianBlur(portrait, (3, 3), 0)
    embeddings = [instruments.identity.embed(picture, points) for picture in (portrait, same, 255 - portrait)]
    assert [np.linalg.norm(e) for e in embeddings] == pytest.approx([1, 1, 1], abs=1e-5)
    distances = [float(np.sum((embeddings[0] - other) ** 2)) for other in embeddings[1:]]
    assert distances[0] < 0.2 < distances[1] <= 4


@needs_files
def test_hashes_are_recorded(instruments):
    assert instruments.hashes()["mobilefacenet"].startswith("b7120c095d60094f")
    assert len(instruments.hashes()["mesh68"]) == 64


def test_alignment_takes_the_five_points_to_the_template():
    template = np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    turn = 1.7 * np.array([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    landmarks = np.zeros((68, 2), np.float32)
    for rows, point in zip((range(36, 42), range(42, 48), [30], [48], [54]), template, strict=True):
        landmarks[list(rows)] = turn @ point + [20, -5]
    matrix = align_face(landmarks)
    assert five_points(landmarks) @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(template, abs=1e-3)


def test_missing_files_are_named_with_what_to_do(tmp_path):
    with pytest.raises(ModelError, match=r"face_landmark\.tflite is not in .* --models"):
        open_instruments(tmp_path)
    rows = {row.name: row for row in available(tmp_path)}
    assert not rows["mobilefacenet.onnx"].usable
    assert "foamliu" in rows["mobilefacenet.onnx"].detail


def test_a_damaged_file_is_named(tmp_path):
    for name in ("face_landmark.tflite", "yunet_n_640_640.onnx"):
        (tmp_path / name).write_bytes(b"not a network")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_instruments(tmp_path, identity="none")


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ModelError, match="mesh68, face-alignment, none"):
        open_instruments(landmarks="mesh", identity="none")
    assert open_instruments(Path("."), "none", "none").hashes() == {}
