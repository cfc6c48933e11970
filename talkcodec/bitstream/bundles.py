"""The units of a bundle, each with the time and number that the bundle says for it (docs/bitstream.md, 8.3)."""

from collections.abc import Iterator
from dataclasses import dataclass

from talkcodec.bitstream.messages import Layer, MotionBundle
from talkcodec.bitstream.timebase import TimeBase
from talkcodec.clock import seq16_add

__all__ = ["CodedUnit", "units_of"]


@dataclass(frozen=True, slots=True)
class CodedUnit:
    """The bytes of one unit, and what its envelope says: 90 kHz timestamp, 16-bit sequence number, reference, layer.

    keyframe: the serialized keyframe that stands right before it in a recording, None when there is none.
    """

    timestamp: int
    sequence: int
    reference_id: int
    payload: bytes
    keyframe: bytes | None = None
    layer: Layer = Layer.MOTION


def units_of(bundle: MotionBundle, timestamp: int, time_base: TimeBase) -> Iterator[CodedUnit]:
    """The units in order. timestamp: 90 kHz, of the first one; later ones count on from it and do not wrap."""
    for number, unit in enumerate(bundle.units):
        timestamp += unit.delta * time_base.ticks
        sequence = seq16_add(bundle.sequence, number)
        yield CodedUnit(timestamp, sequence, bundle.reference_id, unit.payload, layer=unit.layer)
