"""The loss on identity: reading the weights, aligning the face, and what the distance says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from talkcodec.errors import ConfigError, UsageError
from talkcodec.training.face_features import _EYES_APART, _EYES_Y, FaceFeatures, _alignment
from talkcodec.training.restoration.config import RestorationLosses, RestorationTraining, restoration_training
from talkcodec.training.restoration.objective import FACES, _whole_faces

WIDTHS = {"conv32": 32, "conv64": 64, "conv128": 128, "conv256": 256}
BLOCKS = [
    "conv32_1",
    "conv32_2",
    "conv32_3",
    "conv64_down",
    "conv64_1",
    "conv64_2",
    "conv64_3",
    "conv128_down",
    "conv128_1",
    "conv128_2",
]
BLOCKS += ["conv256_down", "conv256_1", "conv256_2", "conv256_down_out"]


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, size: int, width_in: int, width: int) -> None:
        found[f"{name}/conv/filters"] = (size, size, width_in, width)
        for part in ("conv/bias", "scale/weights", "scale/biases"):
            found[f"{name}/{part}"] = (width,)

    layer("conv32_down", 7, 3, 32)
    width = 32
    for block in BLOCKS:
        wider = WIDTHS[block.split("_")[0]]
        layer(f"{block}/conv1", 3, width, wider)
        layer(f"{block}/conv2", 3, wider, wider)
        width = wider
    found["fc"] = (256, 128)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the right shapes, drawn at random: eight bits each, as the package has them, but one layer."""
    random, path = np.random.default_rng(3), tmp_path_factory.mktemp("weights")
    entries, data = [], b""
    for name, shape in shapes().items():
        if name == "conv64_down/conv1/conv/filters":
            data += random.normal(0, 0.05, shape).astype(np.float32).tobytes()
            entries.append({"name": name, "shape": shape, "dtype": "float32"})
            continue
        fan = float(np.prod(shape[:-1])) if len(shape) > 1 else 1e4
        step = 2 * (3 / fan) ** 0.5 / 255
        low = 1.0 if name.endswith("scale/weights") else -127.5 * step
        data += random.integers(0, 256, shape, dtype=np.uint8).tobytes()
        entries.append({"name": name, "shape": shape, "quantization": {"dtype": "uint8", "scale": step, "min": low}})
    (path / "face_recognition_model-weights_manifest.json").write_text(json.dumps([{"weights": entries}]))
    (path / "face_recognition_model.bin").write_bytes(data)
    return path


def face(eyes: tuple[tuple[float, float], tuple[float, float]]) -> torch.Tensor:
    """Landmarks of which only the eyes matter."""
    points = torch.zeros(1, 68, 2)
    points[:, 36:42], points[:, 42:48] = torch.tensor(eyes[0]), torch.tensor(eyes[1])
    return points


def test_the_eyes_lie_at_one_place_whatever_the_pose() -> None:
    for eyes in (((-0.3, -0.1), (0.2, 0.0)), ((0.1, -0.4), (0.0, 0.3))):
        turn = _alignment(face(eyes))[0]
        for side, eye in zip((-0.5, 0.5), eyes, strict=True):
            found = turn @ torch.tensor([side * _EYES_APART, _EYES_Y, 1.0])
            assert found.tolist() == pytest.approx(eye, abs=1e-6)


def test_distance_is_zero_for_the_same_picture_and_grows_with_the_difference(folder: Path) -> None:
    network, marks = FaceFeatures(folder), face(((-0.3, -0.2), (0.3, -0.2)))
    picture = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    blurred = [F.avg_pool2d(picture, size, 1, size // 2) for size in (3, 9)]
    same, little, much = (float(network(p, picture, marks)) for p in (picture, *blurred))
    assert same == pytest.approx(0, abs=1e-5)
    assert 0.01 < little < much


def test_only_the_picture_has_a_gradient(folder: Path) -> None:
    network, marks = FaceFeatures(folder), face(((-0.3, -0.2), (0.3, -0.2)))
    picture = torch.rand(1, 3, 64, 64).requires_grad_()
    network(picture, torch.rand(1, 3, 64, 64), marks).backward()
    assert picture.grad is not None
    assert float(picture.grad.abs().sum()) > 0
    assert not any(p.requires_grad for p in network.parameters())


def test_missing_and_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="npm pack"):
        FaceFeatures(tmp_path)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "face_recognition_model.bin"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="does not hold the weights"):
        FaceFeatures(tmp_path)


def test_faces_that_are_cut_off_or_unknown_do_not_count() -> None:
    marks = torch.zeros(6, 68, 2)
    marks[0, 50, 0] = 1.2
    marks[1] = torch.nan
    marks[2, 3] = 5.0  # the jaw may lie outside
    assert _whole_faces(marks).tolist() == [2, 3, 4][:FACES]


def test_configuration() -> None:
    assert not RestorationTraining().needs_features
    config = restoration_training({"stages": [{"losses": {"identity": 0.5, "face_focus": 0.0}}]})
    assert config.needs_features
    assert config.needs_landmarks
    with pytest.raises(ConfigError):
        RestorationLosses(identity=-1.0)
