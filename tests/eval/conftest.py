"""Small clips that every test of the evaluation may use."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from eval.clips import Clip


def moving_clip(frames=12, side=64, seed=0):
    """A textured blob that moves over a smooth background."""
    y, x = np.mgrid[0:side, 0:side] / side
    pictures = []
    for index in range(frames):
        centre = 0.5 + 0.2 * np.sin(index / 3 + seed)
        blob = np.exp(-((x - centre) ** 2 + (y - 0.5) ** 2) * 30) * (0.6 + 0.4 * np.sin(40 * (x - centre)))
        picture = np.stack([0.2 + 0.6 * blob, 0.3 + 0.3 * x, 0.5 - 0.3 * y], axis=-1)
        pictures.append(np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8))
    return Clip("moving", np.stack(pictures), Fraction(25))


def write_video(path: Path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def clip():
    return moving_clip()


@pytest.fixture
def video(tmp_path, clip):
    return write_video(tmp_path / "moving.mp4", clip.frames)
