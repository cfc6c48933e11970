"""AV1 keyframe pictures: SVT-AV1 writes, dav1d reads, both through PyAV.

On the wire stand two open bitstream units and nothing else (AV1 specification, section 5.3): the sequence
header (11 bytes) and one frame. The temporal delimiter that an encoder puts first is dropped.
The colours are full-range BT.601 4:2:0 and the sequence header carries no colour description, which is
what AVIF assumes of such a picture; both ends convert with these constants, never with a library's guess.

Settings, measured on 256x256 faces (benchmarks/still.py): "avif=1" is SVT's still-picture mode (a fifth
smaller at equal SSIM than a one-picture video, half the time); "tune=3" (image quality) is worth another
3 %; preset 4 codes in about 30 ms, preset 2 saves 6 % for four times that, preset 6 costs 15 %.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange

from talkcodec.errors import BitstreamError, EngineError
from talkcodec.picture.still import DEFAULT_QUALITY, check_coded, check_dimensions, check_encode, check_length
from talkcodec.types import Picture

__all__ = ["Av1Still", "keep_scheduling"]

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _FRAME = 1, 2, 6  # obu_type, AV1 specification, section 6.2.2


class _Unit(NamedTuple):
    kind: int
    data: bytes  # header included


class Av1Still:
    """Default keyframe codec; `preset` is SVT-AV1's, 0 (slow) to 10."""

    name = "av1"

    def __init__(self, preset: int = 4) -> None:
        self._preset = preset
        # SVT-AV1 prints its configuration on stderr for every picture; it reads only this variable.
        os.environ.setdefault("SVT_LOG", "1")

    def encode(self, picture: Picture, quality: int = DEFAULT_QUALITY) -> bytes:
        check_encode(picture, quality)
        try:
            context = av.VideoCodecContext.create("libsvtav1", "w")
            context.height, context.width = picture.shape[:2]
            context.pix_fmt = "yuv420p"
            context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
            context.color_range = ColorRange.JPEG
            context.options = {
                "preset": str(self._preset),
                "crf": str(_crf(quality)),
                "svtav1-params": "avif=1:tune=3:lp=1",
            }
            frame = av.VideoFrame.from_ndarray(_rgb_to_yuv420(picture), format="yuv420p")
            frame.color_range = ColorRange.JPEG
            frame.pts = 0
            with keep_scheduling():
                data = b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
        except (av.FFmpegError, ValueError) as error:
            raise EngineError(f"SVT-AV1 failed on a {picture.shape[1]}x{picture.shape[0]} picture: {error}") from error
        coded = b"".join(unit.data for unit in _units(data) if unit.kind in (_SEQUENCE_HEADER, _FRAME))
        check_coded(coded)
        return coded

    def decode(self, data: bytes, max_size: int) -> Picture:
        check_length(data)
        kinds = [unit.kind for unit in _units(data)]
        if kinds != [_SEQUENCE_HEADER, _FRAME]:
            raise BitstreamError(f"AV1 keyframe has units of types {kinds[:8]}, expected [1, 6]")
        try:
            context = av.VideoCodecContext.create("libdav1d", "r")
            assert isinstance(context, av.VideoCodecContext)
            context.thread_count = 1
            context.options = {"max_pixels": str(max_size * max_size), "max_frame_delay": "1"}
            frames = [*context.decode(av.Packet(data)), *context.decode(None)]
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise BitstreamError(f"AV1 keyframe does not decode: {error}") from error
        if len(frames) != 1 or frames[0].format.name not in ("yuv420p", "yuvj420p"):
            raise BitstreamError(f"AV1 keyframe holds {len(frames)} pictures, expected one in 8-bit 4:2:0")
        check_dimensions(frames[0].width, frames[0].height, max_size)
        return _yuv420_to_rgb(frames[0])


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Undo what SVT-AV1 does where it may: it gives the calling thread real-time priority and leaves it so.

    As root, a program that coded one picture would from then on starve everything else on the machine.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def _rgb_to_yuv420(picture: Picture) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB to planar full-range BT.601 with 2x2-averaged chroma, (H * 3 / 2, W) as PyAV takes it."""
    height, width = picture.shape[:2]
    y, cr, cb = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
    chroma = [cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for plane in (cb, cr)]
    return np.concatenate([y.ravel(), *(plane.ravel() for plane in chroma)]).reshape(height * 3 // 2, width)


def _yuv420_to_rgb(frame: av.VideoFrame) -> Picture:
    """Inverse of _rgb_to_yuv420; chroma samples lie in the middle of four pixels and are interpolated linearly."""
    size = (frame.width, frame.height)
    y, cb, cr = (
        np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )
    chroma = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (cr, cb)]
    return np.asarray(cv2.cvtColor(cv2.merge([y, *chroma]), cv2.COLOR_YCrCb2RGB), dtype=np.uint8)


def _crf(quality: int) -> int:
    """Quality 0 to 100 as SVT-AV1's constant rate factor 63 to 8."""
    return round(63 - 0.55 * quality)


def _units(data: bytes) -> Iterator[_Unit]:
    """Cut bytes into open bitstream units (AV1 specification, sections 5.3.1, 5.3.2 and 4.10.5)."""
    start = 0
    while start < len(data):
        header = data[start]
        if header & 0x85 or not header & 0x02:  # forbidden bit, extension, reserved bit; size field present
            raise BitstreamError(f"AV1 unit header 0x{header:02x} at byte {start}: expected one with a size field")
        size, at = 0, start + 1
        for shift in range(0, 35, 7):  # leb128, at most 5 bytes here
            if at >= len(data):
                raise BitstreamError("AV1 keyframe ends inside a unit's size")
            size |= (data[at] & 0x7F) << shift
            at += 1
            if not data[at - 1] & 0x80:
                break
        else:
            raise BitstreamError("AV1 unit size takes more than 5 bytes")
        if size > len(data) - at:
            raise BitstreamError(f"AV1 unit says {size} bytes, {len(data) - at} are left")
        yield _Unit(header >> 3 & 0x0F, data[start : at + size])
        start = at + size
