"""What a model costs on this machine: time, operations and memory of an engine's calls.

Times are wall-clock, median and 95th percentile after a warm-up. GFLOP are two for each multiply-add
of the convolution layers; warps, resizes, sums and activations are not counted. They stand beside
the speed that this machine reaches in a plain float32 matrix product, which is the practical ceiling.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import talkcodec
from talkcodec.errors import UsageError
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.runtime.engine import Engine, EngineName, Precision, open_engine
from talkcodec.types import Drive

__all__ = ["BenchReport", "Timing", "count_gflop", "format_report", "run_bench", "time_calls"]

Call = Callable[[], object]
Workloads = Callable[[Engine], Mapping[str, Call]]
"""More calls to time, made for the engine: the codec's own, which lie above this layer."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One call: milliseconds, and GFLOP where they could be counted."""

    name: str
    median_ms: float
    p95_ms: float
    gflop: float | None = None

    @property
    def per_second(self) -> float:
        """Calls a second at the median."""
        return 1000 / self.median_ms

    @property
    def gflop_per_second(self) -> float | None:
        """Operations a second at the median."""
        return None if self.gflop is None else self.gflop * self.per_second


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Everything measured in one run, and on what."""

    model: str
    model_hash: str
    engine: str
    machine: str
    version: str
    calls: int
    open_s: float
    peak_memory_mib: float
    matrix_product_gflop_s: float
    timings: tuple[Timing, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        rates = [{"per_second": t.per_second, "gflop_per_second": t.gflop_per_second} for t in self.timings]
        values = asdict(self)
        values["timings"] = [{**asdict(t), **rate} for t, rate in zip(self.timings, rates, strict=True)]
        return values


def run_bench(
    model: str | Path = DEFAULT_MODEL,
    engine: EngineName = "auto",
    *,
    device: str | None = None,
    threads: int | None = None,
    precision: Precision = "f32",
    calibration: Path | None = None,
    calls: int = 100,
    workloads: Workloads | None = None,
) -> BenchReport:
    """Open an engine and time detect, encode_reference, generate, and detect beside generate as in a two-way call.

    calls: timed calls of each. calibration: as of open_engine. workloads: further calls, timed likewise; when they
    are named "encode" and "decode", both are timed side by side too. Raises what open_engine raises, and UsageError.
    """
    if calls < 2:
        raise UsageError(f"calls: got {calls}, expected at least 2")
    started = time.perf_counter()
    opened = open_engine(model, engine, device=device, threads=threads, precision=precision, calibration=calibration)
    open_s = time.perf_counter() - started
    size = opened.config.picture_size
    source, driving = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    motion, moved = opened.detect(source), opened.detect(driving)
    reference = opened.encode_reference(source, motion)
    timed: dict[str, Call] = {
        "detect": lambda: opened.detect(driving),
        "encode_reference": lambda: opened.encode_reference(source, motion),
        "generate": lambda: opened.generate(reference, Drive(moved)),
    }
    further = dict(workloads(opened)) if workloads is not None else {}
    found = {name: time_calls(call, calls) for name, call in {**timed, **further}.items()}
    with ThreadPoolExecutor(2) as pool:
        found["detect beside generate"] = time_calls(_both(pool, timed["detect"], timed["generate"]), calls)
        if {"encode", "decode"} <= set(further):
            found["encode beside decode"] = time_calls(_both(pool, further["encode"], further["decode"]), calls)
    memory = _peak_memory_mib()
    gflop = count_gflop(model)
    gflop["detect beside generate"] = gflop["detect"] + gflop["generate"]
    timings = tuple(
        Timing(name, statistics.median(times), _p95(times), gflop.get(name)) for name, times in found.items()
    )
    return BenchReport(
        model=opened.name,
        model_hash=opened.model_hash.hex()[:16],
        engine=opened.description,
        machine=machine(),
        version=talkcodec.__version__,
        calls=calls,
        open_s=open_s,
        peak_memory_mib=memory,
        matrix_product_gflop_s=matrix_product_speed(threads),
        timings=timings,
    )


def time_calls(call: Call, calls: int, warm_up: int = 5) -> list[float]:
    """Milliseconds of each of `calls` calls, after `warm_up` that are not counted."""
    for _ in range(min(warm_up, calls)):
        call()
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return times


def count_gflop(model: str | Path) -> dict[str, float]:
    """GFLOP of each graph of a model: two for each multiply-add of its convolution layers, counted while they run."""
    import torch
    from torch import Tensor, nn

    from talkcodec.model.files import load_model
    from talkcodec.runtime.graphs import example_inputs, make_graph

    flop = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flop
        assert isinstance(layer, nn.Conv2d)
        flop += 2 * output.shape[2] * output.shape[3] * layer.weight.numel()

    network = load_model(model).network
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    counted = {}
    for name in ("detect", "encode_reference", "generate"):
        inputs = example_inputs(name, network)
        flop = 0
        with torch.no_grad():
            make_graph(name, network)(*inputs)
        counted[name] = flop / 1e9
    return counted


def matrix_product_speed(threads: int | None, size: int = 1024) -> float:
    """GFLOP/s of a square float32 matrix product by torch on the CPU, the best of several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        matrix = torch.rand(size, size)
        best_ms = min(time_calls(lambda: matrix @ matrix, 10, 3))
    finally:
        torch.set_num_threads(before)
    return 2 * size**3 / best_ms / 1e6


def machine() -> str:
    """Processor and usable cores, in words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores, {platform.system()}"


def format_report(report: BenchReport) -> str:
    """The report as a table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report.model} ({report.model_hash}) on {report.engine}")
    for heading in ("call", "median ms", "p95 ms", "per second", "GFLOP", "GFLOP/s"):
        table.add_column(heading, justify="left" if heading == "call" else "right")
    for timing in report.timings:
        speed = timing.gflop_per_second
        table.add_row(
            timing.name,
            f"{timing.median_ms:.1f}",
            f"{timing.p95_ms:.1f}",
            f"{timing.per_second:.1f}",
            "" if timing.gflop is None else f"{timing.gflop:.2f}",
            "" if speed is None else f"{speed:.0f}",
        )
    console = Console(width=110)
    with console.capture() as captured:
        console.print(table)
    return (
        f"{captured.get()}{report.machine}; talkcodec {report.version}; {report.calls} calls each\n"
        f"opened in {report.open_s:.1f} s; peak memory {report.peak_memory_mib:.0f} MiB; "
        f"a float32 matrix product reaches {report.matrix_product_gflop_s:.0f} GFLOP/s here\n"
        "GFLOP: 2 for each multiply-add of the convolution layers\n"
    )


def _both(pool: ThreadPoolExecutor, first: Call, second: Call) -> Call:
    """A call that starts two calls at once and ends when both have ended."""

    def both() -> None:
        running = [pool.submit(first), pool.submit(second)]
        for future in running:
            future.result()

    return both


def _p95(times: list[float]) -> float:
    return float(np.percentile(times, 95))


def _peak_memory_mib() -> float:
    """The largest resident size of this process so far; not a number where the platform does not say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))
