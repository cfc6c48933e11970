"""What the encoder hands out for one frame."""

from dataclasses import dataclass

__all__ = ["AccessUnit"]


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """The coded bytes of one frame.

    timestamp: 90 kHz, as the caller counts it. sequence: 16 bits, wraps.
    reference_id: the reference picture that `motion` animates.
    keyframe: a serialized KeyframeUnit, or None. Its own id is `keyframe_id`, which is `reference_id` too unless
    the encoder waits for the receiver to acknowledge the new reference (EncoderConfig.acknowledged).
    motion: a serialized motion unit; every access unit has one.
    """

    timestamp: int
    sequence: int
    reference_id: int
    keyframe: bytes | None
    motion: bytes
    keyframe_id: int | None = None

    @property
    def bytes_coded(self) -> int:
        """Keyframe and motion together, without any envelope."""
        return len(self.motion) + len(self.keyframe or b"")
