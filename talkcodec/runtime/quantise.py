"""int8 graphs: post-training quantisation by NNCF on real frames.

Only convolutions compute in int8. Warps, softmax, keypoints, Jacobians and sums stay float: an error of 1/256 of the
range there moves pixels, where in a convolution it only shades them. NNCF is imported when a graph is really
quantised; a warm cache needs neither it nor the calibration's frames.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from talkcodec.errors import EngineError
from talkcodec.types import Picture

__all__ = ["QUANTISED", "calibration_clips", "calibration_hash", "collect_samples", "import_nncf", "quantise"]

logger = logging.getLogger(__name__)

QUANTISED = ("generate_float",)
"""The graphs that int8 replaces. Not encode_reference, which runs once a keyframe; not detect, whose keypoints
go on the wire and move by 0.4 pixels in int8 (docs/performance.md, "int8")."""

FORMAT = "1"
"""Of the quantised graphs; raise it when this file quantises otherwise."""

MAX_CLIPS, MAX_SAMPLES, STRIDE = 24, 192, 5
SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
CONVOLUTIONS = {"Convolution", "GroupConvolution"}

Arrays = tuple[npt.NDArray[Any], ...]


def calibration_clips(calibration: Path | Sequence[Path] | None) -> tuple[Path, ...]:
    """The videos to calibrate on: files, those of a folder (24 at most, spread evenly), or the embedded sample.

    Raises EngineError where there is none.
    """
    if calibration is None:
        from talkcodec.sample import sample_path

        return (sample_path(),)
    given = [calibration] if isinstance(calibration, (str, Path)) else list(calibration)
    clips: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            clips += sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        elif path.is_file():
            clips.append(path)
        else:
            raise EngineError(f"calibration: {path} does not exist; expected videos or a folder of them")
    if not clips:
        raise EngineError(f"calibration: no video in {', '.join(map(str, given))}")
    return (
        tuple(clips[i * len(clips) // MAX_CLIPS] for i in range(MAX_CLIPS)) if len(clips) > MAX_CLIPS else tuple(clips)
    )


def calibration_hash(clips: Sequence[Path]) -> str:
    """SHA-256 of the clips' bytes in their order."""
    digests = b"".join(hashlib.sha256(clip.read_bytes()).digest() for clip in clips)
    return hashlib.sha256(digests).hexdigest()


def calibration_pictures(clip: Path, size: int, count: int) -> Iterator[Picture]:
    """At most `count` pictures (size, size, 3) of a clip, every fifth, the middle square. Raises EngineError."""
    import av
    import cv2

    # talkcodec.media lies above this layer.
    try:
        with av.open(str(clip)) as container:
            for decoded in islice(container.decode(video=0), 0, count * STRIDE, STRIDE):
                picture = decoded.to_ndarray(format="rgb24")
                side = min(picture.shape[:2])
                top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
                square = picture[top : top + side, left : left + side]
                yield np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise EngineError(f"calibration: {clip} cannot be read as a video: {error}") from error


def quantise(graph: Any, samples: Sequence[Arrays]) -> Any:
    """An OpenVINO model with its convolutions in int8, ranges taken from `samples`, each the inputs of one call.

    Raises EngineError when NNCF is missing.
    """
    nncf = import_nncf()
    kept = {operation.get_type_name() for operation in graph.get_ops()} - CONVOLUTIONS
    kept -= {"Constant", "Parameter", "Result"}
    return nncf.quantize(
        graph,
        nncf.Dataset([list(sample) for sample in samples]),
        preset=nncf.QuantizationPreset.MIXED,  # activations after SiLU and sums are not symmetric
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(types=sorted(kept), validate=False),
    )


def import_nncf() -> Any:
    """The module; EngineError with what to install when it is absent."""
    try:
        import nncf
    except ImportError as error:
        raise EngineError(f"int8 needs NNCF: pip install 'talkcodec[int8]', or nncf ({error})") from error
    logging.getLogger("nncf").setLevel(logging.WARNING)
    return nncf


def collect_samples(
    clips: Sequence[Path],
    size: int,
    detect: Callable[..., Arrays],
    encode_reference: Callable[..., Arrays],
) -> dict[str, list[Arrays]]:
    """Inputs of each graph for the clips' pictures, each clip animated from its first picture. Raises EngineError."""
    count = max(2, MAX_SAMPLES // len(clips))
    samples: dict[str, list[Arrays]] = {"detect": [], "generate_float": []}
    for clip in clips:
        reference: Arrays | None = None
        for picture in calibration_pictures(clip, size, count):
            batch = picture[None]
            motion = detect(batch)
            if reference is None:
                reference = encode_reference(batch, *motion)
            samples["detect"].append((batch,))
            samples["generate_float"].append((*motion, *reference))
    if not samples["detect"]:
        raise EngineError(f"calibration: no picture in {', '.join(map(str, clips))}")
    return samples
