"""Keyframe pictures: one picture to a few thousand bytes and back, bounded against hostile data.

AV1 (SVT-AV1 writes, dav1d reads) is the default; WebP and JPEG are there where AV1 is not.
"""

from talkcodec.picture.still import (
    DEFAULT_QUALITY,
    MAX_STILL_BYTES,
    MAX_STILL_SIZE,
    STILL_IDS,
    StillCodec,
    open_still,
)

__all__ = ["DEFAULT_QUALITY", "MAX_STILL_BYTES", "MAX_STILL_SIZE", "STILL_IDS", "StillCodec", "open_still"]
