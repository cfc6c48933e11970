"""talkcodec as the codec under test: encode, cut into messages as a call does, decode what was cut, count both ways."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.clips import Clip
from eval.points import Point
from eval.wire import Traffic, data_channel_traffic
from talkcodec.bitstream import (
    BundledUnit,
    KeyframeAck,
    KeyframePiece,
    MotionBundle,
    MotionSteps,
    ReceiverReport,
    TimeBase,
    serialize,
)
from talkcodec.bitstream.messages import MAX_PIECE_BYTES
from talkcodec.clock import ticks
from talkcodec.codec import AccessUnit, Decoder, Encoder, EncoderConfig, accept_hello, hello_for
from talkcodec.errors import MediaError
from talkcodec.session import ReceiverConfig
from talkcodec.types import Motion, Picture

__all__ = ["KeypointsOnly", "code_talkcodec", "model_sha256"]

Frames = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

_REPORTS = ReceiverConfig()


class KeypointsOnly:
    """An engine whose Jacobians are held at identity: zeroth-order motion from a first-order model."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.config = replace(engine.config, jacobians=False)
        self.model_hash, self.name = engine.model_hash, engine.name
        self._identity = np.tile(np.eye(2, dtype=np.float32), (engine.config.keypoints, 1, 1))

    def detect(self, picture: Picture) -> Motion:
        return Motion(self._engine.detect(picture).keypoints)

    def encode_reference(self, picture: Picture, motion: Motion) -> Any:
        return self._engine.encode_reference(picture, Motion(motion.keypoints, self._identity))

    def generate(self, reference: Any, motion: Motion) -> Picture:
        picture: Picture = self._engine.generate(reference, Motion(motion.keypoints, self._identity))
        return picture


def model_sha256(model: str) -> str:
    """Hash of the weights that a point names, hex."""
    digest: bytes = _engine(model).model_hash
    return digest.hex()


def code_talkcodec(clip: Clip, point: Point) -> tuple[Frames, Traffic]:
    """Encode and decode `clip` at `point`; (T, S, S, 3) pictures and the traffic over data channels.

    Raises MediaError for a clip of another size than the model's, and what the codec raises.
    """
    engine = _engine(str(point["model"]))
    size = engine.config.picture_size
    if clip.frames.shape[1:3] != (size, size):
        raise MediaError(f"{clip.name}: {clip.frames.shape[2]}x{clip.frames.shape[1]}, the model needs {size}x{size}")
    if engine.config.jacobians and not point["jacobians"]:
        engine = KeypointsOnly(engine)
    steps = MotionSteps(keypoint_step=point["kp"], jacobian_step=point["jac"])
    if point["quality"] < 0:
        return _with_untouched_keyframe(engine, clip, point["every"]), Traffic(0, 0, 0, 0, 0)
    config = EncoderConfig(
        steps=steps,
        still_quality=point["quality"],
        keyframe_interval_s=point["interval"] or None,
        refresh_l1=point["refresh"] or None,
    )
    encoder = Encoder(engine, config)
    units = [
        encoder.encode(np.ascontiguousarray(frame), ticks(float(index * point["every"] / clip.fps)))
        for index, frame in enumerate(clip.frames[:: point["every"]])
    ]
    decoder = Decoder(engine, accept_hello(engine, hello_for(engine, config)))
    frames = _decode(decoder, units, point["every"], len(clip.frames))
    return frames, _traffic(units, point["bundle"], clip.duration_s)


def _decode(decoder: Decoder, units: list[AccessUnit], every: int, count: int) -> npt.NDArray[np.uint8]:
    """Decode, with the frames between two units interpolated as a receiver does; the last one is held to the end."""
    shown: list[Picture] = []
    previous: tuple[int, Motion] | None = None
    for unit in units:
        if unit.keyframe is not None:
            decoder.add_keyframe(unit.keyframe)
        parsed = decoder.parse(unit)
        motion = decoder.motion_of(parsed)
        if previous is not None:
            for step in range(1, every):
                same = previous[0] == unit.reference_id
                between = _between(previous[1], motion, step / every) if same else previous[1]
                shown.append(decoder.generate_motion(previous[0], between))
        shown.append(decoder.generate(parsed))
        previous = (unit.reference_id, motion)
    while len(shown) < count:
        shown.append(shown[-1])
    return np.stack(shown[:count])


def _with_untouched_keyframe(engine: Any, clip: Clip, every: int) -> npt.NDArray[np.float32]:
    """The papers' experiment: the true first picture animated by unquantised motion, float pictures, no rate."""
    first = np.ascontiguousarray(clip.frames[0])
    reference = engine.encode_reference(first, engine.detect(first))
    frames = [
        engine.generate_float(reference, engine.detect(np.ascontiguousarray(frame))) for frame in clip.frames[::every]
    ]
    return np.repeat(np.stack(frames), every, axis=0)[: len(clip.frames)].astype(np.float32)


def _traffic(units: list[AccessUnit], bundle: int, duration_s: float) -> Traffic:
    """Sizes of the real messages of a call with these access units, without loss."""
    keyframes = [unit for unit in units if unit.keyframe is not None]
    pieces = [serialize(piece) for unit in keyframes for piece in _pieces(unit)]
    bundles = [serialize(message) for message in _bundles(units, bundle)]
    reports = _REPORTS.early_reports + int(duration_s * 1000 / _REPORTS.report_ms)
    report = serialize(ReceiverReport(1000, (1 << 64) - 1, 1000, 0, 900, 40_000, 20, 1000))
    acknowledgements = [serialize(KeyframeAck(unit.reference_id)) for unit in keyframes]
    keyframe_bytes = sum(len(unit.keyframe or b"") for unit in keyframes)
    return data_channel_traffic(
        payload_bytes=sum(len(unit.motion) for unit in units) + keyframe_bytes,
        keyframe_bytes=keyframe_bytes,
        messages_up=[len(message) for message in pieces + bundles],
        messages_down=[len(message) for message in acknowledgements + [report] * reports],
    )


def _pieces(unit: AccessUnit) -> Iterator[KeyframePiece]:
    data = unit.keyframe or b""
    count = -(-len(data) // MAX_PIECE_BYTES)
    number = unit.reference_id if unit.keyframe_id is None else unit.keyframe_id
    for index in range(count):
        yield KeyframePiece(number, index, count, data[index * MAX_PIECE_BYTES : (index + 1) * MAX_PIECE_BYTES])


def _bundles(units: list[AccessUnit], size: int) -> Iterator[MotionBundle]:
    """At most `size` consecutive units of one reference a message."""
    base = TimeBase()
    pending: list[AccessUnit] = []
    for unit in units:
        if pending and (len(pending) == size or pending[0].reference_id != unit.reference_id):
            yield _bundle(pending, base)
            pending = []
        pending.append(unit)
    if pending:
        yield _bundle(pending, base)


def _bundle(units: list[AccessUnit], base: TimeBase) -> MotionBundle:
    times = [base.to_wire(unit.timestamp) for unit in units]
    deltas = [0, *((later - earlier) & 0xFFFF for earlier, later in pairwise(times))]
    bundled = tuple(BundledUnit(delta, unit.motion) for delta, unit in zip(deltas, units, strict=True))
    return MotionBundle(units[0].reference_id, units[0].sequence, times[0], bundled)


def _between(a: Motion, b: Motion, share: float) -> Motion:
    keypoints = (a.keypoints + share * (b.keypoints - a.keypoints)).astype(np.float32)
    if a.jacobians is None or b.jacobians is None:
        return Motion(keypoints)
    return Motion(keypoints, (a.jacobians + share * (b.jacobians - a.jacobians)).astype(np.float32))


@lru_cache(maxsize=2)
def _engine(model: str) -> Any:
    """One engine a process and model, on one thread: many clips run side by side."""
    from talkcodec.runtime import open_engine

    return open_engine(model, threads=1)
