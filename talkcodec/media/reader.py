"""Videos and photos in: upright pictures with their times, errors as MediaError."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from talkcodec.errors import MediaError
from talkcodec.media.container import Damage, decoded_frames, is_cut, open_input, picture_stream, sound_stream
from talkcodec.media.heic import is_tiled, read_tiles
from talkcodec.media.interlace import deinterlaced
from talkcodec.media.pictures import to_picture
from talkcodec.types import Picture

__all__ = ["Frame", "MediaInfo", "MediaReader", "read_picture"]

logger = logging.getLogger(__name__)

MAX_SIDE_PX = 8192
MAX_PHOTO_SIDE_PX = 16_384
"""Phones take photos of 200 megapixels."""
CLOCK_RESTART_S = 1.0
"""A clock that falls by more has begun anew, as in joined transport streams: time goes on from where it was."""

_USUAL_FPS = 25.0


class Frame(NamedTuple):
    """A captured instant: picture (H, W, 3) upright, time in seconds from the first picture of the file."""

    picture: Picture
    time_s: float


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What the container says: fps and frame_count may be estimates, 0 when unknown; sides before turning."""

    width: int
    height: int
    fps: float
    frame_count: int
    has_audio: bool


class MediaReader:
    """The frames of a video file, in order of time; each iteration starts at the beginning.

    Damaged packets are left out with a warning. After an iteration `problem` says what cut it short, None when the
    file was read to its end. Raises MediaError for a file that is missing or no video.
    """

    def __init__(self, path: Path | str, max_side_px: int = MAX_SIDE_PX) -> None:
        """max_side_px: larger pictures are refused before they take memory."""
        self.path = Path(path)
        self._max_side_px = max_side_px
        self.problem: str | None = None
        self.damaged_packets = 0
        self._opened: list[av.container.InputContainer] = []
        container, stream = self._open()
        self._unused: tuple[av.container.InputContainer, av.VideoStream] | None = (container, stream)
        rate = stream.average_rate or stream.guessed_rate
        fps = float(rate) if rate else 0.0
        length_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        self.info = MediaInfo(
            width=stream.width,
            height=stream.height,
            fps=fps,
            frame_count=round(length_s * fps) or stream.frames,
            has_audio=sound_stream(container) is not None,
        )

    def _open(self) -> tuple[av.container.InputContainer, av.VideoStream]:
        container = open_input(self.path)
        stream = picture_stream(container)
        if stream is None:
            unknown = " whose coding is known here" if container.streams.video else ""
            container.close()
            raise MediaError(f"{self.path} holds no video{unknown}")
        self._opened.append(container)
        return container, stream

    def __iter__(self) -> Iterator[Frame]:
        container, stream = self._unused or self._open()
        self._unused = None
        self.problem, self.damaged_packets = None, 0
        if is_tiled(container):
            yield Frame(read_tiles(self.path, container, self._max_side_px), 0.0)
            return
        damage = Damage()
        last_s = -1.0
        for time_s, decoded in self._timed(deinterlaced(decoded_frames(container, stream, damage))):
            if max(decoded.width, decoded.height) > self._max_side_px:
                size = f"{decoded.width}x{decoded.height}"
                raise MediaError(f"{self.path} has {size} px, at most {self._max_side_px} a side can be read")
            try:
                picture = to_picture(decoded, stream.sample_aspect_ratio)
            except (av.FFmpegError, ValueError) as error:
                damage.add(error)
                continue
            last_s = time_s
            yield Frame(picture, time_s)
        self.damaged_packets = damage.packets
        if last_s < 0:
            why = f": {damage.last}" if damage.last else ""
            raise MediaError(f"{self.path} holds no frame that can be decoded{why}")
        if damage.given_up:
            self.problem = f"{self.path} is damaged: read up to {last_s:.2f} s ({damage.last})"
        elif is_cut(container, stream):
            self.problem = f"{self.path} is cut: its index goes on, its pictures end at {last_s:.2f} s"
        elif damage.packets:
            logger.warning("%s: %s", self.path, damage.summary)

    def _timed(self, frames: Iterator[av.VideoFrame]) -> Iterator[tuple[float, av.VideoFrame]]:
        """Frames whose times rise, from 0."""
        period_s = 1 / (self.info.fps or _USUAL_FPS)
        start_s: float | None = None
        last_s = -period_s
        for frame in frames:
            clock_s = frame.time
            if start_s is None:
                start_s = clock_s or 0.0
            time_s = last_s + period_s if clock_s is None else clock_s - start_s
            if clock_s is not None and time_s < last_s - CLOCK_RESTART_S:
                start_s, time_s = clock_s - last_s - period_s, last_s + period_s
            if time_s > last_s:  # else two frames of one instant: the earlier one stands
                last_s = time_s
                yield time_s, frame

    def __enter__(self) -> "MediaReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._unused = None
        while self._opened:
            self._opened.pop().close()


def read_picture(path: Path | str) -> Picture:
    """The first picture of a photo or video file, at most 8192 px a side: larger ones are scaled down. Raises
    MediaError."""
    with MediaReader(path, MAX_PHOTO_SIDE_PX) as reader:
        picture = next(iter(reader)).picture
    scale = MAX_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
