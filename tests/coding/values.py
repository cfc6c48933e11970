"""Small units of motion and base pictures, and ends that exchange them."""

import numpy as np

from talkcodec.bitstream import (
    BasePicture,
    BaseStart,
    Hello,
    KeyframeUnit,
    MotionBundle,
    MotionState,
    TimeBase,
    units_of,
)
from talkcodec.coding import (
    AccessUnit,
    HeldReferences,
    UnitReader,
    UnitWriter,
)
from talkcodec.types import Crop

HELLO = Hello(b"modelmod", 64, 2, True, 0)
FRAME_TICKS = 3600
TIME_BASE = TimeBase(ticks=30, bits=32)


def state(number: int) -> MotionState:
    """A smooth walk, 12 coefficients."""
    return MotionState(tuple(round(40 * np.sin(number / 9 + place)) for place in range(12)))


def keyframe(reference_id: int, number: int = 0) -> KeyframeUnit:
    return KeyframeUnit(reference_id, 1, 64, 64, Crop(0, 0, 64), (64, 64), state(number), b"picture")


def ends(**options: int) -> tuple[UnitWriter, UnitReader]:
    """A writer and a reader that hold keyframe 0."""
    writer, reader = UnitWriter(HELLO, HeldReferences(), **options), UnitReader(HELLO, HeldReferences())
    for held in (writer.held, reader.held):
        held.store(0, state(0), "reference 0")
    return writer, reader


def take(writer: UnitWriter, *units: AccessUnit) -> MotionBundle:
    for unit in units:
        writer.add(unit)
    bundle = writer.take()
    assert bundle is not None
    return bundle


def at(number: int) -> AccessUnit:
    return AccessUnit(number * FRAME_TICKS, 0, state(number))


def read(reader: UnitReader, bundle: MotionBundle, first: int) -> list[AccessUnit]:
    return [reader.unit(coded) for coded in units_of(bundle, first * FRAME_TICKS, TimeBase(30, 32))]


def base(number: int, start: bool = False) -> BasePicture:
    crop = Crop(-3, 4, 64)
    return BasePicture(number % 128, b"picture %d" % number, BaseStart(1, crop) if start else None)


def mixed(number: int, random: np.random.Generator) -> AccessUnit:
    """Motion, a base picture, or both."""
    kind = random.integers(3)
    motion = state(number) if kind != 1 else None
    picture = base(number, start=number % 40 == 0) if kind != 0 else None
    return AccessUnit(number * FRAME_TICKS, 0, motion, base=picture)


def layers_of(units: list[AccessUnit]) -> list[AccessUnit]:
    """As the reader gives them: each layer for itself, motion first."""
    each = []
    for unit in units:
        if unit.motion is not None:
            each.append(AccessUnit(unit.timestamp, unit.reference_id, unit.motion))
        if unit.base is not None:
            each.append(AccessUnit(unit.timestamp, unit.reference_id, base=unit.base))
    return each
