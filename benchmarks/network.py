"""Whole calls over bad networks: python -m benchmarks.network [--help]. Results stand in docs/network.md.

Two real WebRTC peers on this machine, each sending pictures and speech to the other; a UDP relay between them loses,
delays and counts every datagram with its IP and UDP headers.
"""

import argparse
import asyncio
import json
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from talkcodec.codec import EncoderConfig, FaceCropper, Rung
from talkcodec.errors import ClosedError, UsageError
from talkcodec.media import MediaReader
from talkcodec.media.sound import read_sound
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.experiment import CallResult, Condition, TracedEngine, run_call
from talkcodec.runtime import open_engine
from talkcodec.sample import sample_path
from talkcodec.transport.impairment import Impairment
from talkcodec.types import Kind, PlayedPicture, SoundArray

Carrier = Literal["sound", "data-channel"]
CARRIERS: dict[str, tuple[Carrier, str]] = {
    "sound": ("sound", "Units ride with the sound"),
    "data-channel": ("data-channel", "Units on the data channel"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A call to measure: over which network, with which budget, in a given rung or the one that follows from it."""

    condition: Condition
    budget_kbps: float = 20.0
    rung: Rung | None = None

    @property
    def name(self) -> str:
        """As in the table."""
        rung = "" if self.rung is None else f", {self.rung.value}"
        return f"{self.condition.name}, budget {self.budget_kbps:g}{rung}"


ROWS = (
    Row(Condition("clean")),
    Row(Condition("clean"), 14.0, Rung.MOTION),
    Row(Condition("loss 5 %", Impairment(loss=0.05))),
    Row(Condition("bursts of 4, 5 %", Impairment(loss=0.05, burst_length=4))),
    Row(Condition("RTT 600 ms", Impairment(delay_ms=300))),
    Row(Condition("jitter 30 ms, reordering", Impairment(delay_ms=10, jitter_ms=30, reorder=True))),
    Row(Condition("bottleneck 32 kbit/s", Impairment(rate_bps=32_000, queue_bytes=4000))),
    Row(Condition("bottleneck 20 kbit/s", Impairment(rate_bps=20_000, queue_bytes=4000))),
    Row(Condition("bottleneck 12 kbit/s", Impairment(rate_bps=12_000, queue_bytes=4000))),
    Row(Condition("down for 2 s", Impairment(delay_ms=10), down_s=2.0)),
    Row(Condition("clean"), 80.0, Rung.HYBRID),
)

COLUMNS = (
    "network, budget", "rung", "up", "down", "exact %", "concealed %", "frozen %", "not exact, p95 / longest ms",
    "picture p50 / p95 ms", "growth ms", "voice: ms a packet", "lost %", "made up %", "heard %", "p50 / p95 ms",
    "lip sync p95 ms", "recovery ms",
)  # fmt: skip


def read_frames(source: Path, size: int, count: int) -> list[Any]:
    cropper = FaceCropper(size)
    with MediaReader(source) as reader:
        return [cropper.crop(frame.picture, frame.time_s).picture for frame in islice(reader, count)]


def read_speech(source: Path) -> list[SoundArray]:
    """All of a file's sound in blocks of 20 ms, with half a second of silence at its end."""
    blocks = [np.ascontiguousarray(block.samples.reshape(-1)) for block in read_sound(source)]
    if not blocks:
        raise UsageError(f"{source}: no sound in it; expected a file with speech, as --speech")
    return [*blocks, *[np.zeros_like(blocks[0])] * 25]


def machine() -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{cpu}, Python {platform.python_version()}, commit {commit.stdout.strip() or 'unknown'}"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def cells_of(name: str, r: CallResult) -> list[str]:
    """One row of the table."""
    share = 100 / max(1, r.shown)
    percent = [None if x is None else 100 * x for x in (r.voice_lost, r.voice_made_up, r.voice_heard)]
    return [
        name, r.rung, _number(r.wire_up_kbps, 1), _number(r.wire_down_kbps, 1), _number(r.exact * share, 1),
        _number(r.concealed * share, 1), _number(r.frozen * share, 2),
        f"{_number(r.mended_ms_p95)} / {_number(r.mended_ms_longest)}",
        f"{_number(r.latency_ms_p50)} / {_number(r.latency_ms_p95)}", _number(r.latency_growth_ms),
        _number(r.voice_frame_ms), *(_number(x, 1) for x in percent),
        f"{_number(r.voice_latency_ms_p50)} / {_number(r.voice_latency_ms_p95)}", _number(r.lip_sync_ms_p95),
        _number(r.recovery_ms),
    ]  # fmt: skip


def table_of(title: str, rows: list[list[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for row in rows:
        table.add_row(*row)
    return table


def markdown_of(title: str, rows: list[list[str]]) -> str:
    lines = [f"**{title}**", "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def memory_mb() -> float:
    """Resident memory now, not the peak, where the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Bench:
    """What all rows share."""

    engine: Any
    frames: list[Any]
    speech: list[SoundArray]
    arguments: argparse.Namespace

    async def run(
        self, row: Row, carrier: str, seconds: float, on_picture: Callable[[PlayedPicture], None] | None = None
    ) -> CallResult:
        """Hold this call; on_picture sees all that is shown."""
        encoder = EncoderConfig(acknowledged=True, rung=row.rung or Rung.MOTION)
        config = PeerConfig(encoder=encoder, carrier=CARRIERS[carrier][0], budget_kbps=row.budget_kbps, rung=row.rung)
        result = await run_call(
            self.engine, self.frames, row.condition, config=config, speech=self.speech, both=True, seconds=seconds,
            warm_up_s=self.arguments.warm_up, seed=self.arguments.seed, on_picture=on_picture,
        )  # fmt: skip
        return replace(result, condition=row.name)


@dataclass
class Minutes:
    """Memory and latency of one long call, read every tenth of it."""

    latency_ms: list[float] = field(default_factory=list)
    kinds: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    memory_mb: list[float] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def shown(self, picture: PlayedPicture) -> None:
        """In a receiver's thread."""
        self.kinds[picture.kind] += 1
        if picture.kind is not Kind.FROZEN and picture.latency_ms is not None:
            self.latency_ms.append(picture.latency_ms)

    async def read(self, every_s: float, console: Console) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(every_s)
            taken, self.latency_ms = self.latency_ms, []
            kinds, self.kinds = self.kinds, dict.fromkeys(Kind, 0)
            shares = [f"{100 * kinds[kind] / max(1, sum(kinds.values())):.1f}" for kind in (Kind.EXACT, Kind.FROZEN)]
            self.memory_mb.append(memory_mb())
            p50, p95 = np.percentile(taken, (50, 95)) if taken else (float("nan"), float("nan"))
            minute = len(self.memory_mb) * every_s / 60
            self.rows.append([f"{minute:g}", f"{self.memory_mb[-1]:.1f}", f"{p50:.0f}", f"{p95:.0f}", *shares])
            console.print("  " + " | ".join(self.rows[-1]), highlight=False)

    @property
    def growth_mb(self) -> float:
        """In the last two thirds: what is loaded and compiled once is there by then."""
        return self.memory_mb[-1] - self.memory_mb[len(self.memory_mb) // 3] if len(self.memory_mb) > 3 else 0.0


async def soak(bench: Bench, carrier: str, minutes: float, console: Console) -> tuple[int, str]:
    """One call of some minutes at 2 % loss; exit code and the tables for the page."""
    read = Minutes()
    reading = asyncio.create_task(read.read(minutes * 6, console))
    weather = Condition("soak, loss 2 %", Impairment(loss=0.02, delay_ms=20, jitter_ms=5))
    result = await bench.run(Row(weather), carrier, minutes * 60, read.shown)
    reading.cancel()
    row = cells_of(result.condition, result)
    console.print(table_of(f"soak, {minutes:g} minutes", [row]))
    console.print(f"memory in the last two thirds: {read.growth_mb:+.1f} MB")
    text = markdown_of(f"One call of {minutes:g} minutes", [row])
    text += "\n| minute | memory MB | picture p50 ms | p95 ms | exact % | frozen % |\n|---|---|---|---|---|---|\n"
    text += "\n".join(f"| {' | '.join(cells)} |" for cells in read.rows)
    text += f"\n\nMemory in the last two thirds: {read.growth_mb:+.1f} MB.\n"
    return (0 if read.growth_mb < 5 else 1), text


async def main_async(arguments: argparse.Namespace) -> int:
    console = Console(width=200)
    loaded = open_engine(arguments.model, threads=arguments.threads)
    frames = read_frames(arguments.source, loaded.config.picture_size, arguments.frames)
    engine, here = TracedEngine(loaded, frames, arguments.generate), machine()
    speech_from = arguments.speech or arguments.source
    bench = Bench(engine, frames, read_speech(speech_from), arguments)
    console.print(f"{here}; {engine.description}; {len(frames)} frames of {arguments.source.name}")
    what = (
        f"model {engine.name}; {arguments.source.name}, {len(frames)} frames there and back; speech {speech_from.name}"
    )
    if arguments.soak:
        code, text = await soak(bench, arguments.carriers[0], arguments.soak, console)
        if arguments.update:
            update(arguments.update, "soak", f"{here}; {what}.\n\n{text}")
        return code
    kept: list[dict[str, object]] = []
    text = ""
    for carrier in arguments.carriers:
        rows = []
        for row in ROWS:
            if arguments.only and not any(part in row.name for part in arguments.only):
                continue
            try:
                result = await bench.run(row, carrier, arguments.seconds)
            except ClosedError as error:
                rows.append([row.name, f"ended: {error}", *["-"] * (len(COLUMNS) - 2)])
                continue
            rows.append(cells_of(row.name, result))
            kept.append({"carrier": carrier, **asdict(result)})
            console.print("  " + " | ".join(rows[-1]), highlight=False)
            if arguments.json:
                arguments.json.write_text(json.dumps(kept, indent=1) + "\n")
        console.print(table_of(f"{CARRIERS[carrier][1]} ({arguments.seconds:g} s a row, wire in kbit/s)", rows))
        text += markdown_of(CARRIERS[carrier][1], rows) + "\n"
    if arguments.update:
        heading = f"{here}; {what}; {arguments.seconds:g} s a row, wire in kbit/s.\n\n"
        update(arguments.update, "measured tables", heading + text)
    return 0


def update(page: Path, what: str, text: str) -> None:
    """Put the tables between the page's marks with this name."""
    begin, end = f"<!-- {what}: begin -->", f"<!-- {what}: end -->"
    before, rest = page.read_text().split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}\n{text.rstrip()}\n{end}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source", type=Path, default=sample_path(), help="a talking head")
    parser.add_argument("--speech", type=Path, help="a file with speech; else the source's own sound")
    parser.add_argument("--frames", type=int, default=300, help="of the source, played there and back")
    parser.add_argument("--carriers", nargs="+", choices=list(CARRIERS), default=list(CARRIERS))
    parser.add_argument("--only", nargs="+", help="rows whose name contains one of these")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured a row")
    parser.add_argument("--warm-up", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--generate", action="store_true", help="generate the pictures too: measures this machine")
    parser.add_argument("--soak", type=float, metavar="MINUTES", default=0.0, help="one long call instead")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--update", type=Path, metavar="PAGE", help="put the tables between the marks of this page")
    return asyncio.run(main_async(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
