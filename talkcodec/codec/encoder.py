"""Picture to access unit: detect, quantise, and a new reference picture when RefreshPolicy finds it due."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcodec.bitstream import KeyframeUnit, MotionState, dequantise, quantise
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.codec.base import BaseConfig, BaseDecoder, BaseEncoder
from talkcodec.codec.change import Thumbnail, thumbnail
from talkcodec.codec.choice import keyframe_picture
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.codec.holding import RateHolder
from talkcodec.codec.parameters import table_of
from talkcodec.codec.refresh import RefreshPolicy
from talkcodec.coding import AccessUnit, HeldReferences, next_reference_id
from talkcodec.errors import ConfigError, UsageError
from talkcodec.picture import STILL_IDS, open_still
from talkcodec.types import Base, Crop, Drive, FloatArray, Motion, Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine  # not at run time: the codec itself needs no torch

__all__ = ["Encoder"]

_RESTORED_WEIGHT = 2.0
"""By which the error of a restored picture counts more against refresh_l1 than that of a moved one: it is small
anywhere, since the base picture is there, and a new reference brings it down by about that."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """A reference picture as both ends hold it."""

    number: int
    crop: Crop
    captured_size: tuple[int, int]
    cells: Thumbnail
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
        if self.config.rung is not Rung.MOTION and self.config.base.size > self._size:
            raise ConfigError(f"base size is {self.config.base.size}, expected at most the model's {self._size} px")
        self._base = BaseEncoder(self.config.base)
        self._holder = RateHolder(self.config, self._size)
        self._base_shown = BaseDecoder(self._size)
        self._current: _Reference | None = None
        self._last_state: MotionState | None = None
        self._newest_seen: _Reference | None = None
        self._made: _Reference | None = None  # the last one
        self._next_reference = 0
        self._refresh = RefreshPolicy(self.config)
        self._last_timestamp: int | None = None  # 90 kHz
        self._time_s = 0.0  # the same, unwrapped, since the first picture
        self._keyframe_s: float | None = None
        self._smoothed: Motion | None = None
        self._wanted_crop: Crop | None = None
        self._unchecked: tuple[Picture, Picture, Crop, bool] | None = None  # the last base picture of a call
        self._stale = False  # it called for a keyframe

    def encode(
        self,
        picture: Picture,
        timestamp: int,
        force_keyframe: bool = False,
        crop: Crop | None = None,
        captured_size: tuple[int, int] | None = None,
        new_face: bool = False,
        reference: Callable[[], Picture] | None = None,
    ) -> AccessUnit:
        """Code one picture (S, S, 3), RGB, 0 to 255, S the model's picture size.

        timestamp: 90 kHz, may wrap at 32 bits. crop, captured_size (width, height): where the picture lies in the
        captured frame, by default the picture is the frame; another crop than before brings a keyframe.
        new_face: another face than before, as far as the cropper knows: soon a keyframe, if it looks otherwise too.
        reference: what a keyframe of this unit is to show instead of this picture, asked for when one is made; of
        base pictures only, since motion begins with the keyframe's own.
        Raises UsageError for a picture of another size.
        """
        if picture.shape != (self._size, self._size, 3) or picture.dtype != np.uint8:
            raise UsageError(
                f"picture is {picture.dtype} {picture.shape}, the model {self._engine.name} needs uint8 "
                f"{(self._size, self._size, 3)}: crop and scale it first (FaceCropper)"
            )
        crop = crop or Crop(0, 0, self._size)
        captured_size = captured_size or (self._size, self._size)
        self._pass_time(timestamp)
        self._follow_acknowledgements()
        if self.config.rung is not Rung.MOTION:
            return self._encode_base(picture, timestamp, force_keyframe, crop, captured_size, new_face, reference)
        motion = self._smooth(self._engine.detect(picture), crop)
        if (coming := self._coming()) is not None:
            self._refresh.look(thumbnail(picture), coming.cells, motion.keypoints, self._time_s, new_face)
        keyframe = None
        if force_keyframe or self._keyframe_is_due(crop) or self._drifted(picture, motion, crop):
            keyframe = self._make_keyframe(picture, crop, captured_size)
        assert self._current is not None
        if keyframe is not None and keyframe.reference_id == self._current.number:
            state = keyframe.state  # the picture that is sent is the picture that is shown
        else:
            moved = _recrop(motion, _rescale(crop, captured_size, self._current.captured_size), self._current.crop)
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

    def aim(self, bitrate_bps: float, rung: Rung | None = None) -> None:
        """Code at this rate from the next picture on, all included, in this rung, or in the one that the ladder says.

        What was learned of rates stays; no keyframe is made, and the base starts afresh only where its pictures change.
        From now on the quality of base pictures follows the rate. Raises ConfigError for less than 1 kbit/s.
        """
        self.change(self._holder.aim(bitrate_bps, rung))

    def change(self, chosen: EncoderConfig) -> None:
        """Code so from the next picture on: another rung, or other base pictures and keyframes."""
        before, self.config = self.config.rung, chosen
        self._refresh.change(chosen)
        if before is Rung.VIDEO and chosen.rung is not Rung.VIDEO and not chosen.acknowledged:
            self._keyframe_s = None  # a recording's keyframe shows nothing there: make one
        if chosen.rung is Rung.MOTION:
            return
        if before is Rung.VIDEO and chosen.rung is Rung.HYBRID:
            self._base.restart()  # what the other end shows was not decoded here
        self._base.change(chosen.base)

    def look_back(self) -> bool:
        """In a call of the hybrid rung: whether the last base picture, as the other end shows it, calls for a keyframe,
        which comes with the next. Takes as long as restoring one; to be called when its unit has left, else the next
        `encode` does it first."""
        unchecked, self._unchecked = self._unchecked, None
        if unchecked is not None and self._faded(*unchecked):
            self._stale = True
        return self._stale

    def restart_base(self) -> None:
        """The other end has lost a base picture: the next picture starts the base afresh."""
        self._base.restart()

    def close(self) -> None:
        """Free the coder of base pictures."""
        self._base.close()

    def _encode_base(
        self,
        picture: Picture,
        timestamp: int,
        force_keyframe: bool,
        crop: Crop,
        captured_size: tuple[int, int],
        new_face: bool,
        reference: Callable[[], Picture] | None,
    ) -> AccessUnit:
        if new_face and self.config.rung is Rung.VIDEO and self.config.acknowledged:
            self._stale = True  # nobody sees the keyframe, but a fall to another rung would show who was there before
        due = force_keyframe or self._keyframe_is_due(crop) or self.look_back()
        entered = not self.config.acknowledged  # decoding of a file can start at each keyframe, so the base starts too
        held = None if due and entered else self._current
        placed = crop if held is None else _rescale(crop, captured_size, held.captured_size)
        base = self._base.encode(picture, timestamp, placed, afresh=due and entered)
        if self.config.rung is Rung.HYBRID:
            shown = self._base_shown.decode(base)
            if not entered:
                self._unchecked = None if due else (picture, shown, crop, new_face)
            elif not due and self._faded(picture, shown, crop, new_face):
                due = True
                if base.start is None or placed != crop:
                    base = self._base.encode(picture, timestamp, crop, afresh=True)
                    self._base_shown.decode(base)
        keyframe = self._make_keyframe(reference() if reference else picture, crop, captured_size) if due else None
        assert self._current is not None
        changed = self._holder.took(len(base.data), self._time_s)
        if changed is not None:
            self.change(changed)
        return AccessUnit(timestamp, self._current.number, keyframe=keyframe, base=base)

    def _faded(self, picture: Picture, shown: Picture, crop: Crop, new_face: bool) -> bool:
        """True when the decoded base picture, restored with the reference that is coming, is far from the picture."""
        coming = self._coming()
        assert coming is not None
        self._refresh.look(thumbnail(picture), coming.cells, None, self._time_s, new_face)
        if coming.crop != crop or not self._refresh.check_due(len(self.held.offered)):
            return False
        flow = self._engine.find_flow(coming.prepared, shown)
        restored = self._engine.generate(coming.prepared, Drive(base=Base(shown.astype(np.float32), flow)))
        return self._refresh.keyframe_due(_RESTORED_WEIGHT * _l1(restored, picture))

    def _follow_acknowledgements(self) -> None:
        """Animate the reference that the decoder came to hold last; none when it started again and holds nothing."""
        newest = self.held.newest
        if newest is None and not self.held.offered:
            self._current = self._last_state = None
        elif newest is not None and newest is not self._newest_seen:
            self._current = self._newest_seen = newest

    def _coming(self) -> _Reference | None:
        """The reference that the receiver will see next: the one on its way, else the one in use."""
        return self._made if self.held.offered else self._current

    def _pass_time(self, timestamp: int) -> None:
        if self._last_timestamp is not None:
            elapsed = time32_diff(timestamp & 0xFFFFFFFF, self._last_timestamp & 0xFFFFFFFF)
            self._time_s += max(0, elapsed) / CLOCK_HZ  # a source that starts again does not stop the policies
        self._last_timestamp = timestamp

    def _keyframe_is_due(self, crop: Crop) -> bool:
        if self._keyframe_s is None or self._current is None:
            return True
        if crop != self._wanted_crop and self._refresh.urgent_allowed(self._time_s):
            return True
        interval_s = self.config.keyframe_interval_s
        return interval_s is not None and self._time_s - self._keyframe_s >= interval_s - 1e-3

    def _drifted(self, picture: Picture, motion: Motion, crop: Crop) -> bool:
        """True when what the receiver sees is bad and no held reference would mend it; may switch the reference."""
        limit, coming = self.config.refresh_l1, self._coming()
        assert coming is not None
        if limit is None or not self._refresh.check_due(len(self.held.offered)):
            return False
        error = self._error(picture, motion, crop, coming)
        others = [held for held in self.held.values() if held is not coming and held.crop == crop]
        if error > limit and others:
            nearest = min(others, key=lambda held: _distance(held.motion, motion))
            other_error = self._error(picture, motion, crop, nearest)
            if other_error <= limit:
                self._current, error = nearest, other_error
        return self._refresh.keyframe_due(error)

    def _error(self, picture: Picture, motion: Motion, crop: Crop, reference: _Reference) -> float:
        """Mean absolute error in [0, 1] of the picture that a receiver would generate from this reference."""
        if reference.crop != crop:
            return 1.0
        steps = self.config.steps
        received = dequantise(quantise(motion, self._table, steps), self._table, steps)
        shown = self._engine.generate(reference.prepared, Drive(received))
        return _l1(shown, picture)

    def _make_keyframe(self, picture: Picture, crop: Crop, captured_size: tuple[int, int]) -> KeyframeUnit:
        """Code the still, and do with the decoded one exactly what the receiver will do."""
        data = self._code_still(keyframe_picture(picture, self.config))
        decoded = self._still.decode(data, self._size)
        state = quantise(self._engine.detect(decoded), self._table, self.config.steps)
        motion = dequantise(state, self._table, self.config.steps)
        number, self._next_reference = self._next_reference, next_reference_id(self._next_reference)
        prepared = self._engine.encode_reference(decoded, motion)
        self._made = reference = _Reference(number, crop, captured_size, thumbnail(decoded), motion, prepared)
        self._keyframe_s, self._wanted_crop = self._time_s, crop
        self._unchecked, self._stale = None, False
        self._refresh.keyframe_sent(self._time_s)
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


def _rescale(crop: Crop, captured_size: tuple[int, int], to: tuple[int, int]) -> Crop:
    """The same crop in the pixels of another captured frame, as when a camera changes its size."""
    if captured_size == to:
        return crop
    scale = max(to) / max(captured_size)
    return Crop(round(crop.x * scale), round(crop.y * scale), min(max(to), max(1, round(crop.size * scale))))


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
