"""An engine that costs nothing and can be checked: motion is the mean colour, generation paints it."""

from dataclasses import dataclass

import numpy as np

from talkcodec.codec import CroppedPicture
from talkcodec.model.config import ModelConfig
from talkcodec.types import Crop, Drive, FloatArray, Motion, Picture

SIZE = 64
KEYPOINTS = 3


@dataclass(frozen=True)
class FakeReference:
    picture: Picture
    motion: Motion | None


class FakeEngine:
    """detect: keypoint i is the mean of channel i, scaled to [-1, 1]; generate: a picture of that colour."""

    def __init__(self, model_hash: bytes = b"f" * 32) -> None:
        self.config = ModelConfig(picture_size=SIZE, keypoints=KEYPOINTS, jacobians=True)
        self.model_hash = model_hash
        self.name = "fake"
        self.description = "fake"
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def detect(self, picture: Picture) -> Motion:
        mean = picture.reshape(-1, 3).mean(axis=0) / 127.5 - 1
        keypoints = np.stack([mean, -mean], axis=1).astype(np.float32)
        return Motion(keypoints, np.tile(np.eye(2, dtype=np.float32), (KEYPOINTS, 1, 1)))

    def encode_reference(self, picture: Picture, motion: Motion | None) -> FakeReference:
        return FakeReference(picture, motion)

    def find_flow(self, reference: FakeReference, base: Picture) -> FloatArray:
        return np.zeros((2, SIZE // 2, SIZE // 2), np.float32)

    def generate(self, reference: FakeReference, drive: Drive) -> Picture:
        if drive.base is not None:
            mean = drive.base.picture.reshape(-1, 3).mean(axis=0)
            return np.ascontiguousarray(np.broadcast_to(mean.astype(np.uint8), (SIZE, SIZE, 3)))
        colour = np.clip((drive.motion.keypoints[:, 0] + 1) * 127.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(colour, (SIZE, SIZE, 3)))

    def between(self, a: Picture, b: Picture, share: float) -> Picture:
        return np.asarray(np.rint((1 - share) * a + share * b), dtype=np.uint8)


class WholePicture:
    """A cropper that cuts nothing; `missing_s` pretends that the face is gone."""

    def __init__(self) -> None:
        self.missing_s = 0.0

    def crop(self, frame: Picture, time_s: float) -> CroppedPicture:
        return CroppedPicture(frame, Crop(0, 0, SIZE), (SIZE, SIZE), not self.missing_s, self.missing_s)


def colour_at(time_s: float) -> Picture:
    """A test picture whose colour tells its time: channel 0 rises from 40 to 215 in four seconds and starts again."""
    level = 40 + 175 * (time_s % 4) / 4
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[...] = (level, 255 - level, 128)
    return picture
