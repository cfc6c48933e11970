"""What is drawn into pictures: the mark that they are generated, and the keypoints on demand."""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.types import Motion, Picture

__all__ = ["draw_keypoints", "mark_generated"]

_TEXT = "generated"
_FINE = 8
"""The mark is drawn so many times larger and then scaled down, which makes its letters smooth."""

_COLOURS = ((255, 107, 107), (255, 193, 86), (118, 214, 132), (92, 190, 255), (196, 150, 255))


@lru_cache(maxsize=4)
def _pill(size_px: int) -> npt.NDArray[np.float32]:
    """(h, w, 2) shade of the pill's ground and of its letters, each in [0, 1]."""
    height = max(8, round(size_px * 0.062)) * _FINE
    scale = height / 44
    (text_width, text_height), _ = cv2.getTextSize(_TEXT, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    width = -(-(text_width + height) // _FINE) * _FINE
    ground = np.zeros((height, width), np.uint8)
    radius = height // 2
    cv2.rectangle(ground, (radius, 0), (width - radius, height), 255, -1)
    for x in (radius, width - radius):
        cv2.circle(ground, (x, radius), radius, 255, -1)
    letters = np.zeros_like(ground)
    place = ((width - text_width) // 2, (height + text_height) // 2 - round(height * 0.04))
    thickness = max(1, round(scale * 1.6))
    cv2.putText(letters, _TEXT, place, cv2.FONT_HERSHEY_DUPLEX, scale, 255, thickness, cv2.LINE_AA)
    both = np.stack([ground, letters], axis=2)
    small = cv2.resize(both, (width // _FINE, height // _FINE), interpolation=cv2.INTER_AREA)
    return np.asarray(small / 255, dtype=np.float32)


def mark_generated(picture: Picture) -> Picture:
    """A copy (H, W, 3) with "generated" in its lower left corner, so that a copy of the picture says it too."""
    size_px = min(picture.shape[:2])
    shade = _pill(size_px)
    margin = max(1, size_px // 32)
    height, width = min(shade.shape[0], picture.shape[0]), min(shade.shape[1], picture.shape[1])
    bottom = max(height, picture.shape[0] - margin)
    margin = min(margin, picture.shape[1] - width)
    marked = picture.copy()
    place = marked[bottom - height : bottom, margin : margin + width]
    ground, letters = shade[:height, :width, :1], shade[:height, :width, 1:]
    place[...] = (place * (1 - 0.55 * ground) * (1 - letters) + 255 * letters).astype(np.uint8)
    return marked


def draw_keypoints(picture: Picture, motion: Motion) -> Picture:
    """A copy with each keypoint as a dot, and the axes of its Jacobian, where there is one, as two short lines."""
    drawn = picture.copy()
    size = picture.shape[0]
    shift, one = 4, 16  # fixed point of cv2's anti-aliased drawing
    dot = max(1.5, size / 90)
    for number, keypoint in enumerate(motion.keypoints):
        colour = _COLOURS[number % len(_COLOURS)]
        centre = (keypoint + 1) * (size - 1) / 2
        if not np.isfinite(centre).all() or np.abs(centre).max() > 4 * size:
            continue
        start = (round(float(centre[0]) * one), round(float(centre[1]) * one))
        if motion.jacobians is not None:
            for axis in motion.jacobians[number].T:
                length = float(np.linalg.norm(axis))
                if 0 < length < 100:
                    end = centre + axis / max(1.0, length / 2) * size / 20
                    stop = (round(float(end[0]) * one), round(float(end[1]) * one))
                    cv2.line(drawn, start, stop, colour, 1, cv2.LINE_AA, shift)
        cv2.circle(drawn, start, round((dot + 1) * one), (20, 20, 24), -1, cv2.LINE_AA, shift)
        cv2.circle(drawn, start, round(dot * one), colour, -1, cv2.LINE_AA, shift)
    return drawn
