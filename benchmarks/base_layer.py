"""Coders for the base layer: small low-delay streams on clips, rate against distortion and time.

    python benchmarks/base_layer.py ../shared/data/val [--clips 8] [--frames 150] [--sizes 64 96 128] [--every 2 3]
        [--coders svt4 vp9-1 ...]

Every coder runs without delay, on one thread, with one intra picture at the start. Rates are those of the bare
pictures (start codes, unit headers and notes left out, as a call would) and leave the first picture out: its bytes have
a column of their own. A quality is a point; the table interpolates between points at the asked rates.

`Y coded`: luma PSNR of the coded pictures, scaled to 128 px by bicubic interpolation, against the clip reduced to
128 px. `Y all`: the same over all frames of the clip, those between coded pictures being the mean of both neighbours.
`RGB 256`: the coded pictures enlarged to the clip's own size. Times are of one picture's encoding, first ones left out.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress

from eval.clips import Clip, find_clips, read_clip
from talkcodec.picture.av1 import keep_scheduling
from talkcodec.picture.stream_vp9 import low_delay

Pictures = npt.NDArray[np.uint8]

JUDGED_PX = 128
SVT_LOW_DELAY = "pred-struct=1:lookahead=0:scd=0:keyint=-1:lp=1:hierarchical-levels="


@dataclass(frozen=True)
class Coder:
    """FFmpeg's names, quality (larger is coarser) to options, and the qualities that span 2 to 6 kbit/s."""

    encoder: str
    decoder: str
    options: Callable[[int], Mapping[str, str]]
    qualities: tuple[int, ...]


def _svt(preset: int, levels: int = 4) -> Coder:
    return Coder(
        "libsvtav1",
        "libdav1d",
        lambda crf: {"preset": str(preset), "crf": str(crf), "svtav1-params": f"{SVT_LOW_DELAY}{levels}"},
        (42, 48, 54, 59, 63),
    )


def _vp9(effort: int, **others: str) -> Coder:
    return Coder(
        "libvpx-vp9",
        "vp9",
        lambda crf: {
            **low_delay(crf, effort),
            "deadline": "good" if effort < 4 else "realtime",
            **{name.replace("_", "-"): value for name, value in others.items()},
        },
        (35, 44, 52, 58, 63),
    )


def _x264(preset: str) -> Coder:
    parameters = "keyint=infinite:scenecut=0:bframes=0"
    return Coder(
        "libx264",
        "h264",
        lambda crf: {"preset": preset, "tune": "zerolatency", "crf": str(crf), "x264-params": parameters},
        (25, 30, 34, 38, 42),
    )


def _x265(preset: str) -> Coder:
    parameters = "keyint=-1:scenecut=0:bframes=0:rc-lookahead=0:info=0:log-level=none:pools=none:frame-threads=1"
    return Coder(
        "libx265",
        "hevc",
        lambda crf: {"preset": preset, "tune": "zerolatency", "crf": str(crf), "x265-params": parameters},
        (25, 30, 34, 38, 42),
    )


CODERS: Mapping[str, Coder] = {
    "svt2": _svt(2),
    "svt4": _svt(4),
    "svt6": _svt(6),
    "svt8": _svt(8),
    "svt4-levels2": _svt(4, 2),
    "svt4-levels3": _svt(4, 3),
    "svt4-levels5": _svt(4, 5),
    "vp9-0": _vp9(0),
    "vp9-1": _vp9(1),
    "vp9-1-parallel": _vp9(1, frame_parallel="1"),
    "vp9-1-ssim": _vp9(1, tune="ssim"),
    "vp9-1-aq1": _vp9(1, aq_mode="1"),
    "vp9-1-aq2": _vp9(1, aq_mode="2"),
    "vp9-1-film": _vp9(1, tune_content="film"),
    "vp9-1-sharp3": _vp9(1, sharpness="3"),
    "vp9-4": _vp9(4),
    "x265-slow": _x265("slow"),
    "x264-slow": _x264("slow"),
}


@dataclass(frozen=True)
class Coded:
    """A coded clip: bytes and encoding time of each picture, and what a receiver decodes."""

    sizes: list[int]
    encode_ms: list[float]
    pictures: list[Pictures]


def code(
    pictures: list[Pictures],
    coder: Coder,
    quality: int,
    fps: Fraction,
    prepare: Callable[[int, Pictures, Pictures | None], av.VideoFrame] | None = None,
) -> Coded:
    """Code RGB pictures one by one; fails when the coder or the decoder holds one back.

    prepare: another way from a picture to a 4:2:0 frame, given its number and the picture decoded before it.
    """
    os.environ.setdefault("SVT_LOG", "1")
    context = av.VideoCodecContext.create(coder.encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = pictures[0].shape[:2]
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = fps, 1 / fps
    context.gop_size = 1 << 20
    context.thread_count = 1
    context.options = dict(coder.options(quality))
    if coder.encoder == "libvpx-vp9":
        context.bit_rate = 0
    decoder = av.VideoCodecContext.create(coder.decoder, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    decoder.flags |= av.codec.context.Flags.low_delay
    sizes, encode_ms = [], []
    decoded: list[Pictures] = []
    for index, picture in enumerate(pictures):
        frame = prepare(index, picture, decoded[-1] if decoded else None) if prepare else to_frame(picture)
        frame.pts, frame.time_base = index, 1 / fps
        with keep_scheduling():
            start = time.perf_counter()
            made = context.encode(frame)
            encode_ms.append(1e3 * (time.perf_counter() - start))
        shown = [frame for packet in made for frame in decoder.decode(av.Packet(bytes(packet)))]
        if len(made) != 1 or len(shown) != 1:
            raise RuntimeError(f"{coder.encoder}: {len(made)} packets, {len(shown)} pictures after picture {index}")
        sizes.append(bare_bytes(coder.encoder, bytes(made[0])))
        decoded.append(np.asarray(shown[0].to_ndarray(format="rgb24"), dtype=np.uint8))
    with keep_scheduling():
        context.encode(None)
    return Coded(sizes, encode_ms, decoded)


def to_frame(picture: Pictures) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")


def bare_bytes(encoder: str, packet: bytes) -> int:
    """Bytes of a packet that must travel: no start codes, delimiters, frame unit headers, or notes of the encoder."""
    if encoder == "libsvtav1":
        # A delimiter (2 bytes), then the frame's own header and size (2, or 3 above 127 bytes).
        return len(packet) - 4 - (len(packet) > 131)
    if encoder == "libvpx-vp9":
        return len(packet)
    units = [unit.rstrip(b"\0") for unit in packet.split(b"\0\0\1")[1:]]
    notes = (lambda head: head & 31 == 6) if encoder == "libx264" else (lambda head: head >> 1 & 63 in (39, 40))
    return sum(len(unit) for unit in units if not notes(unit[0]))


@dataclass(frozen=True)
class Point:
    """Means over clips for one coder, size, frame rate and quality."""

    kbps: float
    y_coded_db: float
    y_all_db: float
    rgb_db: float
    first_bytes: float
    least_bytes: int
    encode_ms: list[float]


def luma(picture: Pictures) -> npt.NDArray[np.float32]:
    """BT.601 luma at JUDGED_PX, float32."""
    side = picture.shape[0]
    if side != JUDGED_PX:
        how = cv2.INTER_AREA if side > JUDGED_PX else cv2.INTER_CUBIC
        picture = np.asarray(cv2.resize(picture, (JUDGED_PX, JUDGED_PX), interpolation=how), dtype=np.uint8)
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def psnr_db(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> float:
    return float(10 * np.log10(255**2 / max(float(np.mean(np.square(np.subtract(a, b, dtype=np.float32)))), 1e-3)))


def measure_clip(clip: Clip, coder: Coder, size: int, every: int, quality: int) -> Point:
    frames = clip.frames[: (len(clip.frames) - 1) // every * every + 1]
    sent = frames[::every]
    coded = code([cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA) for x in sent], coder, quality,
                 clip.fps / every)  # fmt: skip
    shown = [luma(picture) for picture in coded.pictures]
    truth = [luma(frame) for frame in frames]
    y_all = []
    for number, wanted in enumerate(truth):
        left, part = divmod(number, every)
        right = min(left + 1, len(shown) - 1)
        y_all.append(psnr_db(wanted, shown[left] + (shown[right] - shown[left]) * np.float32(part / every)))
    full = frames.shape[1]
    rgb = [
        psnr_db(wanted, cv2.resize(got, (full, full), interpolation=cv2.INTER_CUBIC))
        for wanted, got in zip(sent[1::4], coded.pictures[1::4], strict=True)
    ]
    seconds = (len(sent) - 1) * every / float(clip.fps)
    return Point(
        kbps=8e-3 * sum(coded.sizes[1:]) / seconds,
        y_coded_db=float(np.mean(y_all[every::every])),
        y_all_db=float(np.mean(y_all[1:])),
        rgb_db=float(np.mean(rgb)),
        first_bytes=coded.sizes[0],
        least_bytes=min(coded.sizes),
        encode_ms=coded.encode_ms[1:],
    )


def mean_of(points: list[Point]) -> Point:
    return Point(
        kbps=float(np.mean([p.kbps for p in points])),
        y_coded_db=float(np.mean([p.y_coded_db for p in points])),
        y_all_db=float(np.mean([p.y_all_db for p in points])),
        rgb_db=float(np.mean([p.rgb_db for p in points])),
        first_bytes=float(np.mean([p.first_bytes for p in points])),
        least_bytes=min(p.least_bytes for p in points),
        encode_ms=[ms for p in points for ms in p.encode_ms],
    )


def at_rate(points: list[Point], what: str, kbps: float) -> str:
    """PSNR at a rate, linear in the logarithm of the rate between points; a dash outside of them."""
    ordered = sorted(points, key=lambda point: point.kbps)
    rates = np.log([point.kbps for point in ordered])
    if not rates[0] <= np.log(kbps) <= rates[-1]:
        return "-"
    return f"{np.interp(np.log(kbps), rates, [getattr(point, what) for point in ordered]):.2f}"


def row(name: str, size: int, fps: float, points: list[Point], rates: list[float]) -> str:
    """One line of the table."""
    ms = [value for point in points for value in point.encode_ms]
    first = sorted(round(point.first_bytes) for point in points)
    cells = [name, str(size), f"{fps:.1f}"]
    for what in ("y_coded_db", "y_all_db", "rgb_db"):
        cells.append(" / ".join(at_rate(points, what, kbps) for kbps in rates))
    low = min(point.kbps for point in points)
    cells += [f"{np.median(ms):.1f} / {np.percentile(ms, 95):.1f}", f"{first[0]} to {first[-1]}"]
    cells += [str(min(point.least_bytes for point in points)), f"{low:.2f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+", help="clips, or a folder of them")
    parser.add_argument("--clips", type=int, default=8, help="at most this many, spread over the folder")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128])
    parser.add_argument("--every", type=int, nargs="+", default=[2, 3], help="code each n-th frame")
    parser.add_argument("--coders", nargs="+", choices=list(CODERS), default=list(CODERS))
    parser.add_argument("--qualities", type=int, nargs="+", help="instead of each coder's own")
    parser.add_argument("--rates", type=float, nargs="+", default=[2, 3, 4, 6], help="kbit/s to interpolate at")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = find_clips(arguments.paths)
    chosen = found[:: max(1, len(found) // arguments.clips)][: arguments.clips]
    clips = [read_clip(path, arguments.frames, 256) for path in chosen]
    clips = [clip for clip in clips if len(clip.frames) > 3 * max(arguments.every)]
    if not clips:
        parser.error("no clip is long enough")
    print(f"{len(clips)} clips: {', '.join(clip.name for clip in clips)}")
    rates = " / ".join(f"{kbps:g}" for kbps in arguments.rates)
    print(f"| coder | px | fps | Y coded at {rates} kbit/s | Y all | RGB 256 | ms p50 / p95 | first B | least B | "
          "floor kbit/s |")  # fmt: skip
    print("|" + "---|" * 10)
    plan = [(name, size, every) for name in arguments.coders for size in arguments.sizes for every in arguments.every]
    steps = sum(len(arguments.qualities or CODERS[name].qualities) for name, _, _ in plan) * len(clips)
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("coding", total=steps)
        for name, size, every in plan:
            coder = CODERS[name]
            code([np.zeros((size, size, 3), np.uint8)] * 3, coder, coder.qualities[0], Fraction(25))  # warm-up
            points = []
            for quality in arguments.qualities or coder.qualities:
                each = []
                for clip in clips:
                    each.append(measure_clip(clip, coder, size, every, quality))
                    progress.advance(task)
                points.append(mean_of(each))
            print(row(name, size, float(clips[0].fps) / every, points, arguments.rates), flush=True)


if __name__ == "__main__":
    main()
