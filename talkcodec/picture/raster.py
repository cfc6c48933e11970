"""WebP and JPEG keyframe pictures through OpenCV: larger than AV1, but quick and everywhere."""

import struct
from typing import Any

import cv2
import numpy as np

from talkcodec.errors import BitstreamError, EngineError
from talkcodec.picture.still import DEFAULT_QUALITY, check_coded, check_dimensions, check_encode, check_length
from talkcodec.types import Picture

__all__ = ["JpegStill", "WebpStill"]


class WebpStill:
    """Lossy WebP (RFC 9649): about 1.6 times the bytes of AV1 at equal SSIM."""

    name = "webp"

    def encode(self, picture: Picture, quality: int = DEFAULT_QUALITY) -> bytes:
        check_encode(picture, quality)
        return _encode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, max(1, quality)])

    def decode(self, data: bytes, max_size: int) -> Picture:
        check_length(data)
        return _decode("WebP", data, _webp_dimensions(data), max_size)


class JpegStill:
    """JPEG (ITU-T T.81): about twice the bytes of AV1 at equal SSIM."""

    name = "jpeg"

    def encode(self, picture: Picture, quality: int = DEFAULT_QUALITY) -> bytes:
        check_encode(picture, quality)
        return _encode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])

    def decode(self, data: bytes, max_size: int) -> Picture:
        check_length(data)
        return _decode("JPEG", data, _jpeg_dimensions(data), max_size)


def _encode(extension: str, picture: Picture, parameters: list[int]) -> bytes:
    done, data = cv2.imencode(extension, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), parameters)
    if not done:
        raise EngineError(f"OpenCV cannot write {extension}: this build lacks the codec")
    coded = bytes(data)
    check_coded(coded)
    return coded


def _decode(name: str, data: bytes, dimensions: tuple[int, int], max_size: int) -> Picture:
    check_dimensions(*dimensions, max_size)
    try:
        picture: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BitstreamError(f"{name} keyframe does not decode: {error}") from error
    if picture is None or picture.shape[1::-1] != dimensions:
        raise BitstreamError(f"{name} keyframe does not decode to the {dimensions[0]}x{dimensions[1]} it announces")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _webp_dimensions(data: bytes) -> tuple[int, int]:
    """Width and height of a simple lossy WebP file (RFC 9649, section 2.5; RFC 6386, section 9.1)."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8 " or data[23:26] != b"\x9d\x01\x2a":
        raise BitstreamError("not a simple lossy WebP picture")
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_dimensions(data: bytes) -> tuple[int, int]:
    """Width and height from the frame header of a JPEG picture (ITU-T T.81, section B.2.2).

    Only what our encoder writes is walked over: tables, comments and application data of a stated length, then a
    sequential frame. Fill bytes, markers without length and progressive scans are refused: OpenCV allocates, or
    draws thousands of scans, before its result could be looked at, and it hops over them in ways of its own.
    """
    if data[:2] != b"\xff\xd8":
        raise BitstreamError("not a JPEG picture")
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xC0, 0xC1):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if not (marker in (0xC4, 0xDB, 0xDD, 0xFE) or 0xE0 <= marker <= 0xEF) or length < 2:
            raise BitstreamError(f"JPEG picture has marker {marker:#x} before its frame header")
        at += 2 + length
    raise BitstreamError("JPEG picture has no frame header")
