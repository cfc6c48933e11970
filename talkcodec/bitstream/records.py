"""What only a recording holds: its header, keyframes in one piece, audio, the index (docs/bitstream.md, section 9.2).

Each is a msgpack array like a message, with a type number that no message of a call has.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from talkcodec.bitstream import wire
from talkcodec.bitstream.keyframe import MAX_KEYFRAME_BYTES
from talkcodec.bitstream.messages import Hello, Layer
from talkcodec.errors import BitstreamError, UsageError

__all__ = ["AudioFormat", "IndexEntry", "RecordedAudio", "RecordingHeader"]

MAX_RECORD_BYTES = MAX_KEYFRAME_BYTES + 64
MAX_INDEX = 8192
MAX_METADATA = 32
MAX_AUDIO_PACKET_BYTES = 1500
MAX_AUDIO_PACKETS = 50
MAX_TIME = (1 << 48) - 1

METADATA, KEYFRAME, AUDIO, INDEX = 16, 17, 18, 19

_MAX_OFFSET = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What the audio packets are: codec "opus", sample rate in Hz, channels 1 or 2."""

    codec: str = "opus"
    sample_rate_hz: int = 48_000
    channels: int = 1


@dataclass(frozen=True, slots=True)
class RecordingHeader:
    """What stands before the first unit.

    hello: parameters of the stream, creator and model hash among them; its time base should have 32 bits.
    generated_face: the faces that a decoder shows are generated; a player must be able to say so.
    frame_ticks: nominal 90 kHz ticks between frames, 0 when they vary.
    metadata: at most 32 pairs of names (64 characters) and texts (1024 characters). layers: what the units hold.
    """

    hello: Hello
    model_name: str = ""
    generated_face: bool = True
    frame_ticks: int = 0
    audio: AudioFormat | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    layers: tuple[Layer, ...] = (Layer.MOTION,)

    @property
    def version(self) -> int:
        """Of the file: readers of version 1 know motion alone."""
        return 1 if self.layers == (Layer.MOTION,) else 2


@dataclass(frozen=True, slots=True)
class RecordedAudio:
    """Opaque audio packets that follow each other; timestamp, of the first, and duration of each in 90 kHz ticks."""

    timestamp: int
    duration: int
    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Where decoding can start: timestamp of a keyframe and the byte offset of its record."""

    timestamp: int
    offset: int


def serialize_header(header: RecordingHeader) -> bytes:
    """The metadata record; the Hello is a record of its own. Raises UsageError."""
    audio = header.audio
    fields = [
        METADATA,
        header.model_name,
        header.generated_face,
        header.frame_ticks,
        [audio.codec, audio.sample_rate_hz, audio.channels] if audio else [],
        [list(pair) for pair in header.metadata],
    ]
    if header.version > 1:
        fields.append([int(layer) for layer in header.layers])
    return _checked(fields, lambda: parse_header(fields, header.hello, header.version))


def parse_header(fields: list[wire.Value], hello: Hello, version: int) -> RecordingHeader:
    """The inverse of serialize_header; raises BitstreamError."""
    _expect(fields, METADATA, 6)
    audio = wire.array(fields[4], 0, 8, "audio")
    layers = [int(Layer.MOTION)]
    if version > 1:
        named = wire.array(fields[6] if fields[6:] else None, 1, 8, "layers")
        layers = [wire.integer(value, 0, max(Layer), "layer") for value in named]
    if version > 1 and (layers == [int(Layer.MOTION)] or sorted(set(layers)) != layers):
        raise BitstreamError(f"file of version {version} has layers {layers}, expected rising ones, not motion alone")
    pairs = [wire.array(pair, 2, 2, "metadata") for pair in wire.array(fields[5], 0, MAX_METADATA, "metadata")]
    return RecordingHeader(
        hello=hello,
        model_name=wire.text(fields[1], 256, "model_name"),
        generated_face=wire.boolean(fields[2], "generated_face"),
        frame_ticks=wire.integer(fields[3], 0, 1 << 32, "frame_ticks"),
        audio=_audio_format(audio) if audio else None,
        metadata=tuple((wire.text(name, 64, "metadata"), wire.text(value, 1024, "metadata")) for name, value in pairs),
        layers=tuple(Layer(value) for value in layers),
    )


def _audio_format(fields: list[wire.Value]) -> AudioFormat:
    if len(fields) < 3:
        raise BitstreamError(f"audio format has {len(fields)} fields, expected 3")
    return AudioFormat(
        wire.text(fields[0], 16, "audio codec"),
        wire.integer(fields[1], 8_000, 192_000, "sample rate"),
        wire.integer(fields[2], 1, 2, "channels"),
    )


def serialize_keyframe_record(timestamp: int, keyframe: bytes) -> bytes:
    """A serialized KeyframeUnit with the 90 kHz timestamp of its frame; raises UsageError."""
    fields = [KEYFRAME, timestamp, keyframe]
    return _checked(fields, lambda: parse_keyframe_record(fields))


def parse_keyframe_record(fields: list[wire.Value]) -> tuple[int, bytes]:
    """The inverse of serialize_keyframe_record; raises BitstreamError."""
    _expect(fields, KEYFRAME, 3)
    return (
        wire.integer(fields[1], 0, MAX_TIME, "timestamp"),
        wire.binary(fields[2], 1, MAX_KEYFRAME_BYTES, "keyframe"),
    )


def serialize_audio(audio: RecordedAudio) -> bytes:
    """An audio record; raises UsageError."""
    fields = [AUDIO, audio.timestamp, audio.duration, *audio.packets]
    return _checked(fields, lambda: parse_audio(fields))


def parse_audio(fields: list[wire.Value]) -> RecordedAudio:
    """The inverse of serialize_audio; raises BitstreamError."""
    _expect(fields, AUDIO, 4)
    packets = wire.array(fields[3:], 1, MAX_AUDIO_PACKETS, "audio packets")
    return RecordedAudio(
        wire.integer(fields[1], 0, MAX_TIME, "timestamp"),
        wire.integer(fields[2], 0, 90_000, "duration"),
        tuple(wire.binary(packet, 0, MAX_AUDIO_PACKET_BYTES, "audio packet") for packet in packets),
    )


def serialize_index(units: int, crc: int, entries: tuple[IndexEntry, ...]) -> bytes:
    """The index record: count of units, CRC-32 of the file before this record, keyframes in order."""
    flat = [value for entry in entries for value in (entry.timestamp, entry.offset)]
    return wire.pack([INDEX, units, crc, flat])


def parse_index(fields: list[wire.Value]) -> tuple[int, int, tuple[IndexEntry, ...]]:
    """The inverse of serialize_index; raises BitstreamError."""
    _expect(fields, INDEX, 4)
    flat = wire.array(fields[3], 0, 2 * MAX_INDEX, "index")
    if len(flat) % 2:
        raise BitstreamError("the index ends in the middle of an entry")
    entries = tuple(
        IndexEntry(wire.integer(time, 0, MAX_TIME, "timestamp"), wire.integer(offset, 0, _MAX_OFFSET, "offset"))
        for time, offset in zip(flat[::2], flat[1::2], strict=True)
    )
    return (
        wire.integer(fields[1], 0, _MAX_OFFSET, "count of units"),
        wire.integer(fields[2], 0, 0xFFFFFFFF, "checksum"),
        entries,
    )


def frame(body: bytes) -> bytes:
    """A record: length as LEB128, body, CRC-32 of the body, big-endian."""
    length, prefix = len(body), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*prefix, length]) + body + zlib.crc32(body).to_bytes(4, "big")


def unpack(body: bytes) -> list[wire.Value]:
    """The fields of a record's body; raises BitstreamError."""
    return wire.unpack(body, MAX_RECORD_BYTES, 2 * MAX_INDEX + 4)


def _expect(fields: list[wire.Value], kind: int, count: int) -> None:
    if len(fields) < count or type(fields[0]) is not int or fields[0] != kind:
        raise BitstreamError(f"record of {len(fields)} fields is not of type {kind} with {count} fields")


def _checked(fields: list[wire.Value], parse: Callable[[], object]) -> bytes:
    try:
        parse()
    except BitstreamError as error:
        raise UsageError(str(error)) from error
    return wire.pack(fields)
