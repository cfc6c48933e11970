"""The command line: `talkcodec eval COMMAND`, `python -m eval COMMAND`. Each calls a module beside it."""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table as ConsoleTable

from talkcodec.command.apps import new_app
from talkcodec.command.exits import run_app
from talkcodec.command.options import JsonOption
from talkcodec.errors import TalkcodecError, UsageError
from talkcodec.model.config import DEFAULT_MODEL

if TYPE_CHECKING:
    from eval.points import Point
    from eval.rd import RunConfig
    from eval.report.tables import Table

__all__ = ["app", "main"]

app = new_app("Measure rate and quality, beside conventional codecs.", no_args_is_help=True)

ModelsOption = Annotated[Path | None, typer.Option("--models", help="Folder with local instrument files.")]
LandmarksOption = Annotated[
    str | None, typer.Option(help="Landmark instrument: mesh68, face-alignment, none. Else mesh68 where it is there.")
]
IdentityOption = Annotated[
    str | None, typer.Option(help="Identity instrument: mobilefacenet, none. Else mobilefacenet where it is there.")
]


def main() -> None:
    """Run the command line; errors are one sentence and an exit code, as of every program (talkcodec.command)."""
    run_app(app)


@app.callback()
def extra() -> None:
    missing = [name for name in ("matplotlib", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"talkcodec eval needs {' and '.join(missing)}: pip install 'talkcodec[eval]'")


@app.command()
def models(models: ModelsOption = None, as_json: JsonOption = False) -> None:
    """Say which instruments are there, and how to get the others."""
    from eval.instruments import available

    if as_json:
        print(json.dumps([row._asdict() for row in available(models)], indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)  # a pipe has no width to which an address should be cut
    table = ConsoleTable("instrument", "measures", "")
    table.add_column("where", overflow="fold")
    for row in available(models):
        table.add_row(row.name, row.measures, "yes" if row.usable else "no", row.detail)
    console.print(table)


@app.command()
def score(
    reference: Annotated[Path, typer.Option(help="The true clip: a video, or .npy of (T, H, W, 3).")],
    generated: Annotated[list[Path], typer.Option(help="A clip to compare with it; may be given several times.")],
    models: ModelsOption = None,
    landmarks: LandmarksOption = None,
    identity: IdentityOption = None,
    identity_every: Annotated[int, typer.Option(min=1, help="Embed each n-th frame only.")] = 1,
    frames: Annotated[int | None, typer.Option(min=1, help="Compare the first frames only.")] = None,
) -> None:
    """Score generated clips against the true one; one JSON line each."""
    from eval.clips import read_clip
    from eval.instruments import open_instruments
    from eval.metrics import observe, score_clip

    instruments = open_instruments(models, *_choose(models, landmarks, identity))
    truth = read_clip(reference, frames)
    seen = observe(truth.frames, instruments, identity_every)
    for path in generated:
        made = read_clip(path, frames)
        scores = score_clip(truth.frames, made.frames, instruments, identity_every=identity_every, reference=seen)
        print(json.dumps({"reference": str(reference), "generated": str(path), **scores.to_dict()}))


@app.command()
def rd(
    clips: Annotated[list[Path], typer.Argument(help="Clips, or folders of clips.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Results, one JSON line each; finished ones are skipped.")
    ],
    point: Annotated[
        list[str] | None,
        typer.Option(help="floor, anchors, talkcodec, quick, or CODEC:setting=value,...; may be given several times."),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=2, help="Measure the first frames of each clip only.")] = None,
    size: Annotated[int, typer.Option(help="Pictures are scaled to this size.")] = 256,
    processes: Annotated[int, typer.Option(min=1, help="Clips side by side.")] = 1,
    ray: Annotated[str | None, typer.Option(help='Address of a Ray cluster, or "local".')] = None,
    models: ModelsOption = None,
    landmarks: LandmarksOption = None,
    identity: IdentityOption = None,
    identity_every: Annotated[int, typer.Option(min=1, help="Embed each n-th frame only.")] = 5,
    loop: Annotated[
        float, typer.Option(metavar="SECONDS", help="Play each clip forwards and backwards for so long; 0: once.")
    ] = 0.0,
    round_trip: Annotated[
        str | None,
        typer.Option(metavar="100ms", help="Measure talkcodec also as in a call with this round trip."),
    ] = None,
    compressai: Annotated[
        Path | None, typer.Option(help="Also write one CompressAI result file a curve, here.")
    ] = None,
) -> None:
    """Measure clips: rate, fidelity, landmarks, identity.

    Can be interrupted and started again.
    """
    from eval.clips import find_clips
    from eval.instruments import open_instruments
    from eval.points import parse_points, with_round_trip
    from eval.rd import RunConfig
    from eval.rows import load_rows

    points = parse_points(point or ["floor", "anchors", "talkcodec"])
    if round_trip is not None:
        points = with_round_trip(points, round_trip)
    chosen = _choose(models, landmarks, identity)
    open_instruments(models, *chosen)  # fail now, not in each process
    config = RunConfig(frames, size, models, *chosen, identity_every, loop)
    _measure(find_clips(clips), points, config, output, processes, ray)
    if compressai is not None:
        from eval.compressai import export

        for path in export(load_rows([output]), compressai):
            Console(stderr=True).print(f"wrote {path}")


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Files of `eval rd`; several are put together.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The page, one HTML file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also the tables as Markdown.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Also each figure as SVG and PNG, into this folder.")] = None,
    clips: Annotated[list[Path] | None, typer.Option(help="Clips or folders, for film strips.")] = None,
    strip: Annotated[
        list[str] | None,
        typer.Option(help="Film strip of this clip, or of best,median,worst, in the Markdown too."),
    ] = None,
    subject: Annotated[str, typer.Option(help="Label of the point that break-even and clip tables speak of.")] = "",
    calls: Annotated[list[Path] | None, typer.Option(help="Files of `eval call`.")] = None,
    command: Annotated[list[str] | None, typer.Option(help="How the results were made; shown beside them.")] = None,
    models: ModelsOption = None,
) -> None:
    """Make a page, tables and figures from results."""
    from eval.instruments import choose_instruments, open_instruments
    from eval.report import ReportConfig, build_report
    from eval.rows import load_rows

    if output is None and markdown is None and figures is None:
        raise UsageError("nothing to write: name at least one of --output, --markdown, --figures")
    extra: tuple[Table, ...] = ()
    if calls:
        from eval.call import call_table, load_calls

        extra = (call_table(load_calls(calls)),)
    landmarks = None
    if clips:
        landmarks = open_instruments(models, choose_instruments(models, None, "none").landmarks, "none").landmarks
        if landmarks is None:
            Console(stderr=True).print("film strips without close-ups: no landmark instrument (talkcodec eval models)")
    config = ReportConfig(
        html=output,
        markdown=markdown,
        figures=figures,
        clips=tuple(clips or ()),
        strips=tuple(name for names in strip or () for name in names.split(",")),
        commands=tuple(command or ()),
        subject=subject,
        landmarks=landmarks,
        extra=extra,
    )
    for path in build_report(load_rows(results), config):
        Console(stderr=True).print(f"wrote {path}")


@app.command()
def ablation(
    clips: Annotated[list[Path], typer.Argument(help="Clips, or folders of clips.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Results, one JSON line each; finished ones are skipped.")
    ],
    model: Annotated[str, typer.Option(help="Default model: a shipped name or a file.")] = DEFAULT_MODEL,
    models_dir: Annotated[Path | None, typer.Option(help="Compare each *.safetensors of this folder too.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
    frames: Annotated[int | None, typer.Option(min=2, help="Measure the first frames of each clip only.")] = None,
    size: Annotated[int, typer.Option(help="Pictures are scaled to this size.")] = 256,
    processes: Annotated[int, typer.Option(min=1, help="Clips side by side.")] = 1,
    models: ModelsOption = None,
    landmarks: LandmarksOption = None,
    identity: IdentityOption = None,
    identity_every: Annotated[int, typer.Option(min=1, help="Embed each n-th frame only.")] = 5,
) -> None:
    """Measure what each switch of codec and model is worth."""
    from eval.ablation import ablation_table, switches
    from eval.clips import find_clips
    from eval.rd import RunConfig
    from eval.rows import load_rows

    measured = switches(model, models_dir)
    config = RunConfig(frames, size, models, *_choose(models, landmarks, identity), identity_every)
    _measure(find_clips(clips), [switch.point for switch in measured], config, output, processes, None)
    text = ablation_table(load_rows([output]), measured).markdown()
    if markdown is not None:
        markdown.write_text(text, encoding="utf-8")
    print(text)


@app.command()
def call(
    clip: Annotated[Path, typer.Argument(help="The clip that is sent, there and back.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Results, one JSON line a call; those there are kept.")
    ],
    model: Annotated[str, typer.Option(help="A shipped model's name, or a file.")] = DEFAULT_MODEL,
    seconds: Annotated[float, typer.Option(min=2, help="Measured of each call, after 5 s of warm-up.")] = 10.0,
    frames: Annotated[int, typer.Option(min=2, help="First frames of the clip that are sent.")] = 150,
    only: Annotated[list[str] | None, typer.Option(help="Networks whose name contains this.")] = None,
    models: ModelsOption = None,
    landmarks: LandmarksOption = None,
    identity: IdentityOption = None,
    seed: Annotated[int, typer.Option(help="Of the network's losses.")] = 1,
) -> None:
    """Hold live calls over bad networks and score them."""
    from dataclasses import asdict

    from eval.call import CONDITIONS, MODES, call_table, load_calls, measure_call
    from eval.clips import read_clip
    from eval.instruments import open_instruments
    from talkcodec.runtime import open_engine

    instruments = open_instruments(models, *_choose(models, landmarks, identity))
    engine = open_engine(model, threads=1)
    sent = read_clip(clip, frames, engine.config.picture_size)
    chosen = [c for c in CONDITIONS if not only or any(part in c.name for part in only)]
    console = Console(stderr=True)
    for mode in MODES:
        for condition in chosen:
            console.print(f"{mode}, {condition.name}: {seconds:g} s", highlight=False)
            try:
                row = measure_call(engine, sent, condition, mode, instruments, seconds, seed)
            except TalkcodecError as error:
                console.print(f"not measured: {mode}, {condition.name}: {error}", style="yellow", markup=False)
                continue
            with output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
    print(call_table(load_calls([output])).markdown())


def _choose(models: Path | None, landmarks: str | None, identity: str | None) -> tuple[str, str]:
    """Names of the instruments to use; says once what is not measured, and how to get what it needs."""
    from eval.instruments import choose_instruments

    choice = choose_instruments(models, landmarks, identity)
    for lack in choice.missing:
        Console(stderr=True).print(lack, style="yellow", markup=False, highlight=False, soft_wrap=True)
    return choice.landmarks, choice.identity


def _measure(
    paths: list[Path], points: "list[Point]", config: "RunConfig", output: Path, processes: int, ray: str | None
) -> None:
    """Run what is not measured yet with a progress bar; name and count what failed."""
    from eval.rd import pending_jobs, run

    jobs = pending_jobs(paths, points, output, {config.landmarks, config.identity} - {"none"})
    console = Console(stderr=True)
    console.print(f"{len(paths)} clips x {len(points)} points: {len(jobs)} to measure, the rest is in {output}")
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    failed = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("measuring", total=len(jobs))
        for row in run(jobs, config, output, processes, ray):
            progress.advance(task)
            if row.error:
                failed.append(row)
    for row in failed:
        console.print(f"not measured: {row.clip}, {row.label}: {row.error}", style="yellow", markup=False)
    if failed:
        console.print(f"{len(failed)} of {len(jobs)} measurements failed; they run again with the same command")
