"""A folder of videos, decoded once into a cache, and pairs of frames drawn from it.

A clip is cached as two arrays beside each other: every frame (T, S, S, 3) and some of the frames
as the receiver would hold them, coded and decoded by the real still codec (N, S, S, 3).
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from talkcodec.errors import MediaError, NoFaceError, TalkcodecError
from talkcodec.types import Crop, Picture

__all__ = ["Batch", "Clip", "Pairs", "build_cache", "keyframe_positions", "load_cache", "save_array"]

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg"}
FACE_SEARCH_EVERY = 5
NEAR_FRAMES = 15
KEYFRAME_QUALITIES = (30, 75)
"""Range of still qualities that keyframes are degraded with, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Clip:
    """frames: (T, S, S, 3) uint8; keyframes: (N, S, S, 3) uint8, coded and decoded again.

    landmarks: (T, 68, 2) of the frames in [-1, 1], NaN where there are none; None when they were not asked for.
    """

    name: str
    identity: str
    frames: npt.NDArray[np.uint8]
    keyframes: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32] | None = None


def build_cache(
    folder: Path,
    cache: Path,
    size: int,
    keyframes: int,
    report: Callable[[int, int, str], None] | None = None,
    qualities: tuple[int, int] = KEYFRAME_QUALITIES,
) -> dict[str, str]:
    """Decode every video below `folder` that the cache does not hold yet.

    Returns the skipped files with the reason: unreadable, too short, no face. Raises MediaError when
    the folder holds no usable video. A clip counts as cached once its index file is written.
    """
    videos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise MediaError(f"no video below {folder}; expected files ending in {', '.join(sorted(VIDEO_SUFFIXES))}")
    cache.mkdir(parents=True, exist_ok=True)
    skipped: dict[str, str] = {}
    for number, video in enumerate(videos):
        if report:
            report(number, len(videos), video.name)
        name = str(video.relative_to(folder))
        stat = video.stat()
        key = hashlib.sha256(f"{name} {stat.st_size} {size} {keyframes}".encode()).hexdigest()[:16]
        index = cache / f"{key}.json"
        if index.exists():
            continue
        try:
            frames = _read_square(video, size)
            degraded = _degrade(frames, keyframes, qualities, seed=int(key[:8], 16))
        except TalkcodecError as error:
            skipped[name] = str(error)
            continue
        save_array(cache / f"{key}.frames.npy", frames)
        save_array(cache / f"{key}.keyframes.npy", degraded)
        index.write_text(json.dumps({"name": name, "identity": video.stem.rpartition("_")[0] or video.stem}))
    if report:
        report(len(videos), len(videos), "")
    if not any(cache.glob("*.json")):
        raise MediaError(f"none of the {len(videos)} videos below {folder} can be used: {skipped}")
    return skipped


def load_cache(cache: Path) -> list[Clip]:
    """The clips of a cache, their pictures left on disk until they are read."""
    clips = []
    for index in sorted(cache.glob("*.json")):
        about = json.loads(index.read_text())
        frames, keyframes = (np.load(index.with_suffix(f".{k}.npy"), mmap_mode="r") for k in ("frames", "keyframes"))
        marks = index.with_suffix(".landmarks.npy")
        landmarks = np.load(marks) if marks.exists() else None
        clips.append(Clip(about["name"], about["identity"], frames, keyframes, landmarks))
    if not clips:
        raise MediaError(f"{cache} holds no cached clip")
    return clips


class Batch(NamedTuple):
    """keyframes (B, R, S, S, 3) and frames (B, S, S, 3), uint8; landmarks (B, R + 1, 68, 2) of both, in this order."""

    keyframes: npt.NDArray[np.uint8]
    frames: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]


class Pairs:
    """Random (keyframe, frame) pairs: an identity first, so that nobody dominates, then a clip, then frames.

    near_share: of the pairs lie within NEAR_FRAMES of each other; there the head has hardly moved, and what
    differs is mouth and eyes. What step n of process r draws depends on (seed, r, n) alone, so a resumed run
    sees the same pairs.
    """

    def __init__(self, clips: list[Clip], seed: int, rank: int = 0, near_share: float = 0.0) -> None:
        by_identity: dict[str, list[Clip]] = {}
        for clip in clips:
            by_identity.setdefault(clip.identity, []).append(clip)
        self.identities = list(by_identity.values())
        self.seed, self.rank, self.near_share = seed, rank, near_share

    def batch(self, step: int, size: int, sources: int = 1) -> Batch:
        """`size` pairs, of `sources` keyframes and one frame each."""
        random = np.random.default_rng([self.seed, self.rank, step])
        keyframes, frames, landmarks = [], [], []
        for _ in range(size):
            clips = self.identities[random.integers(len(self.identities))]
            clip = clips[random.integers(len(clips))]
            chosen = random.integers(len(clip.keyframes), size=sources)
            keyframes.append(clip.keyframes[chosen])
            positions = keyframe_positions(len(clip.frames), len(clip.keyframes))[chosen]
            if random.random() < self.near_share:
                away = random.integers(2, NEAR_FRAMES + 1) * random.choice([-1, 1])
                position = int(np.clip(positions[0] + away, 0, len(clip.frames) - 1))
            else:
                position = int(random.integers(len(clip.frames)))
            frames.append(clip.frames[position])
            if clip.landmarks is None:
                landmarks.append(np.full((sources + 1, 68, 2), np.nan, np.float32))
            else:
                landmarks.append(clip.landmarks[[*positions, position]])
        return Batch(np.stack(keyframes), np.stack(frames), np.stack(landmarks))


def save_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Whole or not at all: several processes may build one cache, and another may be reading already."""
    partial = path.with_name(f"{os.getpid()}.{path.name}")
    np.save(partial, array)
    partial.replace(path)


def _read_square(video: Path, size: int) -> npt.NDArray[np.uint8]:
    """All frames as faces of size x size; MediaError when unreadable, under two frames, or without a face."""
    from talkcodec.codec.crop import fit

    crop = _face_crop(video, size)
    frames = [fit(frame, crop, size) for frame in _decode(video)]
    if len(frames) < 2:
        raise MediaError(f"{video.name} has {len(frames)} frame(s); at least 2 are needed")
    return np.stack(frames)


def _face_crop(video: Path, size: int) -> Crop:
    """One square for the whole clip, from the first frame in which a face is found; every fifth is looked at."""
    from talkcodec.codec.crop import FaceCropper

    cropper = FaceCropper(size)
    for number, frame in enumerate(_decode(video)):
        if number % FACE_SEARCH_EVERY == 0 and (cropped := cropper.crop(frame, float(number))).face_found:
            return cropped.crop
    raise NoFaceError(f"no face found in {video.name}")


def _decode(video: Path) -> Iterator[Picture]:
    import cv2

    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise MediaError(f"cannot read {video.name} as a video")
    try:
        while True:
            good, frame = capture.read()
            if not good:
                return
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    finally:
        capture.release()


def _degrade(frames: npt.NDArray[np.uint8], count: int, qualities: tuple[int, int], seed: int) -> npt.NDArray[np.uint8]:
    """`count` frames, evenly spread, through the still codec at random qualities."""
    from talkcodec.picture import open_still

    still = open_still("av1")
    random = np.random.default_rng(seed)
    coded = []
    for position in keyframe_positions(len(frames), min(count, len(frames))):
        quality = int(random.integers(qualities[0], qualities[1] + 1))
        picture = np.ascontiguousarray(frames[position])
        coded.append(still.decode(still.encode(picture, quality), max_size=max(picture.shape[:2])))
    return np.stack(coded)


def keyframe_positions(frames: int, keyframes: int) -> npt.NDArray[np.intp]:
    return np.linspace(0, frames - 1, keyframes).round().astype(np.intp)
