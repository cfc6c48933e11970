"""talkcodec info"""

from pathlib import Path
from typing import Annotated

import typer

from talkcodec.errors import BitstreamError, MediaError

__all__ = ["info"]

_BARS = " ▁▂▃▄▅▆▇█"


def info(source: Annotated[Path, typer.Argument(metavar="FILE.tkc", help="A recording.")]) -> None:
    """Show what is inside a recording: parameters, units, bytes by class, rate over time.

    Needs no model. A recording that is cut is shown up to the cut, with exit code 1.
    """
    from talkcodec.bitstream import Layer, RecordedAudio, RecordingReader
    from talkcodec.clock import CLOCK_HZ

    try:
        file = source.open("rb")
    except OSError as error:
        raise MediaError(f"cannot read {source}: {error.strerror or error}") from error
    with file:
        reader = RecordingReader(file)
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
    hello = reader.header.hello
    frame_s = (reader.header.frame_ticks or 3600) / CLOCK_HZ
    duration_s = (last - first) / CLOCK_HZ + frame_s if first is not None and last is not None else 0.0
    typer.echo(f"{source}: {duration_s:.2f} s, {len(sizes['motion'] + sizes['base'])} units, {total} bytes")
    typer.echo(f"made by   {hello.creator or 'unknown'}, protocol {hello.protocol_version}")
    typer.echo(
        f"model     {reader.header.model_name or 'unnamed'} ({hello.model_hash.hex()}), "
        f"{hello.picture_size}x{hello.picture_size}, {hello.keypoints} keypoints"
        f"{', Jacobians' if hello.jacobians else ''}"
    )
    typer.echo(
        f"coding    table {hello.table_id}, steps {hello.steps.keypoint_step} and {hello.steps.jacobian_step} of 1/4096"
    )
    if reader.header.generated_face:
        typer.echo("note      the faces that a decoder shows are generated")
    typer.echo("\nclass       units     bytes   share    kbit/s  median   max")
    rest = total - sum(sum(values) for values in sizes.values())
    for name, values in sizes.items():
        _row(name, len(values), sum(values), total, duration_s, sorted(values))
    _row("envelope", None, rest, total, duration_s, [])
    _row("all", None, total, total, duration_s, [])
    if picture_bytes_in:
        _plot(picture_bytes_in)
    if reader.problem is not None:
        raise BitstreamError(f"{source}: {reader.problem}; shown is what stands before")


def _row(name: str, units: int | None, size: int, total: int, duration_s: float, values: list[int]) -> None:
    rate = f"{8e-3 * size / duration_s:9.2f}" if duration_s else "        -"
    spread = f"{values[len(values) // 2]:7} {values[-1]:6}" if values else ""
    count = "" if units is None else str(units)
    typer.echo(f"{name:10} {count:>6} {size:9} {size / total:7.1%} {rate} {spread}".rstrip())


def _plot(bytes_in: dict[int, int]) -> None:
    """One bar a second, or fewer where the line would be longer than 60."""
    last = max(bytes_in)
    width = -(-(last + 1) // 60)
    rates = [0.0] * (last // width + 1)
    for second, count in bytes_in.items():
        bar = second // width
        rates[bar] += 8e-3 * count / min(width, last + 1 - bar * width)
    highest = max(rates) or 1.0
    bars = "".join(_BARS[min(8, max(1, round(8 * rate / highest)))] if rate else " " for rate in rates)
    typer.echo(f"\npicture rate, one bar {f'{width} s' if width > 1 else 'a second'}, highest {highest:.1f} kbit/s")
    typer.echo(f"|{bars}|")
