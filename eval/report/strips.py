"""Film strips: a few instants of a clip, true, as talkcodec and as an anchor of about the same rate shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from eval.clips import as_unit, find_clips, read_clip
from eval.points import make_point
from eval.rd import code_point
from eval.rows import Row
from eval.summary import Mean
from talkcodec.errors import UsageError

__all__ = ["FilmStrip", "extreme_clips", "film_strip", "film_strips"]

Frames = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class FilmStrip:
    """One clip's pictures as a PNG file; name: of the clip."""

    name: str
    title: str
    caption: str
    picture: bytes


def film_strips(
    rows: list[Row], subject: Mean | None, clips: Sequence[Path], names: Sequence[str]
) -> tuple[list[FilmStrip], list[str]]:
    """Strips of the named clips, then of the best, median and worst at the point `subject`; each is coded again.

    Also the titles of the latter that are not among `clips`. Raises UsageError for a name without clip or result.
    """
    if subject is None or not clips:
        return [], []
    ours = {row.clip: row for row in rows if row.point == subject.point}
    paths = {path.stem: path for path in find_clips(list(clips))}
    titles = dict.fromkeys(names, "")
    for rank, name in extreme_clips(list(ours.values())).items():
        titles[name] = f", the {rank} clip by AKD"
    made, skipped = [], []
    for name, rank in titles.items():
        if name in ours and name in paths:
            made.append(_code_again(rows, ours[name], paths[name], name + rank))
        elif name in names:
            raise UsageError(f"no film strip of {name!r}: it needs the clip (--clips) and its results")
        else:
            skipped.append(name + rank)
    return made, skipped


def extreme_clips(rows: Sequence[Row]) -> dict[str, str]:
    """Best, median and worst clip by strict AKD of rows of one point; fewer when there are fewer."""
    ranked = sorted((row for row in rows if row.strict.get("akd_px") is not None), key=lambda row: row.strict["akd_px"])
    if not ranked:
        return {}
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    return {rank: row.clip for rank, row in chosen.items()}


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


def _code_again(rows: list[Row], row: Row, path: Path, title: str) -> FilmStrip:
    """The true clip, `row`'s point, and the anchor of the nearest payload rate."""
    anchors = [r for r in rows if r.clip == row.clip and r.codec not in ("copy", "talkcodec") and not r.error]
    nearest = sorted(anchors, key=lambda r: abs(r.rates["payload_bps"] - row.rates["payload_bps"]))[:1]
    clip = read_clip(path, row.frames, row.size)
    lines: list[tuple[str, Frames]] = [("true", clip.frames)]
    for each in (row, *nearest):
        point = make_point(each.codec, **each.settings)
        frames, _ = code_point(clip, point)
        lines.append((f"{point.label}: {each.rates['payload_bps'] / 1000:.1f} kbit/s", frames))
    distance = "no face" if row.strict["akd_px"] is None else f"AKD {row.strict['akd_px']:.2f} px"
    caption = f"{distance}, L1 {row.strict['l1']:.4f}; instants spread evenly over the clip."
    picture = np.ascontiguousarray(film_strip(lines)[..., ::-1])
    return FilmStrip(row.clip, title, caption, cv2.imencode(".png", picture)[1].tobytes())
