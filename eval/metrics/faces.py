"""What the face instruments saw in a clip, and the distances between two such observations: AKD, MKR, AED, jitter."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Observation", "aed", "akd_paper", "akd_strict", "jitter_px", "ocular_distance_px", "squared_distance"]

FloatArray = npt.NDArray[np.float32]

EYES_OUTER_CORNERS = (36, 45)
"""Of the 68-point layout: the two points of which the distance normalises (Sagonas et al., 300-W, 2013)."""


@dataclass(frozen=True)
class Observation:
    """Instruments' readings of T frames.

    landmarks: (T, 68, 2) float32 pixels, NaN where no face was found.
    embedded: (E,) int, the frames that were embedded, ascending.
    whole, aligned: (E, D) float32 of unit norm: embeddings of the whole picture and of the aligned face; `aligned` is
    NaN where no face was found. D is 0 without an identity instrument.
    """

    landmarks: FloatArray
    embedded: npt.NDArray[np.int64]
    whole: FloatArray
    aligned: FloatArray

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """(T,) True where a face was found."""
        return np.asarray(np.isfinite(self.landmarks).all(axis=(1, 2)), dtype=np.bool_)


def akd_paper(reference: FloatArray, generated: FloatArray) -> npt.NDArray[np.float64]:
    """Average keypoint distance of each frame, pixels (Siarohin et al., NeurIPS 2019, section 4, as their code
    computes it).

    Mean |difference| over landmarks and over both coordinates, so about 0.64 of the Euclidean distance. (T, N, 2) each;
    NaN where either has no face.
    """
    distance: npt.NDArray[np.float64] = np.abs(reference.astype(np.float64) - generated).mean(axis=(1, 2))
    return distance


def akd_strict(reference: FloatArray, generated: FloatArray) -> npt.NDArray[np.float64]:
    """Mean Euclidean distance of the landmarks of each frame, pixels. (T, N, 2) each; NaN where either has no face."""
    distance: npt.NDArray[np.float64] = np.linalg.norm(reference.astype(np.float64) - generated, axis=2).mean(axis=1)
    return distance


def ocular_distance_px(landmarks: FloatArray) -> npt.NDArray[np.float64]:
    """Distance between the outer eye corners in each frame, pixels. (T, 68, 2); NaN without a face."""
    left, right = EYES_OUTER_CORNERS
    distance: npt.NDArray[np.float64] = np.linalg.norm(landmarks[:, left] - landmarks[:, right], axis=1).astype(
        np.float64
    )
    return distance


def squared_distance(reference: FloatArray, generated: FloatArray) -> npt.NDArray[np.float64]:
    """Sum of squared differences of unit-norm embeddings, 2 (1 - cos), in [0, 4]. (E, D) each."""
    distance: npt.NDArray[np.float64] = np.square(reference.astype(np.float64) - generated).sum(axis=1)
    return distance


def aed(reference: FloatArray, generated: FloatArray) -> float:
    """Average Euclidean distance, as the papers' code computes it: the mean *squared* distance; NaN when nothing
    compares.
    """
    return nan_mean(squared_distance(reference, generated)) if reference.shape[1] else float("nan")


def jitter_px(landmarks: FloatArray) -> float:
    """How much landmarks tremble: mean Euclidean norm of their second difference in time, pixels a frame squared.

    Three consecutive frames with a face count as one measurement; NaN without any. A still face has 0, and so has one
    that moves evenly; compare with the same figure of the reference clip.
    """
    points = landmarks.astype(np.float64)
    second = points[2:] - 2 * points[1:-1] + points[:-2]
    return nan_mean(np.linalg.norm(second, axis=2).mean(axis=1))


def nan_mean(values: npt.NDArray[np.float64]) -> float:
    """Mean of what is not NaN; NaN when there is nothing."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
