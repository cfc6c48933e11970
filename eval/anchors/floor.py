"""The floor: show the keyframe for ever."""

import numpy as np
import numpy.typing as npt

from eval.clips import Clip
from eval.wire import Traffic, data_channel_traffic

__all__ = ["PIECE_BYTES", "code_copy"]

PIECE_BYTES = 1100
"""Keyframes travel in pieces of at most this many bytes (docs/bitstream.md)."""


def code_copy(clip: Clip, quality: int | None) -> tuple[npt.NDArray[np.uint8], Traffic]:
    """Repeat the first picture: as the still codec leaves it at `quality`, or untouched when that is None (and no
    rate).
    """
    first = np.ascontiguousarray(clip.frames[0])
    if quality is None:
        return np.repeat(first[None], len(clip.frames), axis=0), Traffic(0, 0, 0, 0, 0)
    from talkcodec.picture import open_still

    still = open_still("av1")
    data = still.encode(first, quality)
    picture = still.decode(data, max(first.shape[:2]))
    pieces = [len(data[start : start + PIECE_BYTES]) for start in range(0, len(data), PIECE_BYTES)]
    traffic = data_channel_traffic(len(data), len(data), pieces)
    return np.repeat(picture[None], len(clip.frames), axis=0), traffic
