"""A decoded frame or photo into a picture as people see it: upright, square pixels, BT.709, 8-bit RGB.

Everything that a file says about its pictures beside the samples is used up here, and nowhere else.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideData

from talkcodec.media.icc import matrix_to_bt709
from talkcodec.types import FloatArray, Picture

__all__ = ["to_picture", "turned"]

_HLG, _PQ = 18, 16  # transfer characteristics, ITU-T H.273 table 3
_BT2020, _P3_DCI, _P3_D65 = 9, 11, 12  # colour primaries, table 2

_TO_BT709 = {
    _BT2020: ((1.66049, -0.58764, -0.07285), (-0.12455, 1.13290, -0.00835), (-0.01815, -0.10058, 1.11873)),
    _P3_D65: ((1.22494, -0.22494, 0.0), (-0.04206, 1.04206, 0.0), (-0.01964, -0.07864, 1.09828)),
}
_TO_BT709[_P3_DCI] = _TO_BT709[_P3_D65]
"""Linear light, ITU-R BT.2407 section 2, and Display P3."""

_HLG_WHITE = 0.26496
"""Scene light of HLG at a signal of 75 %, which is where the white of SDR stands (ITU-R BT.2408 section 2)."""
_PQ_WHITE_CD_M2 = 203.0
_PQ_PEAK_CD_M2 = 1000.0
_KNEE = 0.8
"""Light up to here stays as it is; what is brighter is pressed between it and white."""

_UNTAGGED = 2, 2, 2
_SideData = Mapping[Any, object]
_EXIF = 31
_WHITE = 255


def to_picture(frame: av.VideoFrame, sample_aspect: Fraction | None = None) -> Picture:
    """(H, W, 3) uint8 RGB. sample_aspect: width of a pixel to its height, None for square ones.

    Transparent parts are laid on white. HLG and PQ are brought to the range of SDR, BT.2020, P3 and the
    primaries of an ICC profile to its colours.
    Where a file does not name its colour matrix, or names one that there is not, BT.601 is taken, as FFmpeg does.
    Raises av.FFmpegError for what cannot be converted.
    """
    side_data = _side_data(frame)
    transfer = int(frame.color_trc or 0)
    colours = _matrix(frame, side_data, transfer)
    if colours is not None:
        picture = _mapped(frame, transfer, colours)
    elif frame.format.has_palette or any(component.is_alpha for component in frame.format.components):
        picture = _on_white(_converted(frame, "rgba"))
    else:
        picture = _converted(frame, "rgb24")
    return turned(_square_pixels(picture, sample_aspect), _display_matrix(side_data))


def _converted(frame: av.VideoFrame, kind: str) -> npt.NDArray[np.uint8]:
    try:
        return np.asarray(frame.to_ndarray(format=kind), dtype=np.uint8)
    except av.FFmpegError:  # colours are tagged with reserved numbers: as if they were not tagged
        frame.colorspace, frame.color_primaries, frame.color_trc = _UNTAGGED
        return np.asarray(frame.to_ndarray(format=kind), dtype=np.uint8)


def _matrix(frame: av.VideoFrame, side_data: _SideData, transfer: int) -> FloatArray | None:
    """(3, 3) from the frame's linear RGB to BT.709's; None where it has BT.709's colours and range."""
    primaries = int(frame.color_primaries or 0)
    if transfer in (_HLG, _PQ) and primaries not in _TO_BT709:
        primaries = _BT2020
    if primaries in _TO_BT709:
        return np.asarray(_TO_BT709[primaries], np.float32)
    profile = side_data.get("ICC_PROFILE")
    return matrix_to_bt709(bytes(profile)) if isinstance(profile, SideData) else None


def turned(picture: Picture, matrix: tuple[int, int, int, int]) -> Picture:
    """The picture, in any colours, turned and mirrored as (a, b, c, d) says: a point (x, y) goes to (ax + cy, bx + dy).

    Angles that are no quarter turn are rounded to the nearest.
    """
    a, b, c, d = matrix
    if abs(a) + abs(d) < abs(b) + abs(c):
        picture, a, d = picture.transpose(1, 0, 2), c, b
    if a < 0:
        picture = picture[:, ::-1]
    if d < 0:
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def _side_data(frame: av.VideoFrame) -> _SideData:
    try:
        return frame.side_data
    except ValueError:  # PyAV does not know the type of EXIF's; FFmpeg has already made a matrix of it
        return _without_exif(frame).side_data


def _display_matrix(side_data: _SideData) -> tuple[int, int, int, int]:
    matrix = side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return a, b, c, d


def _without_exif(frame: av.VideoFrame) -> av.VideoFrame:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    filtered = graph.add("sidedata", f"mode=delete:type={_EXIF}")
    sink = graph.add("buffersink")
    source.link_to(filtered)
    filtered.link_to(sink)
    graph.configure()
    source.push(frame)
    result = sink.pull()
    assert isinstance(result, av.VideoFrame)
    return result


def _square_pixels(picture: Picture, sample_aspect: Fraction | None) -> Picture:
    """Stretched in width; aspects that no camera has are taken for a mistake."""
    if not sample_aspect or sample_aspect == 1 or not Fraction(1, 4) <= sample_aspect <= 4:
        return picture
    height, width = picture.shape[:2]
    wanted = max(1, round(width * sample_aspect))
    method = cv2.INTER_AREA if wanted < width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (wanted, height), interpolation=method), dtype=np.uint8)


def _on_white(picture: npt.NDArray[np.uint8]) -> Picture:
    """(H, W, 4) with straight alpha to (H, W, 3)."""
    colour, alpha = picture[..., :3], picture[..., 3:]
    if int(alpha.min(initial=_WHITE)) == _WHITE:
        return np.ascontiguousarray(colour)
    mixed = colour.astype(np.uint16) * alpha + (_WHITE - alpha.astype(np.uint16)) * _WHITE
    return np.asarray((mixed + _WHITE // 2) // _WHITE, dtype=np.uint8)


def _mapped(frame: av.VideoFrame, transfer: int, colours: FloatArray) -> Picture:
    """Signal -> linear light -> BT.709's primaries -> pressed into SDR's range -> BT.709's signal."""
    matrix = frame.colorspace if int(frame.colorspace or 2) != 2 else None
    if matrix is None and int(frame.color_primaries or 0) == _BT2020:
        matrix = av.video.reformatter.Colorspace.BT2020
    signal = frame.reformat(format="rgb48le", src_colorspace=matrix).to_ndarray()
    light = _to_light(transfer)[signal]  # (H, W, 3), 1 is the white of SDR
    peak = _peak(transfer)
    mixed = cv2.transform(light, colours * np.float32(65535 / peak))
    np.clip(mixed, 0, 65535, out=mixed)
    return _to_signal(transfer)[mixed.astype(np.uint16)]


def _peak(transfer: int) -> float:
    return {_HLG: 1 / _HLG_WHITE, _PQ: _PQ_PEAK_CD_M2 / _PQ_WHITE_CD_M2}.get(transfer, 1.0)


@lru_cache(maxsize=3)
def _to_light(transfer: int) -> FloatArray:
    """(65536,) linear light of a 16-bit signal: ITU-R BT.2100 tables 4 and 5, BT.709 section 1."""
    signal = np.linspace(0, 1, 65536)
    if transfer == _HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12) / _HLG_WHITE
    elif transfer == _PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10_000 / _PQ_WHITE_CD_M2
    else:
        light = np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))
    return light.astype(np.float32)


@lru_cache(maxsize=3)
def _to_signal(transfer: int) -> npt.NDArray[np.uint8]:
    """(65536,) 8-bit BT.709 signal of light from 0 to the peak."""
    peak = _peak(transfer)
    light: npt.NDArray[Any] = np.linspace(0, peak, 65536)
    if peak > 1:  # the curve leaves the knee with a slope of 1 and meets white at the peak
        over, room, most = np.maximum(light - _KNEE, 0), 1 - _KNEE, peak - _KNEE
        bend = most * room / (most - room)
        light = np.where(light > _KNEE, _KNEE + over * bend / (over + bend), light)
    signal = np.where(light < 0.018, 4.5 * light, 1.099 * np.maximum(light, 1e-9) ** 0.45 - 0.099)
    return np.asarray(np.clip(np.rint(signal * 255), 0, 255), dtype=np.uint8)
