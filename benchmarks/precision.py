"""What a narrower precision gains and loses: generate's time against f32, and distance from the true frames.

    python benchmarks/precision.py ../shared/data/val --calibration ../shared/data/train [--clips 6] [--frames 20]

Every clip is animated from its first frame. Times of all precisions are taken in turns, call by call, so that
other programs slow all of them alike; read the ratio. PSNR and L1 (of 0 to 255) are means over clips.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from talkcodec.media import MediaReader
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.runtime import Engine, open_engine
from talkcodec.runtime.bench import machine
from talkcodec.types import Drive, Picture


def pictures(clip: Path, size: int, count: int) -> list[Picture]:
    """The first pictures of a clip, scaled."""
    with MediaReader(clip) as reader:
        frames = [frame.picture for frame, _ in zip(reader, range(count), strict=False)]
    return [np.asarray(cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA), np.uint8) for p in frames]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--calibration", type=Path, help="folder of clips for a second row of int8")
    parser.add_argument("--clips", type=int, default=6, help="spread evenly over the folder")
    parser.add_argument("--frames", type=int, default=20)
    arguments = parser.parse_args()
    clips = sorted(arguments.folder.glob("*.mp4"))
    if not clips:
        parser.error(f"no mp4 in {arguments.folder}")
    clips = [clips[i * len(clips) // arguments.clips] for i in range(min(arguments.clips, len(clips)))]

    def opened(precision: str, calibration: Path | None = None) -> Engine:
        return open_engine(arguments.model, "openvino", precision=precision, calibration=calibration)  # type: ignore[arg-type]

    engines = {"f32": opened("f32"), "bf16": opened("bf16"), "int8, sample": opened("int8")}
    if arguments.calibration:
        engines["int8, clips"] = opened("int8", arguments.calibration)
    size = engines["f32"].config.picture_size
    times: dict[str, list[float]] = {name: [] for name in engines}
    psnr: dict[str, list[float]] = {name: [] for name in engines}
    l1: dict[str, list[float]] = {name: [] for name in engines}
    from_f32: dict[str, list[float]] = {name: [] for name in engines}
    for clip in clips:
        truths = pictures(clip, size, arguments.frames)
        references = {name: e.encode_reference(truths[0], e.detect(truths[0])) for name, e in engines.items()}
        squared: dict[str, list[float]] = {name: [] for name in engines}
        absolute: dict[str, list[float]] = {name: [] for name in engines}
        for truth in truths[1:]:
            shown = {}
            for name, engine in engines.items():
                motion = engine.detect(truth)
                started = time.perf_counter()
                shown[name] = engine.generate(references[name], Drive(motion)).astype(np.float64)
                times[name].append(1e3 * (time.perf_counter() - started))
                squared[name].append(10 * np.log10(255**2 / np.mean((shown[name] - truth) ** 2)))
                absolute[name].append(float(np.mean(np.abs(shown[name] - truth))))
                from_f32[name].append(float(np.mean(np.abs(shown[name] - shown["f32"]))))
        for name in engines:
            psnr[name].append(float(np.mean(squared[name])))
            l1[name].append(float(np.mean(absolute[name])))
        print(f"{clip.name:28}", "  ".join(f"{name} {psnr[name][-1]:.2f} dB" for name in engines))
    print(f"\n{machine()}; {engines['f32'].description}; {len(clips)} clips, {len(times['f32'])} frames\n")
    print("| precision | generate median ms | p95 | times faster | PSNR dB | worst clip's change | L1 | L1 from f32 |")
    print("|---|---|---|---|---|---|---|---|")
    base = np.array(times["f32"])
    for name in engines:
        faster = np.median(base / np.array(times[name]))
        worst = min(ours - f32 for ours, f32 in zip(psnr[name], psnr["f32"], strict=True))
        print(
            f"| {name} | {np.median(times[name]):.1f} | {np.percentile(times[name], 95):.1f} | {faster:.2f}"
            f" | {np.mean(psnr[name]):.2f} | {worst:+.2f} | {np.mean(l1[name]):.2f} | {np.mean(from_f32[name]):.2f} |"
        )


if __name__ == "__main__":
    main()
