"""Keyframe picture codecs on frames of real clips: bytes, PSNR, SSIM, milliseconds.

    python benchmarks/still.py ../shared/data/val [--frame 10] [--quality 25 45 65]

One frame of every clip; means over clips, and the largest picture in bytes.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from skimage.metrics import structural_similarity

from talkcodec.picture import StillCodec, open_still
from talkcodec.picture.av1 import Av1Still
from talkcodec.types import Picture


def pictures(folder: Path, frame: int) -> Iterator[Picture]:
    """Frame number `frame` of every clip that has one."""
    for path in sorted(folder.glob("*.mp4")):
        with av.open(str(path)) as container:
            for number, decoded in enumerate(container.decode(video=0)):
                if number == frame:
                    yield np.asarray(decoded.to_ndarray(format="rgb24"), dtype=np.uint8)
                    break


def measure(name: str, still: StillCodec, sample: list[Picture], quality: int) -> None:
    """Print one row."""
    still.decode(still.encode(sample[0], quality), 1024)  # warm-up
    sizes, psnrs, ssims, encode_ms, decode_ms = [], [], [], [], []
    for picture in sample:
        start = time.perf_counter()
        data = still.encode(picture, quality)
        middle = time.perf_counter()
        decoded = still.decode(data, 1024)
        decode_ms.append(1e3 * (time.perf_counter() - middle))
        encode_ms.append(1e3 * (middle - start))
        sizes.append(len(data))
        psnrs.append(10 * np.log10(255**2 / np.mean((picture.astype(np.float64) - decoded) ** 2)))
        ssims.append(structural_similarity(picture, decoded, channel_axis=2))  # type: ignore[no-untyped-call]
    print(
        f"{name:14} {quality:3} {np.mean(sizes):7.0f} {max(sizes):7} {np.mean(psnrs):7.2f} {np.mean(ssims):7.4f}"
        f" {np.median(encode_ms):8.1f} {np.percentile(encode_ms, 95):8.1f} {np.median(decode_ms):8.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frame", type=int, default=10)
    parser.add_argument("--quality", type=int, nargs="+", default=[25, 45, 65])
    arguments = parser.parse_args()
    sample = list(pictures(arguments.folder, arguments.frame))
    if not sample:
        parser.error(f"no mp4 with more than {arguments.frame} frames in {arguments.folder}")
    print(f"{len(sample)} pictures")
    print("codec          qual   bytes     max    PSNR    SSIM  enc p50  enc p95  dec p50 ms")
    codecs: list[tuple[str, StillCodec]] = [
        ("av1 preset 2", Av1Still(preset=2)),
        ("av1 (default)", open_still("av1")),
        ("av1 preset 6", Av1Still(preset=6)),
        ("webp", open_still("webp")),
        ("jpeg", open_still("jpeg")),
    ]
    for name, still in codecs:
        for quality in arguments.quality:
            measure(name, still, sample, quality)


if __name__ == "__main__":
    main()
