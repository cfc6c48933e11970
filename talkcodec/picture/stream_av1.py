"""AV1 picture streams: SVT-AV1 writes in low-delay mode, dav1d reads, both through PyAV.

A unit carries no headers that its length and first byte already tell:

    intra unit    length of the sequence header (1 byte, 1 to 15), sequence header, frame
    other unit    frame

where both are the contents of open bitstream units (AV1 specification, sections 5.5 and 5.10) without the units' own
header and size. A frame's first four bits are show_existing_frame 0, frame_type, show_frame 1: 1 begins a shown key
frame, 3 a shown inter frame, and nothing else is taken. So a unit cannot hold two frames, a frame that is not shown,
or one shown again; the sequence header (obu.py) cannot announce another format, scaling, or film grain.

The encoder has no way to change quality, size or preset while it runs: it is opened anew, which takes some
milliseconds, and the next picture is an intra one. A forced intra picture needs no new encoder.
"""

import os
from contextlib import suppress
from fractions import Fraction

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from talkcodec.errors import BitstreamError, ConfigError, EngineError, StateError
from talkcodec.picture.av1 import keep_scheduling
from talkcodec.picture.obu import FRAME, SEQUENCE_HEADER, PictureSize, read_sequence_header, unit_bytes, units
from talkcodec.picture.stream import (
    MAX_HEADER_BYTES,
    MAX_STREAM_SIZE,
    MAX_UNIT_BYTES,
    StreamSettings,
    check_picture,
    check_unit,
    is_intra,
)
from talkcodec.picture.yuv import rgb_to_yuv420, yuv420_to_rgb
from talkcodec.types import Picture

__all__ = ["Av1StreamDecoder", "Av1StreamEncoder"]

_KEY_FRAME, _INTER_FRAME = 1, 3  # first four bits of uncompressed_header, section 5.9.2

_LOW_DELAY = "pred-struct=1:hierarchical-levels=4:lookahead=0:scd=0:keyint=-1:lp=1"
"""Low delay, groups of sixteen in which each picture refers to earlier ones only, no intra picture but those asked for.
Groups of eight are as good, but every eighth picture takes ten times as long as the others (docs/base-layer.md)."""


class Av1StreamEncoder:
    """StreamEncoder with SVT-AV1."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._context: av.VideoCodecContext | None = None
        self._pictures = 0
        # SVT-AV1 prints its configuration on stderr whenever it is opened; it reads only this variable.
        os.environ.setdefault("SVT_LOG", "1")

    def encode(self, picture: Picture, intra: bool = False) -> bytes:
        check_picture(picture)
        height, width = picture.shape[:2]
        if self._context is not None and (self._context.width, self._context.height) != (width, height):
            self.close()
        try:
            with keep_scheduling():
                if self._context is None:
                    self._context, self._pictures = _open(width, height, self._settings), 0
                frame = rgb_to_yuv420(picture)
                frame.pts, frame.time_base = self._pictures, Fraction(1, 25)
                if intra:
                    frame.pict_type = PictureType.I
                packets = self._context.encode(frame)
            if len(packets) != 1:
                raise EngineError(f"SVT-AV1 gave {len(packets)} packets for a picture, expected one at once")
            unit = _stripped(bytes(packets[0]))
            if is_intra(unit) != (intra or self._pictures == 0):
                raise EngineError("SVT-AV1 chose the kind of a picture itself, expected it to do as it is told")
        except (av.FFmpegError, ValueError, BitstreamError) as error:
            self.close()
            raise EngineError(f"SVT-AV1 failed on a {width}x{height} picture: {error}") from error
        except EngineError:
            self.close()
            raise
        if len(unit) > MAX_UNIT_BYTES:
            self.close()
            raise ConfigError(f"picture takes {len(unit)} bytes, at most {MAX_UNIT_BYTES} allowed: lower the quality")
        self._pictures += 1
        return unit

    def change(self, settings: StreamSettings) -> None:
        if settings != self._settings:
            self.close()
            self._settings = settings

    def close(self) -> None:
        context, self._context = self._context, None
        if context is not None and self._pictures:
            # SVT-AV1 complains on stderr when it is freed without having been told the end.
            with suppress(av.FFmpegError), keep_scheduling():
                context.encode(None)


def _open(width: int, height: int, settings: StreamSettings) -> av.VideoCodecContext:
    context = av.VideoCodecContext.create("libsvtav1", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.color_range = ColorRange.JPEG
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)  # without effect at constant quality
    preset = _preset(width, height) if settings.preset is None else settings.preset
    context.options = {"preset": str(preset), "svtav1-params": f"crf={_crf(settings.quality)}:{_LOW_DELAY}"}
    return context


def _crf(quality: float) -> float:
    """Quality 0 to 100 as SVT-AV1's constant rate factor 63 to 8, in the quarters that it distinguishes.

    FFmpeg's own option takes whole numbers only.
    """
    return round(4 * (63 - 0.55 * quality)) / 4


def _preset(width: int, height: int) -> int:
    """The slowest preset that costs a core about a third of its time at a call's usual rate for that size."""
    for preset, side in ((2, 128), (4, 256), (6, 384), (8, 640)):
        if width * height <= side * side:
            return preset
    return 10


def _stripped(packet: bytes) -> bytes:
    """An encoder's packet as a unit of ours; BitstreamError when it is not one frame."""
    parts = [unit for unit in units(packet) if unit.kind in (SEQUENCE_HEADER, FRAME)]
    kinds = [unit.kind for unit in parts]
    if kinds == [FRAME]:
        return parts[0].payload
    if kinds == [SEQUENCE_HEADER, FRAME] and len(parts[0].payload) <= MAX_HEADER_BYTES:
        return bytes([len(parts[0].payload)]) + parts[0].payload + parts[1].payload
    raise BitstreamError(f"AV1 packet has units of types {kinds[:8]}, expected [1, 6] or [6]")


class Av1StreamDecoder:
    """StreamDecoder with dav1d."""

    def __init__(self, max_size: int) -> None:
        if not 16 <= max_size <= MAX_STREAM_SIZE:
            raise ConfigError(f"largest picture is {max_size} px, expected 16 to {MAX_STREAM_SIZE}")
        self._max_size = max_size
        self._context: av.VideoCodecContext | None = None
        self._size = PictureSize(0, 0)

    def decode(self, unit: bytes) -> Picture:
        try:
            return self._decode(unit)
        except BitstreamError:
            self.reset()
            raise

    def reset(self) -> None:
        self._context = None

    def _decode(self, unit: bytes) -> Picture:
        check_unit(unit)
        if is_intra(unit):
            data = self._start(unit)
        elif unit[0] >> 4 == _INTER_FRAME:
            data = unit_bytes(FRAME, unit)
        else:
            raise BitstreamError(f"stream unit begins with 0x{unit[0]:02x}, expected 0x01 to 0x0f or 0x30 to 0x3f")
        if self._context is None:
            raise StateError("stream unit needs the pictures before it, and none is held: ask for an intra picture")
        try:
            frames = self._context.decode(av.Packet(data))
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise BitstreamError(f"AV1 frame does not decode: {error}") from error
        if len(frames) != 1 or frames[0].format.name not in ("yuv420p", "yuvj420p"):
            raise BitstreamError(f"AV1 frame holds {len(frames)} pictures, expected one in 8-bit 4:2:0")
        got = PictureSize(frames[0].width, frames[0].height)
        if got != self._size:
            raise BitstreamError(f"AV1 frame is {got.width}x{got.height}, its sequence {self._size}")
        return yuv420_to_rgb(frames[0])

    def _start(self, unit: bytes) -> bytes:
        """Open a new decoder for an intra unit, checked; the bytes to give it. What came before is forgotten."""
        sequence, frame = unit[1 : 1 + unit[0]], unit[1 + unit[0] :]
        size = read_sequence_header(sequence)
        if max(size) > self._max_size:
            raise BitstreamError(f"stream is {size.width}x{size.height}, expected at most {self._max_size} px a side")
        if not frame or frame[0] >> 4 != _KEY_FRAME:
            raise BitstreamError("intra unit holds no shown key frame")
        context = av.VideoCodecContext.create("libdav1d", "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = 1
        # strict: refuse what a conforming encoder never writes, which is nearly all that is not AV1.
        context.options = {
            "max_pixels": str(size.width * size.height),
            "max_frame_delay": "1",
            "strict": "strict",
        }
        self._context, self._size = context, size
        return unit_bytes(SEQUENCE_HEADER, sequence) + unit_bytes(FRAME, frame)
