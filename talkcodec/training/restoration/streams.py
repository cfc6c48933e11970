"""Cached clips coded once as real low-delay streams of small pictures, decoded, and kept beside their frames.

A restoration network learns from what a receiver would hold: inter pictures of a real coder at a real rate, not
reduced pictures with noise. Each clip gets several streams of other sizes, qualities and frame rates.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange

from talkcodec.codec.face import FaceDetector
from talkcodec.errors import EngineError
from talkcodec.picture.av1 import keep_scheduling
from talkcodec.picture.stream_vp9 import low_delay
from talkcodec.picture.yuv import rgb_to_yuv420, yuv420_to_rgb
from talkcodec.training.data import save_array
from talkcodec.types import Picture

__all__ = ["CodedStream", "StreamSettings", "add_streams", "code_stream", "draw_settings"]

FRAMES_CODED = 250
"""Of each clip: 10 s, after which a stream only repeats itself."""

FACE_EVERY = 10
ELLIPSE = (0.6, 0.8)
"""Half axes of what stays sharp, in widths and heights of the face box."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How a clip was coded: side in pixels, constant rate factor, every how many-eth frame, and by what.

    coder: "av1" or "vp9"; effort: SVT-AV1's preset or VP9's cpu-used. smoothing_px: sigma of the blur outside the
    face in pixels of the full picture before it is reduced, 0 for none.
    """

    size: int
    crf: int
    every: int
    coder: str = "av1"
    effort: int = 6
    smoothing_px: float = 0.0


def draw_settings(random: np.random.Generator, number: int, whole_size: int | None = None) -> StreamSettings:
    """Settings of a clip's stream `number`; the number sees to it that few streams already cover what there is.

    Of the first eight one is VP9, all after them are, as a call codes it. whole_size: as the video rung codes pictures
    of this size, instead.
    """
    if whole_size is not None:
        return StreamSettings(whole_size, int(random.integers(36, 62)), 1 + (number % 3 < 2), "vp9", 1)
    if number >= 8:
        size, every = ((128, 2), (96, 3), (128, 2), (96, 2), (128, 3))[number % 5 - 3]
        return StreamSettings(size, int(random.integers(50, 64)), every, "vp9", 1)
    size = (128, 96, 128, 128, 128, 96, 128, int(random.choice([64, 80, 112])))[number % 8]
    every = (2, 2, 3, 1, 2, 3, 2, int(random.choice([2, 3])))[number % 8]
    low = 48 if size > 96 else 44
    crf = int(random.integers(low, 64)) if number % 2 else int(random.choice([54, 57, 60, 63]))
    smoothing = float(random.uniform(1.5, 4)) if number % 4 == 2 else 0.0
    if number % 8 == 4:
        return StreamSettings(size, int(random.integers(40, 60)), every, "vp9", 3, smoothing)
    return StreamSettings(size, crf, every, "av1", int(random.choice([5, 6])), smoothing)


class CodedStream(NamedTuple):
    """What a receiver decodes of every n-th of T frames, (ceil(T / n), s, s, 3), and each one's bytes."""

    pictures: npt.NDArray[np.uint8]
    unit_bytes: list[int]


def code_stream(frames: npt.NDArray[np.uint8], settings: StreamSettings) -> CodedStream:
    """Frames (T, S, S, 3), coded."""
    chosen = frames[:: settings.every]
    if settings.smoothing_px:
        small = [_reduce(p, settings.size) for p in _smoothed(chosen, settings.smoothing_px)]
    else:
        small = [_reduce(p, settings.size) for p in chosen]
    try:
        with keep_scheduling():
            context = _encoder(settings)
            packets: list[Any] = []
            for number, picture in enumerate(small):
                frame = rgb_to_yuv420(picture)
                frame.pts = number
                packets += context.encode(frame)
            packets += context.encode(None)
        decoder = av.CodecContext.create("libdav1d" if settings.coder == "av1" else "vp9", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        decoded = [yuv420_to_rgb(f) for packet in [*packets, None] for f in decoder.decode(packet)]
    except (av.FFmpegError, ValueError) as error:
        raise EngineError(f"{settings} failed on {len(frames)} frames: {error}") from error
    if len(decoded) != len(small):
        raise EngineError(f"{settings}: {len(small)} pictures went in, {len(decoded)} came out")
    return CodedStream(np.stack(decoded), [packet.size for packet in packets])


def add_streams(
    cache: Path,
    streams: int,
    report: Callable[[int, int, str], None] | None = None,
    whole: bool = False,
) -> None:
    """Code every clip of a cache, unless that was done: stream 0 of all clips first, then stream 1, and so on.

    streams: of each identity; who has many clips gets fewer of each, but never less than two.
    whole: at the clip's size.
    """
    clips = {index: json.loads(index.read_text())["identity"] for index in sorted(cache.glob("*.json"))}
    counts = list(clips.values())
    work = [
        (number, index)
        for number in range(streams)
        for index, identity in clips.items()
        if number < max(min(2, streams), streams // counts.count(identity))
    ]
    for done, (number, index) in enumerate(work):
        if report:
            report(done, len(work), index.stem)
        target = index.with_suffix(f".{'whole' if whole else 'stream'}{number}.npy")
        if target.exists():
            continue
        random = np.random.default_rng([int(index.stem[:8], 16), number])
        frames = np.load(index.with_suffix(".frames.npy"), mmap_mode="r")[:FRAMES_CODED]
        settings = draw_settings(random, number, frames.shape[1] if whole else None)
        pictures = code_stream(frames, settings).pictures
        about = target.with_suffix(".settings")
        about.write_text(json.dumps(asdict(settings)))
        save_array(target, pictures)
    if report:
        report(len(work), len(work), "")


def _encoder(settings: StreamSettings) -> av.VideoCodecContext:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its configuration for every stream; it reads only this
    context = av.VideoCodecContext.create("libsvtav1" if settings.coder == "av1" else "libvpx-vp9", "w")
    context.width = context.height = settings.size
    context.pix_fmt, context.thread_count, context.gop_size = "yuv420p", 1, 1 << 20
    context.framerate, context.time_base = Fraction(25, settings.every), Fraction(settings.every, 25)
    context.color_range = ColorRange.JPEG
    if settings.coder == "av1":
        context.options = {
            "preset": str(settings.effort),
            "crf": str(settings.crf),
            "svtav1-params": "pred-struct=1:lookahead=0:lp=1",
        }
    else:
        context.options = {**low_delay(settings.crf, settings.effort), "b": "0"}
    return context


def _reduce(picture: Picture, size: int) -> Picture:
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _smoothed(frames: npt.NDArray[np.uint8], sigma_px: float) -> Iterator[Picture]:
    """Everything outside an ellipse around the face blurred; the whole picture stays sharp until a face is found."""
    detector = FaceDetector()
    height, width = frames.shape[1:3]
    keep: npt.NDArray[np.float32] = np.ones((height, width, 1), np.float32)
    for number, frame in enumerate(frames):
        if number % FACE_EVERY == 0 and (faces := detector.find(np.ascontiguousarray(frame))):
            box = faces[0]  # the largest
            ellipse = np.zeros((height, width), np.float32)
            axes = (round(ELLIPSE[0] * box.width), round(ELLIPSE[1] * box.width))
            cv2.ellipse(ellipse, (round(box.x), round(box.y)), axes, 0, 0, 360, 1.0, -1)
            keep = np.asarray(cv2.GaussianBlur(ellipse, (0, 0), 6), dtype=np.float32)[..., None]
        blurred = cv2.GaussianBlur(frame, (0, 0), sigma_px)
        yield np.asarray(keep * frame + (1 - keep) * blurred + 0.5, dtype=np.uint8)
