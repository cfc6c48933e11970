"""VP9 picture streams: libvpx writes in low-delay mode, FFmpeg's own decoder reads, both through PyAV.

A unit is one VP9 frame (VP9 Bitstream & Decoding Process Specification, version 0.6, section 6.2) and nothing else. Its
first byte tells what it is: 0x82 a shown key frame, 0x86 a shown inter frame, below 0x80 one whose header is packed
(`vp9_header.py`); other profiles, frames shown again and hidden frames begin otherwise. A key frame says its own size,
which is read before anything is decoded; an inter frame must take over the size of its first reference. So no unit
changes the size on the way, is scaled, or holds more than one frame: superframes (Annex B) end in a byte that a frame
never ends in.

Nothing changes quality or preset in a running libvpx: it is opened anew, and the next picture is an intra one. A forced
intra picture needs no new coder.

SVT-AV1 would save a tenth of the rate at its slower presets, but since version 3.1 it may wait for ever for a picture
that it lost between its threads (docs/base-layer.md); libvpx on one thread has nothing to wait for.
"""

from fractions import Fraction

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from talkcodec.errors import BitstreamError, ConfigError, EngineError, StateError
from talkcodec.picture.stream import (
    MAX_STREAM_SIZE,
    MAX_UNIT_BYTES,
    StreamSettings,
    check_picture,
    check_unit,
    is_intra,
)
from talkcodec.picture.vp9_header import key_quantiser, packed, unpacked
from talkcodec.picture.yuv import rgb_to_yuv420, yuv420_to_rgb
from talkcodec.types import Picture

__all__ = ["Vp9StreamDecoder", "Vp9StreamEncoder", "crf", "low_delay"]

_SYNC_CODE = b"\x49\x83\x42"
_FOUND_REFERENCE = 0x02
"""Bit 30 of an inter frame: found_ref of the first reference, behind 8 bits of kind, 2 of context resets, 8 of
refreshed references and 12 of used ones (sections 6.2 and 6.2.2)."""


class Vp9StreamEncoder:
    """StreamEncoder with libvpx."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._context: av.VideoCodecContext | None = None
        self._pictures = 0

    def encode(self, picture: Picture, intra: bool = False) -> bytes:
        check_picture(picture)
        height, width = picture.shape[:2]
        if self._context is not None and (self._context.width, self._context.height) != (width, height):
            self.close()
        try:
            if self._context is None:
                self._context, self._pictures = _open(width, height, self._settings), 0
            frame = rgb_to_yuv420(picture)
            frame.pts, frame.time_base = self._pictures, Fraction(1, 25)
            if intra:
                frame.pict_type = PictureType.I
            packets = self._context.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            self.close()
            raise EngineError(f"libvpx failed on a {width}x{height} picture: {error}") from error
        units = [bytes(packet) for packet in packets]
        if len(units) != 1 or is_intra(units[0]) != (intra or self._pictures == 0):
            self.close()
            raise EngineError(f"libvpx gave {len(units)} packets for a picture, expected one at once, intra as told")
        if len(units[0]) > MAX_UNIT_BYTES:
            self.close()
            raise ConfigError(
                f"picture takes {len(units[0])} bytes, at most {MAX_UNIT_BYTES} allowed: lower the quality"
            )
        self._pictures += 1
        return packed(units[0])

    def change(self, settings: StreamSettings) -> None:
        if settings != self._settings:
            self.close()
            self._settings = settings

    def close(self) -> None:
        self._context = None


def _open(width: int, height: int, settings: StreamSettings) -> av.VideoCodecContext:
    context = av.VideoCodecContext.create("libvpx-vp9", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.color_range = ColorRange.JPEG
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)  # without effect at constant quality
    context.thread_count = 1
    context.gop_size = 1 << 30  # no intra picture but those asked for
    context.bit_rate = 0  # constant quality
    preset = _preset(width, height) if settings.preset is None else settings.preset
    context.options = low_delay(crf(settings.quality), preset)
    return context


def low_delay(crf: int, cpu_used: int) -> dict[str, str]:
    """libvpx' options for one picture at once, of a constant quality: 0 (fine) to 63, cpu-used 0 (slow) to 8."""
    return {
        "deadline": "good" if cpu_used < 5 else "realtime",
        "cpu-used": str(cpu_used),
        "crf": str(crf),
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "frame-parallel": "0",  # probabilities adapt from picture to picture: 4 to 5 % of the rate, for no time
    }


def crf(quality: float) -> int:
    """Quality 0 to 100 as libvpx's constant quality 63 to 8."""
    return round(63 - 0.55 * quality)


def _preset(width: int, height: int) -> int:
    """The slowest preset that costs a core less than half its time at 25 pictures a second (docs/base-layer.md)."""
    for preset, side in ((1, 256), (4, 512), (5, 720)):
        if width * height <= side * side:
            return preset
    return 8


class Vp9StreamDecoder:
    """StreamDecoder with FFmpeg's VP9 decoder."""

    def __init__(self, max_size: int) -> None:
        if not 16 <= max_size <= MAX_STREAM_SIZE:
            raise ConfigError(f"largest picture is {max_size} px, expected 16 to {MAX_STREAM_SIZE}")
        self._max_size = max_size
        self._context: av.VideoCodecContext | None = None
        self._size = (0, 0)
        self.quantiser = 0

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
        unit = unpacked(unit)
        if unit[0] not in (0x82, 0x86):
            raise BitstreamError(f"stream unit begins with 0x{unit[0]:02x}, expected 0x82, 0x86 or less than 0x80")
        if unit[-1] & 0xE0 == 0xC0:
            raise BitstreamError(f"stream unit ends with 0x{unit[-1]:02x}, which is for several frames in one")
        if is_intra(unit):
            self._start(unit)
        elif self._context is None:
            raise StateError("stream unit needs the pictures before it, and none is held: ask for an intra picture")
        elif not unit[3] & _FOUND_REFERENCE:
            raise BitstreamError("inter frame sets a size of its own, expected that of its first reference")
        return self._picture(unit)

    def _picture(self, unit: bytes) -> Picture:
        assert self._context is not None
        try:
            frames = self._context.decode(av.Packet(unit))
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise BitstreamError(f"VP9 frame does not decode: {error}") from error
        if len(frames) != 1 or frames[0].format.name not in ("yuv420p", "yuvj420p"):
            raise BitstreamError(f"VP9 frame holds {len(frames)} pictures, expected one in 8-bit 4:2:0")
        got = (frames[0].width, frames[0].height)
        if got != self._size:
            raise BitstreamError(f"VP9 frame is {got[0]}x{got[1]}, its stream {self._size[0]}x{self._size[1]}")
        return yuv420_to_rgb(frames[0])

    def _start(self, unit: bytes) -> None:
        """Open a new decoder for an intra unit, its header checked. What came before is forgotten."""
        # Behind kind and sync code: colour space (3 bits), range (1), width - 1, height - 1 (16 each): 6.2.1, 6.2.3.
        if len(unit) < 10 or unit[1:4] != _SYNC_CODE:
            raise BitstreamError("intra unit is no VP9 key frame: it lacks the sync code")
        head = int.from_bytes(unit[4:9], "big") >> 4
        width, height = (head >> 16 & 0xFFFF) + 1, (head & 0xFFFF) + 1
        if head >> 32 != 1:
            raise BitstreamError(f"stream has colours of kind {head >> 32}, expected 1: not described, full range")
        if max(width, height) > self._max_size:
            raise BitstreamError(f"stream is {width}x{height}, expected at most {self._max_size} px a side")
        context = av.VideoCodecContext.create("vp9", "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = 1
        # max_pixels counts the decoder's own margins too. err_detect: refuse what a conforming encoder never writes.
        context.options = {"max_pixels": str((width + 128) * (height + 128)), "err_detect": "explode"}
        self._context, self._size = context, (width, height)
        self.quantiser = key_quantiser(unit)
