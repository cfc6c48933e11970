"""Access unit to picture: hold references, generate, and conceal what did not arrive."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from talkcodec.bitstream import KeyframeUnit, dequantise
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.codec.base import BaseDecoder
from talkcodec.codec.carrying import CarriedPicture
from talkcodec.codec.config import DecoderConfig
from talkcodec.codec.parameters import table_of
from talkcodec.coding import AccessUnit, HeldReferences, extrapolate_motion
from talkcodec.errors import BitstreamError, StateError
from talkcodec.picture import open_still
from talkcodec.types import Base, Crop, Drive, Motion, Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine  # not at run time: the codec itself needs no torch

__all__ = ["Decoder", "Reference"]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A decoded keyframe: what of it the generator needs, and what it says about where it was captured.

    crop: the square of the captured frame (captured_size: width, height) that the picture (S, S, 3) shows.
    motion: its own, None where it was moved into another crop, and can be restored with only.
    """

    number: int
    crop: Crop
    captured_size: tuple[int, int]
    picture: Picture
    motion: Motion | None
    prepared: Any  # runtime.Reference


@dataclass(frozen=True, slots=True)
class _Shown:
    timestamp: int
    reference: Reference
    motion: Motion


class Decoder:
    """Turns access units into pictures (S, S, 3).

    `decode` does all at once; a receiver with a jitter buffer calls `open_reference` when a keyframe arrives and
    `generate` when a picture is due. `held` is what this end holds. After an error nothing that was held is lost.
    """

    def __init__(self, engine: "Engine", config: DecoderConfig | None = None) -> None:
        self.config = config or DecoderConfig()
        self.held: HeldReferences[Reference] = HeldReferences(self.config.references)
        self._engine = engine
        self._table = table_of(engine, self.config.table_id)
        self._base = BaseDecoder(engine.config.picture_size)
        self._recropped: tuple[Reference, Reference] | None = None
        self._history: list[_Shown] = []  # the last two that were generated from real units
        self._carried = CarriedPicture(engine)
        self._last: tuple[Reference, Picture] | None = None

    def decode(self, unit: AccessUnit) -> Picture:
        """The picture of an access unit; its keyframe, if it has one, is held from now on.

        Raises BitstreamError for damage, StateError when the reference, or an earlier base picture, is missing.
        """
        if unit.keyframe is not None:
            self.hold(unit.keyframe)
        return self.generate(*self.drive(unit))

    def drive(self, unit: AccessUnit) -> tuple[Reference, Drive]:
        """With what, and on which reference, the unit's picture is generated; base pictures are decoded here, in order.

        Raises as `decode`. A unit without any droppable layer shows the reference as it is.
        """
        reference = self.held.use(unit.reference_id)
        if unit.base is not None:
            picture = self._base.decode(unit.base)
            crop = self._base.crop
            assert crop is not None
            if crop.size > max(reference.captured_size):  # pasting it back would fill the memory
                raise BitstreamError(f"base has a crop of {crop.size} px in a {reference.captured_size} frame")
            reference = self._in_crop(reference, crop)
            flow = self._engine.find_flow(reference.prepared, picture)
            return reference, Drive(base=Base(picture.astype(np.float32), flow, crop, self._base.quantiser))
        state = self.held.keyframe_state(unit.reference_id) if unit.motion is None else unit.motion
        assert state is not None
        motion = dequantise(state, self._table, self.config.steps)
        self._history = [*self._history[-1:], _Shown(unit.timestamp, reference, motion)]
        return reference, Drive(motion)

    def _in_crop(self, reference: Reference, crop: Crop) -> Reference:
        """The reference as it looks in another crop of the captured frame, as after the crop has moved."""
        if reference.crop == crop:
            return reference
        if self._recropped is not None and self._recropped[0] is reference and self._recropped[1].crop == crop:
            return self._recropped[1]
        size = reference.picture.shape[0]
        scale = crop.size / reference.crop.size
        shift = [(crop.x - reference.crop.x), (crop.y - reference.crop.y)]
        x, y = (place * size / reference.crop.size + (scale - 1) / 2 for place in shift)
        affine = np.array([[scale, 0, x], [0, scale, y]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(reference.picture, affine, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        picture = np.asarray(moved, dtype=np.uint8)
        prepared = self._engine.encode_reference(picture, None)
        made = Reference(reference.number, crop, reference.captured_size, picture, None, prepared)
        self._recropped = (reference, made)
        return made

    def hold(self, keyframe: KeyframeUnit) -> Reference:
        """Decode and hold a reference picture. Raises BitstreamError."""
        reference = self.open_reference(keyframe)
        self.held.store(keyframe.reference_id, keyframe.state, reference)
        return reference

    def open_reference(self, keyframe: KeyframeUnit) -> Reference:
        """Decode a reference picture and prepare the generator for it; the caller holds it. Raises BitstreamError."""
        size = self._engine.config.picture_size
        if (keyframe.width, keyframe.height) != (size, size):
            raise BitstreamError(f"keyframe is {keyframe.width}x{keyframe.height}, the stream has {size}x{size}")
        if keyframe.crop.size > max(keyframe.captured_size):  # pasting it back would fill the memory
            raise BitstreamError(f"keyframe has a crop of {keyframe.crop.size} px in a {keyframe.captured_size} frame")
        picture = open_still(keyframe.still_codec).decode(keyframe.picture, size)
        if picture.shape != (size, size, 3):
            raise BitstreamError(f"keyframe decodes to {picture.shape[1]}x{picture.shape[0]}, it announced {size}")
        motion = dequantise(keyframe.state, self._table, self.config.steps)
        prepared = self._engine.encode_reference(picture, motion)
        return Reference(keyframe.reference_id, keyframe.crop, keyframe.captured_size, picture, motion, prepared)

    def generate(self, reference: Reference, drive: Drive, *, light: bool = False) -> Picture:
        """The picture of a reference with any drive, as for interpolation between units; in the order in which they are
        shown, since what was shown is carried on from base pictures to motion and back. light: where there is a cheaper
        way, in that (`has_cheaper`)."""
        if drive.base is None and drive.motion is not None:
            picture = self._carried.animate(reference, drive.motion)
        else:
            cheaply = {"light": True} if light and self.has_cheaper(drive) else {}
            restored = self._engine.generate(reference.prepared, drive, **cheaply)
            picture = self._carried.restored(reference, restored)
        self._last = (reference, picture)
        return picture

    def has_cheaper(self, drive: Drive) -> bool:
        """Whether a picture can be made in a cheaper way too: base pictures need no network."""
        return drive.base is not None

    def conceal(self, timestamp: int) -> tuple[Reference, Drive]:
        """As `drive`, for an instant whose motion unit is missing: extrapolated for CONCEAL_MS, then at rest.

        Raises StateError before the first motion.
        """
        if not self._history:
            raise StateError("no motion was decoded yet, so there is nothing to conceal with")
        before, last = self._history[0], self._history[-1]
        step_ms, age_ms = _ms(last.timestamp, before.timestamp), _ms(timestamp, last.timestamp)
        if before.reference is not last.reference:
            step_ms = 0.0
        return last.reference, Drive(extrapolate_motion(before.motion, last.motion, step_ms, age_ms))

    @property
    def reference_shown(self) -> Reference | None:
        """That of the last picture; None before the first."""
        return None if self._last is None else self._last[0]

    @property
    def crop(self) -> Crop | None:
        """Where the last picture lies in the captured frame; None before the first."""
        return None if self._last is None else self._last[0].crop

    @property
    def captured_size(self) -> tuple[int, int] | None:
        """(width, height) of the captured frame of the last picture; None before the first."""
        return None if self._last is None else self._last[0].captured_size


def _ms(later: int, earlier: int) -> float:
    return time32_diff(later & 0xFFFFFFFF, earlier & 0xFFFFFFFF) * 1000 / CLOCK_HZ
