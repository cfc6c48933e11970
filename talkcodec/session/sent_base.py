"""Base pictures that left lately: what of them the other end misses leaves once more, where that is cheaper than a
fresh start of the base. No I/O, no clock."""

from dataclasses import dataclass

from talkcodec.bitstream import BundledUnit, Layer, MotionBundle, ReceiverReport
from talkcodec.bitstream.base import is_start
from talkcodec.clock import seq16_add, seq16_diff

__all__ = ["SentBase"]

_REPORTED = 64
"""Units before the newest of which a report speaks."""


@dataclass(slots=True)
class _Sent:
    payload: bytes
    reference_id: int
    time: int  # wire time
    left_ms: float  # of the latest copy


class SentBase:
    """Every picture since the last start, as far as reports reach. Drop policy: at most `KEPT`, the oldest goes."""

    KEPT = 64
    TOGETHER = 16
    """Pictures in one message."""

    def __init__(self, time_bits: int) -> None:
        self._mask = (1 << time_bits) - 1
        self._units: dict[int, _Sent] = {}  # by sequence number
        self._start_bytes = 0

    def left(self, bundle: MotionBundle, now_ms: float) -> None:
        """These units leave now, some perhaps once more."""
        time = bundle.timestamp
        for number, unit in enumerate(bundle.units):
            time = (time + unit.delta) & self._mask
            sequence = seq16_add(bundle.sequence, number)
            if unit.layer is not Layer.BASE:
                continue
            if sequence in self._units:
                self._units[sequence].left_ms = now_ms
                continue
            if self._units and seq16_diff(sequence, next(reversed(self._units))) < 0:
                continue  # a copy of what was forgotten
            if is_start(unit.payload):
                self._units.clear()  # nothing before it is needed any more
                self._start_bytes = len(unit.payload)
            self._units[sequence] = _Sent(unit.payload, bundle.reference_id, time, now_ms)
            while len(self._units) > self.KEPT:
                del self._units[next(iter(self._units))]

    def once_more(
        self, report: ReceiverReport, before_ms: float, now_ms: float, beyond: bool = True
    ) -> list[MotionBundle]:
        """What leaves again now: the pictures that this report would show, had they arrived, as all copies left before
        `before_ms`. beyond: also those after the newest that it shows. Nothing where a fresh start is shorter."""
        missing = {n: unit for n, unit in self._missing(report).items() if unit.left_ms < before_ms}
        if not beyond:
            missing = {n: unit for n, unit in missing.items() if seq16_diff(n, report.highest_sequence) < 0}
        if not missing or sum(len(unit.payload) for unit in missing.values()) > self._start_bytes:
            return []
        runs: list[list[int]] = []
        for sequence, unit in missing.items():
            unit.left_ms = now_ms
            last = runs[-1] if runs else []
            follows = bool(last) and seq16_diff(sequence, last[-1]) == 1
            same = follows and self._units[last[-1]].reference_id == unit.reference_id
            if same and len(last) < self.TOGETHER:
                last.append(sequence)
            else:
                runs.append([sequence])
        return [self._bundle(run) for run in runs]

    def on_its_way(self, report: ReceiverReport, since_ms: float) -> bool:
        """Whether all that this report lacks has left again since then."""
        missing = self._missing(report)
        lacked = [unit for n, unit in missing.items() if seq16_diff(n, report.highest_sequence) < 0]
        return bool(lacked) and all(unit.left_ms >= since_ms for unit in lacked)

    def _missing(self, report: ReceiverReport) -> dict[int, _Sent]:
        return {n: unit for n, unit in self._units.items() if not _shows(report, n)}

    def _bundle(self, run: list[int]) -> MotionBundle:
        units, before = [], self._units[run[0]].time
        for sequence in run:
            unit = self._units[sequence]
            units.append(BundledUnit((unit.time - before) & self._mask, unit.payload, Layer.BASE))
            before = unit.time
        first = self._units[run[0]]
        return MotionBundle(first.reference_id, run[0], first.time, tuple(units))


def _shows(report: ReceiverReport, sequence: int) -> bool:
    """False for a unit that had not arrived; True where the report does not reach so far back."""
    behind = seq16_diff(report.highest_sequence, sequence)
    if behind <= 0:
        return behind == 0
    return behind > _REPORTED or bool(report.received >> (behind - 1) & 1)
