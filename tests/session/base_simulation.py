"""A call of base pictures in virtual time: real coded pictures whose brightness tells when they were captured."""

from dataclasses import dataclass

import numpy as np
from simulation import Call, keyframe_unit, state_at

from talkcodec.bitstream import BasePicture, BaseRequest, BundlePiece, KeyframePiece, Message, MotionBundle
from talkcodec.clock import ticks
from talkcodec.codec.base import BaseConfig, BaseDecoder, BaseEncoder
from talkcodec.coding import AccessUnit, next_reference_id
from talkcodec.errors import PeerError
from talkcodec.session import NumberedUnit, Shown
from talkcodec.types import Base, Crop, Drive, Kind, Picture

SIZE = 64
CROP = Crop(0, 0, SIZE)


def level_at(time_s: float) -> float:
    """Brightness from 40 to 215, up and down in six seconds: a picture that is shown at the wrong time is seen."""
    phase = (time_s / 6) % 1
    return 40 + 350 * min(phase, 1 - phase)


def picture_at(time_s: float) -> Picture:
    level = round(level_at(time_s))
    picture = np.full((SIZE, SIZE, 3), level, np.uint8)
    picture[:, : SIZE // 2] = 255 - level
    return picture


@dataclass
class BaseCall(Call):
    """`rung`: "base" or "motion", may change while it runs. noise: of the pictures, to make them long."""

    rung: str = "base"
    base_fps: float = 12.5
    noise: int = 0
    quality: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.encoder = BaseEncoder(BaseConfig(32 if not self.noise else SIZE, self.base_fps, self.quality))
        self.decoder = BaseDecoder(SIZE)
        self.coded: list[tuple[float, BasePicture]] = []
        self.decoded = self.failed = self.keyframes = 0
        self.requests: list[float] = []
        self.messages: list[tuple[float, Message]] = []
        self._restarting = False
        self._rng = np.random.default_rng(3)

    def step_receiver(self) -> None:
        while (item := self.receiver.next_base()) is not None:
            try:
                picture = self.decoder.decode(item.unit.base)
            except PeerError:
                self.failed += 1
                self.receiver.base_failed(item, self.now_ms)
                continue
            self.decoded += 1
            flow = np.zeros((2, 2, 2), np.float32)
            drive = Drive(base=Base(picture.astype(np.float32), flow))
            self.receiver.base_ready(item, item.unit.reference_id, drive, self.now_ms)

    def run(self, seconds: float) -> None:
        """As Call.run; base pictures are decoded after each tick."""
        end_ms = self.now_ms + seconds * 1000
        while self.now_ms < end_ms - 1e-6:
            super().run(self.tick_ms / 1000)
            self.step_receiver()

    def _capture(self) -> None:
        while self._frame / self.fps * 1000 <= self.now_ms:
            time_s = self._frame / self.fps
            self._frame += 1
            timestamp, state, keyframe = ticks(time_s), state_at(time_s), None
            if self.sender.keyframe_wanted:
                keyframe = keyframe_unit(self._reference, state)
                self.keyframes += 1
                self.held.offer(self._reference, state, self._reference)
                self._reference = next_reference_id(self._reference)
            current = self._reference - 1 if self.held.newest is None else self.held.newest
            if self.rung == "motion":
                if keyframe is not None or self.sender.wants_motion(timestamp):
                    self.sender.offer(AccessUnit(timestamp, current, state, keyframe), self.now_ms)
                continue
            if self.sender.base_start_wanted:
                self.encoder.restart()
            if keyframe is None and not self.encoder.wants(timestamp):
                continue
            picture = picture_at(time_s)
            if self.noise:
                noise = self._rng.integers(-self.noise, self.noise + 1, picture.shape)
                picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
            base = self.encoder.encode(picture, timestamp, CROP)
            self.coded.append((self.now_ms, base))
            self.sender.offer(AccessUnit(timestamp, current, keyframe=keyframe, base=base), self.now_ms)

    def to_receiver(self, message: Message) -> None:
        assert isinstance(message, KeyframePiece | MotionBundle | BundlePiece)
        self.messages.append((self.now_ms, message))
        self.receiver.receive(message, self.now_ms)

    def to_sender(self, message: Message) -> None:
        if isinstance(message, BaseRequest):
            self.requests.append(self.now_ms)
        self.sender.receive(message, self.now_ms)  # type: ignore[arg-type]

    def worst_level(self, kind: Kind) -> float:
        """The largest difference of a shown base picture's brightness from that of its time."""
        worst = 0.0
        for shown_ms, frame in self.shown:
            if frame.kind is kind and frame.drive.base is not None:
                half = frame.drive.base.picture[:, frame.drive.base.picture.shape[1] // 2 + 4 :]
                worst = max(worst, abs(float(half.mean()) - level_at(self._time_s(frame.timestamp, shown_ms))))
        return worst


def kinds(shown: list[tuple[float, Shown[int]]]) -> dict[Kind, int]:
    return {kind: sum(frame.kind is kind for _, frame in shown) for kind in Kind}


__all__ = ["BaseCall", "NumberedUnit", "kinds", "level_at", "picture_at"]
