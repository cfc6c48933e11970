"""The boundary that every keyframe picture codec keeps, and how to get one by its name or wire id."""

from typing import Protocol

from talkcodec.errors import BitstreamError, ConfigError
from talkcodec.types import Picture

__all__ = ["DEFAULT_QUALITY", "MAX_STILL_BYTES", "MAX_STILL_SIZE", "STILL_IDS", "StillCodec", "open_still"]

DEFAULT_QUALITY = 45
"""About 2.5 kB and SSIM 0.964 for a 256x256 face in AV1 (benchmarks/still.py)."""

MAX_STILL_BYTES = 64 * 1024
"""No keyframe picture may be longer; a peer that announces more is refused before anything is kept."""

MAX_STILL_SIZE = 1024
"""Largest width or height in pixels that any codec writes."""

STILL_IDS = {"av1": 1, "webp": 2, "jpeg": 3}
"""Name to the id on the wire (docs/bitstream.md, keyframe unit); an id never changes its meaning."""


class StillCodec(Protocol):
    """One picture at a time; no state between calls, so one object may serve several threads."""

    @property
    def name(self) -> str:
        """Name in STILL_IDS."""

    def encode(self, picture: Picture, quality: int = DEFAULT_QUALITY) -> bytes:
        """Code a picture (H, W, 3), RGB, 0 to 255, 16 to 1024 px and even on each side.

        quality: 0 (smallest) to 100 (best); the same number is about as good in every codec.
        Raises ConfigError when the picture or the quality is out of range, or the result exceeds MAX_STILL_BYTES.
        """

    def decode(self, data: bytes, max_size: int) -> Picture:
        """Decode one picture of at most max_size x max_size pixels.

        Raises BitstreamError when the bytes are not exactly one picture of this codec or exceed a bound;
        the dimensions are checked before pixels are allocated.
        """


def open_still(codec: str | int) -> StillCodec:
    """Codec by name ("av1", "webp", "jpeg") or by its id on the wire.

    Raises ConfigError for an unknown name, BitstreamError for an unknown id: ids come from the peer.
    """
    if isinstance(codec, int):
        names = [name for name, number in STILL_IDS.items() if number == codec]
        if not names:
            raise BitstreamError(f"unknown still codec id {codec}, expected one of {sorted(STILL_IDS.values())}")
        codec = names[0]
    # Imported here: PyAV and OpenCV cost a tenth of a second each, and most callers want only one.
    if codec == "av1":
        from talkcodec.picture.av1 import Av1Still

        return Av1Still()
    if codec in STILL_IDS:
        from talkcodec.picture.raster import JpegStill, WebpStill

        return WebpStill() if codec == "webp" else JpegStill()
    raise ConfigError(f"unknown still codec {codec!r}, expected one of {', '.join(STILL_IDS)}")


def check_encode(picture: Picture, quality: int) -> None:
    """Validate the arguments of StillCodec.encode: RGB, 0 to 255, its size and the quality."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != "uint8":
        raise ConfigError(f"picture is {picture.dtype} {picture.shape}, expected uint8 (height, width, 3)")
    if not all(16 <= side <= MAX_STILL_SIZE and side % 2 == 0 for side in picture.shape[:2]):
        raise ConfigError(f"picture is {picture.shape[1]}x{picture.shape[0]}, expected even sides of 16 to 1024 px")
    if not 0 <= quality <= 100:
        raise ConfigError(f"still quality is {quality}, expected 0 to 100")


def check_coded(data: bytes) -> None:
    """Refuse to hand out what no decoder would take: noise at high quality can be that long."""
    if len(data) > MAX_STILL_BYTES:
        raise ConfigError(f"keyframe picture takes {len(data)} bytes, at most {MAX_STILL_BYTES} allowed: lower quality")


def check_length(data: bytes) -> None:
    """Refuse what is too long (or too short) to be a keyframe picture."""
    if not 1 <= len(data) <= MAX_STILL_BYTES:
        raise BitstreamError(f"keyframe picture has {len(data)} bytes, expected 1 to {MAX_STILL_BYTES}")


def check_dimensions(width: int, height: int, max_size: int) -> None:
    """Refuse a picture that is empty or larger than the caller allows."""
    if not (1 <= width <= max_size and 1 <= height <= max_size):
        raise BitstreamError(f"keyframe picture is {width}x{height}, expected at most {max_size}x{max_size}")
