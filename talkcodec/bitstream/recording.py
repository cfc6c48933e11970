"""Recordings, `.tkc`: the messages of a call in a file (docs/bitstream.md, section 9).

Magic and version, then records: length, one message, CRC-32. The first record says everything that a decoder must
know, the last is an index of the keyframes. Without its end a file loses its index and what was cut, nothing else.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from talkcodec.bitstream import records
from talkcodec.bitstream.bundles import CodedUnit, units_of
from talkcodec.bitstream.messages import Hello, MotionBundle, parse, serialize
from talkcodec.bitstream.records import (
    MAX_AUDIO_PACKETS,
    MAX_INDEX,
    MAX_RECORD_BYTES,
    IndexEntry,
    RecordedAudio,
    RecordingHeader,
)
from talkcodec.bitstream.wire import Value
from talkcodec.errors import BitstreamError, MismatchError, UsageError

__all__ = ["RecordingReader", "RecordingWriter"]

MAGIC = b"\x89TKC\r\n\x1a\n"
FILE_VERSIONS = (1, 2)
"""1: motion alone; 2: other layers too, which the header names."""

_TRAILER_MAGIC = b"TKCI"
_TRAILER_BYTES = 12


class RecordingWriter:
    """Writes a recording to a binary file object; `close` writes the index and leaves the file open.

    What is written is in the file at once, but for the sound of the last second.
    Raises UsageError for values out of range or times that go back.
    """

    def __init__(self, file: BinaryIO, header: RecordingHeader) -> None:
        self._file, self.header = file, header
        self._offset, self._crc, self._count = 0, 0, 0
        self._index: list[IndexEntry] = []
        self._audio: RecordedAudio | None = None
        self._last_time: int | None = None
        self._closed = False
        self._write(MAGIC + header.version.to_bytes(2, "big"))
        self._record(serialize(header.hello))
        self._record(records.serialize_header(header))

    @property
    def bytes_written(self) -> int:
        """So far, without the sound that waits."""
        return self._offset

    def write_keyframe(self, timestamp: int, data: bytes) -> None:
        """Append a serialized keyframe unit; the bundle that comes next begins with its access unit."""
        body = records.serialize_keyframe_record(timestamp, data)
        self._check_time(timestamp)
        self._flush_audio()
        self._index.append(IndexEntry(timestamp, self._offset))
        self._record(body)

    def write_bundle(self, bundle: MotionBundle, timestamp: int) -> None:
        """Append units; timestamp: 90 kHz, of the first one."""
        body = serialize(bundle)
        for part in bundle.units:
            if part.layer not in self.header.layers:
                raise UsageError(f"a unit of layer {part.layer.name} is not among those that the header names")
        self._check_time(timestamp)
        for unit in units_of(bundle, timestamp, self.header.hello.time_base):
            timestamp = unit.timestamp
        self._last_time = timestamp // self.header.hello.time_base.ticks
        self._record(body)
        self._count += len(bundle.units)

    def _check_time(self, timestamp: int) -> None:
        base = self.header.hello.time_base
        now = timestamp // base.ticks
        if self._last_time is not None and not 0 <= now - self._last_time < 1 << (base.bits - 1):
            raise UsageError(f"timestamp {timestamp} goes back, or leaves a gap too long for the time base")

    def write_audio(self, timestamp: int, duration: int, packet: bytes) -> None:
        """Append one audio packet; packets that follow each other without a gap share a record."""
        single = RecordedAudio(timestamp, duration, (packet,))
        records.serialize_audio(single)
        gathered = self._audio
        if gathered:
            follows = gathered.timestamp + duration * len(gathered.packets) == timestamp
            if follows and duration == gathered.duration and len(gathered.packets) < MAX_AUDIO_PACKETS:
                self._audio = replace(gathered, packets=(*gathered.packets, packet))
                return
            self._flush_audio()
        self._audio = single

    def close(self) -> None:
        """Write what is gathered, the index and the trailer; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._flush_audio()
        while len(self._index) > MAX_INDEX:
            self._index = self._index[::2]
        offset = self._offset
        self._record(records.serialize_index(self._count, self._crc, tuple(self._index)))
        self._write(offset.to_bytes(8, "big") + _TRAILER_MAGIC)

    def _flush_audio(self) -> None:
        if self._audio:
            self._record(records.serialize_audio(self._audio))
            self._audio = None

    def _record(self, body: bytes) -> None:
        self._write(records.frame(body))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._offset += len(data)


class RecordingReader:
    """Reads a recording from a binary file object, which must be seekable for `index` and `seek`.

    The constructor raises BitstreamError for what is no recording, MismatchError for an unknown version. Iteration
    yields units and audio up to the end or the first damage; then `problem` says what was wrong, None if nothing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset, self._crc, self._count = 0, 0, 0
        self._sequential = True
        self.problem: BitstreamError | None = None
        start = self._read(len(MAGIC) + 2)
        if start[: len(MAGIC)] != MAGIC:
            raise BitstreamError("this is no talkcodec recording: its first 8 bytes are wrong")
        version = int.from_bytes(start[len(MAGIC) :], "big")
        if version not in FILE_VERSIONS:
            raise MismatchError(
                f"recording has version {version}, this talkcodec reads {FILE_VERSIONS[0]} to {FILE_VERSIONS[-1]}; "
                "update it"
            )
        hello = parse(self._body())
        if not isinstance(hello, Hello):
            raise BitstreamError(f"recording begins with {type(hello).__name__}, expected Hello")
        self.header = records.parse_header(records.unpack(self._body()), hello, version)
        self._start = self._offset
        self._near = 0

    def __iter__(self) -> Iterator[CodedUnit | RecordedAudio]:
        keyframe: tuple[int, bytes] | None = None
        try:
            while True:
                crc = self._crc
                body = self._body()
                fields = records.unpack(body)
                kind = fields[0] if fields and type(fields[0]) is int else None
                if kind == records.INDEX:
                    self._finish(fields, crc)
                    return
                if kind == records.KEYFRAME:
                    keyframe = records.parse_keyframe_record(fields)
                    self._near = keyframe[0]
                elif kind == records.AUDIO:
                    yield records.parse_audio(fields)
                else:
                    bundle = parse(body)
                    if isinstance(bundle, MotionBundle):
                        yield from self._units(bundle, keyframe[1] if keyframe else None)
                        keyframe = None
        except BitstreamError as error:
            self.problem = error

    @property
    def index(self) -> tuple[IndexEntry, ...]:
        """The keyframes; from the file's index, or found by reading when it has none. Keeps the place."""
        place, near, sequential = self._offset, self._near, self._sequential
        try:
            return self._stored_index()
        except BitstreamError:
            return self._found_index()
        finally:
            self._go(place, near)
            self._sequential = sequential

    def seek(self, timestamp: int) -> None:
        """Continue at the last keyframe at or before the 90 kHz timestamp, else at the first record."""
        before = [entry for entry in self.index if entry.timestamp <= timestamp]
        self._sequential, self.problem = False, None
        if before:
            self._go(before[-1].offset, before[-1].timestamp)
        else:
            self._go(self._start, 0)

    def _units(self, bundle: MotionBundle, keyframe: bytes | None) -> Iterator[CodedUnit]:
        base = self.header.hello.time_base
        for unit in units_of(bundle, base.from_wire(bundle.timestamp, self._near), base):
            if not 0 <= unit.timestamp <= records.MAX_TIME:
                raise BitstreamError(f"a unit's time is {unit.timestamp} ticks, expected 0 to {records.MAX_TIME}")
            if unit.layer not in self.header.layers:
                raise BitstreamError(f"a unit of layer {unit.layer.name} is not among those that the header names")
            self._near = unit.timestamp
            self._count += 1
            yield replace(unit, keyframe=keyframe)
            keyframe = None

    def _finish(self, fields: list[Value], crc: int) -> None:
        count, expected, _ = records.parse_index(fields)
        if self._sequential and (count, expected) != (self._count, crc):
            raise BitstreamError(f"recording holds {self._count} units, its index counts {count}: records are missing")

    def _stored_index(self) -> tuple[IndexEntry, ...]:
        end = self._file.seek(0, 2)
        self._go(max(end - _TRAILER_BYTES, 0), 0)
        trailer = self._read(_TRAILER_BYTES)
        offset = int.from_bytes(trailer[:8], "big")
        if trailer[8:] != _TRAILER_MAGIC or not self._start <= offset < end:
            raise BitstreamError("recording has no index")
        self._go(offset, 0)
        _, _, entries = records.parse_index(records.unpack(self._body()))
        if any(not self._start <= entry.offset < offset for entry in entries):
            raise BitstreamError("index points outside the recording")
        return entries

    def _found_index(self) -> tuple[IndexEntry, ...]:
        self._go(self._start, 0)
        entries: list[IndexEntry] = []
        try:
            while len(entries) < MAX_INDEX:
                offset = self._offset
                fields = records.unpack(self._body())
                if fields and fields[0] == records.KEYFRAME:
                    entries.append(IndexEntry(records.parse_keyframe_record(fields)[0], offset))
        except BitstreamError:
            return tuple(entries)
        return tuple(entries)

    def _go(self, offset: int, near: int) -> None:
        self._file.seek(offset)
        self._offset, self._near = offset, near

    def _body(self) -> bytes:
        length = shift = 0
        for _ in range(4):
            byte = self._read(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if byte >= 0x80 or not 0 < length <= MAX_RECORD_BYTES:
            raise BitstreamError(f"a record at byte {self._offset} claims more than {MAX_RECORD_BYTES} bytes, or none")
        body = self._read(length)
        if int.from_bytes(self._read(4), "big") != zlib.crc32(body):
            raise BitstreamError(f"the record that ends at byte {self._offset} is damaged: its checksum differs")
        return body

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        self._offset += len(data)
        if len(data) < count:
            raise BitstreamError(f"recording is cut at byte {self._offset}")
        self._crc = zlib.crc32(data, self._crc)
        return data
