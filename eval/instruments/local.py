"""Instruments from local model files, run by OpenVINO: YuNet with the 468-point face mesh, and MobileFaceNet.

The files and where they come from are listed in `FILES`; nothing is downloaded.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import talkcodec.runtime.unreported  # noqa: F401  # isort: skip  # before openvino
import openvino  # isort: skip

from eval.instruments.base import align_face
from talkcodec.errors import ModelError
from talkcodec.types import FloatArray, Picture

__all__ = ["FILES", "FaceMesh", "MobileFaceNet", "ModelFile", "YuNet"]


@dataclass(frozen=True)
class ModelFile:
    """A file that an instrument needs: name, SHA-256 (hex) of the version that our results use, origin, licence."""

    name: str
    sha256: str
    origin: str
    licence: str


FILES = {
    "yunet": ModelFile(
        "yunet_n_640_640.onnx", "25a606a145a5b6d7", "github.com/ShiqiYu/libfacedetection.train", "Apache-2.0"
    ),
    "mesh": ModelFile("face_landmark.tflite", "c603fa6149219a3e", "github.com/google/mediapipe", "Apache-2.0"),
    "mobilefacenet": ModelFile(
        "mobilefacenet.onnx", "b7120c095d60094f", "github.com/foamliu/MobileFaceNet", "Apache-2.0"
    ),
}

_MESH_TO_68 = (
    *(127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356),  # jaw
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),  # outer lips
    *(78, 81, 13, 311, 308, 402, 14, 178),  # inner lips
)
"""Mesh vertices nearest to the 68 points of 300-W (Sagonas et al., 2013), in that order."""


def _compile(path: Path, shape: list[int] | None = None) -> tuple[openvino.CompiledModel, str]:
    """A model for one thread, and its SHA-256 (hex). Many clips run side by side, so that one thread each is
    fastest.
    """
    try:
        data = path.read_bytes()
        core = openvino.Core()
        model = core.read_model(path)
        if shape is not None:
            model.reshape(shape)
        options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        return core.compile_model(model, "CPU", options), hashlib.sha256(data).hexdigest()
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{path}: cannot be loaded: {str(error).splitlines()[0]}") from error


class YuNet:
    """Face detector (Wu, Peng and Yu, YuNet, 2023): box and five points of the best face."""

    _STRIDES = (8, 16, 32)

    def __init__(self, path: Path, side: int = 256, threshold: float = 0.6) -> None:
        """side: pictures are scaled (never stretched) so that the longer side fits, a multiple of 32."""
        self._side, self._threshold = side, threshold
        self._model, self.sha256 = _compile(path, [1, 3, side, side])

    def detect(self, picture: Picture) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """((x, y, width, height), (5, 2) points), pixels, of the face with the highest score; None below the
        threshold.
        """
        scale = self._side / max(picture.shape[:2])
        if scale != 1:
            smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            picture = np.asarray(smaller, dtype=np.uint8)
        padded = np.zeros((1, 3, self._side, self._side), np.float32)
        height, width = (min(n, self._side) for n in picture.shape[:2])
        padded[0, :, :height, :width] = picture[:height, :width, ::-1].transpose(
            2, 0, 1
        )  # the network wants BGR 0..255
        out = self._model(padded)
        best = None
        for stride in self._STRIDES:
            score = np.sqrt(np.clip(out[f"cls_{stride}"], 0, 1) * np.clip(out[f"obj_{stride}"], 0, 1))[0, :, 0]
            index = int(score.argmax())
            if score[index] >= self._threshold and (best is None or score[index] > best[0]):
                cell = np.array(divmod(index, self._side // stride)[::-1], np.float64)  # (column, row)
                box, points = out[f"bbox_{stride}"][0, index], out[f"kps_{stride}"][0, index].reshape(5, 2)
                size = np.exp(box[2:].astype(np.float64)) * stride
                centre = (cell + box[:2]) * stride
                best = (
                    score[index],
                    np.concatenate([centre - size / 2, size]) / scale,
                    (cell + points) * stride / scale,
                )
        return None if best is None else (best[1], best[2])


class FaceMesh:
    """468-point face mesh (Kartynnik et al., CVPR-W 2019) on YuNet's face, of which 68 points are given out."""

    name = "mesh68"
    _SIDE, _ENLARGE = 192, 1.5

    def __init__(self, mesh: Path, yunet: Path) -> None:
        self._detector = YuNet(yunet)
        self._model, mesh_hash = _compile(mesh)
        self.sha256 = hashlib.sha256((mesh_hash + self._detector.sha256).encode()).hexdigest()

    def detect(self, picture: Picture) -> FloatArray | None:
        """(68, 2) float32 pixels of the best face; None without one, or when the mesh says that there is none."""
        found = self._detector.detect(picture)
        if found is None:
            return None
        (x, y, width, height), points = found
        # The mesh was trained on upright faces: turn the crop so that the eyes lie level.
        across = points[1] - points[0]
        angle = np.arctan2(across[1], across[0])
        scale = self._SIDE / (self._ENLARGE * max(width, height))
        rotation = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        centre = np.array([x + width / 2, y + height / 2])
        to_crop = np.column_stack([rotation, self._SIDE / 2 - rotation @ centre])
        crop = cv2.warpAffine(picture, to_crop, (self._SIDE, self._SIDE), flags=cv2.INTER_LINEAR)
        mesh, presence = self._model(crop[None].astype(np.float32) / 255).to_tuple()
        if float(presence.reshape(-1)[0]) < 0:  # a logit: 0 is a probability of one half
            return None
        inside = mesh.reshape(468, 3)[list(_MESH_TO_68), :2].astype(np.float64)
        return np.asarray((inside - to_crop[:, 2]) @ np.linalg.inv(rotation).T, dtype=np.float32)


class MobileFaceNet:
    """Identity embedding (Chen et al., MobileFaceNets, 2018), 128 numbers of unit norm, from 112x112 RGB."""

    name = "mobilefacenet"
    _MEAN = np.array([0.485, 0.456, 0.406], np.float32)
    _DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)

    def __init__(self, path: Path) -> None:
        self._model, self.sha256 = _compile(path)

    def embed(self, picture: Picture, landmarks: FloatArray | None) -> FloatArray:
        """(128,) float32; of the whole picture when `landmarks` is None, else of the face aligned by them (68, 2)."""
        if landmarks is None:
            face = cv2.resize(picture, (112, 112), interpolation=cv2.INTER_AREA)
        else:
            face = cv2.warpAffine(picture, align_face(landmarks), (112, 112), flags=cv2.INTER_LINEAR)
        unit = (face.astype(np.float32) / 255 - self._MEAN) / self._DEVIATION
        embedding = self._model(unit.transpose(2, 0, 1)[None])[0][0]
        return np.asarray(embedding / max(float(np.linalg.norm(embedding)), 1e-12), dtype=np.float32)
