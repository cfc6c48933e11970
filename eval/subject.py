"""talkcodec as the codec under test: what a call or a recording would send, counted, and the pictures from it."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.clips import Clip
from eval.points import Point
from eval.wire import Traffic, data_channel_traffic
from talkcodec.bitstream import Hello, KeyframeAck, MotionSteps, ReceiverReport, serialize, units_of
from talkcodec.clock import CLOCK_HZ, seq16_add, ticks
from talkcodec.codec import (
    BaseConfig,
    CroppedPicture,
    Decoder,
    Encoder,
    EncoderConfig,
    Rung,
    accept_hello,
    hello_for,
)
from talkcodec.codec.choice import ReferenceChoice
from talkcodec.codec.fitting import RateFitter
from talkcodec.codec.timeline import TimedDrive, fill_in
from talkcodec.codec.trial import shown_psnr_db
from talkcodec.coding import AccessUnit, UnitReader, UnitWriter
from talkcodec.errors import ConfigError, MediaError
from talkcodec.model.files import read_label
from talkcodec.runtime.restoration import restoration_for
from talkcodec.session import Limits, ReceiverConfig
from talkcodec.session.fragments import KeyframeTransfer
from talkcodec.types import Crop, Drive, Motion, Picture

__all__ = ["KeypointsOnly", "code_talkcodec", "model_sha256", "restoration_sha256"]

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

    def generate(self, reference: Any, drive: Drive) -> Picture:
        assert drive.motion is not None
        moved = Drive(Motion(drive.motion.keypoints, self._identity))
        picture: Picture = self._engine.generate(reference, moved)
        return picture


def model_sha256(model: str) -> str:
    """Hash of the weights that a point names, hex."""
    digest: bytes = _engine(model).model_hash
    return digest.hex()


def restoration_sha256(point: Point) -> str:
    """Hashes of the weights that may restore base pictures at a point, hex, joined by "+"; empty where none do."""
    size, rung = _engine(str(point["model"])).config.picture_size, point["rung"]
    whole = {"hybrid": [False], "video": [True], "auto": [False, True]}.get(str(rung), [])
    names = [restoration_for(size, one) for one in whole]
    return "+".join(read_label(name).hash.hex() for name in names if name)


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
    round_trip_ms = float(point["rtt"])
    frames = [np.ascontiguousarray(frame) for frame in clip.frames[:: point["every"]]]
    times_s = [float(index * point["every"] / clip.fps) for index in range(len(frames))]
    config = EncoderConfig(
        steps=steps,
        still_quality=point["quality"],
        keyframe_interval_s=point["interval"] or None,
        refresh_l1=point["refresh"] or None,
        acknowledged=round_trip_ms >= 0,
    )
    choice: ReferenceChoice | None = None
    if point["rung"] != "motion" or point["kbps"]:
        whole = Crop(0, 0, size)
        cut = [CroppedPicture(frame, whole, (size, size), True, 0) for frame in frames]
        choice = ReferenceChoice(cut) if point["ahead"] and not config.acknowledged else None
        config = _with_base(config, point, list(zip(times_s, cut, strict=True)), clip.duration_s, engine, choice)
    hello = hello_for(engine, config)
    encoder, decoder = Encoder(engine, config), Decoder(engine, accept_hello(engine, hello))
    sent = _Sent(hello, encoder, decoder, int(point["bundle"]), round_trip_ms)
    for number, (frame, time_s) in enumerate(zip(frames, times_s, strict=True)):
        if number in (0, len(frames) - 1) or encoder.wants(ticks(time_s)):
            sent.send(frame, ticks(time_s), partial(choice.at, number) if choice else None)
    sent.flush()
    encoder.close()
    return _shown(decoder, sent.received, round(CLOCK_HZ / clip.fps), len(clip.frames)), sent.traffic(clip.duration_s)


def _with_base(
    config: EncoderConfig,
    point: Point,
    cut: Sequence[tuple[float, CroppedPicture]],
    duration_s: float,
    engine: Any,
    choice: ReferenceChoice | None,
) -> EncoderConfig:
    """The configuration of the rung that a point names, or of the one that the ladder chooses for its rate."""
    rung, size = None if point["rung"] == "auto" else Rung(point["rung"]), engine.config.picture_size
    if not point["kbps"]:
        if rung is None:
            raise ConfigError("rung=auto chooses by the rate: give kbps too")
        base = size if rung is Rung.VIDEO else int(point["base"])
        return replace(config, rung=rung, base=BaseConfig(base, float(point["fps"]), float(point["level"])))
    trial = partial(shown_psnr_db, engine) if choice else None
    fitter = RateFitter(float(point["kbps"]) * 1000, config, size, rung, trial)
    return fitter.config if fitter.config.rung is Rung.MOTION else fitter.fit(cut, duration_s, 0, choice)


class _Sent:
    """One stream from the encoder to values at the receiver, through the writer and the reader that a call uses.

    round_trip_ms: what is acknowledged comes back so much later, reports as rarely as a receiver makes them; below 0
    all counts as held at once, as in a recording. No loss; the first keyframe is there before the first frame.
    """

    def __init__(self, hello: Hello, encoder: Encoder, decoder: Decoder, bundle: int, round_trip_ms: float) -> None:
        self._encoder, self._decoder, self._bundle, self._round_trip_ms = encoder, decoder, bundle, round_trip_ms
        self._writer, self._reader = UnitWriter(hello, encoder.held), UnitReader(hello, decoder.held)
        self._time_base = hello.time_base
        self._reference: int | None = None
        self._first = 0
        self._keyframes_back: deque[tuple[float, int]] = deque()  # when an acknowledgement arrives, of which keyframe
        self._units_there: deque[tuple[float, int]] = deque()  # when a unit arrives at the receiver, its number
        self._reports_back: deque[tuple[float, int]] = deque()  # when a report arrives, the newest unit that it names
        self._next_report_ms, self._reports = _REPORTS.early_report_ms, 0
        self._up: list[int] = []
        self._down: list[int] = []
        self._payload_bytes = self._keyframe_bytes = 0
        self.received: list[TimedDrive] = []

    def send(self, picture: Picture, timestamp: int, reference: Callable[[], Picture] | None = None) -> None:
        """Code the picture of an instant; units leave when their bundle is full. reference: as Encoder.encode's."""
        now_ms = timestamp * 1000 / CLOCK_HZ
        self._acknowledge(now_ms)
        unit = self._encoder.encode(picture, timestamp, reference=reference)
        if self._writer.pending and (self._writer.pending == self._bundle or unit.reference_id != self._reference):
            self.flush()
        if unit.keyframe is not None:
            self._send_keyframe(unit, now_ms)
        if not self._writer.pending:
            self._first = timestamp
        self._reference = unit.reference_id
        self._writer.add(unit)

    def flush(self) -> None:
        """Send the units that wait."""
        while (bundle := self._writer.take()) is not None:
            self._up.append(len(serialize(bundle)))
            first = self._time_base.from_wire(bundle.timestamp, self._first)  # large units share no bundle
            for coded in units_of(bundle, first, self._time_base):
                unit = self._reader.unit(coded)
                self._payload_bytes += len(coded.payload)
                self.received.append(TimedDrive(coded.timestamp, *self._decoder.drive(unit)))
            if self._round_trip_ms < 0:
                self._writer.acknowledge_all()
            else:
                last = seq16_add(self._writer.next_sequence, -1)
                left_ms = coded.timestamp * 1000 / CLOCK_HZ
                self._units_there.append((left_ms + self._round_trip_ms / 2, last))

    def _send_keyframe(self, unit: AccessUnit, now_ms: float) -> None:
        assert unit.keyframe is not None
        data = self._writer.keyframe(unit.keyframe)
        self._payload_bytes += len(data)
        self._keyframe_bytes += len(data)
        transfer = KeyframeTransfer(Limits())
        transfer.offer(unit.keyframe.reference_id, data, now_ms)
        while (piece := transfer.next_piece(0.0)) is not None:
            self._up.append(len(serialize(piece)))
        keyframe = self._reader.keyframe(data)
        self._decoder.hold(keyframe)
        self._down.append(len(serialize(KeyframeAck(keyframe.reference_id))))
        if self._round_trip_ms >= 0:
            first = not len(self._encoder.held)
            self._keyframes_back.append((now_ms + (0 if first else self._round_trip_ms), keyframe.reference_id))
            self._acknowledge(now_ms)

    def _acknowledge(self, now_ms: float) -> None:
        """What has come back by now."""
        while self._keyframes_back and self._keyframes_back[0][0] <= now_ms:
            self._encoder.held.hold(self._keyframes_back.popleft()[1])
        while self._next_report_ms <= now_ms:
            newest = None
            while self._units_there and self._units_there[0][0] <= self._next_report_ms:
                newest = self._units_there.popleft()[1]
            if newest is not None:
                self._reports_back.append((self._next_report_ms + self._round_trip_ms / 2, newest))
            self._down.append(_REPORT_BYTES)
            self._reports += 1
            early = self._reports < _REPORTS.early_reports
            self._next_report_ms += _REPORTS.early_report_ms if early else _REPORTS.report_ms
        while self._reports_back and self._reports_back[0][0] <= now_ms:
            self._writer.acknowledge_unit(self._reports_back.popleft()[1])

    def traffic(self, duration_s: float) -> Traffic:
        """All that was sent, both ways, as messages over data channels."""
        self._acknowledge(duration_s * 1000)
        return data_channel_traffic(self._payload_bytes, self._keyframe_bytes, self._up, self._down)


_REPORT_BYTES = len(serialize(ReceiverReport(1000, (1 << 64) - 1, 1000, 0, 900, 40_000, 20, 1000)))


def _shown(decoder: Decoder, received: list[TimedDrive], period_ticks: int, count: int) -> npt.NDArray[np.uint8]:
    """Generate, with the frames between two units mixed of both as a receiver does; the last one is held to the end."""
    shown = [decoder.generate(each.reference, each.drive) for each in fill_in(received, period_ticks)]
    shown += [shown[-1]] * (count - len(shown))
    return np.stack(shown[:count])


def _with_untouched_keyframe(engine: Any, clip: Clip, every: int) -> npt.NDArray[np.float32]:
    """The papers' experiment: the true first picture animated by unquantised motion, float pictures, no rate."""
    first = np.ascontiguousarray(clip.frames[0])
    reference = engine.encode_reference(first, engine.detect(first))
    drives = [Drive(engine.detect(np.ascontiguousarray(frame))) for frame in clip.frames[::every]]
    frames = [engine.generate_float(reference, drive) for drive in drives]
    return np.repeat(np.stack(frames), every, axis=0)[: len(clip.frames)].astype(np.float32)


@lru_cache(maxsize=2)
def _engine(model: str) -> Any:
    """One engine a process and model, on one thread: many clips run side by side."""
    from talkcodec.runtime import open_engine

    return open_engine(model, threads=1)
