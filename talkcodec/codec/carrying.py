"""From base pictures to motion and back without a jump: the last picture of the one is carried into those of the other.

Down, the last restored picture is animated, then gives way to the keyframe. It is far nearer to what was just shown
than the keyframe is. But what motion does not move stays as it was in that one instant, lids in a blink for one, and
once the head is nearer to where the keyframe has it, the keyframe shows it better. Up, a few pictures lie between the
last one that motion made and the restored ones, all that is in them moved along (docs/base-layer.md).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcodec.types import Drive, Motion, Picture

if TYPE_CHECKING:
    from talkcodec.codec.decoder import Reference
    from talkcodec.runtime import Engine  # not at run time: the codec itself needs no torch

__all__ = ["FADED", "LONGEST", "RISING", "CarriedPicture"]

LONGEST = 75
"""So many pictures are made of the last restored one at most, three seconds of them as a rule."""

FADED = 12
"""So many are made of both. Each takes twice as long, and `LoadControl` lets shorter spikes than half a second pass."""

RISING = 5
"""So many pictures lie on the way up: a fifth of a second, as a quick movement takes."""


@dataclass(slots=True)
class _Source:
    """The last restored picture, ready to be animated; made, faded: how many pictures were, and of both."""

    prepared: Any  # runtime.Reference
    motion: Motion
    made: int = 0
    faded: int = 0


@dataclass(slots=True)
class _Moved:
    """The last picture that motion made, on this reference; left: how many pictures of the way up are to come."""

    reference: "Reference"
    picture: Picture
    left: int = RISING


class CarriedPicture:
    """Makes the pictures that motion drives, and those on the way up from them.

    `restored` and `animate` are told of the pictures in the order in which they are shown. A fall takes one
    `Engine.encode_reference`, a rise `RISING` times `Engine.between`.
    """

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._last: tuple[Reference, Picture] | None = None
        self._source: _Source | None = None  # made of it when motion comes
        self._moved: _Moved | None = None

    def restored(self, reference: "Reference", picture: Picture) -> Picture:
        """What to show of a picture (S, S, 3), RGB, 0 to 255, that was restored with this reference.

        That is the picture itself, or for a while after motion on the same reference one on the way to it.
        """
        self._last, self._source = (reference, picture), None
        moved = self._moved
        if moved is None or not moved.left or moved.reference is not reference:
            self._moved = None
            return picture
        share = 1 - moved.left / (RISING + 1)
        moved.left -= 1
        return self._engine.between(moved.picture, picture, share)

    def animate(self, reference: "Reference", motion: Motion) -> Picture:
        """The picture (S, S, 3) of motion on a reference: for a while of the last picture that was restored with it.

        On another reference, as after a keyframe or in another crop, it is that reference's at once.
        """
        picture = self._animated(reference, motion)
        self._moved = _Moved(reference, picture)
        return picture

    def _animated(self, reference: "Reference", motion: Motion) -> Picture:
        if self._last is None or self._last[0] is not reference:
            self._last = None
            return self._engine.generate(reference.prepared, Drive(motion))
        if self._source is None:  # what is detected in it would be a little off, and the first picture another one
            self._source = _Source(self._engine.encode_reference(self._last[1], motion), motion)
        source = self._source
        source.made += 1
        if source.faded or source.made > LONGEST or _nearer(reference.motion, source.motion, motion):
            source.faded += 1
        carried = self._engine.generate(source.prepared, Drive(motion))
        if not source.faded:
            return carried
        if source.faded == FADED:
            self._last = None
        own = self._engine.generate(reference.prepared, Drive(motion))
        share = np.float32(source.faded / (FADED + 1))
        return np.asarray(np.rint(carried + (own.astype(np.float32) - carried) * share), dtype=np.uint8)


def _nearer(a: Motion | None, b: Motion, motion: Motion) -> bool:
    """Whether its keypoints are nearer to a's than to b's."""
    return a is not None and _distance(a, motion) < _distance(b, motion)


def _distance(a: Motion, b: Motion) -> float:
    return float(np.linalg.norm(a.keypoints - b.keypoints, axis=1).mean())
