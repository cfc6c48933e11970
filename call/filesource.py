"""A video file or the embedded sample in place of camera and microphone."""

import asyncio
import threading
import time

from call.stage import Stage
from talkcodec.media.sources import Capture, open_source
from talkcodec.types import Picture

__all__ = ["FileSource"]


class FileSource:
    """Plays a file again and again into the stage, while `enabled`."""

    def __init__(self, text: str, stage: Stage) -> None:
        """text: "sample", a path, or "camera:1" for a camera of this machine. Raises MediaError."""
        self._source = open_source(text, loop=True)
        self._stage = stage
        self._capture = Capture(self._source)
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._sound = threading.Thread(target=self._speak, name="file-sound", daemon=True)
        self.name = self._source.name
        self.enabled = True

    def start(self) -> None:
        """Begin."""
        self._capture.target = self._push
        self._start_s = self._capture.start()
        if self._source.has_sound:
            self._sound.start()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._capture.target = None
        self._capture.close()

    def _push(self, picture: Picture, captured_s: float) -> None:
        if self.enabled:
            self._stage.capture(picture, captured_s)

    def _speak(self) -> None:
        """In a thread of its own: packets at their times."""
        for packet in self._source.sound(0.0):
            due_s = self._start_s + packet.time_s
            if self._stop.wait(max(0.0, due_s - time.monotonic())):
                return
            if self.enabled and due_s > time.monotonic() - 0.1:
                try:
                    self._loop.call_soon_threadsafe(self._stage.hear, packet.data, due_s)
                except RuntimeError:  # the loop has closed
                    return
