"""Messages: each one msgpack array [type, field, ...] (docs/bitstream.md, section 8).

Fields have a fixed order. A longer array comes from a newer sender: fields past the known ones are skipped.
`_FIELDS` of each message stand beside its class; `serialize` and `parse` are inverses for every legal message.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from talkcodec.bitstream import wire
from talkcodec.bitstream.base import MAX_BASE_BYTES
from talkcodec.bitstream.keyframe import MAX_KEYFRAME_BYTES, MAX_PICTURE_SIZE
from talkcodec.bitstream.motion import MAX_MOTION_BYTES
from talkcodec.bitstream.people import Chat, Presence, chat, presence, presence_fields
from talkcodec.bitstream.states import MAX_KEYPOINTS, MotionSteps
from talkcodec.bitstream.timebase import MAX_TICKS, TimeBase
from talkcodec.errors import BitstreamError, ConfigError, UsageError

__all__ = [
    "MAX_BUNDLE_BYTES",
    "MAX_BUNDLE_PIECES",
    "MAX_BUNDLE_UNITS",
    "MAX_MESSAGE_BYTES",
    "MAX_PIECES",
    "MAX_PIECE_BYTES",
    "PROTOCOL_VERSION",
    "REPORT_WINDOW",
    "BaseRequest",
    "BundlePiece",
    "BundledUnit",
    "Bye",
    "Hello",
    "KeyframeAck",
    "KeyframePiece",
    "KeyframeRequest",
    "Layer",
    "Message",
    "MotionBundle",
    "ReceiverReport",
    "SoundClock",
    "parse",
    "serialize",
]

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 80 * 1024
MAX_BUNDLE_BYTES = 4096
"""A bundle takes no further unit once its units have more."""
MAX_PIECE_BYTES = 1100
MAX_PIECES = -(-MAX_KEYFRAME_BYTES // MAX_PIECE_BYTES)
MAX_BUNDLE_UNITS = 32
MAX_BUNDLE_PIECES = 64
REPORT_WINDOW = 64
MAX_TEXT = 64
MAX_EXTRAS = 16

_U8, _U16, _U32, _U64 = 0xFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Hello:
    """Everything that both ends must agree on; first message of a call, first record of a file.

    model_hash: the first 8 bytes of the model's hash. picture_size: side of the square picture, in pixels.
    features: a set of bits, unknown ones are ignored. creator: of the stream, free text, at most 64 characters.
    extras: at most 16 pairs of a name and an integer, a string or bytes; unknown names are skipped.
    """

    model_hash: bytes
    picture_size: int
    keypoints: int
    jacobians: bool
    table_id: int
    steps: MotionSteps = field(default_factory=MotionSteps)
    time_base: TimeBase = field(default_factory=TimeBase)
    features: int = 0
    creator: str = ""
    extras: tuple[tuple[str, int | str | bytes], ...] = ()
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class KeyframePiece:
    """Part `index` of `count` of a serialized KeyframeUnit, of 1 to 1100 bytes."""

    reference_id: int
    index: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class KeyframeAck:
    """The receiver decoded this reference and holds it."""

    reference_id: int


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """The receiver asks for a new reference; reason: 0 none held, 1 lost, 2 damaged, 3 quality, 4 wish of a person."""

    reason: int = 0


class Layer(IntEnum):
    """What a droppable unit holds."""

    MOTION = 0
    BASE = 1


@dataclass(frozen=True, slots=True)
class BundledUnit:
    """One payload of a bundle; delta: wire time since the unit before it, 0 for the first."""

    delta: int
    payload: bytes
    layer: Layer = Layer.MOTION


@dataclass(frozen=True, slots=True)
class MotionBundle:
    """1 to 32 units with consecutive sequence numbers (a call sends at most 4).

    Type 4 when all are motion, else type 8, where each says its layer. The messages without optional fields: units
    follow each other to their end, since a byte counts here.

    sequence, timestamp: of the first unit; the timestamp is wire time (see TimeBase).
    reference_id: the keyframe with which all units are shown.
    """

    reference_id: int
    sequence: int
    timestamp: int
    units: tuple[BundledUnit, ...]


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What the receiver holds and how it fares (after RFC 3550, section 6.4).

    highest_sequence: the latest unit decoded; received: 64 bits, bit i says that unit highest_sequence - 1 - i is held
    as a state too. Held units are acknowledged: the sender may predict from them.
    expected, lost: units in all since the start, modulo 2**32. jitter: 90 kHz ticks (RFC 3550, section 6.4.1).
    echo: wire time of the bundle that arrived last, hold_ms: the time since then. So the sender finds the round trip.
    exact, concealed, frozen: frames shown since the start, modulo 2**32.
    queue_ms: how long packets of sound wait in queues on their way here; rate_bps: what of them the way carried a
    second since the report before, with headers, where they came close behind one another, else 0. Both or neither.
    """

    highest_sequence: int
    received: int
    expected: int
    lost: int
    jitter: int
    echo: int
    hold_ms: int
    exact: int = 0
    concealed: int = 0
    frozen: int = 0
    queue_ms: int | None = None
    rate_bps: int | None = None


@dataclass(frozen=True, slots=True)
class Bye:
    """The end; code: 0 done, 1 mismatch, 2 error, 3 busy, 4 no permission. text: at most 64 characters."""

    code: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class SoundClock:
    """Ties the sound of an RTP track to the frames (as the NTP pair of an RTCP sender report does, RFC 3550, 6.4.1).

    position: samples at 48 kHz since the first one sent, modulo 2**32; timestamp: its 90 kHz time, modulo 2**32.
    """

    position: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class BaseRequest:
    """The receiver asks that the base starts afresh; sequence: the highest that it has seen, so that one request for a
    start that is on its way already asks for nothing."""

    sequence: int


@dataclass(frozen=True, slots=True)
class BundlePiece:
    """Part `index` of `count` of a layered bundle that is too long for one message; sequence: of its first unit."""

    sequence: int
    index: int
    count: int
    data: bytes


Message: TypeAlias = (
    Hello | KeyframePiece | KeyframeAck | KeyframeRequest | MotionBundle | ReceiverReport | Bye | SoundClock
    | BaseRequest | BundlePiece | Presence | Chat
)  # fmt: skip


def serialize(message: Message) -> bytes:
    """The message as one msgpack array; raises UsageError for fields out of range."""
    for number, (kind, _, to_fields, from_fields) in _TYPES.items():
        if isinstance(message, kind):
            if number == _MOTION_BUNDLE and not _all_motion(message):
                continue
            fields = to_fields(message)
            try:
                from_fields(fields)
            except BitstreamError as error:
                raise UsageError(f"{kind.__name__}: {error}") from error
            data = wire.pack([number, *fields])
            if len(data) > MAX_MESSAGE_BYTES:
                raise UsageError(f"{kind.__name__} has {len(data)} bytes, at most {MAX_MESSAGE_BYTES} are allowed")
            return data
    raise UsageError(f"{type(message).__name__} is no message")


def parse(data: bytes) -> Message:
    """The message that these bytes hold; raises BitstreamError."""
    number, *fields = wire.unpack(data, MAX_MESSAGE_BYTES) or [None]
    if type(number) is not int or number not in _TYPES:
        raise BitstreamError(f"message type {number!r:.40} is not known")
    kind, count, _, from_fields = _TYPES[number]
    if len(fields) < count:
        raise BitstreamError(f"{kind.__name__} has {len(fields)} fields, expected {count}")
    return from_fields(fields)


def _hello_fields(m: Hello) -> list[wire.Value]:
    return [
        m.protocol_version, m.model_hash, m.picture_size, m.keypoints, m.jacobians, m.table_id, m.steps.keypoint_step,
        m.steps.jacobian_step, m.time_base.ticks, m.time_base.bits, m.features, m.creator,
        [list(pair) for pair in m.extras],
    ]  # fmt: skip


def _hello(f: list[wire.Value]) -> Hello:
    try:
        steps = MotionSteps(wire.integer(f[6], 0, _U16, "keypoint_step"), wire.integer(f[7], 0, _U16, "jacobian_step"))
        time_base = TimeBase(wire.integer(f[8], 0, MAX_TICKS, "ticks"), wire.integer(f[9], 0, 32, "bits"))
    except ConfigError as error:
        raise BitstreamError(str(error)) from error
    return Hello(
        protocol_version=wire.integer(f[0], 1, _U16, "protocol_version"),
        model_hash=wire.binary(f[1], 8, 8, "model_hash"),
        picture_size=wire.integer(f[2], 1, MAX_PICTURE_SIZE, "picture_size"),
        keypoints=wire.integer(f[3], 1, MAX_KEYPOINTS, "keypoints"),
        jacobians=wire.boolean(f[4], "jacobians"),
        table_id=wire.integer(f[5], 0, _U16, "table_id"),
        steps=steps,
        time_base=time_base,
        features=wire.integer(f[10], 0, _U32, "features"),
        creator=wire.text(f[11], MAX_TEXT, "creator"),
        extras=tuple(_extra(pair) for pair in wire.array(f[12], 0, MAX_EXTRAS, "extras")),
    )


def _extra(pair: wire.Value) -> tuple[str, int | str | bytes]:
    name, value = wire.array(pair, 2, 2, "an extra")
    if type(value) is int:
        value = wire.integer(value, -(1 << 63), _U64, "the value of an extra")
    elif type(value) is str:
        value = wire.text(value, 256, "the value of an extra")
    else:
        value = wire.binary(value, 0, 256, "the value of an extra")
    return wire.text(name, MAX_TEXT, "the name of an extra"), value


def _piece(f: list[wire.Value]) -> KeyframePiece:
    count = wire.integer(f[2], 1, MAX_PIECES, "count")
    index = wire.integer(f[1], 0, count - 1, "index")
    data = wire.binary(f[3], 1, MAX_PIECE_BYTES, "data")
    return KeyframePiece(wire.integer(f[0], 0, _U8, "reference_id"), index, count, data)


_MOTION_BUNDLE = 4


def _all_motion(message: Message) -> bool:
    return isinstance(message, MotionBundle) and all(unit.layer is Layer.MOTION for unit in message.units)


def _bundle_fields(m: MotionBundle) -> list[wire.Value]:
    if m.units and m.units[0].delta:
        raise UsageError(f"the first unit of a bundle has delta {m.units[0].delta}, expected 0")
    units = [value for unit in m.units for value in (unit.delta, unit.payload)]
    return [m.reference_id, m.sequence, m.timestamp, *units[1:]]


def _bundle(f: list[wire.Value]) -> MotionBundle:
    raw = wire.array(f[3:], 1, 2 * MAX_BUNDLE_UNITS - 1, "units")
    if len(raw) % 2 == 0:
        raise BitstreamError("the units of a bundle end with a time, expected a payload")
    return _bundle_of(f, [Layer.MOTION] * len(raw), [0, *raw[1::2]], raw[::2])


def _layer_bundle_fields(m: MotionBundle) -> list[wire.Value]:
    if m.units and m.units[0].delta:
        raise UsageError(f"the first unit of a bundle has delta {m.units[0].delta}, expected 0")
    units = [value for unit in m.units for value in (unit.delta, int(unit.layer), unit.payload)]
    return [m.reference_id, m.sequence, m.timestamp, *units[1:]]


def _layer_bundle(f: list[wire.Value]) -> MotionBundle:
    raw = [0, *wire.array(f[3:], 2, 3 * MAX_BUNDLE_UNITS - 1, "units")]
    if len(raw) % 3:
        raise BitstreamError("the units of a bundle are a time, a layer and a payload each; the last is not whole")
    layers = [Layer(wire.integer(value, 0, max(Layer), "layer")) for value in raw[1::3]]
    if all(layer is Layer.MOTION for layer in layers):
        raise BitstreamError("a bundle of motion alone is a message of type 4")
    return _bundle_of(f, layers, raw[::3], raw[2::3])


def _bundle_of(
    f: list[wire.Value], layers: list[Layer], deltas: list[wire.Value], payloads: list[wire.Value]
) -> MotionBundle:
    units = (
        BundledUnit(
            wire.integer(delta, 0, _U32, "delta"), wire.binary(payload, 0, _PAYLOAD_BYTES[layer], "a unit"), layer
        )
        for delta, layer, payload in zip(deltas, layers, payloads, strict=False)
    )
    return MotionBundle(
        wire.integer(f[0], 0, _U8, "reference_id"),
        wire.integer(f[1], 0, _U16, "sequence"),
        wire.integer(f[2], 0, _U32, "timestamp"),
        tuple(units),
    )


def _bundle_piece(f: list[wire.Value]) -> BundlePiece:
    count = wire.integer(f[2], 2, MAX_BUNDLE_PIECES, "count")
    index = wire.integer(f[1], 0, count - 1, "index")
    data = wire.binary(f[3], 1, MAX_PIECE_BYTES, "data")
    return BundlePiece(wire.integer(f[0], 0, _U16, "sequence"), index, count, data)


_PAYLOAD_BYTES = {Layer.MOTION: MAX_MOTION_BYTES, Layer.BASE: MAX_BASE_BYTES}


def _report_fields(m: ReceiverReport) -> list[wire.Value]:
    way = [] if m.queue_ms is None or m.rate_bps is None else [m.queue_ms, m.rate_bps]
    return [
        m.highest_sequence, m.received, m.expected, m.lost, m.jitter, m.echo, m.hold_ms, m.exact, m.concealed,
        m.frozen, *way,
    ]  # fmt: skip


def _report(f: list[wire.Value]) -> ReceiverReport:
    return ReceiverReport(
        highest_sequence=wire.integer(f[0], 0, _U16, "highest_sequence"),
        received=wire.integer(f[1], 0, _U64, "received"),
        expected=wire.integer(f[2], 0, _U32, "expected"),
        lost=wire.integer(f[3], 0, _U32, "lost"),
        jitter=wire.integer(f[4], 0, _U32, "jitter"),
        echo=wire.integer(f[5], 0, _U32, "echo"),
        hold_ms=wire.integer(f[6], 0, _U32, "hold_ms"),
        exact=wire.integer(f[7], 0, _U32, "exact"),
        concealed=wire.integer(f[8], 0, _U32, "concealed"),
        frozen=wire.integer(f[9], 0, _U32, "frozen"),
        queue_ms=wire.integer(f[10], 0, _U32, "queue_ms") if len(f) > 11 else None,
        rate_bps=wire.integer(f[11], 0, _U32, "rate_bps") if len(f) > 11 else None,
    )


_Row: TypeAlias = tuple[type, int, Callable[..., list[wire.Value]], Callable[[list[wire.Value]], Message]]

_TYPES: dict[int, _Row] = {
    0: (Hello, 13, _hello_fields, _hello),
    1: (KeyframePiece, 4, lambda m: [m.reference_id, m.index, m.count, m.data], _piece),
    2: (KeyframeAck, 1, lambda m: [m.reference_id], lambda f: KeyframeAck(wire.integer(f[0], 0, _U8, "reference_id"))),
    3: (KeyframeRequest, 1, lambda m: [m.reason], lambda f: KeyframeRequest(wire.integer(f[0], 0, _U8, "reason"))),
    _MOTION_BUNDLE: (MotionBundle, 4, _bundle_fields, _bundle),
    5: (ReceiverReport, 10, _report_fields, _report),
    6: (Bye, 2, lambda m: [m.code, m.text],
        lambda f: Bye(wire.integer(f[0], 0, _U8, "code"), wire.text(f[1], MAX_TEXT, "text"))),
    7: (SoundClock, 2, lambda m: [m.position, m.timestamp],
        lambda f: SoundClock(wire.integer(f[0], 0, _U32, "position"), wire.integer(f[1], 0, _U32, "timestamp"))),
    8: (MotionBundle, 5, _layer_bundle_fields, _layer_bundle),
    9: (BaseRequest, 1, lambda m: [m.sequence], lambda f: BaseRequest(wire.integer(f[0], 0, _U16, "sequence"))),
    10: (BundlePiece, 4, lambda m: [m.sequence, m.index, m.count, m.data], _bundle_piece),
    11: (Presence, 5, presence_fields, presence),
    12: (Chat, 1, lambda m: [m.text], chat),
}  # fmt: skip
