"""A call of two state machines over a simulated network: seeded, in virtual time, everything through real bytes."""

from dataclasses import dataclass, field

import numpy as np

from talkcodec.bitstream import (
    Hello,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    KeyframeUnit,
    Message,
    MotionBundle,
    MotionState,
    MotionSteps,
    ReceiverReport,
    dequantise,
    generic_table,
    parse,
    quantise,
    serialize,
    serialize_keyframe,
)
from talkcodec.clock import ticks
from talkcodec.coding import AccessUnit, HeldReferences, next_reference_id
from talkcodec.session import PlayoutConfig, RateConfig, Receiver, Sender, SenderConfig, Shown
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.simulated import SimulatedNetwork, SimulatedTransport
from talkcodec.types import Crop, Delivery, Kind, Motion, WireCost

KEYPOINTS = 3
TABLE = generic_table(KEYPOINTS, True)
STEPS = MotionSteps(64, 64)
COST = WireCost(93, 93 / 2)
HELLO = Hello(b"modelmod", 64, KEYPOINTS, True, 0, STEPS)


def motion_at(time_s: float) -> Motion:
    """A smooth movement, known for any time."""
    phase = 2 * np.pi * 0.4 * time_s + np.arange(2 * KEYPOINTS, dtype=np.float64)
    keypoints = (0.3 * np.sin(phase)).astype(np.float32).reshape(KEYPOINTS, 2)
    jacobians = np.tile(np.eye(2, dtype=np.float32), (KEYPOINTS, 1, 1))
    return Motion(keypoints, jacobians)


def state_at(time_s: float) -> MotionState:
    return quantise(motion_at(time_s), TABLE, STEPS)


def keyframe_unit(reference_id: int, state: MotionState, size: int = 3500) -> KeyframeUnit:
    return KeyframeUnit(reference_id, 1, 64, 64, Crop(0, 0, 64), (64, 64), state, bytes(size))


def keyframe(reference_id: int, state: MotionState, size: int = 3500) -> bytes:
    return serialize_keyframe(keyframe_unit(reference_id, state, size), TABLE, STEPS)


GOOD = Impairment(delay_ms=10)


@dataclass
class Call:
    """Runs both ends in steps of `tick_ms`; `shown` holds (time, frame) of each frame."""

    weather: Impairment = GOOD
    back: Impairment | None = None
    rate: RateConfig = field(default_factory=RateConfig)
    sender_config: SenderConfig = field(default_factory=SenderConfig)
    fps: float = 25.0
    start_s: float = 0.0
    tick_ms: float = 5.0
    decode_ms: float = 20.0
    playout: PlayoutConfig = field(default_factory=PlayoutConfig)
    seed: int = 1

    def __post_init__(self) -> None:
        self.held: HeldReferences[int] = HeldReferences(4)
        self.network = SimulatedNetwork(self.weather, self.back, seed=self.seed, start_s=self.start_s, cost=COST)
        self.network.a.attach(lambda: None, lambda data: self.to_sender(parse(data)), self._never)
        self.network.b.attach(lambda: None, lambda data: self.to_receiver(parse(data)), self._never)
        self.sender = Sender(HELLO, self.held, self.sender_config, self.rate, cost=COST)
        self.receiver: Receiver[int] = Receiver(HELLO, HeldReferences(8), self.playout)
        self.now_ms = self.start_s * 1000
        self.shown: list[tuple[float, Shown[int]]] = []
        self._decoding: list[tuple[float, KeyframeUnit]] = []
        self._frame = round(self.start_s * self.fps)
        self._reference = 0

    def run(self, seconds: float) -> None:
        end_ms = self.now_ms + seconds * 1000
        while self.now_ms < end_ms:
            self._capture()
            for out in self.sender.poll(self.now_ms, 0, 0):
                self.send(self.network.a, serialize(out.message), out.delivery)
            for out in self.receiver.poll(self.now_ms):
                self.send(self.network.b, serialize(out.message), out.delivery)
            self.network.advance(self.now_ms / 1000)
            while (unit := self.receiver.next_keyframe()) is not None:
                self._decoding.append((self.now_ms + self.decode_ms, unit))
            while self._decoding and self._decoding[0][0] <= self.now_ms:
                keyframe_ = self._decoding.pop(0)[1]
                self.receiver.reference_ready(keyframe_, keyframe_.reference_id)
            frame = self.receiver.due(self.now_ms)
            if frame is not None:
                self.shown.append((self.now_ms, frame))
            self.now_ms += self.tick_ms

    def _capture(self) -> None:
        while self._frame / self.fps * 1000 <= self.now_ms:
            time_s = self._frame / self.fps
            self._frame += 1
            timestamp = ticks(time_s)
            state = state_at(time_s)
            keyframe_ = None
            if self.sender.keyframe_wanted:
                keyframe_ = keyframe_unit(self._reference, state)
                self.held.offer(self._reference, state, self._reference)
                self._reference = next_reference_id(self._reference)
            if keyframe_ is not None or self.sender.wants_motion(timestamp):
                current = self._reference - 1 if self.held.newest is None else self.held.newest
                self.sender.offer(AccessUnit(timestamp, current, state, keyframe_), self.now_ms)

    def send(self, end: SimulatedTransport, data: bytes, delivery: Delivery) -> None:
        """A message of the machine at this end; hostile tests put themselves here."""
        end.send(data, delivery)

    def to_receiver(self, message: Message) -> None:
        assert isinstance(message, KeyframePiece | MotionBundle)
        self.receiver.receive(message, self.now_ms)

    def to_sender(self, message: Message) -> None:
        assert isinstance(message, KeyframeAck | KeyframeRequest | ReceiverReport)
        self.sender.receive(message, self.now_ms)

    @staticmethod
    def _never(reason: str) -> None:
        raise AssertionError(f"the simulated network closed: {reason}")

    def worst_error(self, kind: Kind, since_ms: float = 0.0) -> float:
        """Largest keypoint error of shown frames of this kind against the known movement."""
        errors = [0.0]
        for shown_ms, frame in self.shown:
            if frame.kind is kind and shown_ms >= since_ms:
                true = motion_at(self._time_s(frame.timestamp, shown_ms)).keypoints
                errors.append(float(np.abs(true - frame.drive.motion.keypoints).max()))
        return max(errors)

    @staticmethod
    def _time_s(timestamp: int, near_ms: float) -> float:
        near = round(near_ms * 90)
        return (near + ((timestamp - near + 2**31) % 2**32) - 2**31) / 90_000


def exact_state_error() -> float:
    """Half a step in each coordinate, the error of quantisation alone."""
    state = state_at(0.0)
    return float(np.abs(dequantise(state, TABLE, STEPS).keypoints - motion_at(0.0).keypoints).max()) + 64 / 4096
