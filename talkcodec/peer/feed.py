"""A source played in real time into a peer: frames and sound, each at its time."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from talkcodec.media.sources import Capture, Source
from talkcodec.types import Picture, SoundArray

__all__ = ["SourceFeed"]

logger = logging.getLogger(__name__)

_LATE_S = 0.1


class SourceFeed:
    """Two threads, one for pictures (see Capture) and one for sound. Both go on while nobody is there to take it.

    Drop policy: a frame more than one period late, and sound more than 100 ms late, are skipped; a microphone's
    is taken as it comes.
    """

    def __init__(
        self,
        source: Source,
        push: Callable[[Picture, float], None],
        push_sound: Callable[[SoundArray, float], None] | None,
    ) -> None:
        """push: called in the thread with a frame and its time on the monotonic clock. push_sound: called on the event
        loop with 20 ms of sound, (960,) int16 mono at 48 kHz, and their time; None leaves the sound out."""
        self._source, self._push_sound = source, push_sound
        self._capture = Capture(source)
        self._capture.target = push
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._sound = threading.Thread(target=self._speak, name="sound", daemon=True)
        self._start_s = 0.0

    @property
    def start_s(self) -> float | None:
        """Time 0 of the source on the monotonic clock, once it has begun."""
        return self._capture.start_s

    @property
    def ended(self) -> threading.Event:
        """The source has no more pictures."""
        return self._capture.ended

    @property
    def error(self) -> Exception | None:
        """Why there are no more pictures, if that was no ordinary end."""
        return self._capture.error

    def start(self) -> None:
        """Begin, if it has not begun."""
        if self._capture.start_s is None:
            self._start_s = self._capture.start()
            if self._source.has_sound and self._push_sound is not None:
                self._sound.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._capture.target = None
        self._capture.close()

    def _speak(self) -> None:
        """In the sound's thread."""
        blocks = self._source.sound(0.0)
        try:
            for block in blocks:
                due_s = self._start_s + block.time_s
                if self._stop.wait(max(0.0, due_s - time.monotonic())):
                    return
                if self._source.live_sound or due_s > time.monotonic() - _LATE_S:
                    self._loop.call_soon_threadsafe(self._deliver, block.samples.reshape(-1), due_s)
        except Exception as error:  # nobody would hear of it in this thread
            if not self._loop.is_closed():
                logger.warning("%s: the call goes on without sound", error or type(error).__name__)
        finally:
            close = getattr(blocks, "close", None)  # gives a microphone back
            if close is not None:
                close()

    def _deliver(self, samples: SoundArray, due_s: float) -> None:
        if self._push_sound is not None and not self._stop.is_set():
            self._push_sound(samples, due_s)
