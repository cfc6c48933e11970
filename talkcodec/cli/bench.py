"""talkcodec bench"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.cli.common import print_json
from talkcodec.command.options import DEFAULT_MODEL, EngineKind, EngineOption, JsonOption, ModelOption, ThreadsOption

if TYPE_CHECKING:
    from talkcodec.bitstream import CodedUnit
    from talkcodec.runtime import Engine

__all__ = ["bench"]


class PrecisionKind(str, Enum):  # noqa: UP042  (typer prints the values of a str Enum)
    """What the networks compute in."""

    f32 = "f32"
    bf16 = "bf16"
    int8 = "int8"


def bench(
    model: ModelOption = DEFAULT_MODEL,
    engine: EngineOption = EngineKind.auto,
    frames: Annotated[int, typer.Option(min=2, help="Frames that are timed, after a warm-up.")] = 100,
    threads: ThreadsOption = None,
    precision: Annotated[
        PrecisionKind, typer.Option(help="bf16 is about twice as fast where the processor has it.")
    ] = PrecisionKind.f32,
    calibration: Annotated[
        Path | None, typer.Option(help="Of int8: a video, or a folder of them; the default is the embedded sample.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Time a model on this machine.

    Median and 95th percentile in ms, frames a second, GFLOP, memory.
    detect, encode_reference and generate are the networks alone; encode and decode are the whole codec on the
    embedded sample; "beside" is both directions of a call at once.
    """
    from talkcodec.runtime.bench import format_report, run_bench

    report = run_bench(
        model,
        engine.value,
        threads=threads,
        precision=precision.value,
        calibration=calibration,
        calls=frames,
        workloads=_codec_workloads,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        typer.echo(format_report(report))


def _codec_workloads(engine: "Engine") -> Mapping[str, Callable[[], object]]:
    """Whole encode and decode, a picture a call, of the sample in a loop, without its face crop."""
    import cv2

    from talkcodec.bitstream import units_of
    from talkcodec.codec import Decoder, Encoder, EncoderConfig, accept_hello, hello_for
    from talkcodec.coding import UnitReader, UnitWriter
    from talkcodec.media import MediaReader
    from talkcodec.sample import sample_path

    size = engine.config.picture_size
    with MediaReader(sample_path()) as reader:
        frames = [cv2.resize(frame.picture, (size, size), interpolation=cv2.INTER_AREA) for frame in reader]
    pictures, timestamps = cycle(frames), count(step=3600)
    config = EncoderConfig()
    hello = hello_for(engine, config)
    encoder, decoder = Encoder(engine, config), Decoder(engine, accept_hello(engine, hello))
    writer, parser = UnitWriter(hello, encoder.held), UnitReader(hello, decoder.held)
    coded: deque[tuple[bytes | None, CodedUnit]] = deque()

    def encode() -> None:
        unit = encoder.encode(next(pictures).astype("uint8", copy=False), next(timestamps))
        keyframe = writer.keyframe(unit.keyframe) if unit.keyframe else None
        writer.add(unit)
        bundle = writer.take()
        assert bundle is not None
        writer.acknowledge_unit(bundle.sequence)
        coded.extend((keyframe, each) for each in units_of(bundle, unit.timestamp, hello.time_base))

    def decode() -> None:
        keyframe, unit = coded.popleft()
        if keyframe is not None:
            decoder.hold(parser.keyframe(keyframe))
        decoder.decode(parser.unit(unit))

    for _ in range(5):  # so that decode finds units when it runs beside encode
        encode()
    return {"encode": encode, "decode": decode}
