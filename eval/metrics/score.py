"""Score of a clip: every metric in both modes, from pictures and the instruments' observations.

`paper`: as the first-order-motion line reports it: frame 0 included, frames without a detected face left out,
distance per coordinate, identity from the whole picture. `strict`: frame 0 left out (the codec got it for nothing),
faces that were lost are counted, Euclidean distance, identity from the aligned face. docs/evaluation.md has the
definitions.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.clips import as_unit
from eval.instruments.base import Instruments
from eval.metrics import faces, fidelity, flicker
from eval.metrics.faces import Observation, nan_mean
from talkcodec.errors import UsageError

__all__ = ["ClipScores", "ModeScores", "observe", "score_clip"]

Pictures = Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class ModeScores:
    """Means over a clip in one mode; NaN where nothing could be measured.

    frames: that were compared; faces: frames with a face in the reference; lost_faces: of these, not found in the
    generated. l1 [0, 1], psnr_db, ssim, ms_ssim: fidelity. akd_px: landmark distance; akd_ocular: the same over the
    distance of the outer eye corners; aed: squared embedding distance [0, 4]; mkr: lost_faces / faces.
    """

    frames: int
    faces: int
    lost_faces: int
    l1: float
    psnr_db: float
    ssim: float
    ms_ssim: float
    akd_px: float
    akd_ocular: float
    aed: float
    mkr: float


@dataclass(frozen=True)
class ClipScores:
    """Both modes, landmark jitter (pixels a frame squared) and flicker (levels of 255) of the generated and of the
    reference clip, instruments' hashes.
    """

    paper: ModeScores
    strict: ModeScores
    jitter_px: float
    jitter_reference_px: float
    flicker: float
    flicker_reference: float
    instruments: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def observe(frames: Pictures, instruments: Instruments, identity_every: int = 1) -> Observation:
    """Look at each picture once. `identity_every` n embeds frames 0, n, 2n, ... only: identity changes slowly, costs
    much.
    """
    landmarks = np.full((len(frames), 68, 2), np.nan, np.float32)
    if instruments.landmarks is not None:
        for index, frame in enumerate(frames):
            points = instruments.landmarks.detect(_as_bytes(frame))
            if points is not None:
                landmarks[index] = points
    embedded = np.arange(0, len(frames), identity_every)
    if instruments.identity is None:
        empty = np.zeros((len(embedded), 0), np.float32)
        return Observation(landmarks, embedded, empty, empty)
    whole, aligned = [], []
    for instant in embedded:
        picture = _as_bytes(frames[int(instant)])
        whole.append(instruments.identity.embed(picture, None))
        points = landmarks[instant]
        found = bool(np.isfinite(points).all())
        aligned.append(instruments.identity.embed(picture, points) if found else np.full_like(whole[-1], np.nan))
    return Observation(landmarks, embedded, np.stack(whole), np.stack(aligned))


def score_clip(
    reference_frames: Pictures,
    generated_frames: Pictures,
    instruments: Instruments,
    *,
    identity_every: int = 1,
    reference: Observation | None = None,
) -> ClipScores:
    """Compare two clips frame by frame.

    reference_frames, generated_frames: T pictures each, (H, W, 3) uint8, or float in [0, 1]. `reference` is the earlier
    `observe(reference_frames, instruments, identity_every)`, to save looking again. Raises UsageError when the clips
    differ in length or size.
    """
    if len(reference_frames) != len(generated_frames) or len(reference_frames) == 0:
        raise UsageError(f"clips of {len(reference_frames)} and {len(generated_frames)} frames cannot be compared")
    if reference_frames[0].shape != generated_frames[0].shape:
        raise UsageError(f"pictures of {reference_frames[0].shape} and {generated_frames[0].shape} cannot be compared")
    fidelities = np.array([_fidelity(r, g) for r, g in zip(reference_frames, generated_frames, strict=True)])  # (T, 4)
    seen = reference if reference is not None else observe(reference_frames, instruments, identity_every)
    made = observe(generated_frames, instruments, identity_every)
    steady, unsteady = flicker.flicker(reference_frames, generated_frames)
    return ClipScores(
        paper=_mode(fidelities, seen, made, strict=False),
        strict=_mode(fidelities, seen, made, strict=True),
        jitter_px=faces.jitter_px(made.landmarks),
        jitter_reference_px=faces.jitter_px(seen.landmarks),
        flicker=unsteady,
        flicker_reference=steady,
        instruments=instruments.hashes(),
    )


def _fidelity(reference: npt.NDArray[np.uint8], generated: npt.NDArray[np.uint8]) -> tuple[float, float, float, float]:
    x, y = as_unit(reference), as_unit(generated)
    return fidelity.l1(x, y), fidelity.psnr_db(x, y), *fidelity.ssim_and_ms_ssim(x, y)


def _mode(fidelities: npt.NDArray[np.float64], seen: Observation, made: Observation, strict: bool) -> ModeScores:
    start = 1 if strict else 0
    fidelities, truth, guess = fidelities[start:], seen.landmarks[start:], made.landmarks[start:]
    distance = (faces.akd_strict if strict else faces.akd_paper)(truth, guess)  # (T,)
    wanted = seen.found[start:]
    lost = int((wanted & ~made.found[start:]).sum())
    kept = seen.embedded >= start
    embeddings = (seen.aligned, made.aligned) if strict else (seen.whole, made.whole)
    l1, psnr_db, ssim, ms_ssim = (nan_mean(column) for column in fidelities.T)
    return ModeScores(
        frames=len(fidelities),
        faces=int(wanted.sum()),
        lost_faces=lost,
        l1=l1,
        psnr_db=psnr_db,
        ssim=ssim,
        ms_ssim=ms_ssim,
        akd_px=nan_mean(distance),
        akd_ocular=nan_mean(distance / faces.ocular_distance_px(truth)),
        aed=faces.aed(embeddings[0][kept], embeddings[1][kept]),
        mkr=lost / int(wanted.sum()) if wanted.any() else float("nan"),
    )


def _as_bytes(picture: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Instruments look at 8-bit pictures, as a person would."""
    if picture.dtype != np.uint8:
        picture = np.rint(np.clip(picture, 0, 1) * 255)
    return np.asarray(picture, dtype=np.uint8)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
