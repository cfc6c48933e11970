"""The call over bad networks: python -m benchmarks.network [--help]. Results stand in docs/network.md.

Two real WebRTC peers on this machine, a UDP relay between them that loses, delays and counts every datagram.
"""

import argparse
import asyncio
import json
import platform
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from talkcodec.codec import FaceCropper
from talkcodec.media import MediaReader
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.peer.experiment import CallResult, Condition, TracedEngine, run_call
from talkcodec.runtime import open_engine
from talkcodec.sample import sample_path
from talkcodec.session import RateConfig
from talkcodec.transport.impairment import Impairment

BEGIN, END = "<!-- measured tables: begin -->", "<!-- measured tables: end -->"

CONDITIONS = (
    Condition("clean"),
    Condition("loss 1 %", Impairment(loss=0.01)),
    Condition("loss 5 %", Impairment(loss=0.05)),
    Condition("loss 10 %", Impairment(loss=0.10)),
    Condition("loss 20 %", Impairment(loss=0.20)),
    Condition("bursts, 5 % in runs of 4", Impairment(loss=0.05, burst_length=4)),
    Condition("RTT 100 ms", Impairment(delay_ms=50)),
    Condition("jitter 30 ms, reordering", Impairment(delay_ms=10, jitter_ms=30, reorder=True)),
    Condition("bottleneck 32 kbit/s", Impairment(rate_bps=32_000, queue_bytes=4000)),
    Condition("down for 2 s", Impairment(delay_ms=10), down_s=2.0),
)

MODES = {
    "25": ("25 motion frames a second, bundles of up to 80 ms", RateConfig(bundle=3, motion_fps=25)),
    "25x1": ("25 motion frames a second, no bundling", RateConfig(bundle=1, motion_fps=25)),
    "25x2": ("25 motion frames a second, two a message", RateConfig(bundle=2, motion_fps=25)),
    "12.5": ("12.5 motion frames a second, three a message, interpolated to 25", RateConfig(bundle=3, motion_fps=12.5)),
    "12.5x2": ("12.5 motion frames a second, two a message, interpolated to 25", RateConfig(bundle=2, motion_fps=12.5)),
    "auto": ("automatic, budget 16 kbit/s", RateConfig()),
}


def read_frames(source: Path, size: int, count: int) -> list[Any]:
    cropper = FaceCropper(size)
    frames = []
    with MediaReader(source) as reader:
        for frame in reader:
            frames.append(cropper.crop(frame.picture, frame.time_s).picture)
            if len(frames) == count:
                break
    return frames


def machine() -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{cpu}, Python {platform.python_version()}, commit {commit.stdout.strip() or 'unknown'}"


def table_of(title: str, results: list[CallResult], seconds: float) -> Table:
    table = Table(title=f"{title} ({seconds:g} s a row, wire in kbit/s with IP and UDP headers)", title_justify="left")
    for name in (
        "network", "shown", "exact %", "concealed %", "frozen %", "latency p50/p95 ms", "wire up", "down", "both",
        "of it STUN", "B/unit", "recovery ms",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "network" else "right")
    for r in results:
        share = 100 / max(1, r.shown)
        latency = "-" if r.latency_ms_p50 is None else f"{r.latency_ms_p50:.0f} / {r.latency_ms_p95:.0f}"
        table.add_row(
            r.condition, str(r.shown), f"{r.exact * share:.1f}", f"{r.concealed * share:.1f}",
            f"{r.frozen * share:.2f}", latency, f"{r.wire_up_kbps:.1f}", f"{r.wire_down_kbps:.1f}",
            f"{r.wire_kbps:.1f}", f"{r.stun_kbps:.1f}", f"{r.unit_bytes:.1f}",
            "-" if r.recovery_ms is None else f"{r.recovery_ms:.0f}",
        )  # fmt: skip
    return table


def markdown_of(title: str, results: list[CallResult]) -> str:
    lines = [
        f"**{title}**",
        "",
        "| network | shown | exact % | concealed % | frozen % | latency p50 / p95 ms | wire up | wire down | both"
        " | B a unit | recovery ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        share = 100 / max(1, r.shown)
        latency = "-" if r.latency_ms_p50 is None else f"{r.latency_ms_p50:.0f} / {r.latency_ms_p95:.0f}"
        recovery = "-" if r.recovery_ms is None else f"{r.recovery_ms:.0f}"
        lines.append(
            f"| {r.condition} | {r.shown} | {r.exact * share:.1f} | {r.concealed * share:.1f} |"
            f" {r.frozen * share:.2f} | {latency} | {r.wire_up_kbps:.1f} | {r.wire_down_kbps:.1f} |"
            f" {r.wire_kbps:.1f} | {r.unit_bytes:.1f} | {recovery} |"
        )
    return "\n".join(lines) + "\n"


def memory_mb() -> float:
    """Resident memory now, not the peak, where the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def soak(engine: Any, frames: list[Any], minutes: float, rate: RateConfig, console: Console) -> int:
    """One call of some minutes at 2 % loss; memory and latency are read every tenth of it."""
    from talkcodec.peer.experiment import run_call as run

    memory: list[float] = []

    async def sample() -> None:
        while True:
            await asyncio.sleep(minutes * 6)
            memory.append(memory_mb())
            console.print(f"  {len(memory) * minutes / 10:5.1f} min  {memory[-1]:.1f} MB")

    sampling = asyncio.create_task(sample())
    weather = Condition("soak, loss 2 %", Impairment(loss=0.02, delay_ms=20, jitter_ms=5))
    result = await run(engine, frames, weather, rate=rate, seconds=minutes * 60)
    sampling.cancel()
    console.print(table_of(f"soak, {minutes:g} minutes", [result], minutes * 60))
    growth = memory[-1] - memory[len(memory) // 3] if len(memory) > 3 else 0.0
    console.print(f"memory in the last two thirds: {growth:+.1f} MB")
    return 0 if growth < 5 else 1


async def main_async(arguments: argparse.Namespace) -> int:
    console = Console(width=170)
    loaded = open_engine(arguments.model, threads=arguments.threads)
    frames = read_frames(arguments.source, loaded.config.picture_size, arguments.frames)
    engine = TracedEngine(loaded, frames, arguments.generate)
    console.print(f"{machine()}; {engine.description}; {len(frames)} frames of {arguments.source.name}")
    if arguments.soak:
        return await soak(engine, frames, arguments.soak, MODES[arguments.modes[0]][1], console)
    rows: list[dict[str, object]] = []
    text = ""
    for mode in arguments.modes:
        title, rate = MODES[mode]
        results = []
        for condition in CONDITIONS:
            if arguments.only and not any(part in condition.name for part in arguments.only):
                continue
            result = await run_call(
                engine, frames, condition, rate=rate, seconds=arguments.seconds, warm_up_s=arguments.warm_up,
                seed=arguments.seed,
            )  # fmt: skip
            results.append(result)
            rows.append({"mode": mode, **asdict(result)})
            console.print(f"  {mode}: {condition.name}: {result.wire_kbps:.1f} kbit/s", highlight=False)
        console.print(table_of(title, results, arguments.seconds))
        text += markdown_of(title, results) + "\n"
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(text)
    if arguments.update:
        heading = f"{machine()}; model {engine.name}; {arguments.seconds:g} s a row, wire in kbit/s.\n\n"
        update(arguments.update, heading + text)
    return 0


def update(page: Path, text: str) -> None:
    """Put the tables between the page's marks."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{text.rstrip()}\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source", type=Path, default=sample_path(), help="a talking head")
    parser.add_argument("--frames", type=int, default=150, help="of the source, played there and back")
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=["25", "12.5", "25x1"])
    parser.add_argument("--only", nargs="+", help="conditions whose name contains one of these")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured a row")
    parser.add_argument("--warm-up", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--generate", action="store_true", help="generate the pictures too: measures this machine")
    parser.add_argument("--soak", type=float, metavar="MINUTES", default=0.0, help="one long call instead")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--update", type=Path, metavar="PAGE", help="put the tables between the marks of this page")
    return asyncio.run(main_async(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
