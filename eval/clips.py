"""Clips: the pictures that go into a measurement, from video files or arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.errors import MediaError

__all__ = ["CLIP_SUFFIXES", "Clip", "as_unit", "find_clips", "looped", "read_clip"]

CLIP_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".y4m", ".npy")


@dataclass(frozen=True)
class Clip:
    """Consecutive pictures of one shot.

    frames: (T, H, W, 3), uint8, or float32 in [0, 1] from a generator that was not rounded; fps: frames a second.
    """

    name: str
    frames: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    fps: Fraction

    @property
    def duration_s(self) -> float:
        """Length in seconds: T frames of 1 / fps each."""
        return float(len(self.frames) / self.fps)


def as_unit(picture: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Pictures as float32 RGB in [0, 1]; uint8 is divided by 255, float is taken as it is."""
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / np.float32(255)
    return picture.astype(np.float32, copy=False)


def find_clips(paths: list[Path]) -> list[Path]:
    """The clip files among `paths`; a folder stands for the clips directly inside it, in order of name.

    Raises MediaError when a path does not exist or nothing is found.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise MediaError(f"no such file or folder: {path}")
        if path.is_dir():
            found += sorted(child for child in path.iterdir() if child.suffix.lower() in CLIP_SUFFIXES)
        else:
            found.append(path)
    if not found:
        raise MediaError(
            f"no clips in {', '.join(map(str, paths))}; expected files ending in {' '.join(CLIP_SUFFIXES)}"
        )
    return found


def read_clip(path: Path, max_frames: int | None = None, size: int | None = None) -> Clip:
    """Read a clip, at most `max_frames` pictures, resized to `size` x `size` pixels when given.

    `.npy` holds (T, H, W, 3) uint8 or float in [0, 1], taken as 25 fps. Raises MediaError when the file cannot be read,
    holds no picture, is not square although `size` asks for it, or changes size on the way.
    """
    if path.suffix.lower() == ".npy":
        frames, fps = _read_array(path, max_frames)
    else:
        pictures, fps = _read_video(path, max_frames)
        if len({picture.shape for picture in pictures}) > 1:
            raise MediaError(f"{path}: pictures change size on the way")
        frames = np.stack(pictures)
    if size is not None and frames.shape[1:3] != (size, size):
        if frames.shape[1] != frames.shape[2]:
            raise MediaError(
                f"{path}: {frames.shape[2]}x{frames.shape[1]} is not square; crop the face to a square first"
            )
        frames = np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in frames])
    return Clip(path.stem, frames, fps)


def looped(clip: Clip, seconds: float) -> Clip:
    """The clip played forwards and backwards, again and again, for so long; as it is when it is longer."""
    count = round(seconds * clip.fps)
    if count <= len(clip.frames) or len(clip.frames) < 2:
        return clip
    back_and_forth = np.r_[0 : len(clip.frames), len(clip.frames) - 2 : 0 : -1]
    return Clip(clip.name, clip.frames[np.resize(back_and_forth, count)], clip.fps)


def _read_array(path: Path, max_frames: int | None) -> tuple[npt.NDArray[np.uint8] | npt.NDArray[np.float32], Fraction]:
    try:
        frames = np.load(path, allow_pickle=False)[:max_frames]
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: not a readable array: {error}") from error
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise MediaError(f"{path}: got shape {frames.shape}, expected (T, H, W, 3)")
    if frames.dtype != np.uint8:
        frames = frames.astype(np.float32)
        if not np.isfinite(frames).all() or frames.min() < -1e-3 or frames.max() > 1 + 1e-3:
            raise MediaError(f"{path}: float pictures must lie in [0, 1]")
    return frames, Fraction(25)


def _read_video(path: Path, max_frames: int | None) -> tuple[list[npt.NDArray[np.uint8]], Fraction]:
    pictures: list[npt.NDArray[np.uint8]] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError(f"{path}: no video stream")
            stream = container.streams.video[0]
            fps = Fraction(stream.average_rate or 25)
            for frame in _tolerant(container.decode(stream)):
                pictures.append(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8))
                if max_frames is not None and len(pictures) == max_frames:
                    break
    except (OSError, av.error.FFmpegError) as error:
        raise MediaError(f"{path}: cannot be read as video: {error}") from error
    if not pictures:
        raise MediaError(f"{path}: no picture could be decoded")
    return pictures, fps


def _tolerant(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Frames up to the first one that is broken: the good part of a cut file counts."""
    try:
        yield from frames
    except av.error.InvalidDataError:
        return
