"""Frames between units: what is shown at each captured instant when fewer are sent than were captured."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from talkcodec.codec.decoder import Reference
from talkcodec.coding import mix_drive
from talkcodec.types import Drive

__all__ = ["TimedDrive", "fill_in"]

_LONGEST_TICKS = 90_000 // 2
"""A longer gap is a pause of the source, or a loss: the picture before it stays."""


class TimedDrive(NamedTuple):
    """What generates the frame of a 90 kHz time."""

    timestamp: int
    reference: Reference
    drive: Drive


def fill_in(units: Iterable[TimedDrive], period_ticks: int) -> Iterator[TimedDrive]:
    """The units, and between each two one frame every `period_ticks`, mixed of both as far as that goes.

    period_ticks: 0 fills in nothing. Times must rise.
    """
    before: TimedDrive | None = None
    for unit in units:
        if before is not None and period_ticks:
            apart = unit.timestamp - before.timestamp
            steps = round(apart / period_ticks) if apart <= _LONGEST_TICKS else 1
            for step in range(1, steps):
                share = step / steps
                drive = mix_drive(before.drive, unit.drive, share, unit.reference is before.reference)
                yield TimedDrive(before.timestamp + round(apart * share), before.reference, drive)
        yield unit
        before = unit
