"""talkcodec info"""

from pathlib import Path
from statistics import median_low
from typing import Annotated, Any

import typer

from talkcodec.cli.common import print_json
from talkcodec.command.options import JsonOption
from talkcodec.errors import BitstreamError, MediaError

__all__ = ["info"]

_BARS = " ▁▂▃▄▅▆▇█"


def info(
    source: Annotated[Path, typer.Argument(metavar="FILE.tkc", help="A recording.")], as_json: JsonOption = False
) -> None:
    """Show what is inside a recording.

    That is: parameters, units, bytes by class, rate over time. Needs no model. A recording that is
    cut is shown up to the cut, with exit code 1.
    """
    found = _read(source)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found["problem"] is not None:
        raise BitstreamError(f"{source}: {found['problem']}; shown is what stands before")


def _read(source: Path) -> dict[str, Any]:
    """What `--json` prints. Raises MediaError, BitstreamError."""
    from talkcodec.bitstream import Layer, RecordedAudio, RecordingReader
    from talkcodec.clock import CLOCK_HZ

    try:
        file = source.open("rb")
    except OSError as error:
        raise MediaError(f"cannot read {source}: {error.strerror or error}") from error
    with file:
        try:
            reader = RecordingReader(file)
        except BitstreamError as error:
            raise BitstreamError(f"{source}: {error}") from error
        sizes: dict[str, list[int]] = {"keyframes": [], "motion": [], "base": [], "sound": []}
        picture_bytes_in: dict[int, int] = {}  # by second
        first = last = None
        for record in reader:
            if isinstance(record, RecordedAudio):
                sizes["sound"] += [len(packet) for packet in record.packets]
                continue
            first = record.timestamp if first is None else first
            last = record.timestamp
            sizes["base" if record.layer is Layer.BASE else "motion"].append(len(record.payload))
            if record.keyframe is not None:
                sizes["keyframes"].append(len(record.keyframe))
            second = (record.timestamp - first) // CLOCK_HZ
            coded = len(record.payload) + len(record.keyframe or b"")
            picture_bytes_in[second] = picture_bytes_in.get(second, 0) + coded
        total = source.stat().st_size
    header, hello = reader.header, reader.header.hello
    frame_s = (header.frame_ticks or 3600) / CLOCK_HZ
    duration_s = (last - first) / CLOCK_HZ + frame_s if first is not None and last is not None else 0.0

    def kbps(size: int) -> float | None:
        return round(8e-3 * size / duration_s, 3) if duration_s else None

    def row(size: int, values: list[int] | None = None) -> dict[str, Any]:
        units = {} if values is None else {"units": len(values)}
        spread = {"median_bytes": median_low(values), "max_bytes": max(values)} if values else {}
        return {**units, "bytes": size, "kbps": kbps(size), **spread}

    seconds = max(picture_bytes_in, default=-1) + 1
    rest = total - sum(sum(values) for values in sizes.values())
    return {
        "file": str(source),
        "duration_s": round(duration_s, 3),
        "bytes": total,
        "creator": hello.creator or None,
        "protocol": hello.protocol_version,
        "model": header.model_name or None,
        "model_hash": hello.model_hash.hex(),
        "picture_size_px": hello.picture_size,
        "keypoints": hello.keypoints,
        "jacobians": hello.jacobians,
        "table": hello.table_id,
        "keypoint_step": hello.steps.keypoint_step,
        "jacobian_step": hello.steps.jacobian_step,
        "generated_face": header.generated_face,
        "classes": {
            **{name: row(sum(values), values) for name, values in sizes.items()},
            "envelope": row(rest),
            "all": row(total),
        },
        "picture_bytes_each_second": [picture_bytes_in.get(second, 0) for second in range(seconds)],
        "problem": None if reader.problem is None else str(reader.problem),
    }


def _show(found: dict[str, Any]) -> None:
    classes = found["classes"]
    units = classes["motion"]["units"] + classes["base"]["units"]
    typer.echo(f"{found['file']}: {found['duration_s']:.2f} s, {units} units, {found['bytes']} bytes")
    typer.echo(f"made by   {found['creator'] or 'unknown'}, protocol {found['protocol']}")
    typer.echo(
        f"model     {found['model'] or 'unnamed'} ({found['model_hash']}), {found['picture_size_px']}x"
        f"{found['picture_size_px']} px, {found['keypoints']} keypoints{', Jacobians' if found['jacobians'] else ''}"
    )
    typer.echo(
        f"coding    table {found['table']}, steps {found['keypoint_step']} and {found['jacobian_step']} of 1/4096"
    )
    if found["generated_face"]:
        typer.echo("note      the faces that a decoder shows are generated")
    typer.echo("\nclass       units     bytes   share    kbit/s  median B   max B")
    for name, row in classes.items():
        rate = "-" if row["kbps"] is None else f"{row['kbps']:.2f}"
        spread = f"{row['median_bytes']:9} {row['max_bytes']:7}" if "max_bytes" in row else ""
        share = row["bytes"] / found["bytes"]
        typer.echo(f"{name:10} {row.get('units', ''):>6} {row['bytes']:9} {share:7.1%} {rate:>9} {spread}".rstrip())
    if found["picture_bytes_each_second"]:
        _plot(found["picture_bytes_each_second"], found["duration_s"])


def _plot(bytes_each_second: list[int], duration_s: float) -> None:
    """One bar a second, or fewer where the line would be longer than 60."""
    seconds = len(bytes_each_second)
    width = -(-seconds // 60)
    chunks = [bytes_each_second[at : at + width] for at in range(0, seconds, width)]
    rates = [8e-3 * sum(chunk) / len(chunk) for chunk in chunks]
    highest = max(rates) or 1.0
    bars = "".join(_BARS[min(8, max(1, round(8 * rate / highest)))] if rate else " " for rate in rates)
    each = f"for each {width} s" if width > 1 else "a second"
    typer.echo(f"\npicture: a bar {each} from 0 to {duration_s:.0f} s, as high as 0 to {highest:.1f} kbit/s")
    typer.echo(f"|{bars}|")
