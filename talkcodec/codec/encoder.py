"""Picture to access unit: detect, quantise, predict, entropy-code; and when to send a new reference picture."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcodec.bitstream import (
    HeldStates,
    KeyframeUnit,
    MotionState,
    MotionUnit,
    dequantise,
    quantise,
    serialize_keyframe,
    serialize_motion,
)
from talkcodec.bitstream.motion import MAX_DISTANCE
from talkcodec.clock import CLOCK_HZ, seq16_add, seq16_diff, time32_diff
from talkcodec.codec.config import EncoderConfig
from talkcodec.codec.parameters import table_of
from talkcodec.codec.unit import AccessUnit
from talkcodec.errors import ConfigError, UsageError
from talkcodec.picture import STILL_IDS, open_still
from talkcodec.types import Crop, FloatArray, Motion, Picture

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
    the decoder detects nothing. One thread at a time may call an encoder.
    """

    def __init__(self, engine: "Engine", config: EncoderConfig | None = None) -> None:
        self.config = config or EncoderConfig()
        self._engine = engine
        self._table = table_of(engine, self.config.table_id)
        self._still = open_still(self.config.still)
        self._size = engine.config.picture_size
        self._sent = HeldStates()
        self._newest_held: int | None = None  # sequence of the newest unit that the receiver holds
        self._references: dict[int, _Reference] = {}  # held by both ends, oldest first
        self._pending: dict[int, _Reference] = {}  # sent, not yet acknowledged
        self._current: _Reference | None = None
        self._sequence = 0
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
        motion = self._smooth(self._engine.detect(picture), crop)
        keyframe = None
        if force_keyframe or self._keyframe_is_due(timestamp, crop) or self._drifted(picture, motion, crop, timestamp):
            keyframe = self._make_keyframe(picture, timestamp, crop, captured_size or (self._size, self._size))
        assert self._current is not None
        if keyframe is not None and keyframe.reference_id == self._current.number:
            state = keyframe.state  # the picture that is sent is the picture that is shown
        else:
            held = None if self._newest_held is None else self._sent.unit_state(self._newest_held)
            state = quantise(_recrop(motion, crop, self._current.crop), self._table, self.config.steps, held)
        sequence, self._sequence = self._sequence, seq16_add(self._sequence, 1)
        unit = AccessUnit(
            timestamp=timestamp,
            sequence=sequence,
            reference_id=self._current.number,
            keyframe=serialize_keyframe(keyframe, self._table, self.config.steps) if keyframe else None,
            motion=self._code_motion(sequence, timestamp, state),
            keyframe_id=keyframe.reference_id if keyframe else None,
        )
        self._sent.add_unit(sequence, state)
        if not self.config.acknowledged:
            self.acknowledge(sequence)
        return unit

    def acknowledge(self, sequence: int) -> None:
        """The receiver holds the state of this unit: later units may be predicted from it."""
        if not 1 <= seq16_diff(self._sequence, sequence) <= MAX_DISTANCE or self._sent.unit_state(sequence) is None:
            return  # too old to predict from, or never sent
        newest = self._newest_held
        if newest is None or seq16_diff(self._sequence, sequence) < seq16_diff(self._sequence, newest) & 0xFFFF:
            self._newest_held = sequence

    def acknowledge_keyframe(self, reference_id: int) -> None:
        """The receiver holds this reference picture: animate it from the next unit on."""
        reference = self._pending.pop(reference_id, None)
        if reference is not None:
            self._hold(reference)

    def forget_acknowledgements(self) -> None:
        """The receiver started again and holds nothing; the next picture must be a keyframe."""
        self._newest_held = None
        self._references, self._pending, self._current = {}, {}, None

    def _keyframe_is_due(self, timestamp: int, crop: Crop) -> bool:
        if self._last_keyframe is None or self._current is None:
            return True
        if crop != self._wanted_crop:
            return True
        interval_s = self.config.keyframe_interval_s
        return interval_s is not None and _seconds(timestamp, self._last_keyframe) >= interval_s - 1e-3

    def _drifted(self, picture: Picture, motion: Motion, crop: Crop, timestamp: int) -> bool:
        """True when what the receiver sees is bad and no held reference would mend it; may switch the reference."""
        limit = self.config.refresh_l1
        assert self._current is not None
        assert self._last_keyframe is not None
        last = self._last_check if self._last_check is not None else self._last_keyframe
        if limit is None or self._pending or _seconds(timestamp, last) < self.config.check_interval_s - 1e-3:
            return False
        self._last_check = timestamp
        if self._error(picture, motion, crop, self._current) <= limit:
            return False
        others = [held for held in self._references.values() if held is not self._current and held.crop == crop]
        if others:
            nearest = min(others, key=lambda held: _distance(held.motion, motion))
            if self._error(picture, motion, crop, nearest) <= limit:
                self._current = nearest
                return False
        return _seconds(timestamp, self._last_keyframe) >= self.config.min_keyframe_interval_s

    def _error(self, picture: Picture, motion: Motion, crop: Crop, reference: _Reference) -> float:
        """Mean absolute error in [0, 1] of the picture that a receiver would generate from this reference."""
        if reference.crop != crop:
            return 1.0
        steps = self.config.steps
        received = dequantise(quantise(motion, self._table, steps), self._table, steps)
        shown = self._engine.generate(reference.prepared, received)
        return float(np.abs(shown.astype(np.int16) - picture).mean() / 255)

    def _make_keyframe(
        self, picture: Picture, timestamp: int, crop: Crop, captured_size: tuple[int, int]
    ) -> KeyframeUnit:
        """Code the still, and do with the decoded one exactly what the receiver will do."""
        data = self._code_still(picture)
        decoded = self._still.decode(data, self._size)
        state = quantise(self._engine.detect(decoded), self._table, self.config.steps)
        motion = dequantise(state, self._table, self.config.steps)
        number, self._next_reference = self._next_reference, (self._next_reference + 1) & 0xFF
        reference = _Reference(number, timestamp, crop, motion, self._engine.encode_reference(decoded, motion))
        self._sent.add_keyframe(number, state)
        self._last_keyframe = self._last_check = timestamp
        self._wanted_crop = crop
        if self.config.acknowledged and self._current is not None:
            self._pending[number] = reference
            while len(self._pending) > self.config.references:
                del self._pending[next(iter(self._pending))]
        else:
            self._hold(reference)
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

    def _hold(self, reference: _Reference) -> None:
        self._references.pop(reference.number, None)
        self._references[reference.number] = reference
        while len(self._references) > self.config.references:
            del self._references[next(iter(self._references))]
        self._current = reference

    def _code_motion(self, sequence: int, timestamp: int, state: MotionState) -> bytes:
        """The shorter of: predicted from the keyframe, predicted from the newest unit that is held."""
        assert self._current is not None
        unit = MotionUnit(sequence, timestamp, self._current.number, 0, state)
        candidates = [unit]
        if self._newest_held is not None:
            distance = seq16_diff(sequence, self._newest_held)
            if 1 <= distance <= MAX_DISTANCE:
                candidates.append(replace(unit, predictor=distance))
        coded = [serialize_motion(candidate, self._sent, self._table, self.config.steps) for candidate in candidates]
        return min(coded, key=len)

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
