"""What an encoder hands out for one captured instant, and a decoder takes: values, no bytes."""

from dataclasses import dataclass

from talkcodec.bitstream import BasePicture, KeyframeUnit, MotionState

__all__ = ["AccessUnit"]


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """The values of one instant, by layer.

    timestamp: 90 kHz, as the caller counts it. reference_id: the reference picture that the other layers animate.
    keyframe: a new reference picture, or None. Its id is `reference_id` too, unless the encoder waits for the other
    end to acknowledge it (EncoderConfig.acknowledged). motion: quantised, in the coordinates of the reference's crop.
    base: a small coded picture, restored with the reference.
    """

    timestamp: int
    reference_id: int
    motion: MotionState | None = None
    keyframe: KeyframeUnit | None = None
    base: BasePicture | None = None
