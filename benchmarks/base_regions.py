"""Bits of the base layer for eyes and mouth: smoothing, uneven sampling and regions of interest at equal rate.

    python -m benchmarks.base_regions ../shared/data/val [--clips 8] [--frames 150] [--size 96] [--every 2]
        [--all-frames] [--models DIR] [--variants plain smooth3 ...]

Each variant codes the same pictures at several qualities and is judged twice, on `bare` pictures (the base enlarged to
the clip's size, its uneven sampling undone) and on `blend`, the base mixed with the first picture's still, which DIS
optical flow has warped onto it: no network is trained on any variant. Columns are interpolated at the asked rates,
without the first picture: AKD of the eyes' and the mouth's landmarks in pixels of the clip (against the landmarks of
the truth, pictures without a face left out), PSNR over the box of eyes and mouth, and PSNR over the whole picture.

smoothN: Gaussian of N px outside the face's ellipse. holdN, holdboxN: outside the face, or outside eyes and mouth,
changes below N levels against the picture decoded before are kept from the coder. evenX, boxX: x and y sampled X times
as densely within the box of the face, or of eyes and mouth, as outside, by six numbers that stay for the clip.
roiN: the coder's quantiser lowered by N/10 of its range in the box of eyes and mouth.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.base_layer import CODERS, Coder, code, psnr_db, to_frame
from eval.clips import find_clips, read_clip
from eval.instruments import LandmarkInstrument, open_instruments
from talkcodec.picture import open_still
from talkcodec.types import FloatArray, Picture

EYES, MOUTH = slice(36, 48), slice(48, 68)
BASE = replace(CODERS["vp9-1"], qualities=(38, 48, 56, 63))
VP9_REAL_TIME = Coder(  # the only mode in which libvpx takes regions
    "libvpx-vp9",
    "vp9",
    lambda crf: {**CODERS["vp9-4"].options(crf), "cpu-used": "5", "aq-mode": "0"},
    CODERS["vp9-4"].qualities,
)
DIS: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def resized(picture: Picture, side: int) -> Picture:
    """Side x side pixels: means of areas to fewer, bicubic to more."""
    how = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), dtype=np.uint8)


@dataclass(frozen=True)
class Axis:
    """One axis of the uneven sampling: `density` times as many samples within `half` of `centre` (shares of the
    side)."""

    centre: float
    half: float
    density: float

    def to_base(self) -> tuple[FloatArray, FloatArray]:
        """Places in the picture and where they lie in the base, both from 0 to 1 and rising."""
        place = np.linspace(0, 1, 1025)
        away = np.abs(place - self.centre) / self.half
        bump = 0.5 + 0.5 * np.cos(np.pi * np.clip((away - 0.8) / 0.8, 0, 1))  # flat in the box, soft edges
        density = 1 + (self.density - 1) * bump
        sum_ = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
        return place.astype(np.float32), (sum_ / sum_[-1]).astype(np.float32)


@dataclass(frozen=True)
class Sampling:
    """Six numbers: both axes."""

    x: Axis
    y: Axis

    def reduce(self, picture: Picture, size: int) -> Picture:
        """The picture sampled at size x size, four times as finely first so that nothing aliases."""
        fine = 4 * size
        return resized(self._remap(picture, fine, forward=True), size)

    def enlarge(self, base: Picture, size: int) -> Picture:
        """The inverse, size x size."""
        return self._remap(base, size, forward=False)

    def _remap(self, picture: Picture, size: int, forward: bool) -> Picture:
        at = (np.arange(size) + 0.5) / size
        maps = []
        for axis, side in ((self.x, picture.shape[1]), (self.y, picture.shape[0])):
            place, base = axis.to_base()
            source = np.interp(at, base, place) if forward else np.interp(at, place, base)
            maps.append((source * side - 0.5).astype(np.float32))
        map_x, map_y = np.meshgrid(*maps)
        how = cv2.INTER_LINEAR if forward else cv2.INTER_CUBIC
        return np.asarray(cv2.remap(picture, map_x, map_y, how, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


@dataclass(frozen=True)
class Truth:
    """What a variant is judged by: a clip's pictures, their landmarks (None without a face), the first one's still.

    sent, sent_landmarks: each `every`-th of them, which are coded, at `fps` a second.
    """

    pictures: list[Picture]
    landmarks: list[FloatArray | None]
    still: Picture
    every: int
    fps: Fraction

    @property
    def sent(self) -> list[Picture]:
        return self.pictures[:: self.every]

    @property
    def sent_landmarks(self) -> list[FloatArray | None]:
        return self.landmarks[:: self.every]


def box_of(points: FloatArray, side: int, margin: float) -> tuple[float, float, float, float]:
    """Centre x, y and half width, height of points, enlarged; in shares of the side."""
    low, high = points.min(0) / side, points.max(0) / side
    centre, half = (low + high) / 2, margin * (high - low) / 2
    return float(centre[0]), float(centre[1]), float(half[0]), float(half[1])


def face_mask(side: int, landmarks: FloatArray | None, eyes_and_mouth: bool = False) -> FloatArray:
    """(side, side), 1 in an ellipse about the face, or about eyes and mouth alone; all ones without a face."""
    mask = np.zeros((side, side), np.float32)
    if landmarks is None:
        return mask + 1
    x, y, half_x, half_y = box_of(landmarks[36:68] if eyes_and_mouth else landmarks, side, 1.25)
    if not eyes_and_mouth:  # the landmarks stop at the brows
        y, half_y = y - 0.1 * half_y, 1.15 * half_y
    axes = (round(half_x * side), round(half_y * side))
    cv2.ellipse(mask, (round(x * side), round(y * side)), axes, 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 6), dtype=np.float32)


def smoothed(picture: Picture, landmarks: FloatArray | None, sigma: float) -> Picture:
    """The picture, blurred outside an ellipse about the face."""
    mask = face_mask(picture.shape[0], landmarks)[..., None]
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma)
    return np.clip(mask * picture + (1 - mask) * blurred + 0.5, 0, 255).astype(np.uint8)


def blend(base: Picture, still: Picture) -> Picture:
    """The still warped onto the enlarged base, and mixed with it where both agree at low resolution."""
    side, small = base.shape[0], 128
    grey = [
        cv2.cvtColor(cv2.resize(x, (small, small), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        for x in (base, still)
    ]
    flow = cv2.resize(DIS.calc(grey[0], grey[1], None), (side, side)) * np.float32(side / small)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    warped = cv2.remap(still, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    low = cv2.resize(
        cv2.resize(warped, (96, 96), interpolation=cv2.INTER_AREA), (side, side), interpolation=cv2.INTER_CUBIC
    )
    error = cv2.GaussianBlur(np.mean(np.square(low.astype(np.float32) - base), axis=2), (0, 0), 3)
    mask = np.exp(-error / 20**2)[..., None]
    return np.clip(mask * warped + (1 - mask) * base + 0.5, 0, 255).astype(np.uint8)


Prepare = Callable[[int, Picture, Picture | None], av.VideoFrame]


def region_of_interest(side: int, box: tuple[float, float, float, float], offset: float) -> Prepare:
    """Frames that ask the coder for another quantiser in a box."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=side, height=side, format="yuv420p", time_base="1/25")  # type: ignore[arg-type]
    x, y = (max(0, round((box[i] - box[i + 2]) * side)) for i in (0, 1))
    width, height = (round(2 * box[i] * side) for i in (2, 3))
    region = graph.add("addroi", f"x={x}:y={y}:w={width}:h={height}:qoffset={offset}")
    sink = graph.add("buffersink")
    source.link_to(region)
    region.link_to(sink)
    graph.configure()

    def prepare(number: int, picture: Picture, before: Picture | None) -> av.VideoFrame:
        frame = to_frame(picture)
        frame.pts = number
        graph.push(frame)
        asked = graph.pull()
        assert isinstance(asked, av.VideoFrame)
        return asked

    return prepare


def held(masks: list[FloatArray], threshold: float) -> Prepare:
    """Frames that keep the picture decoded before outside a mask where the new one differs by less than `threshold`.

    The coder then has nothing to say there, and says it in next to no bits.
    """

    def prepare(number: int, picture: Picture, before: Picture | None) -> av.VideoFrame:
        if before is None:
            return to_frame(picture)
        change = picture.astype(np.float32) - before
        energy = cv2.GaussianBlur(np.mean(np.square(change), axis=2), (0, 0), 2)
        keep = (1 - masks[number]) / (1 + np.square(energy / threshold**2))
        return to_frame(np.clip(picture - keep[..., None] * change + 0.5, 0, 255).astype(np.uint8))

    return prepare


@dataclass(frozen=True)
class Score:
    """Means over a clip's pictures after the first."""

    kbps: float
    eyes_px: float
    mouth_px: float
    box_db: float
    whole_db: float


def judged(truth: Truth, all_frames: bool) -> list[int]:
    """Numbers of the frames that are looked at: coded ones, or coded ones and those between alike."""
    return list(
        range(1, len(truth.pictures), 5) if all_frames else range(truth.every, len(truth.pictures), 3 * truth.every)
    )


def between(coded: list[Picture], number: int, every: int) -> Picture:
    """Frame `number` as a receiver would show it: the mean of both neighbours, weighted by their distance."""
    left, part = divmod(number, every)
    if part == 0:
        return coded[left]
    mean = cv2.addWeighted(coded[left], 1 - part / every, coded[min(left + 1, len(coded) - 1)], part / every, 0)
    return np.asarray(mean, dtype=np.uint8)


def score(kbps: float, shown: dict[int, Picture], truth: Truth, instrument: LandmarkInstrument) -> Score:
    eyes, mouth, boxes, whole = [], [], [], []
    for number, picture in shown.items():
        wanted, points = truth.pictures[number], truth.landmarks[number]
        whole.append(psnr_db(picture, wanted))
        if points is None:
            continue
        side = wanted.shape[0]
        x, y, half_x, half_y = box_of(points[36:68], side, 1.15)
        rows = slice(max(0, int((y - half_y) * side)), int((y + half_y) * side) + 1)
        columns = slice(max(0, int((x - half_x) * side)), int((x + half_x) * side) + 1)
        boxes.append(psnr_db(picture[rows, columns], wanted[rows, columns]))
        found = instrument.detect(picture)
        if found is not None:
            distance = np.linalg.norm(found - points, axis=1)
            eyes.append(distance[EYES].mean())
            mouth.append(distance[MOUTH].mean())
    return Score(kbps, *(float(np.mean(values)) if values else float("nan") for values in (eyes, mouth, boxes, whole)))


def coded_by(variant: str, truth: Truth, size: int, quality: int, coder: Coder) -> tuple[float, list[Picture]]:
    """Rate without the first picture, and the pictures enlarged to the clip's size."""
    side = truth.pictures[0].shape[0]
    first = next(points for points in truth.sent_landmarks if points is not None)
    name, number = variant.rstrip("0123456789."), variant[len(variant.rstrip("0123456789.")) :]
    pictures, sampling = truth.sent, None
    if "smooth" in name:
        pictures = [smoothed(p, m, float(number)) for p, m in zip(pictures, truth.sent_landmarks, strict=True)]
    if name in ("even", "box"):
        box = box_of(first, side, 1.1) if name == "even" else box_of(first[36:68], side, 1.2)
        sampling = Sampling(Axis(box[0], box[2], float(number)), Axis(box[1], box[3], float(number)))
        reduced = [sampling.reduce(picture, size) for picture in pictures]
    else:
        reduced = [resized(picture, size) for picture in pictures]
    prepare = None
    if name == "roi":
        prepare = region_of_interest(size, box_of(first[36:68], side, 1.3), -float(number) / 10)
    if name in ("hold", "holdbox"):
        masks = [face_mask(side, points, name == "holdbox") for points in truth.sent_landmarks]
        masks = [np.asarray(cv2.resize(mask, (size, size)), dtype=np.float32) for mask in masks]
        prepare = held(masks, float(number))
    coded = code(reduced, coder, quality, truth.fps, prepare)
    if sampling is not None:
        shown = [sampling.enlarge(picture, side) for picture in coded.pictures]
    else:
        shown = [resized(picture, side) for picture in coded.pictures]
    return 8e-3 * sum(coded.sizes[1:]) / (len(shown) - 1) * float(truth.fps), shown


VARIANTS = (
    *("plain", "smooth2", "smooth3", "even1.5", "box1.5", "box2", "box3", "hold14", "hold20", "holdbox14"),
    *("x265", "x265 roi1", "x265 roi2", "x264", "x264 roi1", "vp9rt", "vp9rt roi1", "svt"),
)


def coder_of(variant: str) -> tuple[Coder, str]:
    """The coder, and the variant's name without it."""
    names = {
        "svt": replace(CODERS["svt4"], qualities=(42, 50, 57, 63)),
        "x264": CODERS["x264-slow"],
        "x265": CODERS["x265-slow"],
        "vp9rt": VP9_REAL_TIME,
    }
    first, _, rest = variant.partition(" ")
    return (names[first], rest or "plain") if first in names else (BASE, variant)


def at_rate(scores: list[Score], what: str, kbps: float) -> str:
    """A column at a rate, linear in the logarithm of the rate between points; a dash outside of them."""
    ordered = sorted(scores, key=lambda each: each.kbps)
    rates = np.log([each.kbps for each in ordered])
    if not rates[0] <= np.log(kbps) <= rates[-1]:
        return "-"
    return f"{np.interp(np.log(kbps), rates, [getattr(each, what) for each in ordered]):.2f}"


def row(variant: str, kind: str, scores: list[Score], rates: list[float]) -> str:
    cells = [variant, kind]
    for what in ("eyes_px", "mouth_px", "box_db", "whole_db"):
        cells.append(" / ".join(at_rate(scores, what, kbps) for kbps in rates))
    return "| " + " | ".join(cells) + " |"


def mean_of(scores: list[Score]) -> Score:
    return Score(
        *(float(np.nanmean([getattr(x, f) for x in scores])) for f in Score.__dataclass_fields__),
    )


def read_truth(path: Path, frames: int, every: int, instrument: LandmarkInstrument) -> Truth:
    clip = read_clip(path, frames, 256)
    # Ends with a coded picture, so that every frame has two neighbours.
    pictures = [np.ascontiguousarray(frame) for frame in clip.frames[: (len(clip.frames) - 1) // every * every + 1]]
    still = open_still("av1")
    return Truth(
        pictures,
        [instrument.detect(picture) for picture in pictures],
        still.decode(still.encode(pictures[0]), 256),
        every,
        clip.fps / every,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+", help="clips, or a folder of them")
    parser.add_argument("--clips", type=int, default=8, help="at most this many, spread over the folder")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--every", type=int, default=2, help="code each n-th frame")
    parser.add_argument("--all-frames", action="store_true", help="judge the frames between coded ones as well")
    parser.add_argument("--models", type=Path, help="folder of the instruments' files")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--rates", type=float, nargs="+", default=[3, 4, 6], help="kbit/s to interpolate at")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    instrument = open_instruments(arguments.models, identity="none").landmarks
    assert instrument is not None
    found = find_clips(arguments.paths)
    chosen = found[:: max(1, len(found) // arguments.clips)][: arguments.clips]
    truths = [read_truth(path, arguments.frames, arguments.every, instrument) for path in chosen]
    truths = [truth for truth in truths if any(points is not None for points in truth.landmarks)]
    rates = " / ".join(f"{kbps:g}" for kbps in arguments.rates)
    print(f"{len(truths)} clips at {arguments.size} px, {float(truths[0].fps):.1f} fps")
    print(f"| variant | judged | AKD eyes px at {rates} kbit/s | AKD mouth px | PSNR eyes and mouth | PSNR whole |")
    print("|---|---|---|---|---|---|")
    plan = [(variant, *coder_of(variant)) for variant in arguments.variants]
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("coding", total=sum(len(coder.qualities) for _, coder, _ in plan) * len(truths))
        for variant, coder, how in plan:
            points: dict[str, list[Score]] = {"bare": [], "blend": []}
            for quality in coder.qualities:
                each: dict[str, list[Score]] = {"bare": [], "blend": []}
                for truth in truths:
                    kbps, coded = coded_by(how, truth, arguments.size, quality, coder)
                    numbers = judged(truth, arguments.all_frames)
                    shown = {number: between(coded, number, truth.every) for number in numbers}
                    each["bare"].append(score(kbps, shown, truth, instrument))
                    blended = {number: blend(picture, truth.still) for number, picture in shown.items()}
                    each["blend"].append(score(kbps, blended, truth, instrument))
                    progress.advance(task)
                for kind, scores in each.items():
                    points[kind].append(mean_of(scores))
            for kind, scores in points.items():
                print(row(variant, kind, scores, arguments.rates), flush=True)


if __name__ == "__main__":
    main()
