"""Where pictures and sound come from: a video file, a camera, the embedded sample."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from talkcodec.errors import MediaError, TalkcodecError
from talkcodec.media.container import decoded_length_s
from talkcodec.media.microphone import check_microphone, read_microphone
from talkcodec.media.reader import Frame, MediaReader
from talkcodec.media.sound import SoundBlock, read_sound
from talkcodec.sample import sample_path
from talkcodec.types import Picture

__all__ = ["Camera", "Capture", "Source", "VideoFile", "WithMicrophone", "open_source"]

logger = logging.getLogger(__name__)

MIN_FPS, MAX_FPS = 5.0, 60.0
"""What a call is made for; a slide show or a slow-motion film is brought into it."""


class Source(Protocol):
    """Frames with rising times from 0, and sound on the same clock."""

    name: str
    fps: float
    has_sound: bool
    live_sound: bool

    def frames(self) -> Iterator[Frame]:
        """All frames; a live source blocks until the next."""
        ...

    def sound(self, from_s: float) -> Iterator[SoundBlock]:
        """Blocks of 20 ms, one channel, with times of at least `from_s`."""
        ...


class VideoFile:
    """A video file, once or again and again, at 5 to 60 frames a second: fewer are shown again, more are left out."""

    live_sound = False

    def __init__(self, path: Path, loop: bool = False) -> None:
        """Raises MediaError for a file that no call can be made of."""
        self.name = path.name
        self._path, self._loop = path, loop
        with MediaReader(path) as reader:
            self.fps = min(MAX_FPS, max(MIN_FPS, reader.info.fps or 25.0))
            self.has_sound = reader.info.has_audio
            next(iter(reader))  # that there is one shows only here
        # What the header says of its length may be wrong or missing: the time stamps say it.
        self._length_s = decoded_length_s(path) + 1 / self.fps if loop else math.inf

    def frames(self) -> Iterator[Frame]:
        """Frames; in a loop the times go on rising."""
        start_s = 0.0
        while True:
            with MediaReader(self._path) as reader:
                for frame in self._steady(reader):
                    if frame.time_s < self._length_s:
                        yield Frame(frame.picture, start_s + frame.time_s)
                if reader.problem is not None:
                    logger.warning("%s", reader.problem)
            if not self._loop:
                return
            start_s += self._length_s

    def _steady(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        shown: Frame | None = None
        for frame in frames:
            while shown is not None and frame.time_s - shown.time_s > 1.5 / MIN_FPS:
                shown = Frame(shown.picture, shown.time_s + 1 / MIN_FPS)
                yield shown
            if shown is None or frame.time_s - shown.time_s > 0.75 / MAX_FPS:
                shown = frame
                yield frame

    def sound(self, from_s: float) -> Iterator[SoundBlock]:
        """Blocks; whole rounds before `from_s` are not even read."""
        if not self.has_sound:
            return
        start_s = int(max(0.0, from_s) / self._length_s) * self._length_s if self._loop else 0.0
        while True:
            for block in read_sound(self._path):
                if start_s + block.time_s >= from_s and block.time_s < self._length_s:
                    yield SoundBlock(start_s + block.time_s, block.samples)
            if not self._loop:
                return
            start_s += self._length_s


class Camera:
    """A camera through OpenCV, without sound; see WithMicrophone."""

    live_sound = False

    def __init__(self, index: int, fps: float = 25.0) -> None:
        self.name, self.has_sound = f"camera {index}", False
        before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it says a page; ours is a sentence
        self._capture = cv2.VideoCapture(index)
        cv2.utils.logging.setLogLevel(before)
        if not self._capture.isOpened():
            raise MediaError(f"camera {index} cannot be opened: is it plugged in, and free? try --source sample")
        self._capture.set(cv2.CAP_PROP_FPS, fps)
        reported = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = reported if 5 <= reported <= 60 else fps

    def frames(self) -> Iterator[Frame]:
        """Frames as the camera delivers them, each with the time of its arrival."""
        start_s = time.monotonic()
        while True:
            ok, captured = self._capture.read()
            if not ok:
                raise MediaError(f"{self.name} delivers no more pictures")
            picture: Picture = np.asarray(cv2.cvtColor(captured, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield Frame(picture, time.monotonic() - start_s)

    def sound(self, from_s: float) -> Iterator[SoundBlock]:
        """Nothing."""
        return iter(())


class WithMicrophone:
    """A source's pictures and what a microphone hears, instead of the source's own sound."""

    has_sound = live_sound = True

    def __init__(self, source: Source, device: str) -> None:
        """Raises MediaError when the microphone cannot be opened."""
        check_microphone(device)
        self.name, self.fps = f"{source.name} with microphone {device}", source.fps
        self._source, self._device = source, device
        self._start_s: float | None = None
        self._started = threading.Event()

    def frames(self) -> Iterator[Frame]:
        """The source's frames; the sound's times count from the first call."""
        if self._start_s is None:
            self._start_s = time.monotonic()
            self._started.set()
        return self._source.frames()

    def sound(self, from_s: float) -> Iterator[SoundBlock]:
        """What is heard from now on; waits for the pictures to begin."""
        self._started.wait()
        assert self._start_s is not None
        for block in read_microphone(self._device):
            yield SoundBlock(block.time_s - self._start_s, block.samples)


def open_source(text: str, loop: bool, microphone: str | None = None) -> Source:
    """ "sample", "camera", "camera:1", or the path of a video file; with a microphone, if one is named.

    A camera takes the system's microphone when none is named, and goes without when there is none; microphone "" asks
    for none. Raises MediaError.
    """
    source = _open_pictures(text, loop)
    if microphone is None and isinstance(source, Camera):
        try:
            return WithMicrophone(source, "default")
        except MediaError as error:
            logger.warning("%s; calling without sound (another one: --microphone NAME)", error)
            return source
    return WithMicrophone(source, microphone) if microphone else source


def _open_pictures(text: str, loop: bool) -> Source:
    if text == "sample":
        return VideoFile(sample_path(), loop)
    kind, _, index = text.partition(":")
    if kind == "camera" and (not index or index.isdecimal()):
        return Camera(int(index or 0))
    return VideoFile(Path(text), loop)


class Capture:
    """A thread that reads a source in real time and pushes each frame to whoever is in `target`.

    Drop policy: a frame that is more than one period late is skipped.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.target: Callable[[Picture, float], None] | None = None
        self.start_s: float | None = None
        self.skipped = 0
        self.ended = threading.Event()
        self.error: TalkcodecError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> float:
        """Begin, if it has not begun; returns time 0 of the source on the monotonic clock."""
        if self.start_s is None:
            self.start_s = time.monotonic()
            self._thread.start()
        return self.start_s

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self.start_s is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        assert self.start_s is not None
        period_s = 1 / self.source.fps
        try:
            for frame in self.source.frames():
                wait_s = self.start_s + frame.time_s - time.monotonic()
                if wait_s > 0 and self._stop.wait(wait_s):
                    return
                if self._stop.is_set():
                    return
                target = self.target
                if wait_s < -period_s:
                    self.skipped += 1
                elif target is not None:
                    target(frame.picture, self.start_s + frame.time_s)
        except TalkcodecError as error:
            self.error = error
        except Exception as error:  # nobody would hear of it in this thread
            logger.debug("the source %s", self.source.name, exc_info=True)
            self.error = MediaError(f"{self.source.name} cannot be read on: {error or type(error).__name__}")
            self.error.__cause__ = error
        finally:
            self.ended.set()
