"""A call of two state machines over a simulated network: seeded, in virtual time, everything through real bytes."""

import heapq
import random
from dataclasses import dataclass, field

import numpy as np

from talkcodec.bitstream import (
    Hello,
    KeyframeUnit,
    MotionState,
    MotionSteps,
    dequantise,
    generic_table,
    parse,
    quantise,
    serialize,
    serialize_keyframe,
)
from talkcodec.clock import ticks
from talkcodec.coding import AccessUnit, HeldReferences, next_reference_id
from talkcodec.session import (
    Channel,
    PlayoutConfig,
    RateConfig,
    ReceiverSession,
    SenderConfig,
    SenderSession,
    Shown,
)
from talkcodec.types import Crop, Kind, Motion

KEYPOINTS = 3
TABLE = generic_table(KEYPOINTS, True)
STEPS = MotionSteps(64, 64)
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


@dataclass
class Network:
    """One direction: `loss` applies to the motion channel; the control channel arrives late instead of never."""

    delay_ms: float = 10.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    down: tuple[float, float] = (-1.0, -1.0)
    seed: int = 1

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.reliable_ms = 0.0

    def arrival_ms(self, channel: Channel, now_ms: float) -> float | None:
        at = now_ms + self.delay_ms + self.random.random() * self.jitter_ms
        down = self.down[0] <= now_ms < self.down[1]
        if channel is Channel.MOTION:
            return None if down or self.random.random() < self.loss else at
        if down or self.random.random() < self.loss:
            at = (self.down[1] if down else now_ms) + 1000 + self.delay_ms
        self.reliable_ms = max(at, self.reliable_ms)
        return self.reliable_ms


@dataclass
class Call:
    """Runs both ends in steps of `tick_ms`; `shown` holds (time, frame) of each frame."""

    forward: Network = field(default_factory=Network)
    back: Network = field(default_factory=lambda: Network(seed=2))
    rate: RateConfig = field(default_factory=RateConfig)
    sender_config: SenderConfig = field(default_factory=SenderConfig)
    fps: float = 25.0
    start_s: float = 0.0
    tick_ms: float = 5.0
    decode_ms: float = 20.0
    playout: PlayoutConfig = field(default_factory=PlayoutConfig)

    def __post_init__(self) -> None:
        self.held: HeldReferences[int] = HeldReferences(4)
        self.sender = SenderSession(HELLO, self.held, self.sender_config, self.rate)
        self.receiver: ReceiverSession[int] = ReceiverSession(HELLO, HeldReferences(8), self.playout)
        self.now_ms = self.start_s * 1000
        self.shown: list[tuple[float, Shown[int]]] = []
        self.message_bytes = [0, 0]
        self.messages = [0, 0]
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._order = 0
        self._decoding: list[tuple[float, KeyframeUnit]] = []
        self._frame = round(self.start_s * self.fps)
        self._reference = 0

    def run(self, seconds: float) -> None:
        end_ms = self.now_ms + seconds * 1000
        while self.now_ms < end_ms:
            self._capture()
            for out in self.sender.poll(self.now_ms, 0, 0):
                self._send(0, out.channel, serialize(out.message))
            for out in self.receiver.poll(self.now_ms):
                self._send(1, out.channel, serialize(out.message))
            self._deliver()
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

    def _send(self, way: int, channel: Channel, data: bytes) -> None:
        self.message_bytes[way] += len(data)
        self.messages[way] += 1
        at = (self.forward, self.back)[way].arrival_ms(channel, self.now_ms)
        if at is not None:
            self._order += 1
            heapq.heappush(self._flying, (at, self._order, way, data))

    def _deliver(self) -> None:
        while self._flying and self._flying[0][0] <= self.now_ms:
            _, _, way, data = heapq.heappop(self._flying)
            message = parse(data)
            if way == 0:
                self.receiver.receive(message, self.now_ms)  # type: ignore[arg-type]
            else:
                self.sender.receive(message, self.now_ms)  # type: ignore[arg-type]

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
