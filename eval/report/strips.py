"""Film strips of clips: the truth, an anchor of the same rate, and talkcodec's rungs, all coded again for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from eval.anchors.settings import ANCHORS
from eval.clips import Clip, as_unit, find_clips, looped, read_clip
from eval.compare import front, value_at
from eval.instruments import LandmarkInstrument
from eval.metrics.fidelity import psnr_db
from eval.points import Point, make_point
from eval.rd import code_point
from eval.report.film import Frames, close_ups, film_strip, instants, shown, time_slices
from eval.report.tables import kbps, row_points
from eval.rows import Row
from eval.summary import Mean
from talkcodec.codec.config import Rung
from talkcodec.errors import UsageError

__all__ = ["RANKS", "FilmStrip", "film_strips", "gain_db", "ranked_clips"]

RANKS = ("best", "median", "worst")
_RATE = "message_bps"
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""A sixth of a PNG's size; what the codecs did is far above what this does."""


@dataclass(frozen=True)
class FilmStrip:
    """One clip's pictures as a JPEG file. name: by which it was asked for, of the clip or its rank."""

    name: str
    title: str
    caption: str
    picture: bytes


def film_strips(
    rows: list[Row],
    subject: Mean | None,
    clips: Sequence[Path],
    names: Sequence[str],
    landmarks: LandmarkInstrument | None = None,
) -> tuple[list[FilmStrip], list[str]]:
    """Strips of the named clips, then of the best, median and worst at the point `subject` (`gain_db`).

    A name may also be one of `RANKS`. With `landmarks` eyes and mouth are enlarged. Also returns the titles of ranked
    clips that are not among `clips`. Raises UsageError for a name without clip or result.
    """
    if subject is None or not clips:
        if names:
            raise UsageError(f"no film strip of {', '.join(names)}: it needs clips (--clips) and results of talkcodec")
        return [], []
    ours = {row.clip: row for row in rows if row.point == subject.point}
    paths = {path.stem: path for path in find_clips(list(clips))}
    ranked = ranked_clips(rows, list(ours.values()))
    asked = {ranked.get(name, name): name for name in names}
    ranks = {clip: f"{clip}, the {rank} of {len(ours)} clips" for rank, clip in reversed(ranked.items())}
    made: list[FilmStrip] = []
    skipped: list[str] = []
    for clip in dict.fromkeys([*asked, *ranked.values()]):
        title = ranks.get(clip, clip)
        if clip in ours and clip in paths:
            anchors = _anchors(rows, clip)
            made.append(_strip(asked.get(clip, clip), title, anchors, ours[clip], paths[clip], landmarks))
        elif clip in asked:
            raise UsageError(f"no film strip of {asked[clip]!r}: it needs the clip (--clips) and its results")
        else:
            skipped.append(title)
    return made, skipped


def ranked_clips(rows: Sequence[Row], ours: Sequence[Row]) -> dict[str, str]:
    """Best, median and worst clip of `ours`, rows of one point, by `gain_db`; empty where no clip has it."""
    gains = {row.clip: gain_db(_anchors(rows, row.clip), row) for row in ours}
    ordered = sorted((gain, clip) for clip, gain in gains.items() if gain is not None)
    if not ordered:
        return {}
    chosen = (ordered[-1], ordered[len(ordered) // 2], ordered[0])
    return {rank: clip for rank, (_, clip) in zip(RANKS, chosen, strict=True)}


def gain_db(anchors: Sequence[Row], row: Row) -> float | None:
    """PSNR of `row` less that of the anchor at the same rate; None where the anchor's points do not reach."""
    theirs = value_at(row_points(anchors, _RATE, "psnr_db"), row.rates[_RATE], "psnr_db")
    value = row.strict["psnr_db"]
    return None if theirs is None or value is None else value - theirs


def _anchors(rows: Sequence[Row], clip: str) -> list[Row]:
    """AV1 on that clip, at every size and frame rate; every conventional codec where AV1 was not measured."""
    anchors = [row for row in rows if row.clip == clip and row.codec not in ("copy", "talkcodec") and not row.error]
    return [row for row in anchors if row.codec == "av1"] or anchors


def _strip(
    name: str, title: str, anchors: Sequence[Row], row: Row, path: Path, landmarks: LandmarkInstrument | None
) -> FilmStrip:
    """The true clip, the anchor at the rate of `row`'s point, the motion rung, and that point."""
    clip = looped(read_clip(path, row.frames, row.size), row.frames / row.fps)
    coded = [_coded(clip, point) for point in _with_motion(make_point("talkcodec", **row.settings))]
    coded = [*_best_at_rate(clip, anchors, coded[-1].bps), *coded]
    lines = [("truth", clip.frames), *((each.label(), each.frames) for each in coded)]
    caption = f"{row.label}; instants spread evenly over the clip, rates with keyframes and envelopes."
    gain = gain_db(anchors, row)
    if gain is not None:
        codec = anchors[0].codec
        caption += f" {gain:+.2f} dB beside what {codec}'s measured points say of that rate, by which clips are ranked."
    pictures = [shown(clip.frames[number]) for number in instants(len(clip.frames))] if landmarks else []
    boxes = close_ups([landmarks.detect(picture) for picture in pictures]) if landmarks else []
    if boxes:
        caption += " Beneath each picture its eyes and mouth, enlarged alike."
    strip = film_strip(lines, boxes)
    width = clip.frames.shape[2]
    column = int(np.median([mouth[0] for _, mouth in boxes])) if boxes else width // 2
    column = min(max(0, column), width - 1)
    caption += " At the bottom one column of pixels of each frame, from the first to the last: what jumps is a step."
    picture = np.ascontiguousarray(np.vstack([strip, time_slices(lines, column, strip.shape[1])])[..., ::-1])
    return FilmStrip(name, title, caption, cv2.imencode(".jpg", picture, _JPEG)[1].tobytes())


@dataclass(frozen=True)
class _Coded:
    """A clip as a point shows it, what that took, and PSNR as in the tables, without the first frame."""

    point: Point
    frames: Frames
    bps: float
    psnr_db: float

    def label(self) -> str:
        """What was sent, at which rate."""
        name = self.point.label
        if self.point.codec == "talkcodec":
            name = f"talkcodec, {'rung auto' if self.point['rung'] == 'auto' else self.point['rung'] + ' rung'}"
        return f"{name}: {kbps(self.bps)} kbit/s, {self.psnr_db:.1f} dB"


def _coded(clip: Clip, point: Point) -> _Coded:
    frames, traffic = code_point(clip, point)
    pairs = list(zip(clip.frames, frames, strict=True))
    values_db = [psnr_db(as_unit(true), as_unit(made)) for true, made in pairs[1:] or pairs]
    return _Coded(point, frames, traffic.bitrates_bps(clip.duration_s)[_RATE], float(np.mean(values_db)))


def _best_at_rate(clip: Clip, anchors: Sequence[Row], bps: float) -> list[_Coded]:
    """The anchor at a rate: at the size and frame rate of its best points just below and above, whichever is better."""
    rows = {(each.rates[_RATE], each.strict["psnr_db"]): each for each in anchors}
    points = front(list(rows), "psnr_db") if bps else []
    around = [point for point in points if point[0] <= bps][-1:] + [point for point in points if point[0] > bps][:1]
    coded = [_at_rate(clip, rows[point], bps) for point in around]
    return [max(coded, key=lambda each: each.psnr_db)] if coded else []


def _at_rate(clip: Clip, row: Row, bps: float) -> _Coded:
    """The anchor at the size and frame rate of `row`, its quality so chosen that the rate is nearest to `bps`."""
    crf, coarsest = int(row.settings["crf"]), ANCHORS[row.codec].coarsest
    tried = [_coded(clip, make_point(row.codec, **row.settings))]
    step = 1 if tried[0].bps > bps else -1
    while 0 <= (crf := crf + step) <= coarsest and (tried[-1].bps > bps) == (step > 0):
        tried.append(_coded(clip, make_point(row.codec, **{**row.settings, "crf": crf})))
    return min(tried, key=lambda each: abs(math.log(each.bps / bps)))


def _with_motion(point: Point) -> list[Point]:
    """The point, below the motion rung at the same rate, where it has another rung itself."""
    motion = make_point(point.codec, **{**dict(point.settings), "rung": Rung.MOTION.value})
    return list(dict.fromkeys([motion, point]))
