"""Film strips: a few instants of a clip, true, generated and as an anchor of about the same rate shows them."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from eval.clips import as_unit
from eval.rows import Row

__all__ = ["extreme_clips", "film_strip", "png"]

Frames = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


def extreme_clips(rows: Sequence[Row]) -> dict[str, str]:
    """Names of the best, median and worst clip by strict AKD of these rows (of one point); fewer when there are
    fewer.
    """
    ranked = sorted((row for row in rows if row.strict.get("akd_px") is not None), key=lambda row: row.strict["akd_px"])
    if not ranked:
        return {}
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    return {name: row.clip for name, row in chosen.items()}


def film_strip(rows: Sequence[tuple[str, Frames]], count: int = 6, side: int = 144) -> npt.NDArray[np.uint8]:
    """(label, frames) one below the other, `count` instants evenly spread, the last frame included. RGB."""
    length = len(rows[0][1])
    instants = np.unique(np.linspace(0, length - 1, count).round().astype(int))
    lines = []
    for label, frames in rows:
        pictures = [np.rint(as_unit(frames[index]) * 255).astype(np.uint8) for index in instants]
        line = np.hstack([cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in pictures])
        caption = np.full((18, line.shape[1], 3), 255, np.uint8)
        cv2.putText(caption, label, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
        lines += [caption, line]
    return np.vstack(lines)


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """The picture as a PNG file."""
    return cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()
