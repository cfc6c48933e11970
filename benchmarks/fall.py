"""A stream that falls from base pictures to motion, or rises from it: PSNR around the change, and how far it jumps.

python benchmarks/fall.py CLIP... [--up] [--bitrate KBPS] [--at SECONDS]...

Base pictures at the rate until each time, then the motion rung; with --up the other way round. Shown twice: as
`Decoder` does, and at once, each picture of its own drive and reference. Short clips go on backwards. No loss,
keyframes held at once.
"""

from collections.abc import Iterator
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from eval.clips import as_unit
from eval.metrics.fidelity import psnr_db
from talkcodec.clock import CLOCK_HZ, ticks
from talkcodec.codec import Decoder, Encoder, EncoderConfig, Rung
from talkcodec.codec.ladder import config_for_rate
from talkcodec.codec.timeline import TimedDrive, fill_in
from talkcodec.convert import crop_frames
from talkcodec.media import MediaReader
from talkcodec.runtime import Engine, open_engine
from talkcodec.types import Picture

MOTION_BPS = 2500
AROUND_FALL_S = (-0.04, 0, 0.04, 0.2, 0.5, 1, 1.5, 2, 3, 5)
AROUND_RISE_S = (-0.2, -0.12, -0.04, 0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.32, 0.5)
"""From the first picture of the other rung on."""

SPARE_S = 0.25
"""Behind these: what lies between two units needs the second."""

app = typer.Typer(pretty_exceptions_enable=False)


def drives(
    encoder: Encoder, decoder: Decoder, pictures: list[Picture], fps: float, turn: int, bitrate_bps: float, up: bool
) -> Iterator[TimedDrive]:
    """What drives the units' pictures, of the other rung from the picture of this number on."""
    for number, picture in enumerate(pictures):
        if number in (0, turn):
            encoder.aim(*((bitrate_bps, None) if (number == turn) == up else (MOTION_BPS, Rung.MOTION)))
        if number and not encoder.wants(ticks(number / fps)):
            continue
        unit = encoder.encode(picture, ticks(number / fps))
        if unit.keyframe is not None:
            decoder.hold(unit.keyframe)
            encoder.held.hold(unit.keyframe.reference_id)
        if unit.base is not None:
            encoder.look_back()
        yield TimedDrive(unit.timestamp, *decoder.drive(unit))


def measure(
    engine: Engine, pictures: list[Picture], fps: float, turn: int, bitrate_bps: float, up: bool
) -> dict[str, list[float]]:
    """PSNR in dB around the turn, as shown and at once, each picture against the captured one and against the picture
    shown before it."""
    start = config_for_rate(bitrate_bps, EncoderConfig(acknowledged=True), engine.config.picture_size)
    encoder, decoder = Encoder(engine, start), Decoder(engine)
    shown: dict[int, Picture] = {}
    at_once: dict[int, Picture] = {}
    instants = [turn + round(after_s * fps) for after_s in (AROUND_RISE_S if up else AROUND_FALL_S)]
    units = drives(encoder, decoder, pictures, fps, turn, bitrate_bps, up)
    for each in fill_in(units, round(CLOCK_HZ / fps)):
        number = round(each.timestamp * fps / CLOCK_HZ)
        if number < instants[0] - 1:
            continue
        shown[number] = decoder.generate(each.reference, each.drive)
        turned = (each.drive.base is not None) == up
        at_once[number] = engine.generate(each.reference.prepared, each.drive) if turned else shown[number]
    encoder.close()
    captured = dict(enumerate(pictures))
    return {
        "shown": _psnr_db(captured, shown, instants),
        "at once": _psnr_db(captured, at_once, instants),
        "step, shown": _psnr_db(shown, shown, instants, 1),
        "step, at once": _psnr_db(at_once, at_once, instants, 1),
        "step, captured": _psnr_db(captured, captured, instants, 1),
    }


def _psnr_db(a: dict[int, Picture], b: dict[int, Picture], instants: list[int], before: int = 0) -> list[float]:
    """Of the pictures of a at these instants, and those of b so many pictures before."""
    return [psnr_db(as_unit(a[number]), as_unit(b[number - before])) for number in instants]


@app.command()
def run(
    clips: list[Path],
    bitrate: Annotated[float, typer.Option(help="Of the base pictures' rung, kbit/s.")] = 8,
    at: Annotated[list[float], typer.Option(help="When it falls or rises, seconds.")] = [3, 4, 5],  # noqa: B006
    up: Annotated[bool, typer.Option("--up", help="From motion to base pictures.")] = False,
) -> None:
    """Print a line for each change and way, then the means."""
    engine = open_engine(threads=2)
    around_s = AROUND_RISE_S if up else AROUND_FALL_S
    totals: dict[str, list[list[float]]] = {}
    print("clip, when, way, PSNR in dB at", *around_s, "s")
    for clip in clips:
        with MediaReader(clip) as reader:
            fps = reader.info.fps or 25.0
            cut = [
                picture.picture for _, picture in islice(crop_frames(reader, engine.config.picture_size, False), 1000)
            ]
        for turn_s in at:
            turn = round(turn_s * fps)
            count = turn + round((around_s[-1] + SPARE_S) * fps)
            pictures = list(islice(cycle(chain(cut, cut[-2:0:-1])), count))
            for way, row in measure(engine, pictures, fps, turn, bitrate * 1000, up).items():
                totals.setdefault(way, []).append(row)
                print(clip.stem, turn_s, way, *(f"{value:.1f}" for value in row), flush=True)
    for way, rows in totals.items():
        print("mean", way, *(f"{value:.2f}" for value in np.mean(rows, axis=0)))


if __name__ == "__main__":
    app()
