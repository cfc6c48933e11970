"""Access unit to picture: hold references and states, generate, and conceal what did not arrive."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcodec.bitstream import HeldStates, MotionUnit, dequantise, parse_keyframe, parse_motion
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.codec.config import DecoderConfig
from talkcodec.codec.parameters import table_of
from talkcodec.codec.unit import AccessUnit
from talkcodec.errors import BitstreamError, StateError
from talkcodec.picture import open_still
from talkcodec.types import Crop, FloatArray, Motion, Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine  # not at run time: the codec itself needs no torch

__all__ = ["Decoder"]


@dataclass(frozen=True, slots=True)
class _Held:
    crop: Crop
    captured_size: tuple[int, int]
    picture: Picture
    prepared: Any  # runtime.Reference


@dataclass(frozen=True, slots=True)
class _Shown:
    timestamp: int
    reference_id: int
    motion: Motion


class Decoder:
    """Turns access units into pictures (S, S, 3).

    `decode` is `add_keyframe`, `parse` and `generate` in one; a receiver with a jitter buffer calls them apart:
    parse when a unit arrives, generate when its picture is due. After an error nothing that was held is lost.
    """

    def __init__(self, engine: "Engine", config: DecoderConfig | None = None) -> None:
        self.config = config or DecoderConfig()
        self._engine = engine
        self._table = table_of(engine, self.config.table_id)
        self._states = HeldStates(keyframes=self.config.references)
        self._references: dict[int, _Held] = {}
        self._history: list[_Shown] = []  # the last two that were generated from real units
        self._last_picture: Picture | None = None
        self._last_held: _Held | None = None

    def decode(self, unit: AccessUnit) -> Picture:
        """Decode one access unit.

        Raises BitstreamError for damaged bytes, StateError when the unit needs what is not held.
        """
        if unit.keyframe is not None:
            self.add_keyframe(unit.keyframe)
        return self.generate(self.parse(unit))

    def add_keyframe(self, data: bytes) -> int:
        """Decode and hold a reference picture; returns its id, to be acknowledged."""
        keyframe = parse_keyframe(data, self._table, self.config.steps)
        size = self._engine.config.picture_size
        if (keyframe.width, keyframe.height) != (size, size):
            raise BitstreamError(f"keyframe is {keyframe.width}x{keyframe.height}, the stream has {size}x{size}")
        if keyframe.crop.size > max(keyframe.captured_size):  # pasting it back would fill the memory
            raise BitstreamError(f"keyframe has a crop of {keyframe.crop.size} px in a {keyframe.captured_size} frame")
        picture = open_still(keyframe.still_codec).decode(keyframe.picture, size)
        if picture.shape != (size, size, 3):
            raise BitstreamError(f"keyframe decodes to {picture.shape[1]}x{picture.shape[0]}, it announced {size}")
        motion = dequantise(keyframe.state, self._table, self.config.steps)
        held = _Held(keyframe.crop, keyframe.captured_size, picture, self._engine.encode_reference(picture, motion))
        self._states.add_keyframe(keyframe.reference_id, keyframe.state)
        self._references.pop(keyframe.reference_id, None)
        self._references[keyframe.reference_id] = held
        while len(self._references) > self.config.references:
            del self._references[next(iter(self._references))]
        return keyframe.reference_id

    def parse(self, unit: AccessUnit) -> MotionUnit:
        """Parse a motion unit and hold its state, to be acknowledged; generates nothing."""
        motion = parse_motion(
            unit.motion,
            sequence=unit.sequence,
            timestamp=unit.timestamp,
            reference_id=unit.reference_id,
            lookup=self._states,
            table=self._table,
            steps=self.config.steps,
        )
        self._states.add_unit(motion.sequence, motion.state)
        return motion

    def motion_of(self, unit: MotionUnit) -> Motion:
        """The motion that a parsed unit stands for, in the coordinates of its reference's crop."""
        return dequantise(unit.state, self._table, self.config.steps)

    def generate(self, unit: MotionUnit) -> Picture:
        """The picture of a parsed unit; raises StateError when its reference is not held."""
        motion = self.motion_of(unit)
        picture = self.generate_motion(unit.reference_id, motion)
        self._history = [*self._history[-1:], _Shown(unit.timestamp, unit.reference_id, motion)]
        return picture

    def generate_motion(self, reference_id: int, motion: Motion) -> Picture:
        """The picture of a held reference with any motion, as for interpolation between units."""
        held = self._references.get(reference_id)
        if held is None:
            raise StateError(f"reference {reference_id} is not held: request a keyframe")
        self._last_picture = self._engine.generate(held.prepared, motion)
        self._last_held = held
        return self._last_picture

    def conceal(self, timestamp: int) -> Picture:
        """A picture for an instant whose unit is missing: motion extrapolated for config.conceal_s, then frozen.

        Raises StateError before the first picture.
        """
        if self._last_picture is None:
            raise StateError("nothing was decoded yet, so there is nothing to conceal with")
        if len(self._history) < 2:
            return self._last_picture
        before, last = self._history
        span = time32_diff(last.timestamp & 0xFFFFFFFF, before.timestamp & 0xFFFFFFFF)
        ahead = time32_diff(timestamp & 0xFFFFFFFF, last.timestamp & 0xFFFFFFFF)
        limit = self.config.conceal_s * CLOCK_HZ
        if not (0 < ahead <= limit and 0 < span <= limit) or before.reference_id != last.reference_id:
            return self._last_picture
        # The speed falls to zero over the limit: the face comes to rest instead of flying away.
        share = (ahead - ahead**2 / (2 * limit)) / span
        jacobians = last.motion.jacobians
        if jacobians is not None and before.motion.jacobians is not None:
            jacobians = _extrapolate(before.motion.jacobians, jacobians, share)
        motion = Motion(_extrapolate(before.motion.keypoints, last.motion.keypoints, share), jacobians)
        return self.generate_motion(last.reference_id, motion)

    @property
    def reference_ids(self) -> tuple[int, ...]:
        """Ids of the references that are held, oldest first."""
        return tuple(self._references)

    @property
    def crop(self) -> Crop | None:
        """Where the last picture lies in the captured frame; None before the first."""
        return None if self._last_held is None else self._last_held.crop

    @property
    def captured_size(self) -> tuple[int, int] | None:
        """(width, height) of the captured frame of the last picture; None before the first."""
        return None if self._last_held is None else self._last_held.captured_size

    def reference_picture(self, reference_id: int) -> Picture:
        """The decoded keyframe itself; raises StateError when it is not held."""
        if reference_id not in self._references:
            raise StateError(f"reference {reference_id} is not held")
        return self._references[reference_id].picture


def _extrapolate(before: FloatArray, last: FloatArray, share: float) -> FloatArray:
    return np.asarray(last + (last - before) * share, dtype=np.float32)
