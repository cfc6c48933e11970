"""A stream that falls from base pictures to motion: PSNR around the fall, and how far the first motion picture jumps.

python benchmarks/fall.py CLIP... [--bitrate KBPS] [--at SECONDS]...

Base pictures at the rate until each time, then the motion rung. Shown twice: as `Decoder` does, and with the keyframe
animated at once. Short clips go on backwards. No loss, keyframes held at once.
"""

from collections.abc import Iterator
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from eval.metrics.fidelity import psnr_db
from talkcodec.clock import CLOCK_HZ, ticks
from talkcodec.codec import Decoder, Encoder, EncoderConfig, Rung
from talkcodec.codec.ladder import config_for_rate
from talkcodec.codec.timeline import TimedDrive, fill_in
from talkcodec.convert import crop_frames
from talkcodec.media import MediaReader
from talkcodec.runtime import Engine, open_engine
from talkcodec.types import FloatArray, Picture

MOTION_BPS = 2500
AFTER_S = (0, 0.04, 0.2, 0.5, 1, 1.5, 2, 3, 5)
"""Behind the first motion picture."""

app = typer.Typer(pretty_exceptions_enable=False)


def drives(encoder: Encoder, decoder: Decoder, pictures: list[Picture], fps: float, fall: int) -> Iterator[TimedDrive]:
    """What drives the units' pictures; motion from the picture of this number on."""
    for number, picture in enumerate(pictures):
        if number == fall:
            encoder.aim(MOTION_BPS, Rung.MOTION)
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
    engine: Engine, pictures: list[Picture], fps: float, fall: int, bitrate_bps: float
) -> tuple[list[float], ...]:
    """As shown, and with the keyframe at once: PSNR in dB of the instant before the fall and at AFTER_S; last in each
    the first motion picture against the one before it."""
    start = config_for_rate(bitrate_bps, EncoderConfig(acknowledged=True), engine.config.picture_size)
    encoder, decoder = Encoder(engine, start), Decoder(engine)
    encoder.aim(bitrate_bps)
    shown: dict[int, Picture] = {}
    keyframe: dict[int, Picture] = {}
    for each in fill_in(drives(encoder, decoder, pictures, fps, fall), round(CLOCK_HZ / fps)):
        number = round(each.timestamp * fps / CLOCK_HZ)
        shown[number] = decoder.generate(each.reference, each.drive)
        based = each.drive.base is not None
        keyframe[number] = shown[number] if based else engine.generate(each.reference.prepared, each.drive)
    encoder.close()
    instants = [fall - 1, *(fall + round(after_s * fps) for after_s in AFTER_S)]
    rows = []
    for film in (shown, keyframe):
        against = [psnr_db(unit(pictures[number]), unit(film[number])) for number in instants]
        rows.append([*against, psnr_db(unit(film[fall - 1]), unit(film[fall]))])
    return tuple(rows)


def unit(picture: Picture) -> FloatArray:
    """In [0, 1]."""
    return np.asarray(picture, np.float32) / np.float32(255)


@app.command()
def run(
    clips: list[Path],
    bitrate: Annotated[float, typer.Option(help="Of the base pictures' rung, kbit/s.")] = 8,
    at: Annotated[list[float], typer.Option(help="When it falls, seconds.")] = [3, 4, 5],  # noqa: B006
) -> None:
    """Print a line for each fall and way, then the means."""
    engine = open_engine(threads=2)
    totals: tuple[list[list[float]], ...] = ([], [])
    print("clip, fall, way: before |", *AFTER_S, "s | the first against the one before it")
    for clip in clips:
        with MediaReader(clip) as reader:
            fps = reader.info.fps or 25.0
            cut = [
                picture.picture for _, picture in islice(crop_frames(reader, engine.config.picture_size, False), 1000)
            ]
        for fall_s in at:
            fall = round(fall_s * fps)
            count = fall + round(AFTER_S[-1] * fps) + 1
            pictures = list(islice(cycle(chain(cut, cut[-2:0:-1])), count))
            for way, row, total in zip(
                ("shown", "keyframe"), measure(engine, pictures, fps, fall, bitrate * 1000), totals, strict=True
            ):
                total.append(row)
                print(clip.stem, fall_s, way, *(f"{value:.1f}" for value in row), flush=True)
    for way, total in zip(("shown", "keyframe"), totals, strict=True):
        print("mean", way, *(f"{value:.2f}" for value in np.mean(total, axis=0)))


if __name__ == "__main__":
    app()
