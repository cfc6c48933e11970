"""The words that every layer shares: plain values, numpy and the standard library only."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Base",
    "Carrier",
    "Crop",
    "Delivery",
    "Drive",
    "FloatArray",
    "Kind",
    "Later",
    "Motion",
    "Picture",
    "PlayedPicture",
    "PlayedSound",
    "SoundArray",
    "WireCost",
]

Picture = npt.NDArray[np.uint8]
"""A decoded image, (H, W, 3) uint8 RGB."""

FloatArray = npt.NDArray[np.float32]
SoundArray = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Motion:
    """Sparse motion of one frame (Siarohin et al., NeurIPS 2019, section 3.1).

    keypoints: (K, 2) float32, normalised to [-1, 1], x right, y down.
    jacobians: (K, 2, 2) float32 local affine at each keypoint; None for a zeroth-order model.
    """

    keypoints: FloatArray
    jacobians: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """A small picture of an instant, to be restored with the reference.

    picture: (h, h, 3) float32 RGB in [0, 255]; flow: (2, S/2, S/2) float32, how far from each of its places the like
    lies in the reference, (x, y) in units of half the picture. crop: what of the captured frame it shows.
    quantiser: how coarsely it was coded, 0 (fine) to 255.
    """

    picture: FloatArray
    flow: FloatArray
    crop: "Crop | None" = None
    quantiser: int = 255


class Later(NamedTuple):
    """The base picture behind an instant that has none of its own; share: how far the instant is on the way to it.

    same: its flow leads to the reference of the one before, too, and not to a keyframe between the two.
    """

    base: Base
    share: float
    same: bool = True


@dataclass(frozen=True, slots=True)
class Drive:
    """What a reference picture is generated with: its keypoints moved to `motion`, or `base` restored with it.

    later: the instant lies between `base` and this.
    """

    motion: Motion | None = None
    base: Base | None = None
    later: Later | None = None


class Crop(NamedTuple):
    """A square of the captured frame that the codec sees, in captured pixels; size > 0."""

    x: int
    y: int
    size: int


class Kind(Enum):
    """Where a shown frame came from."""

    EXACT = "exact"
    CONCEALED = "concealed"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class PlayedPicture:
    """A picture to show. picture: (S, S, 3), the previous one again when kind is frozen. timestamp: 90 kHz media
    time. shown_s: when it was ready, monotonic clock. latency_ms: since its capture, None where the clocks differ.
    motion: what the picture was generated from."""

    picture: Picture
    timestamp: int
    kind: Kind
    shown_s: float
    latency_ms: float | None
    motion: Motion | None = None


@dataclass(frozen=True, slots=True)
class PlayedSound:
    """Decoded sound: samples (n,) int16 mono at 48 kHz, 90 kHz time of the first, arrival on the monotonic clock."""

    samples: SoundArray
    timestamp: int
    arrived_s: float


class Delivery(Enum):
    """How a message of a call is to be carried."""

    RELIABLE = "reliable"
    """In order, and sent again until it arrives: Hello, keyframe pieces, acknowledgements, requests, Bye."""
    DROPPABLE = "droppable"
    """At once or not at all, in any order: motion bundles one way, receiver reports the other."""


Carrier: TypeAlias = Literal["auto", "data-channel", "sound"]
"""What takes droppable messages: the data channel, or the padding of the sound's packets. "auto" is what costs less on
the wire: the sound, where we send it and the peer reads it."""


@dataclass(frozen=True, slots=True)
class WireCost:
    """What a transport adds to a message on the wire: headers, and, as a mean, the acknowledgement that comes back."""

    message_overhead_bytes: int = 0
    acknowledgement_bytes: float = 0.0
