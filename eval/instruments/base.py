"""What a measuring instrument is: a landmark detector or an identity network, with a name and a hash."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from talkcodec.types import FloatArray, Picture

__all__ = ["IdentityInstrument", "Instruments", "LandmarkInstrument", "align_face", "five_points"]


class LandmarkInstrument(Protocol):
    """Finds the largest face of a picture."""

    name: str
    sha256: str

    def detect(self, picture: Picture) -> FloatArray | None:
        """(68, 2) landmarks in pixels, in the 68-point layout of 300-W; None without a face."""
        ...


class IdentityInstrument(Protocol):
    """Embeds a face so that pictures of one person lie close together."""

    name: str
    sha256: str

    def embed(self, picture: Picture, landmarks: FloatArray | None) -> FloatArray:
        """(D,) of unit norm; of the whole picture when `landmarks` is None, else of the face aligned by them (68,
        2).
        """
        ...


@dataclass(frozen=True)
class Instruments:
    """The instruments of one measurement; None where there is none, and the metric is then not measured."""

    landmarks: LandmarkInstrument | None = None
    identity: IdentityInstrument | None = None

    def hashes(self) -> dict[str, str]:
        """Name to SHA-256 (hex) of each."""
        return {each.name: each.sha256 for each in (self.landmarks, self.identity) if each is not None}


_ALIGNED_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose tip and mouth corners lie in a 112x112 aligned face (Deng et al., ArcFace, CVPR 2019)."""


def five_points(landmarks: FloatArray) -> npt.NDArray[np.float64]:
    """(68, 2) landmarks to (5, 2): eye centres, nose tip, mouth corners, left of the picture first."""
    points = landmarks.astype(np.float64)
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])


def align_face(landmarks: FloatArray) -> npt.NDArray[np.float64]:
    """(2, 3) similarity transform that takes the picture's face into the 112x112 template (Umeyama, PAMI 1991)."""
    source, target = five_points(landmarks), _ALIGNED_112
    source_mean, target_mean = source.mean(0), target.mean(0)
    # In the plane the least-squares similarity is one complex number: target = a * source.
    centred = (source - source_mean) @ np.array([1, 1j])
    wanted = (target - target_mean) @ np.array([1, 1j])
    a = np.vdot(centred, wanted) / max(np.vdot(centred, centred).real, 1e-12)
    rotation = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack([rotation, target_mean - rotation @ source_mean])
