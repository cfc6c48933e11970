"""When the reference picture is to be replaced because of what is seen. No pictures are made here; time is an argument.

A check, which generates what the receiver sees, is dear, so it is made now and then, and at once when something cheap
to measure says that the scene may be another: an alarm. What the check finds decides:

    error at most refresh_l1        nothing
    error above it                  a keyframe, min_keyframe_interval_s after the last one at the earliest, and not
                                    because of an alarm, which picks the worst moments
    after an alarm, far above it;   a keyframe at once, from a bucket of urgent_keyframes that fills by one
    with a new face, half of it     in urgent_interval_s; and a look back soon after, when any error above
                                    refresh_l1 counts: it may have been taken in the middle of a change
"""

import numpy as np

from talkcodec.codec.change import Thumbnail, change
from talkcodec.codec.config import EncoderConfig
from talkcodec.types import FloatArray

__all__ = ["RefreshPolicy"]

ALARM_SHARE, ALARM_MEAN = 0.35, 0.08
"""So much of the picture changed since the frame before. Talking heads at 25 fps stay below 0.22 and 0.06."""

ALARM_JUMP = 0.25
"""The keypoints moved so far on average since the frame before, of [-1, 1]."""

ALARM_DISTANCE, ALARM_GROWTH = 0.19, 1.5
"""The picture is so far from the reference picture, and so much further than when that was last checked: a slow change.
Of clips of one person the wildest reached 0.196; to another person it was 0.21, from black 0.35."""

ALARM_GAP_S = 0.1
"""Alarms closer together are one check, so that a strobe light does not halve the frame rate."""

URGENT_RATIO = 2.0
"""After an alarm, an error so many times refresh_l1 does not wait for min_keyframe_interval_s."""


LOOK_BACK_S = 0.4
"""After a keyframe that a sudden change brought; a slow one, or a wild clip, raises its next alarm by itself."""


class RefreshPolicy:
    """Told what passes by, it says when to check, and whether what was found deserves a keyframe.

    For each frame: `look`, then `check_due`; after a check `keyframe_due`; after every keyframe `keyframe_sent`.
    Times are in seconds; a time that goes back is taken for the one before.
    """

    def __init__(self, config: EncoderConfig) -> None:
        self._config = config
        self._tokens, self._filled_s = float(config.urgent_keyframes), 0.0
        self._now_s = 0.0
        self._alarm = self._far = self._new_face = False
        self._owed = False  # a check found that a keyframe is due at once, and the bucket was empty
        self._cells: Thumbnail | None = None
        self._keypoints: FloatArray | None = None
        self._distance = self._checked_distance = 0.0  # from the reference picture
        self._keyframe_s: float | None = None
        self._checked_s = 0.0
        self._look_back_s: float | None = None
        self._looks_back = False  # the present check is one of those after an alarm's keyframe
        self._regular = False  # the present check is one of those at check_interval_s
        self._alarmed_s = -ALARM_GAP_S  # the last check because of an alarm

    def change(self, config: EncoderConfig) -> None:
        """Other limits from now on; what was seen stays."""
        self._config = config

    def look(
        self, cells: Thumbnail, reference: Thumbnail, keypoints: FloatArray | None, time_s: float,
        new_face: bool = False,
    ) -> None:  # fmt: skip
        """The next frame: its cells, those of the reference picture in use, its keypoints (K, 2) if there are any."""
        self._now_s = max(self._now_s, time_s)
        self._distance = change(cells, reference).mean
        if self._cells is not None:
            moved = change(cells, self._cells)
            self._alarm |= moved.share >= ALARM_SHARE or moved.mean >= ALARM_MEAN
        if keypoints is not None and self._keypoints is not None:
            self._alarm |= float(np.linalg.norm(keypoints - self._keypoints, axis=1).mean()) >= ALARM_JUMP
        self._far |= self._distance >= max(ALARM_DISTANCE, ALARM_GROWTH * self._checked_distance)
        self._new_face |= new_face
        self._cells, self._keypoints = cells, keypoints

    def check_due(self, on_their_way: int) -> bool:
        """True when the picture that the receiver sees should be generated and compared now.

        on_their_way: keyframes that the receiver has not acknowledged. An alarm may replace one, but not two, or a slow
        connection would never see any.
        """
        if self._config.refresh_l1 is None or on_their_way > 1:
            return False
        self._regular = not on_their_way and self._now_s - self._checked_s >= self._config.check_interval_s - 1e-3
        alarm = self.urgent_allowed(self._now_s) if self._owed else self._alarm or self._far or self._new_face
        if alarm and self._now_s - self._alarmed_s >= ALARM_GAP_S - 1e-3:
            self._alarmed_s = self._now_s
            return True
        self._looks_back = self._look_back_s is not None and self._now_s >= self._look_back_s - 1e-3
        return self._regular or (self._looks_back and not on_their_way)

    def keyframe_due(self, error: float) -> bool:
        """A check found this error, mean absolute of pictures in [0, 1]: is a keyframe to be sent?"""
        limit = self._config.refresh_l1
        assert limit is not None
        if self._regular:
            self._checked_s = self._now_s
        if self._far:
            self._checked_distance = self._distance
        alarm = self._alarm or self._far or self._owed
        urgent = (alarm and error > limit * URGENT_RATIO) or (self._new_face and error > limit / 2)
        look_back_s = self._now_s + LOOK_BACK_S if urgent and (self._alarm or self._new_face) else None
        if self._looks_back:
            urgent |= error > limit
            self._look_back_s, self._looks_back = None, False
        patient = self._keyframe_s is None or self._now_s - self._keyframe_s >= self._config.min_keyframe_interval_s
        if (error > limit and patient and self._regular) or (urgent and self.urgent_allowed(self._now_s)):
            self._look_back_s = look_back_s
            return True
        self._owed, self._alarm, self._far = urgent, False, False
        self._new_face &= urgent
        return False

    def urgent_allowed(self, time_s: float) -> bool:
        """True when the bucket has a keyframe to give, as for a crop that had to move."""
        self._now_s = max(self._now_s, time_s)
        elapsed_s, self._filled_s = self._now_s - self._filled_s, self._now_s
        gained = elapsed_s / self._config.urgent_interval_s if self._config.urgent_interval_s else np.inf
        self._tokens = min(float(self._config.urgent_keyframes), self._tokens + float(gained))
        return self._tokens >= 1

    def keyframe_sent(self, time_s: float) -> None:
        """A keyframe was made of the last frame, for whatever reason: all are taken from the bucket."""
        self._now_s = max(self._now_s, time_s)
        self.urgent_allowed(self._now_s)
        self._tokens = max(0.0, self._tokens - 1)
        self._keyframe_s = self._checked_s = self._now_s
        self._distance = self._checked_distance = 0.0
        self._alarm = self._far = self._new_face = self._owed = False
