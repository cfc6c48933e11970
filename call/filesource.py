"""A video file or the embedded sample in place of camera and microphone."""

from call.stage import Stage
from talkcodec.media.sources import open_source
from talkcodec.peer.feed import SourceFeed
from talkcodec.types import Picture, SoundArray

__all__ = ["FileSource"]


class FileSource:
    """Plays a file again and again into the stage, while `enabled`."""

    def __init__(self, text: str, stage: Stage) -> None:
        """text: "sample", a path, or "camera:1" for a camera of this machine. Raises MediaError."""
        source = open_source(text, loop=True)
        self._stage = stage
        self._feed = SourceFeed(source, self._push, self._push_sound)
        self.name = source.name
        self.enabled = True

    def start(self) -> None:
        """Begin."""
        self._feed.start()

    def close(self) -> None:
        """Stop."""
        self._feed.close()

    def _push(self, picture: Picture, captured_s: float) -> None:
        if self.enabled:
            self._stage.capture(picture, captured_s)

    def _push_sound(self, samples: SoundArray, captured_s: float) -> None:
        if self.enabled:
            self._stage.hear(samples, captured_s)
