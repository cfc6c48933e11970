"""When a portrait begins to move."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkcodec.animate import animate_portrait
from talkcodec.media import MediaReader, MediaWriter
from talkcodec.model.config import ModelConfig
from talkcodec.sample import sample_path
from talkcodec.types import Drive, Motion, Picture

SIZE = 64


class LightEngine:
    """Motion is how bright a picture is, and generating paints it: a start in the dark shows at once."""

    config = ModelConfig(picture_size=SIZE, keypoints=3, jacobians=False)

    def detect(self, picture: Picture) -> Motion:
        level = float(picture.mean()) / 127.5 - 1
        return Motion(np.array([[level, 0.2], [level, -0.2], [level + 0.2, 0]], np.float32))

    def encode_reference(self, picture: Picture, motion: Motion) -> None:
        return None

    def generate(self, reference: Any, drive: Drive) -> Picture:
        assert drive.motion is not None
        level = np.clip((drive.motion.keypoints[0, 0] + 1) * 127.5, 0, 255)
        return np.full((SIZE, SIZE, 3), level, np.uint8)


def test_motion_counts_from_the_first_face_and_the_portrait_rests_before(tmp_path: Path) -> None:
    with MediaReader(sample_path()) as reader:
        pictures = [frame.picture for frame in reader][:30]
    portrait, late, out = tmp_path / "portrait.png", tmp_path / "late.mp4", tmp_path / "out.mp4"
    cv2.imwrite(str(portrait), cv2.cvtColor(pictures[0], cv2.COLOR_RGB2BGR))
    with MediaWriter(late, 256, 256) as writer:
        for index, picture in enumerate([np.zeros_like(pictures[0])] * 20 + pictures):
            writer.write(picture, index / 25)
    assert animate_portrait(portrait, late, out, LightEngine()) == 50  # type: ignore[arg-type]
    with MediaReader(out) as reader:
        levels = [float(frame.picture.mean()) for frame in reader]
    rest = float(cv2.resize(pictures[0], (SIZE, SIZE)).mean())
    assert np.abs(np.array(levels) - rest).max() < 12  # the sample's light hardly changes, from black it would by 100
