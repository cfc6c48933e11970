"""RGB to the colours that the coders take and back: full-range BT.601, 4:2:0, chroma in the middle of four pixels.

Both ends convert with these functions, never with a library's guess.
"""

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from talkcodec.types import Picture

__all__ = ["rgb_to_yuv420", "yuv420_to_rgb"]


def rgb_to_yuv420(picture: Picture) -> av.VideoFrame:
    """(H, W, 3), RGB, 0 to 255, with even sides to a planar frame; chroma is the mean of 2x2 pixels."""
    height, width = picture.shape[:2]
    y, cr, cb = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
    chroma = [cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for plane in (cb, cr)]
    planes = np.concatenate([y.ravel(), *(plane.ravel() for plane in chroma)]).reshape(height * 3 // 2, width)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.color_range = ColorRange.JPEG
    return frame


def yuv420_to_rgb(frame: av.VideoFrame) -> Picture:
    """Inverse of rgb_to_yuv420, (H, W, 3); chroma is interpolated linearly."""
    size = (frame.width, frame.height)
    y, cb, cr = (
        np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )
    chroma = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (cr, cb)]
    return np.asarray(cv2.cvtColor(cv2.merge([y, *chroma]), cv2.COLOR_YCrCb2RGB), dtype=np.uint8)
