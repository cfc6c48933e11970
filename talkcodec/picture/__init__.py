"""Coded pictures, bounded against hostile data: stills (one picture, a few thousand bytes) and streams of pictures.

AV1 codes stills (SVT-AV1 writes, dav1d reads), WebP and JPEG where AV1 is not; VP9 codes streams.
"""

from talkcodec.picture.still import (
    DEFAULT_QUALITY,
    MAX_STILL_BYTES,
    MAX_STILL_SIZE,
    STILL_IDS,
    StillCodec,
    open_still,
)
from talkcodec.picture.stream import (
    MAX_STREAM_SIZE,
    MAX_UNIT_BYTES,
    StreamDecoder,
    StreamEncoder,
    StreamSettings,
    is_intra,
    open_decoder,
    open_encoder,
    quality_step,
)

__all__ = [
    "DEFAULT_QUALITY",
    "MAX_STILL_BYTES",
    "MAX_STILL_SIZE",
    "MAX_STREAM_SIZE",
    "MAX_UNIT_BYTES",
    "STILL_IDS",
    "StillCodec",
    "StreamDecoder",
    "StreamEncoder",
    "StreamSettings",
    "is_intra",
    "open_decoder",
    "open_encoder",
    "open_still",
    "quality_step",
]
