"""How well a piece of a recording would be shown: its base pictures decoded, and a few of its instants compared."""

from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from talkcodec.codec.base import BaseDecoder
from talkcodec.codec.choice import keyframe_picture
from talkcodec.codec.config import EncoderConfig
from talkcodec.codec.segment import Segment
from talkcodec.coding import mix_drive
from talkcodec.picture import open_still
from talkcodec.types import Base, Crop, Drive, FloatArray, Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["shown_psnr_db"]

_INSTANTS, _LIGHT_INSTANTS = 32, 256
"""So many are made and compared; the latter where none is restored, which takes a tenth of the time."""

_GOLDEN = 0.618


class _Decoded(NamedTuple):
    reference: Any  # runtime.Reference
    picture: Picture
    crop: Crop
    quantiser: int


def shown_psnr_db(engine: "Engine", segment: Segment, config: EncoderConfig, light: bool = False) -> FloatArray:
    """PSNR, dB, of what is shown at each of some instants that are spread over a segment, coded so.

    light: of more instants, without the restoration's network (as `Engine.generate`).
    Keyframes are taken to come where the base starts afresh, and none for reasons of quality.
    """
    numbers = list(segment.coded(config.base))
    instants = _spread(len(segment.frames), _LIGHT_INSTANTS if light else _INSTANTS)
    before = [bisect_right(numbers, number) - 1 for number in instants]
    after = [min(place + 1, len(numbers) - 1) for place in before]
    decoded = _decoded(engine, segment, config, {numbers[place] for place in (*before, *after)})

    @lru_cache(maxsize=2)  # the next instants lie between the same two
    def drive_at(place: int) -> Drive:
        return Drive(base=_base(engine, decoded[numbers[place]]))

    errors = []
    for number, first, second in zip(instants, before, after, strict=True):
        a, b = decoded[numbers[first]], decoded[numbers[second]]
        time_s, start_s, end_s = (segment.frames[n][0] for n in (number, numbers[first], numbers[second]))
        drive = drive_at(first)
        if start_s < time_s < end_s:
            share = (time_s - start_s) / (end_s - start_s)
            drive = mix_drive(drive, drive_at(second), share, b.reference is a.reference)
        shown = engine.generate(a.reference, drive, light=light)
        errors.append(np.square(shown.astype(np.float32) - segment.frames[number][1].picture).mean())
    return np.asarray(10 * np.log10(255**2 / np.maximum(errors, 1e-3)), dtype=np.float32)


def _decoded(engine: "Engine", segment: Segment, config: EncoderConfig, wanted: set[int]) -> dict[int, _Decoded]:
    """The base pictures of those numbers; the others are decoded for their sake."""
    size, still, choice = engine.config.picture_size, open_still(config.still), segment.choice
    decoder, decoded, reference, start = BaseDecoder(size), dict[int, _Decoded](), None, 0
    for number, unit in segment.coded(config.base).items():
        if unit.start is not None:
            reference, start = None, number
        picture = decoder.decode(unit)
        if number not in wanted:
            continue
        if reference is None:
            shows = keyframe_picture(choice.at(start) if choice else segment.frames[start][1].picture, config)
            data = still.encode(shows, config.still_quality)
            reference = engine.encode_reference(still.decode(data, size), None)
        decoded[number] = _Decoded(reference, picture, segment.frames[number][1].crop, decoder.quantiser)
    return decoded


def _base(engine: "Engine", decoded: _Decoded) -> Base:
    flow = engine.find_flow(decoded.reference, decoded.picture)
    return Base(decoded.picture.astype(np.float32), flow, decoded.crop, decoded.quantiser)


def _spread(count: int, most: int) -> list[int]:
    """Numbers of at most so many of `count` pictures, one in each part of them, never at the same place of it twice:
    else those that are coded, or those between, would be met too often."""
    parts = min(most, count)
    return [int((part + part * _GOLDEN % 1) * count / parts) for part in range(parts)]
