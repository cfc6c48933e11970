"""The restoration network beside what it starts from and what it competes with, at equal and at other rates.

    python benchmarks/restoration.py rates ../shared/data/val OUT.jsonl --model restore-256
    python benchmarks/restoration.py time --model restore-256

`rates`: base pictures of 128x128 at 12.5 pictures a second in VP9 as a call codes them, shown at 25: between two, the
mean of both neighbours. Keyframe: the clip's first frame as a still of quality 45. Beside them AV1 at 256x256 (SVT-AV1,
low delay, preset 6) at 25 and at 12.5, each picture shown twice. Rates are without the first pictures and without
packets. Scores are `strict` (docs/evaluation.md); "mouth" and "eyes" are AKD of these landmarks alone. A line that is
in OUT already is not measured again. `time`: of the network in OpenVINO.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from eval.clips import as_unit
from eval.instruments import Instruments, open_instruments
from eval.metrics import faces, fidelity, observe
from eval.metrics.faces import Observation
from talkcodec.model.restoration import Prepared, RestorationNetwork
from talkcodec.model.restoration_files import load_restoration
from talkcodec.picture import open_still
from talkcodec.runtime.restoration import open_restorer
from talkcodec.runtime.restorer import Blend, Restorable, Restorer, reduced_grey
from talkcodec.training.restoration.samples import Moment, Stream, moment
from talkcodec.training.restoration.streams import StreamSettings, code_stream
from talkcodec.types import Base, Picture

FPS = 25
CLIPS = (
    "akiyo_01", "cvit-sample4_01", "cvt-kmlicwsvk7w_01", "cvt-r10efwkkozo_01", "dfl-rob-doe-0_01",
    "grid-swiz3n_01", "img-d12-liveport_01", "lrs2-1_01", "mead-x-fear_01", "vox2-1_01",
)  # fmt: skip
CRFS = (63, 57, 50)
EMBED_EVERY = 3
PARTS = {"akd": slice(0, 68), "mouth": slice(48, 68), "eyes": slice(36, 48)}

Restore = Callable[[Moment, Picture], Picture]
"""What is known of an instant, and the keyframe (256, 256, 3) -> (256, 256, 3)."""


def code(frames: npt.NDArray[np.uint8], settings: StreamSettings) -> tuple[npt.NDArray[np.uint8], float]:
    """Decoded pictures, and kbit/s without the first."""
    pictures, sizes = code_stream(frames, settings)
    return pictures, sum(sizes[1:]) * 8 / (len(sizes[1:]) * settings.every / FPS) / 1000


def by(restorer: Restorer) -> Restore:
    """As the engine has it."""
    held: list[Restorable] = []

    def restore(now: Moment, keyframe: Picture) -> Picture:
        if not held or held[0].picture is not keyframe:
            held[:] = [restorer.prepare(keyframe)]
        return restorer.restore(held[0], Base(now.base, now.flow))

    return restore


def enlarged(now: Moment, keyframe: Picture) -> Picture:
    """The base picture alone."""
    picture = cv2.resize(now.base, keyframe.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(np.rint(picture), 0, 255), dtype=np.uint8)


def score(
    truth: npt.NDArray[np.uint8], seen: Observation, shown: npt.NDArray[np.uint8], instruments: Instruments
) -> dict[str, float]:
    """Means over all frames but the first."""
    made = observe(shown, instruments, identity_every=EMBED_EVERY)
    pairs = [(as_unit(a), as_unit(b)) for a, b in zip(truth[1:], shown[1:], strict=True)]
    row = {
        "l1": float(np.mean([fidelity.l1(a, b) for a, b in pairs])),
        "psnr_db": float(np.mean([fidelity.psnr_db(a, b) for a, b in pairs])),
        "ssim": float(np.mean([fidelity.ssim_and_ms_ssim(a, b)[0] for a, b in pairs])),
        "aed": faces.aed(seen.aligned[1:], made.aligned[1:]),
        "lost": float((seen.found & ~made.found).sum()),
    }
    for name, part in PARTS.items():
        distance = faces.akd_strict(seen.landmarks[1:, part], made.landmarks[1:, part])
        row[name] = faces.nan_mean(distance)
    return row


def rates(
    clip: Path, restorers: dict[str, Restore], frames: int, anchors: bool
) -> Iterator[tuple[dict[str, Any], list[Picture]]]:
    """Codec, crf, fps and kbit/s, and the pictures that a viewer sees."""
    capture = cv2.VideoCapture(str(clip))
    truth: list[Any] = []
    while len(truth) < frames and (got := capture.read())[0]:
        truth.append(np.asarray(cv2.cvtColor(got[1], cv2.COLOR_BGR2RGB), dtype=np.uint8))
    truth = truth[: (len(truth) - 1) // 2 * 2 + 1]
    yield {"codec": "truth", "crf": 0, "fps": 25.0, "kbps": 0.0}, truth
    still = open_still("av1")
    keyframe = still.decode(still.encode(truth[0], 45), 256)
    reduced = reduced_grey(keyframe)
    for crf in CRFS:
        if restorers:
            settings = StreamSettings(128, crf, 2, "vp9", 1)
            pictures, kbps = code(np.stack(truth), settings)
            stream = Stream(settings, pictures)
            moments = [moment(stream, frame, reduced) for frame in range(len(truth))]
        for name, restore in restorers.items():
            shown = [restore(now, keyframe) for now in moments]
            yield {"codec": name, "crf": crf, "fps": 12.5, "kbps": kbps}, shown
        for every in (1, 2) if anchors else ():
            pictures, kbps = code(np.stack(truth), StreamSettings(256, crf, every))
            shown = [pictures[frame // every] for frame in range(len(truth))]
            yield {"codec": "av1-256", "crf": crf, "fps": FPS / every, "kbps": kbps}, shown


def measure(folder: Path, out: Path, restorers: dict[str, Restore], frames: int = 75, anchors: bool = True) -> None:
    """Append to OUT what is not in it, and print the means."""
    instruments = open_instruments()
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    known = {(row["clip"], row["codec"], row["crf"], row["fps"]) for row in done}
    for name in CLIPS:
        wanted = {codec: r for codec, r in restorers.items() if (name, codec, CRFS[-1], 12.5) not in known}
        needed = anchors and (name, "av1-256", CRFS[-1], 12.5) not in known
        truth: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        for about, shown in rates(folder / f"{name}.mp4", wanted, frames, needed) if wanted or needed else ():
            if about["codec"] == "truth":
                truth = np.stack(shown)
                seen = observe(truth, instruments, identity_every=EMBED_EVERY)
                continue
            if (name, about["codec"], about["crf"], about["fps"]) in known:
                continue
            row = {"clip": name, **about, **score(truth, seen, np.stack(shown), instruments)}
            done.append(row)
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    for codec, crf, fps in sorted({(r["codec"], r["crf"], r["fps"]) for r in done}):
        rows = [r for r in done if (r["codec"], r["crf"], r["fps"]) == (codec, crf, fps)]
        figures = [key for key in rows[0] if key not in ("clip", "codec", "crf", "fps")]
        means = {key: np.nanmean([r[key] for r in rows]) for key in figures}
        print(f"| {codec} {crf} {fps} ({len(rows)}) | " + " | ".join(f"{k} {v:.4g}" for k, v in means.items()))


class RestoreGraph(nn.Module):
    """What a runtime converts: five tensors in, one picture out."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, base: Tensor, flow: Tensor, keyframe: Tensor, reduced: Tensor, features: Tensor) -> Tensor:
        return self.network.restore(base, flow, keyframe, Prepared(reduced, features)).picture.clamp(0, 1)


def show_time(network: RestorationNetwork, threads: int, runs: int = 200) -> None:
    """Median and 95th percentile in milliseconds, and the arithmetic of every convolution."""
    import openvino

    size = network.config.picture_size
    base, flow = torch.rand(1, 3, size // 2, size // 2), torch.zeros(1, 2, size // 2, size // 2)
    keyframe = torch.rand(1, 3, size, size)
    operations = [0]

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        operations[0] += 2 * layer.weight.numel() * output.shape[2] * output.shape[3]

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        prepared = network.prepare(keyframe)
        once, operations[0] = operations[0], 0
        restored = network.restore(base, flow, keyframe, prepared).picture.clamp(0, 1)
    for hook in hooks:
        hook.remove()
    each = operations[0] + 2 * 12 * 3 * 25 * (size // 2) ** 2  # the enlargement is a convolution too
    print(f"GFLOP: {once / 1e9:.2f} a keyframe, {each / 1e9:.2f} a picture (multiply-add = 2)")
    inputs = (base, flow, keyframe, *prepared)
    model = openvino.convert_model(RestoreGraph(network), example_input=inputs)
    model.reshape({port: list(value.shape) for port, value in zip(model.inputs, inputs, strict=True)})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.compile_model(model, "CPU", settings).create_infer_request()
    arrays = [value.numpy() for value in inputs]
    wall, cpu = [], []
    for _ in range(runs + 10):
        started, started_cpu = time.perf_counter(), time.process_time()
        result = request.infer(arrays)[0]
        wall.append((time.perf_counter() - started) * 1000)
        cpu.append((time.process_time() - started_cpu) * 1000)
    worst = np.abs(result - restored.numpy()).max()
    print(
        f"{threads} threads, f32: median {np.median(wall[10:]):.1f} ms, p95 {np.percentile(wall[10:], 95):.1f}, "
        f"least {min(wall[10:]):.1f}; CPU time median {np.median(cpu[10:]):.1f}; differs from torch by {worst:.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("rates")
    one.add_argument("clips", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("--frames", type=int, default=75)
    two = commands.add_parser("time")
    for command in (one, two):
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--model", default="restore-256")
    given = parser.parse_args()
    if given.command == "time":
        show_time(load_restoration(given.model).network, given.threads)
        return
    restorers = {
        "base enlarged": enlarged,
        "blend": by(Blend()),
        given.model: by(open_restorer(given.model, "openvino", given.threads)),
    }
    measure(given.clips, given.out, restorers, given.frames)


if __name__ == "__main__":
    main()
