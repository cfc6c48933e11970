"""How well a piece of a recording would be shown: its base pictures decoded, and a few of its instants compared."""

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from talkcodec.codec.base import BaseDecoder
from talkcodec.codec.choice import keyframe_picture
from talkcodec.codec.config import EncoderConfig
from talkcodec.codec.segment import Segment
from talkcodec.coding import mix_drive
from talkcodec.picture import open_still
from talkcodec.types import Base, Crop, Drive, Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["shown_psnr_db"]

_INSTANTS = 16
"""So many are made and compared."""

_GOLDEN = 0.618


class _Decoded(NamedTuple):
    time_s: float
    reference: Any  # runtime.Reference
    picture: Picture
    crop: Crop
    quantiser: int


def shown_psnr_db(engine: "Engine", segment: Segment, config: EncoderConfig) -> float:
    """Mean PSNR, dB, of what is shown at instants that are spread over a segment, coded so.

    Keyframes are taken to come where the base starts afresh, and none for reasons of quality.
    """
    decoded = _decoded(engine, segment, config)
    errors = []
    for number in _spread(len(segment.frames)):
        time_s, cut = segment.frames[number]
        place = bisect_right(decoded, time_s, key=_time_s)
        before, after = decoded[place - 1], decoded[min(place, len(decoded) - 1)]
        drive = Drive(base=_base(engine, before))
        if before.time_s < time_s < after.time_s:
            share = (time_s - before.time_s) / (after.time_s - before.time_s)
            drive = mix_drive(drive, Drive(base=_base(engine, after)), share, after.reference is before.reference)
        shown = engine.generate(before.reference, drive)
        errors.append(np.square(shown.astype(np.float32) - cut.picture).mean())
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-3))))


def _decoded(engine: "Engine", segment: Segment, config: EncoderConfig) -> list[_Decoded]:
    size, still, choice = engine.config.picture_size, open_still(config.still), segment.choice
    decoder, decoded, reference = BaseDecoder(size), list[_Decoded](), None
    for number, unit in segment.coded(config.base).items():
        time_s, cut = segment.frames[number]
        if unit.start is not None:
            picture = keyframe_picture(choice.at(number) if choice else cut.picture, config)
            data = still.encode(picture, config.still_quality)
            reference = engine.encode_reference(still.decode(data, size), None)
        picture = decoder.decode(unit)
        decoded.append(_Decoded(time_s, reference, picture, cut.crop, decoder.quantiser))
    return decoded


def _base(engine: "Engine", decoded: _Decoded) -> Base:
    flow = engine.find_flow(decoded.reference, decoded.picture)
    return Base(decoded.picture.astype(np.float32), flow, decoded.crop, decoded.quantiser)


def _spread(count: int) -> list[int]:
    """Numbers of so many of `count` pictures, one in each part of them, never at the same place of it twice: else those
    that are coded, or those between, would be met too often."""
    parts = min(_INSTANTS, count)
    return [int((part + part * _GOLDEN % 1) * count / parts) for part in range(parts)]


def _time_s(decoded: _Decoded) -> float:
    return decoded.time_s
