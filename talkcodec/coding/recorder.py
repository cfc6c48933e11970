"""Access units into a recording: what a file holds counts as held."""

from talkcodec.bitstream import Layer, RecordingWriter
from talkcodec.coding.unit import AccessUnit
from talkcodec.coding.writer import UnitWriter

__all__ = ["RECORD_UNITS", "UnitRecorder"]

RECORD_UNITS = 25
"""Units a record: a process that dies loses at most those."""


class UnitRecorder:
    """Writes the access units of a stream into a recording. `close` writes what waits; the recording stays open.

    Decoding can start at each keyframe: no unit refers to one before it.
    """

    def __init__(self, recording: RecordingWriter, writer: UnitWriter, units: int = RECORD_UNITS) -> None:
        self._recording, self._writer, self._units = recording, writer, units
        self._first: int | None = None  # timestamp of the oldest unit that waits
        self._reference: int | None = None
        self.keyframe_bytes = 0
        self.layer_bytes = dict.fromkeys(Layer, 0)

    def write(self, unit: AccessUnit) -> None:
        """Append one access unit. Raises UsageError for times that go back."""
        if unit.keyframe is not None:
            self._flush()
            data = self._writer.keyframe(unit.keyframe)
            self._recording.write_keyframe(unit.timestamp, data)
            self._writer.forget_units()
            self.keyframe_bytes += len(data)
        elif unit.reference_id != self._reference or self._writer.pending == self._units:
            self._flush()
        self._first = unit.timestamp if self._first is None else self._first
        self._reference = unit.reference_id
        self._writer.add(unit)

    def close(self) -> None:
        """Write the units that wait."""
        self._flush()

    def _flush(self) -> None:
        if self._first is None:
            return
        timestamp, self._first = self._first, None
        while (bundle := self._writer.take()) is not None:
            timestamp = self._recording.header.hello.time_base.from_wire(bundle.timestamp, timestamp)
            self._recording.write_bundle(bundle, timestamp)
            for unit in bundle.units:
                self.layer_bytes[unit.layer] += len(unit.payload)
            self._writer.acknowledge_all()
