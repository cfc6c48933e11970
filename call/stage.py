"""Between the page and the peer: what is captured goes out, what the peer sends is shown, switches lie between.

page or file -> capture, hear -> Ports -> peer's engine
peer's engine -> show, play -> mark, keypoints -> page, recording
"""

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from call.options import CALL_FPS
from call.pace import PACES, Pace
from talkcodec.errors import TalkcodecError
from talkcodec.media.marks import draw_keypoints, mark_generated
from talkcodec.media.sinks import FileSink
from talkcodec.types import Kind, Picture, PlayedPicture, PlayedSound, SoundArray

__all__ = ["Port", "Stage", "Switches", "Viewer"]

logger = logging.getLogger(__name__)

Samples = npt.NDArray[np.int16]


class Port(Protocol):
    """The way to the peer, while there is a call."""

    def push(self, picture: Picture, captured_s: float) -> None:
        """A captured frame; from any thread."""
        ...

    def push_sound(self, samples: SoundArray, captured_s: float) -> None:
        """20 ms of sound, (960,) int16 mono at 48 kHz; on the event loop."""
        ...


class Viewer(Protocol):
    """The way to the page, while it is open."""

    def show(self, picture: Picture) -> None:
        """The peer's next picture; from any thread."""
        ...

    def show_self(self, picture: Picture) -> None:
        """Our own picture as the peer sees it; from any thread."""
        ...

    def play(self, samples: Samples, due_s: float) -> None:
        """The peer's sound and when it is to be heard; on the event loop."""
        ...


@dataclass(slots=True)
class Switches:
    """What the person has set. camera, microphone: sent to the peer; keypoints: drawn over the picture."""

    camera: bool = True
    microphone: bool = True
    keypoints: bool = False
    self_view: bool = False


class Stage:
    """Holds the switches, the present port and viewer, and the recording. Nothing waits here.

    audience: somebody is there to see and hear us; nothing is sent to nobody. recorded: the last finished recording.
    """

    def __init__(self) -> None:
        self.switches = Switches()
        self.port: Port | None = None
        self.viewer: Viewer | None = None
        self.audience = True
        self.recorded: Path | None = None
        self.pace: Pace = PACES[0]
        self.frames_captured = 0
        self.frames_shown = 0
        self.captured_s = float("-inf")
        self.shown_s = float("-inf")
        self.recording: FileSink | None = None
        self._last_sent_s = float("-inf")
        self._lock = threading.Lock()

    def capture(self, picture: Picture, captured_s: float) -> None:
        """A frame of the camera (H, W, 3), monotonic clock; dropped while the camera is off or nobody sees it."""
        self.frames_captured += 1
        self.captured_s = captured_s
        port, period_s = self.port, 1 / CALL_FPS
        if port is None or not self.audience or not self.switches.camera:
            return
        if captured_s - self._last_sent_s < (self.pace.every - 0.5) * period_s:
            return
        self._last_sent_s = captured_s
        port.push(picture, captured_s)

    def hear(self, samples: SoundArray, captured_s: float) -> None:
        """20 ms of the microphone; dropped while it is off or nobody hears it."""
        if self.port is not None and self.audience and self.switches.microphone:
            self.port.push_sound(samples, captured_s)

    def show(self, played: PlayedPicture) -> None:
        """The peer's next frame, from the generator's thread."""
        if played.kind is Kind.FROZEN:
            return
        self.frames_shown += 1
        self.shown_s = time.monotonic()
        marked = self._decorate(played)
        if self.viewer is not None:
            self.viewer.show(marked)
        with self._lock:
            if self.recording is not None:
                self.recording.show(dataclasses.replace(played, picture=mark_generated(played.picture)))

    def show_self(self, played: PlayedPicture) -> None:
        """Our own frame as the peer sees it."""
        if self.viewer is not None and played.kind is not Kind.FROZEN:
            self.viewer.show_self(self._decorate(played))

    def play(self, sound: PlayedSound, due_s: float) -> None:
        """The peer's sound."""
        if self.viewer is not None:
            self.viewer.play(sound.samples, due_s)
        with self._lock:
            if self.recording is not None:
                self.recording.play(sound)

    def _decorate(self, played: PlayedPicture) -> Picture:
        picture = played.picture
        if self.switches.keypoints and played.motion is not None:
            picture = draw_keypoints(picture, played.motion)
        return mark_generated(picture)

    def record(self, folder: Path, name: Callable[[], str]) -> Path:
        """Begin a recording of the peer in `folder`; its path. Raises MediaError."""
        with self._lock:
            if self.recording is None:
                self.recording = FileSink(folder / name(), sound=True)
            return self.recording.path

    def stop_recording(self) -> Path | None:
        """Finish the recording, which takes a moment; its path, None when nothing was recorded. Raises MediaError."""
        with self._lock:
            sink, self.recording = self.recording, None
        if sink is None:
            return None
        sink.close()
        self.recorded = sink.path if sink.path.exists() else None
        return self.recorded

    def close(self) -> None:
        """End what is going on."""
        self.port = self.viewer = None
        try:
            self.stop_recording()
        except TalkcodecError as error:
            logger.error("%s", error)
