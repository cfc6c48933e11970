"""The boundary of coded picture streams: one picture to one unit of bytes and back, each with a memory of those before.

A unit is one picture. An intra unit starts the stream, or starts it afresh, and needs nothing before it; every other
unit needs all units since the last intra one, in order. The stream does not number its units: whoever carries them
must see a gap, and then hand nothing to the decoder but an intra unit.
"""

from dataclasses import dataclass
from typing import Protocol

from talkcodec.errors import BitstreamError, ConfigError
from talkcodec.types import Picture

__all__ = [
    "MAX_STREAM_SIZE",
    "MAX_UNIT_BYTES",
    "StreamDecoder",
    "StreamEncoder",
    "StreamSettings",
    "is_intra",
    "open_decoder",
    "open_encoder",
    "quality_step",
]

MAX_UNIT_BYTES = 64 * 1024
"""No unit may be longer; a peer that announces more is refused before anything is kept."""

MAX_STREAM_SIZE = 2048
"""Largest width or height in pixels that is coded."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How an encoder codes until it is told otherwise.

    quality: 0 (smallest) to 100 (best), constant over pictures; steps below 2 may make no difference.
    preset: libvpx's cpu-used, 0 (slow) to 8; None takes the slowest that keeps up with a call at the picture's size.
    """

    quality: float = 20.0
    preset: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 100:
            raise ConfigError(f"stream quality is {self.quality}, expected 0 to 100")
        if self.preset is not None and not 0 <= self.preset <= 8:
            raise ConfigError(f"stream preset is {self.preset}, expected 0 (slow) to 8, or None")


class StreamEncoder(Protocol):
    """Picture to unit, at once; from one thread at a time."""

    def encode(self, picture: Picture, intra: bool = False) -> bytes:
        """Code the next picture (H, W, 3), RGB, 0 to 255, sides even, 16 to MAX_STREAM_SIZE; at most MAX_UNIT_BYTES.

        intra: start afresh; the first picture, and the first of another size or after `change`, does so anyway.
        Raises ConfigError when the picture is out of range or takes more than MAX_UNIT_BYTES (the next picture then
        starts afresh), EngineError when the coder fails.
        """

    def change(self, settings: StreamSettings) -> None:
        """Code by other settings from the next picture on, which is an intra one unless nothing changes."""

    def close(self) -> None:
        """Free the coder; the next picture starts afresh."""


class StreamDecoder(Protocol):
    """Unit to picture, at once; from one thread at a time.

    quantiser: of the last intra unit, 0 (fine) to 255 (coarse), as VP9 counts; a hint at what the coder left out.
    """

    quantiser: int

    def decode(self, unit: bytes) -> Picture:
        """The unit's picture (H, W, 3).

        Raises BitstreamError when the bytes are not exactly one picture or exceed a bound; from then on, as at the
        start, StateError until an intra unit comes.
        """

    def reset(self) -> None:
        """Forget all pictures, as after a unit that never came; only an intra unit decodes next."""


def is_intra(unit: bytes) -> bool:
    """Whether a unit says that it needs nothing before it; what it really holds is seen when it is decoded."""
    return unit[:1] == b"\x82"


def open_encoder(settings: StreamSettings | None = None) -> StreamEncoder:
    """An encoder that has coded nothing yet."""
    # Imported here: PyAV and OpenCV cost a tenth of a second each.
    from talkcodec.picture.stream_vp9 import Vp9StreamEncoder

    return Vp9StreamEncoder(settings or StreamSettings())


def quality_step(quality: float) -> int:
    """Qualities, 0 to 100, of the same step are coded alike; a higher one has a lower step."""
    from talkcodec.picture.stream_vp9 import crf

    return crf(quality)


def open_decoder(max_size: int) -> StreamDecoder:
    """A decoder of pictures of at most max_size x max_size pixels; more is refused before pixels are allocated."""
    from talkcodec.picture.stream_vp9 import Vp9StreamDecoder

    return Vp9StreamDecoder(max_size)


def check_picture(picture: Picture) -> None:
    """RGB, 0 to 255. Validate the argument of StreamEncoder.encode."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != "uint8":
        raise ConfigError(f"picture is {picture.dtype} {picture.shape}, expected uint8 (height, width, 3)")
    if not all(16 <= side <= MAX_STREAM_SIZE and side % 2 == 0 for side in picture.shape[:2]):
        raise ConfigError(
            f"picture is {picture.shape[1]}x{picture.shape[0]}, expected even sides of 16 to {MAX_STREAM_SIZE} px"
        )


def check_unit(unit: bytes) -> None:
    """Refuse what is too long (or too short) to be a unit."""
    if not 4 <= len(unit) <= MAX_UNIT_BYTES:
        raise BitstreamError(f"stream unit has {len(unit)} bytes, expected 4 to {MAX_UNIT_BYTES}")
