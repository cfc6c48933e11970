"""Picture to access unit: detect and quantise; and when to send a new reference picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcodec.bitstream import KeyframeUnit, MotionState, dequantise, quantise
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.codec.base import BaseConfig, BaseDecoder, BaseEncoder
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.codec.parameters import table_of
from talkcodec.coding import AccessUnit, HeldReferences, next_reference_id
from talkcodec.errors import ConfigError, UsageError
from talkcodec.picture import STILL_IDS, open_still
from talkcodec.types import Base, Crop, Drive, FloatArray, Motion, Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine  # not at run time: the codec itself needs no torch

__all__ = ["Encoder"]


@dataclass(frozen=True, slots=True)
class _Reference:
    """A reference picture as both ends hold it."""

    number: int
    timestamp: int
    crop: Crop
    motion: Motion  # dequantised, of the reference picture itself
    prepared: Any  # runtime.Reference


class Encoder:
    """Turns square pictures into access units.

    The picture that both ends animate is the *decoded* still, and its motion is detected on that, quantised and sent:
    the decoder detects nothing. `held` says which references the decoder holds. One thread at a time may call an
    encoder; acknowledgements may come to `held` from another.
    """

    def __init__(self, engine: "Engine", config: EncoderConfig | None = None) -> None:
        self.config = config or EncoderConfig()
        self.held: HeldReferences[_Reference] = HeldReferences(self.config.references)
        self._engine = engine
        self._table = table_of(engine, self.config.table_id)
        self._still = open_still(self.config.still)
        self._size = engine.config.picture_size
        self._base = BaseEncoder(self.config.base)
        self._base_shown = BaseDecoder(self._size)
        self._current: _Reference | None = None
        self._last_state: MotionState | None = None
        self._last_base: Picture | None = None
        self._newest_seen: _Reference | None = None
        self._next_reference = 0
        self._last_keyframe: int | None = None  # timestamps, 90 kHz
        self._last_check: int | None = None
        self._smoothed: Motion | None = None
        self._wanted_crop: Crop | None = None

    def encode(
        self,
        picture: Picture,
        timestamp: int,
        force_keyframe: bool = False,
        crop: Crop | None = None,
        captured_size: tuple[int, int] | None = None,
    ) -> AccessUnit:
        """Code one picture (S, S, 3), S the model's picture size.

        timestamp: 90 kHz, may wrap at 32 bits. crop, captured_size (width, height): where the picture lies in the
        captured frame, by default the picture is the frame; another crop than before brings a keyframe.
        Raises UsageError for a picture of another size.
        """
        if picture.shape != (self._size, self._size, 3) or picture.dtype != np.uint8:
            raise UsageError(
                f"picture is {picture.dtype} {picture.shape}, the model {self._engine.name} needs uint8 "
                f"{(self._size, self._size, 3)}: crop and scale it first (FaceCropper)"
            )
        crop = crop or Crop(0, 0, self._size)
        captured_size = captured_size or (self._size, self._size)
        self._follow_acknowledgements()
        if self.config.rung is not Rung.MOTION:
            return self._encode_base(picture, timestamp, force_keyframe, crop, captured_size)
        motion = self._smooth(self._engine.detect(picture), crop)
        keyframe = None
        if force_keyframe or self._keyframe_is_due(timestamp, crop) or self._drifted(picture, motion, crop, timestamp):
            keyframe = self._make_keyframe(picture, timestamp, crop, captured_size)
        assert self._current is not None
        if keyframe is not None and keyframe.reference_id == self._current.number:
            state = keyframe.state  # the picture that is sent is the picture that is shown
        else:
            moved = _recrop(motion, crop, self._current.crop)
            state = quantise(moved, self._table, self.config.steps, self._last_state)
        self._last_state = state
        return AccessUnit(timestamp, self._current.number, state, keyframe)

    def wants(self, timestamp: int) -> bool:
        """Whether the picture of this time is to be coded: the hybrid and the video rung leave some out."""
        return self.config.rung is Rung.MOTION or self._base.wants(timestamp)

    @property
    def base(self) -> BaseConfig:
        """How base pictures are coded at present."""
        return self._base.config

    def change_base(self, config: BaseConfig) -> None:
        """Code base pictures so from the next one on."""
        self._base.change(config)

    def close(self) -> None:
        """Free the coder of base pictures."""
        self._base.close()

    def _encode_base(
        self, picture: Picture, timestamp: int, force_keyframe: bool, crop: Crop, captured_size: tuple[int, int]
    ) -> AccessUnit:
        keyframe = None
        if force_keyframe or self._keyframe_is_due(timestamp, crop) or self._faded(picture, crop, timestamp):
            keyframe = self._make_keyframe(picture, timestamp, crop, captured_size)
        assert self._current is not None
        base = self._base.encode(picture, timestamp, crop)
        if self.config.refresh_l1 is not None:
            self._last_base = self._base_shown.decode(base)
        return AccessUnit(timestamp, self._current.number, keyframe=keyframe, base=base)

    def _follow_acknowledgements(self) -> None:
        """Animate the reference that the decoder came to hold last; none when it started again and holds nothing."""
        newest = self.held.newest
        if newest is None and not self.held.offered:
            self._current = self._last_state = None
        elif newest is not None and newest is not self._newest_seen:
            self._current = self._newest_seen = newest

    def _keyframe_is_due(self, timestamp: int, crop: Crop) -> bool:
        if self._last_keyframe is None or self._current is None:
            return True
        if crop != self._wanted_crop:
            return True
        interval_s = self.config.keyframe_interval_s
        return interval_s is not None and _seconds(timestamp, self._last_keyframe) >= interval_s - 1e-3

    def _check_is_due(self, timestamp: int) -> bool:
        """Whether what the receiver sees is to be looked at now; it costs a generated picture."""
        assert self._last_keyframe is not None
        last = self._last_check if self._last_check is not None else self._last_keyframe
        if self.config.refresh_l1 is None or self.held.offered:
            return False
        if _seconds(timestamp, last) < self.config.check_interval_s - 1e-3:
            return False
        self._last_check = timestamp
        return True

    def _refresh_is_allowed(self, timestamp: int) -> bool:
        assert self._last_keyframe is not None
        return _seconds(timestamp, self._last_keyframe) >= self.config.min_keyframe_interval_s

    def _drifted(self, picture: Picture, motion: Motion, crop: Crop, timestamp: int) -> bool:
        """True when what the receiver sees is bad and no held reference would mend it; may switch the reference."""
        limit = self.config.refresh_l1
        assert self._current is not None
        if not self._check_is_due(timestamp) or limit is None:
            return False
        if self._error(picture, motion, crop, self._current) <= limit:
            return False
        others = [held for held in self.held.values() if held is not self._current and held.crop == crop]
        if others:
            nearest = min(others, key=lambda held: _distance(held.motion, motion))
            if self._error(picture, motion, crop, nearest) <= limit:
                self._current = nearest
                return False
        return self._refresh_is_allowed(timestamp)

    def _faded(self, picture: Picture, crop: Crop, timestamp: int) -> bool:
        """True when the last base picture, restored with the reference, is far from what was captured about then."""
        limit = self.config.refresh_l1
        if self._last_base is None or not self._check_is_due(timestamp) or limit is None:
            return False
        assert self._current is not None
        if self._last_base.shape[0] >= self._size or self._current.crop != crop:
            return False
        flow = self._engine.find_flow(self._current.prepared, self._last_base)
        drive = Drive(base=Base(self._last_base.astype(np.float32), flow))
        error = _l1(self._engine.generate(self._current.prepared, drive), picture)
        return error > limit and self._refresh_is_allowed(timestamp)

    def _error(self, picture: Picture, motion: Motion, crop: Crop, reference: _Reference) -> float:
        """Mean absolute error in [0, 1] of the picture that a receiver would generate from this reference."""
        if reference.crop != crop:
            return 1.0
        steps = self.config.steps
        received = dequantise(quantise(motion, self._table, steps), self._table, steps)
        shown = self._engine.generate(reference.prepared, Drive(received))
        return _l1(shown, picture)

    def _make_keyframe(
        self, picture: Picture, timestamp: int, crop: Crop, captured_size: tuple[int, int]
    ) -> KeyframeUnit:
        """Code the still, and do with the decoded one exactly what the receiver will do."""
        data = self._code_still(picture)
        decoded = self._still.decode(data, self._size)
        state = quantise(self._engine.detect(decoded), self._table, self.config.steps)
        motion = dequantise(state, self._table, self.config.steps)
        number, self._next_reference = self._next_reference, next_reference_id(self._next_reference)
        reference = _Reference(number, timestamp, crop, motion, self._engine.encode_reference(decoded, motion))
        self._last_keyframe = self._last_check = timestamp
        self._wanted_crop = crop
        if self.config.acknowledged:
            self.held.offer(number, state, reference)
            self._current = self._current or reference
        else:
            self.held.store(number, state, reference)
            self._follow_acknowledgements()
        return KeyframeUnit(
            reference_id=number,
            still_codec=STILL_IDS[self.config.still],
            width=self._size,
            height=self._size,
            crop=crop,
            captured_size=captured_size,
            state=state,
            picture=data,
        )

    def _code_still(self, picture: Picture) -> bytes:
        """The still at the configured quality, or a lower one when the picture is noise and would be too long."""
        for quality in (self.config.still_quality, self.config.still_quality // 2):
            try:
                return self._still.encode(picture, quality)
            except ConfigError:
                continue
        return self._still.encode(picture, 0)

    def _smooth(self, motion: Motion, crop: Crop) -> Motion:
        """Hold back a share of the motion where the keypoints hardly move: jitter of the detector, not of the face."""
        last = self._smoothed
        if self.config.smoothing == 0 or last is None or crop != self._wanted_crop:
            self._smoothed = motion
            return motion
        moved = np.linalg.norm(motion.keypoints - last.keypoints, axis=1)  # (K,), 0.008 is a pixel of 256
        weight = (self.config.smoothing * np.exp(-((moved / 0.016) ** 2))).astype(np.float32)
        jacobians = motion.jacobians
        if jacobians is not None and last.jacobians is not None:
            jacobians = _blend(jacobians, last.jacobians, weight[:, None, None])
        self._smoothed = Motion(_blend(motion.keypoints, last.keypoints, weight[:, None]), jacobians)
        return self._smoothed


def _blend(new: FloatArray, old: FloatArray, weight: FloatArray) -> FloatArray:
    return np.asarray(new + (old - new) * weight, dtype=np.float32)


def _l1(shown: Picture, picture: Picture) -> float:
    return float(np.abs(shown.astype(np.int16) - picture).mean() / 255)


def _distance(a: Motion, b: Motion) -> float:
    return float(np.square(a.keypoints - b.keypoints).mean())


def _seconds(later: int, earlier: int) -> float:
    return time32_diff(later & 0xFFFFFFFF, earlier & 0xFFFFFFFF) / CLOCK_HZ


def _recrop(motion: Motion, crop: Crop, to: Crop) -> Motion:
    """The same motion in the coordinates of another crop of the captured frame."""
    if crop == to:
        return motion
    scale = crop.size / to.size
    centre = np.array([crop.x + crop.size / 2, crop.y + crop.size / 2])
    shift = (centre - np.array([to.x + to.size / 2, to.y + to.size / 2])) / (to.size / 2)
    keypoints = np.asarray(motion.keypoints * scale + shift, dtype=np.float32)
    jacobians = None if motion.jacobians is None else np.asarray(motion.jacobians * scale, dtype=np.float32)
    return Motion(keypoints, jacobians)
