"""An engine without networks: keypoints follow the brightest blob, generation shifts the reference picture."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from talkcodec.types import Drive, FloatArray, Motion, Picture

SIZE = 64


@dataclass(frozen=True)
class FakeModelConfig:
    picture_size: int = SIZE
    keypoints: int = 4
    jacobians: bool = True


class FakeReference(NamedTuple):
    picture: Picture
    motion: Motion | None


class FakeEngine:
    """Keeps the interface of talkcodec.runtime.Engine that the codec uses."""

    def __init__(self) -> None:
        self.config = FakeModelConfig()
        self.model_hash = bytes(range(32))
        self.name = "fake"
        self.detected = 0

    def detect(self, picture: Picture) -> Motion:
        self.detected += 1
        weight = np.maximum(picture.mean(axis=2) - 128, 0) + 1e-6
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        middle = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        keypoint = (2 * middle + 1) / SIZE - 1
        offsets = np.array([[-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1], [0.1, 0.1]])
        return Motion((keypoint + offsets).astype(np.float32), np.tile(np.eye(2, dtype=np.float32), (4, 1, 1)))

    def encode_reference(self, picture: Picture, motion: Motion | None) -> FakeReference:
        return FakeReference(picture, motion)

    def find_flow(self, reference: FakeReference, base: Picture) -> FloatArray:
        return np.zeros((2, SIZE // 2, SIZE // 2), np.float32)

    def generate(self, reference: FakeReference, drive: Drive, *, light: bool = False) -> Picture:
        if drive.base is not None:  # enlarged, with what the reference lost when it was reduced
            size = drive.base.picture.shape[0]
            small = cv2.resize(reference.picture, (size, size), interpolation=cv2.INTER_AREA)
            detail = reference.picture - enlarged(small.astype(np.float32))
            return np.clip(np.rint(enlarged(drive.base.picture) + detail), 0, 255).astype(np.uint8)
        assert drive.motion is not None
        assert reference.motion is not None
        shift = (drive.motion.keypoints - reference.motion.keypoints).mean(axis=0) * SIZE / 2
        dx, dy = np.rint(shift).astype(int)
        return np.roll(reference.picture, (dy, dx), axis=(0, 1))

    def between(self, a: Picture, b: Picture, share: float) -> Picture:
        return np.asarray(np.rint((1 - share) * a + share * b), dtype=np.uint8)

    def generate_float(self, reference: FakeReference, drive: Drive) -> FloatArray:
        return self.generate(reference, drive).astype(np.float32) / 255


def enlarged(picture: FloatArray) -> FloatArray:
    return np.asarray(cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.float32)


def blob_picture(x: float, y: float, background: int = 40) -> Picture:
    """A soft bright blob at (x, y) px on a plain ground."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    light = 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 60)
    return np.clip(background + light[..., None] * np.array([1, 0.9, 0.8]), 0, 255).astype(np.uint8)
