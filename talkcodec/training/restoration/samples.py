"""What a receiver would hold at a random instant of a random clip: a base picture, a keyframe, the flow between them.

What batch n holds depends on the seed and n alone, so a resumed run sees the same.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from talkcodec.errors import MediaError
from talkcodec.runtime.between import between, between_pictures
from talkcodec.runtime.restorer import find_flow, own_base, reduced_grey, sized
from talkcodec.training.data import Clip, keyframe_positions, load_cache
from talkcodec.training.restoration.config import RestorationTraining
from talkcodec.training.restoration.streams import StreamSettings
from talkcodec.types import Base, Picture

__all__ = [
    "Batch",
    "CodedClip",
    "Moment",
    "Part",
    "Samples",
    "Stream",
    "load_coded",
    "moment",
    "whole_moment",
]

NEAR_FRAMES = 25
"""A frame so near to the keyframe has hardly moved: what differs is the expression."""

GRID = 8
"""Parts lie on it, so that pixels of the coarsest scale are whole."""


class Stream(NamedTuple):
    """Decoded pictures (N, s, s, 3) of every `settings.every`-th frame."""

    settings: StreamSettings
    pictures: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CodedClip:
    """A cached clip and its coded streams."""

    clip: Clip
    streams: tuple[Stream, ...]


class Moment(NamedTuple):
    """base (S/2, S/2, 3) float in [0, 255] and flow (2, S/2, S/2) in units of half the picture."""

    base: npt.NDArray[np.float32]
    flow: npt.NDArray[np.float32]


class Part(NamedTuple):
    """A square of side c of one sample; in a `Batch`, all have a leading B.

    base (c/2, c/2, 3) float32 in [0, 255]; flow (2, c/2, c/2); target (c, c, 3) uint8; middle (2,) of the square in
    the picture and landmarks (68, 2) in the square, both (x, y) in [-1, 1].
    """

    base: npt.NDArray[np.float32]
    flow: npt.NDArray[np.float32]
    target: npt.NDArray[np.uint8]
    middle: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]


class Batch(NamedTuple):
    """keyframes (K, S, S, 3) uint8, each for the next B / K of the parts."""

    keyframes: npt.NDArray[np.uint8]
    parts: Part


def load_coded(cache: Path, whole: bool = False) -> list[CodedClip]:
    """The clips of a cache that were coded, their pictures left on disk until they are read. whole: at their size."""
    coded = []
    for name, clip in zip(sorted(cache.glob("*.json")), load_cache(cache), strict=True):
        streams = []
        for path in sorted(cache.glob(f"{name.stem}.{'whole' if whole else 'stream'}*.npy")):
            settings = StreamSettings(**json.loads(path.with_suffix(".settings").read_text()))
            pictures = np.load(path, mmap_mode="r")
            if len(pictures) > 1:
                streams.append(Stream(settings, pictures))
        if streams:
            coded.append(CodedClip(clip, tuple(streams)))
    return coded


def moment(stream: Stream, frame: int, reduced: npt.NDArray[np.uint8]) -> Moment:
    """What is known at a frame: its own base picture, or what the receiver makes of both neighbours.

    reduced: of the keyframe, as `reduced_grey` makes it.
    """
    number, within = divmod(frame, stream.settings.every)
    base = _base(stream.pictures[number], reduced)
    if within:
        base = between(base, _base(stream.pictures[number + 1], reduced), within / stream.settings.every)
    return Moment(sized(base.picture, reduced.shape[0]), base.flow)


def _base(picture: Picture, reduced: npt.NDArray[np.uint8]) -> Base:
    return Base(picture.astype(np.float32), find_flow(picture, reduced))


def whole_moment(stream: Stream, frame: int) -> tuple[Picture, Moment]:
    """What is known at a frame of a stream of the whole size: the decoded picture, keyframe and base at once."""
    number, within = divmod(frame, stream.settings.every)
    size = stream.settings.size
    still: npt.NDArray[np.float32] = np.zeros((2, size // 2, size // 2), np.float32)
    picture = np.array(stream.pictures[number])
    if within:
        picture = between_pictures(picture, stream.pictures[number + 1], within / stream.settings.every)
    return picture, Moment(own_base(picture), still)


class Samples:
    """Random batches: an identity first, so that nobody dominates, then a clip, a keyframe, a stream and a frame.

    The same seed and rank give the same batches. The configuration says how the samples are shared out.
    """

    def __init__(self, clips: list[CodedClip], config: RestorationTraining, rank: int = 0) -> None:
        if not clips:
            raise MediaError("no clip of the cache is long enough to train on")
        by_identity: dict[str, list[CodedClip]] = {}
        for clip in clips:
            by_identity.setdefault(clip.clip.identity, []).append(clip)
        self.identities = list(by_identity.values())
        self.config, self.rank = config, rank

    def batch(self, step: int, size: int, side: int) -> Batch:
        """Batch number `step`: `size` parts of `side` x `side` pixels; size is a multiple of `each`."""
        random = np.random.default_rng([self.config.seed, self.rank, step])
        keyframes, parts = [], []
        for _ in range(size // self.config.each):
            clips = self.identities[random.integers(len(self.identities))]
            coded = clips[random.integers(len(clips))]
            chosen = int(random.integers(len(coded.clip.keyframes)))
            keyframe = np.array(coded.clip.keyframes[chosen])
            position = int(keyframe_positions(len(coded.clip.frames), len(coded.clip.keyframes))[chosen])
            mirrored = bool(random.random() < 0.5)
            reduced = reduced_grey(keyframe)
            for _ in range(self.config.each):
                stream = coded.streams[random.integers(len(coded.streams))]
                frame = self._frame(stream, position, random)
                if self.config.whole:
                    keyframe, now = whole_moment(stream, frame)
                else:
                    now = moment(stream, frame, reduced)
                part = _part(coded.clip, frame, now, side, random)
                parts.append(_mirrored(part) if mirrored else part)
            keyframes.append(keyframe[:, ::-1] if mirrored else keyframe)
        columns = [np.stack(column) for column in zip(*parts, strict=True)]
        return Batch(np.stack(keyframes), Part(*columns))

    def _frame(self, stream: Stream, position: int, random: np.random.Generator) -> int:
        every = stream.settings.every
        last = (len(stream.pictures) - 1) * every
        frame = int(random.integers(1, last + 1))
        if random.random() < self.config.near_share:
            frame = int(np.clip(position + random.integers(-NEAR_FRAMES, NEAR_FRAMES + 1), 1, last))
        coded = frame // every * every
        if every == 1 or coded >= last:
            return coded
        return coded + int(random.integers(1, every)) if random.random() < self.config.between_share else coded


def _part(clip: Clip, frame: int, now: Moment, side: int, random: np.random.Generator) -> Part:
    picture = clip.frames[frame]
    whole = picture.shape[0]
    marks = np.full((68, 2), np.nan, np.float32)
    if clip.landmarks is not None:
        marks = np.array(clip.landmarks[frame])
    left, top = _corner(marks, whole, side, random)
    middle = (np.array([left, top], np.float32) + side / 2) / (whole / 2) - 1
    half = (slice(top // 2, (top + side) // 2), slice(left // 2, (left + side) // 2))
    return Part(
        now.base[half],
        now.flow[(slice(None), *half)],
        picture[top : top + side, left : left + side],
        middle.astype(np.float32),
        ((marks - middle) * (whole / side)).astype(np.float32),
    )


def _corner(marks: npt.NDArray[np.float32], whole: int, side: int, random: np.random.Generator) -> tuple[int, int]:
    """Left and top of a square on the grid of the coarsest scale; two of three times near the face."""
    room = (whole - side) // GRID
    if random.random() < 2 / 3:
        middle = marks.mean(0) if np.isfinite(marks).all() else np.zeros(2, np.float32)
        wanted = ((middle + 1) * whole / 2 - side / 2 + random.normal(0, whole / 12, 2)) / GRID
        left, top = np.clip(np.round(wanted), 0, room).astype(int)
    else:
        left, top = random.integers(0, room + 1, 2)
    return int(left) * GRID, int(top) * GRID


def _mirrored(part: Part) -> Part:
    """Left and right exchanged. Landmarks keep their order, which nothing here looks at."""
    across = np.array([-1, 1], np.float32)
    return Part(
        part.base[:, ::-1],
        part.flow[..., ::-1] * across[:, None, None],
        part.target[:, ::-1],
        part.middle * across,
        part.landmarks * across,
    )
