"""Which picture of a recording a keyframe shows: of those that it restores, the one most like all of them."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.codec.change import change, thumbnail
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.codec.crop import CroppedPicture
from talkcodec.codec.refresh import ALARM_MEAN, ALARM_SHARE
from talkcodec.types import Picture

__all__ = ["ReferenceChoice", "keyframe_picture"]

_SIDE = 64
"""Pictures are compared at this size."""

_COMPARED = 60
"""So many pictures of a scene are compared with one another, evenly spread."""

_SHORTEST_SCENE = 12
"""Fewer pictures are a wipe or a flash, and no scene of their own: what follows may get no keyframe, as those come by
how far the restored picture is off, which a cut alone need not make it."""


def keyframe_picture(picture: Picture, config: EncoderConfig) -> Picture:
    """What a keyframe shows of a picture (S, S, 3), RGB, 0 to 255: all of it; in a recording in the video rung, where
    nothing is restored with it, the mean colour. A call may come down to a rung that needs it."""
    if config.rung is not Rung.VIDEO or config.acknowledged:
        return picture
    return np.broadcast_to(np.rint(picture.mean((0, 1))).astype(np.uint8), picture.shape).copy()


class ReferenceChoice:
    """Looks ahead in a piece of a recording, which a call cannot do."""

    def __init__(self, pictures: Sequence[CroppedPicture]) -> None:
        self._pictures = pictures
        self._ends = _scene_ends(pictures)

    def at(self, number: int) -> Picture:
        """What a keyframe at this picture is to show: of the scene's pictures from there on, the one least far from the
        others, by mean absolute difference of small copies."""
        end = next(end for end in self._ends if end > number)
        step = max(1, (end - number) // _COMPARED)
        candidates = [cut.picture for cut in self._pictures[number:end:step]]
        small = np.stack([_reduced(picture) for picture in candidates])
        distances = [np.abs(small - one).mean() for one in small]
        return candidates[int(np.argmin(distances))]


def _scene_ends(pictures: Sequence[CroppedPicture]) -> list[int]:
    """Behind the last picture of each scene: where the crop moves, another face comes, or much changes at once.

    What changes at once within _SHORTEST_SCENE pictures belongs to what follows.
    """
    ends: list[int] = []
    last = None
    for number, cut in enumerate(pictures):
        cells = thumbnail(cut.picture)
        if last is not None:
            moved = change(cells, last)
            jumped = moved.share > ALARM_SHARE and moved.mean > ALARM_MEAN
            jumped &= number - (ends[-1] if ends else 0) >= _SHORTEST_SCENE
            if jumped or cut.new_face or cut.crop != pictures[number - 1].crop:
                ends.append(number)
        last = cells
    return [*ends, len(pictures)]


def _reduced(picture: Picture) -> npt.NDArray[np.int16]:
    return np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), dtype=np.int16)
