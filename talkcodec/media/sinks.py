"""Where pictures and sound go: an mp4 file, a window, a virtual camera, nowhere."""

import contextlib
import logging
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Protocol

import cv2

from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.errors import MediaError, TalkcodecError, UsageError
from talkcodec.media.marks import GENERATED, mark_generated
from talkcodec.media.opus import OPUS_RATE_HZ, OpusEncoder
from talkcodec.media.sound import SoundPacket
from talkcodec.media.writer import MediaWriter
from talkcodec.types import Kind, PlayedPicture, PlayedSound

__all__ = ["GENERATED", "FileSink", "NullSink", "Sink", "VirtualCameraSink", "WindowSink", "open_sink"]

logger = logging.getLogger(__name__)

QUEUE_FRAMES = 500
SOUND_BPS = 24_000
"""Of sound that was coded once already."""

OTHER_CLOCK_S = 2.0
"""No jitter buffer moves a picture by more: a larger step of the media clock against ours is another caller's clock."""


class Sink(Protocol):
    """Takes pictures and sound from any thread, must not block for long."""

    def show(self, picture: PlayedPicture) -> None:
        """One shown frame."""
        ...

    def play(self, sound: PlayedSound) -> None:
        """20 ms of sound."""
        ...

    def close(self) -> None:
        """The call is over."""
        ...


class NullSink:
    """Shows nothing: for measuring."""

    def show(self, picture: PlayedPicture) -> None:
        """Nothing."""

    def play(self, sound: PlayedSound) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class FileSink:
    """An mp4 with sound, its frames at their media times; says in its metadata that the face is generated.

    Callers follow each other in one film, each at the time at which it was seen here, whatever its clock says.
    Written in a thread of its own. Drop policy: 500 frames and sounds wait, newer ones are dropped and counted.
    `error` says what ended the film early; `close` raises it.
    """

    def __init__(self, path: Path, sound: bool) -> None:
        self.path = path
        self.dropped = 0
        self.error: TalkcodecError | None = None
        self._queue: queue.Queue[PlayedPicture | PlayedSound | None] = queue.Queue(QUEUE_FRAMES)
        self._writer: MediaWriter | None = None
        self._opus = OpusEncoder(SOUND_BPS) if sound else None
        self._clock: _FilmClock | None = None
        self._last_s = self._last_sound_s = -1.0
        if not path.parent.is_dir():
            raise MediaError(f"the folder {path.parent} does not exist")
        self._thread = threading.Thread(target=self._run, name="file", daemon=True)
        self._thread.start()

    def show(self, picture: PlayedPicture) -> None:
        """Queue a frame."""
        self._put(picture)

    def play(self, sound: PlayedSound) -> None:
        """Queue sound."""
        if self._opus is not None:
            self._put(sound)

    def _put(self, item: PlayedPicture | PlayedSound) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits and finish the file."""
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=1.0)
                break
            except queue.Full:
                continue  # the writer is behind, or died of an error just now
        self._thread.join(30.0)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                if isinstance(item, PlayedPicture):
                    self._write(item)
                elif self._clock is not None:
                    self._write_sound(item)
            if self._writer is not None:
                self._writer.close()
        except TalkcodecError as error:
            self.error = error
            logger.error("%s", error)
        finally:
            if self._writer is not None:
                with contextlib.suppress(TalkcodecError):  # it has been told already
                    self._writer.close()

    def _write(self, item: PlayedPicture) -> None:
        if item.kind is Kind.FROZEN:
            return  # the picture before stays until the next one
        if self._clock is None:
            self._clock = _FilmClock(item.timestamp, item.shown_s)
        time_s = self._clock.time_s(item.timestamp, item.shown_s)
        if time_s <= self._last_s:
            return
        if self._writer is None:
            height, width = item.picture.shape[:2]
            sound = self._opus is not None
            self._writer = MediaWriter(self.path, width, height, sound=sound, comment=GENERATED)
        self._last_s = time_s
        self._writer.write(item.picture, time_s)

    def _write_sound(self, item: PlayedSound) -> None:
        assert self._opus is not None
        assert self._clock is not None
        time_s = self._clock.time_s(item.timestamp, item.arrived_s)
        if self._writer is None or len(item.samples) != self._opus.frame_samples or time_s <= self._last_sound_s:
            return
        self._last_sound_s = time_s
        for packet in self._opus.encode(item.samples, round(time_s * OPUS_RATE_HZ)):
            if packet.position >= 0:
                duration_s = self._opus.frame_samples / OPUS_RATE_HZ
                self._writer.write_sound(SoundPacket(packet.position / OPUS_RATE_HZ, duration_s, packet.data))


class _FilmClock:
    """Media times of one caller after the other into times of one film."""

    def __init__(self, timestamp: int, here_s: float) -> None:
        """The film begins with this 90 kHz time, seen here at that time on the monotonic clock."""
        self._timestamp, self._time_s = timestamp, 0.0
        self._here_s = here_s

    def time_s(self, timestamp: int, here_s: float) -> float:
        """Of a picture or sound of the present caller, or of a new one."""
        time_s = self._time_s + time32_diff(timestamp, self._timestamp) / CLOCK_HZ
        expected_s = self._time_s + here_s - self._here_s
        if abs(time_s - expected_s) > OTHER_CLOCK_S:
            time_s = expected_s
        if time_s > self._time_s:  # move on, so that the difference of two times never wraps
            self._timestamp, self._time_s, self._here_s = timestamp, time_s, here_s
        return time_s


class _LatestPictureThread:
    """Shows pictures from one thread, as GUI libraries want it. Drop policy: only the newest picture waits."""

    def __init__(self, name: str) -> None:
        self._queue: queue.Queue[PlayedPicture | None] = queue.Queue(1)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def show(self, picture: PlayedPicture) -> None:
        """Replace the picture that waits."""
        with contextlib.suppress(queue.Empty):
            self._queue.get_nowait()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(picture)

    def play(self, sound: PlayedSound) -> None:
        """Sound is for files only."""

    def close(self) -> None:
        """End the thread."""
        try:
            self._queue.put(None, timeout=2.0)
        except queue.Full:
            return
        self._thread.join(3.0)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self.draw(item)
        self.finish()

    def draw(self, item: PlayedPicture) -> None:
        """In the thread: one picture."""

    def finish(self) -> None:
        """In the thread: the end."""


class WindowSink(_LatestPictureThread):
    """A window, with the mark that the face is generated in its corner."""

    TITLE = "talkcodec (generated face)"

    def draw(self, item: PlayedPicture) -> None:
        """Show one picture."""
        try:
            cv2.imshow(self.TITLE, cv2.cvtColor(mark_generated(item.picture), cv2.COLOR_RGB2BGR))
            cv2.waitKey(1)
        except cv2.error as error:
            logger.error("no window can be opened (%s); use --sink FILE.mp4", str(error).splitlines()[0])

    def finish(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()


class VirtualCameraSink(_LatestPictureThread):
    """A camera for other programs; needs the package pyvirtualcam and a loopback driver of the system."""

    def __init__(self, size: int, fps: float) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise UsageError("--sink virtual-camera needs a package: pip install pyvirtualcam") from error
        try:
            self._camera = pyvirtualcam.Camera(size, size, fps)
        except RuntimeError as error:
            raise UsageError(f"no virtual camera can be opened: {error}") from error
        super().__init__("virtual-camera")

    def draw(self, item: PlayedPicture) -> None:
        """Send one picture."""
        self._camera.send(mark_generated(item.picture))

    def finish(self) -> None:
        """Close the camera."""
        self._camera.close()


def open_sink(text: str, sound: bool, size: int) -> Sink:
    """ "none", "window", "virtual-camera", or the path of an mp4 file. Raises UsageError or MediaError."""
    if text == "none":
        return NullSink()
    if text == "window":
        screens = (os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
        if sys.platform.startswith("linux") and not any(screens):
            raise MediaError("no screen here for a window: use --sink FILE.mp4, or none")
        return WindowSink("window")
    if text == "virtual-camera":
        return VirtualCameraSink(size, 25.0)
    if Path(text).suffix.lower() != ".mp4":
        raise UsageError(f"--sink: got {text!r}, expected none, window, virtual-camera or a file that ends in .mp4")
    return FileSink(Path(text), sound)
