"""Motion traces of clips: what table training and benchmarks/motion_coding.py read.

    python benchmarks/traces.py CLIPS OUT [--model lite-256] [--frames N]

Writes OUT/NAME.npz for each video below CLIPS: keypoints (T, K, 2) and jacobians (T, K, 2, 2) of the
face crop of every frame, as the model's detector sees them. Clips that cannot be read are named.
"""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import track

from talkcodec.codec import FaceCropper
from talkcodec.errors import TalkcodecError
from talkcodec.media import MediaReader
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.runtime import Engine, open_engine
from talkcodec.types import FloatArray


def trace(video: Path, engine: Engine, frames: int | None) -> dict[str, FloatArray]:
    """The motion of one clip, uncoded."""
    cropper = FaceCropper(engine.config.picture_size)
    with MediaReader(video) as reader:
        motions = [engine.detect(cropper.crop(frame.picture, frame.time_s).picture) for frame in islice(reader, frames)]
    arrays = {"keypoints": np.stack([motion.keypoints for motion in motions])}
    if engine.config.jacobians:
        arrays["jacobians"] = np.stack([motion.jacobians for motion in motions if motion.jacobians is not None])
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--frames", type=int, help="of each clip; all when left out")
    arguments = parser.parse_args()
    engine = open_engine(arguments.model)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for video in track(sorted(arguments.clips.rglob("*.mp4")), "tracing"):
        try:
            np.savez(arguments.out / f"{video.stem}.npz", allow_pickle=False, **trace(video, engine, arguments.frames))
        except (TalkcodecError, ValueError) as error:
            print(f"skipped {video.name}: {error}")


if __name__ == "__main__":
    main()
