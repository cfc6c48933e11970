"""Motion between units that arrived, and a little beyond the last: one interpolation, one concealment for all."""

import numpy as np

from talkcodec.types import Drive, FloatArray, Later, Motion

__all__ = ["CONCEAL_MS", "extrapolate_motion", "mix_drive", "mix_motion"]

CONCEAL_MS = 280.0
"""A missing unit is extrapolated for so long; then the picture freezes."""


def mix_motion(a: Motion, b: Motion, share: float) -> Motion:
    """(1 - share) a + share b; beyond 1 it extrapolates."""
    jacobians = None
    if a.jacobians is not None and b.jacobians is not None:
        jacobians = _mix(a.jacobians, b.jacobians, share)
    return Motion(_mix(a.keypoints, b.keypoints, share), jacobians)


def mix_drive(a: Drive, b: Drive, share: float, same: bool) -> Drive:
    """What drives an instant between two on the reference of the first: each layer that both have, mixed; else as a.

    same: b has the same reference. Another one may lie in another crop's coordinates, in which motion means something
    else; base pictures of one crop go together all the same. They are named here, and mixed where they are restored:
    that takes looking at them.
    """
    motion = None
    if same and a.motion is not None and b.motion is not None:
        motion = mix_motion(a.motion, b.motion, share)
    later = None
    if a.base is not None and b.base is not None and a.base.crop == b.base.crop:
        later = Later(b.base, share, same)
    return a if motion is None and later is None else Drive(motion, a.base if later else None, later)


def extrapolate_motion(
    before: Motion, last: Motion, step_ms: float, age_ms: float, limit_ms: float = CONCEAL_MS
) -> Motion:
    """The motion `age_ms` after `last`, which came `step_ms` after `before`.

    The last velocity is carried on and falls linearly to zero at `limit_ms`: the face comes to rest instead of flying
    away. A step of 0, or longer than the limit, tells no velocity.
    """
    if not 0 < step_ms <= limit_ms:
        return last
    age_ms = max(0.0, min(age_ms, limit_ms))
    travelled_ms = age_ms - age_ms * age_ms / (2 * limit_ms)
    return mix_motion(before, last, 1 + travelled_ms / step_ms)


def _mix(a: FloatArray, b: FloatArray, share: float) -> FloatArray:
    return np.asarray(a + (b - a) * np.float32(share), dtype=np.float32)
