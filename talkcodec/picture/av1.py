"""AV1 keyframe pictures: SVT-AV1 writes, dav1d reads, both through PyAV.

On the wire stand two open bitstream units and nothing else (AV1 specification, section 5.3): the sequence
header (11 bytes) and one frame. The temporal delimiter that an encoder puts first is dropped.
The colours are full-range BT.601 4:2:0 (yuv.py) and the sequence header carries no colour description, which is
what AVIF assumes of such a picture.

Settings, measured on 256x256 faces (benchmarks/still.py): "avif=1" is SVT's still-picture mode (a fifth
smaller at equal SSIM than a one-picture video, half the time); "tune=3" (image quality) is worth another
3 %; preset 4 codes in about 30 ms, preset 2 saves 6 % for four times that, preset 6 costs 15 %.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
from av.video.reformatter import ColorRange

from talkcodec.errors import BitstreamError, EngineError
from talkcodec.picture.obu import FRAME, SEQUENCE_HEADER, units
from talkcodec.picture.still import DEFAULT_QUALITY, check_coded, check_dimensions, check_encode, check_length
from talkcodec.picture.yuv import rgb_to_yuv420, yuv420_to_rgb
from talkcodec.types import Picture

__all__ = ["Av1Still", "keep_scheduling"]


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
            frame = rgb_to_yuv420(picture)
            frame.pts = 0
            with keep_scheduling():
                data = b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
        except (av.FFmpegError, ValueError) as error:
            raise EngineError(f"SVT-AV1 failed on a {picture.shape[1]}x{picture.shape[0]} picture: {error}") from error
        coded = b"".join(unit.data for unit in units(data) if unit.kind in (SEQUENCE_HEADER, FRAME))
        check_coded(coded)
        return coded

    def decode(self, data: bytes, max_size: int) -> Picture:
        check_length(data)
        kinds = [unit.kind for unit in units(data)]
        if kinds != [SEQUENCE_HEADER, FRAME]:
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
        return yuv420_to_rgb(frames[0])


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


def _crf(quality: int) -> int:
    """Quality 0 to 100 as SVT-AV1's constant rate factor 63 to 8."""
    return round(63 - 0.55 * quality)
