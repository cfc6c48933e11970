"""The first-order motion model as published against ours, pair by pair in one run.

As published: torch, every frame detects the driving picture, encodes the constant source again and
generates. Ours: the same weights, the source encoded once, by torch, by OpenVINO in float32 and, where
the processor has it, in bfloat16. Weights are random, drawn so that signals keep their size through
the depth: speed does not depend on their values, and the difference of outputs stays meaningful.

    python benchmarks/fomm_reference.py                   the published sizes, about two minutes on two cores
    python benchmarks/fomm_reference.py --expansion 8     an eighth of the width, a few seconds
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from talkcodec.errors import EngineError
from talkcodec.model.config import FommNetworks, ModelConfig, preset
from talkcodec.model.files import load_model, save_model
from talkcodec.model.network import build_network
from talkcodec.runtime import Engine, open_engine
from talkcodec.runtime.bench import machine
from talkcodec.types import Drive, FloatArray, Picture


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10, help="driving pictures, each timed once by every way")
    parser.add_argument("--expansion", type=int, default=64, help="width of the generator; 64 as published")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in px")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; the default is all")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # hundreds of MiB that nobody needs again
        path = Path(folder) / "random.safetensors"
        config = scaled(options.expansion, options.size)
        save_model(path, random_network(config), config, {"licence": "MIT"})
        rows = compare(path, config, options.pairs, options.threads)
    report: dict[str, object] = {"machine": machine(), "commit": commit(), "date": time.strftime("%Y-%m-%d")}
    report["rows"] = rows
    print(json.dumps(report, indent=2) if options.json else table(report, options.expansion, options.size))


def scaled(expansion: int, size: int) -> ModelConfig:
    """The published model with every width multiplied by expansion / 64."""

    def part(width: int) -> int:
        return max(1, width * expansion // 64)

    networks = FommNetworks(
        detector_expansion=part(32),
        detector_max_features=part(1024),
        dense_expansion=part(64),
        dense_max_features=part(1024),
        generator_expansion=part(64),
        generator_max_features=part(512),
    )
    return replace(preset("vox-256"), picture_size=size, fomm=networks)


def random_network(config: ModelConfig) -> nn.Module:
    """Random weights of a fixed seed, with normalisation fitted to random pictures.

    The heads (keypoints, Jacobians, mask, occlusion, picture) start as they do in training: larger ones
    would make keypoints jump and Jacobians singular, and every rounding error a jump.
    """
    torch.manual_seed(0)
    network = build_network(config)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    pictures = torch.stack([to_tensor(picture) for picture in moving_pictures(config.picture_size, 2)])
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None
        network.train()
        sparse = network.detect(pictures)
        network.generate(
            network.encode_reference(pictures, *sparse),
            sparse[0].flip(0),
            None if sparse[1] is None else sparse[1].flip(0),
        )
    return network.eval()


def compare(path: Path, config: ModelConfig, pairs: int, threads: int | None) -> list[dict[str, object]]:
    """One row a way: times, ratio to as-published pair by pair, largest difference of the float picture."""
    source, *driving = moving_pictures(config.picture_size, pairs + 2)
    ways: dict[str, Callable[[Picture], FloatArray]] = {"as published, torch": as_published(path, source)}
    for name, engine, precision in (
        ("source cached, torch", "torch", "f32"),
        ("source cached, OpenVINO f32", "openvino", "f32"),
        ("source cached, OpenVINO bf16", "openvino", "bf16"),
    ):
        try:
            opened = open_engine(path, engine, device="cpu", threads=threads, precision=precision)  # type: ignore[arg-type]
        except EngineError as error:
            Console(stderr=True).print(f"left out: {name}: {error}")
            continue
        ways[name] = ours(opened, source)
    for way in ways.values():
        way(driving[0])  # warm-up
    times: dict[str, list[float]] = {name: [] for name in ways}
    worst = dict.fromkeys(ways, 0.0)
    for picture in driving[1:]:
        expected: FloatArray | None = None
        for name, way in ways.items():
            started = time.perf_counter()
            out = way(picture)
            times[name].append(1000 * (time.perf_counter() - started))
            expected = out if expected is None else expected
            worst[name] = max(worst[name], float(np.abs(out - expected).max()))
    published = next(iter(times.values()))
    return [
        {
            "way": name,
            "median_ms": statistics.median(found),
            "p95_ms": float(np.percentile(found, 95)),
            "times_faster": statistics.median(a / b for a, b in zip(published, found, strict=True)),
            "largest_difference": worst[name],
        }
        for name, found in times.items()
    ]


def as_published(path: Path, source: Picture) -> Callable[[Picture], FloatArray]:
    """What the published animate loop does for each frame; the source's keypoints are found once there too."""
    network = load_model(path).network
    source_tensor = to_tensor(source)[None]
    with torch.no_grad():
        source_sparse = network.detect(source_tensor)

    def animate(picture: Picture) -> FloatArray:
        with torch.no_grad():
            sparse = network.detect(to_tensor(picture)[None])
            reference = network.encode_reference(source_tensor, *source_sparse)
            prediction = network.animate(reference, *sparse).prediction
            return prediction[0].permute(1, 2, 0).numpy()

    return animate


def ours(engine: Engine, source: Picture) -> Callable[[Picture], FloatArray]:
    """Detect and generate; the source is encoded once."""
    reference = engine.encode_reference(source, engine.detect(source))
    return lambda picture: engine.generate_float(reference, Drive(engine.detect(picture)))


def moving_pictures(size: int, count: int) -> list[Picture]:
    """A smooth random picture that moves by a pixel a frame."""
    blobs = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    smooth = nn.functional.interpolate(blobs, (size, size), mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    picture = (255 * smooth).round().to(torch.uint8).numpy()
    return [np.ascontiguousarray(np.roll(picture, shift, axis=1)) for shift in range(count)]


def to_tensor(picture: Picture) -> torch.Tensor:
    """(S, S, 3) uint8 -> (3, S, S) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1).float() / 255


def commit() -> str:
    """Of this working copy, short."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def table(report: dict[str, object], expansion: int, size: int) -> str:
    """The report for people."""
    shown = Table(title=f"FOMM, generator width {expansion}, {size}x{size}, detect + generate a frame")
    for heading in ("way", "median ms", "p95 ms", "times faster", "largest difference"):
        shown.add_column(heading, justify="left" if heading == "way" else "right")
    rows = report["rows"]
    assert isinstance(rows, list)
    for row in rows:
        shown.add_row(
            row["way"],
            f"{row['median_ms']:.0f}",
            f"{row['p95_ms']:.0f}",
            f"{row['times_faster']:.2f}",
            f"{row['largest_difference']:.1e}",
        )
    console = Console(width=110)
    with console.capture() as captured:
        console.print(shown)
    return f"{captured.get()}{report['machine']}; commit {report['commit']}; {report['date']}"


if __name__ == "__main__":
    main()
