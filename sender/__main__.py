"""python -m sender URL"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from talkcodec.errors import TalkcodecError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    url: Annotated[str, typer.Argument(help="The receiver's address, as it printed it: http(s)://HOST:PORT/whip")],
    key: Annotated[str, typer.Option(envvar="TALKCODEC_KEY", help="The key that the receiver printed.")] = "",
    source: Annotated[
        str, typer.Option(help='"sample", "camera", "camera:1", or a video file.', metavar="SOURCE")
    ] = "camera",
    loop: Annotated[bool, typer.Option(help="Start a file again when it ends.")] = False,
    sound: Annotated[bool, typer.Option(help="Send sound too: the file's, or the microphone's.")] = True,
    microphone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Microphone; a camera takes the system's unless one is named.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model's name or .safetensors file.")] = "lite-256",
    engine: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the engine.")] = None,
    bundle: Annotated[int, typer.Option(min=0, max=4, help="Motion units a message; 0: automatic.")] = 0,
    motion_fps: Annotated[float, typer.Option(help="Motion frames a second; 0: automatic.")] = 0.0,
    budget: Annotated[int, typer.Option(help="Motion on the wire, both directions, bit/s.")] = 16_000,
    added_delay: Annotated[float, typer.Option(help="Delay that bundling may add, ms.")] = 80.0,
    still: Annotated[str, typer.Option(help="Coding of keyframes: av1, webp or jpeg.")] = "av1",
    keyframe_interval: Annotated[float, typer.Option(help="Seconds between keyframes; 0: by quality only.")] = 0.0,
    ice_server: Annotated[
        list[str] | None, typer.Option(help="stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD; may be repeated.")
    ] = None,
    ca: Annotated[str | None, typer.Option(help="Certificate (PEM) to trust for https.")] = None,
    give_up: Annotated[float, typer.Option(help="Seconds without a call before the program ends.")] = 60.0,
    seconds: Annotated[float, typer.Option(help="End the call after this time; 0: with the source.")] = 0.0,
    stats: Annotated[Path | None, typer.Option(help="Write one JSON line a second to this file.")] = None,
    quiet: Annotated[bool, typer.Option(help="No status line.")] = False,
    verbose: Annotated[bool, typer.Option(help="Log everything, for finding faults.")] = False,
) -> None:
    """Send a face to a receiver: a keyframe now and then, and a few motion bytes a frame.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (key, or busy), 4 the receiver is gone, 5 the two ends do
    not fit together, 130 interrupted.
    """
    from sender.app import SenderApp, SenderOptions
    from talkcodec.codec import EncoderConfig
    from talkcodec.media.sources import open_source
    from talkcodec.peer.console import ExitCode, exit_code_of, run_program
    from talkcodec.peer.link import IceServer
    from talkcodec.runtime import open_engine
    from talkcodec.session import RateConfig

    try:
        options = SenderOptions(
            url=url,
            key=key,
            ca_file=ca,
            ice_servers=tuple(IceServer.parse(text) for text in ice_server or ()),
            encoder=EncoderConfig(
                acknowledged=True, still=still, keyframe_interval_s=keyframe_interval or None
            ),
            rate=RateConfig(
                budget_bps=budget, bundle=bundle, motion_fps=motion_fps, max_added_delay_ms=added_delay
            ),
            sound=sound,
            give_up_s=give_up,
            seconds=seconds,
            stats=stats,
            quiet=quiet,
        )
        opened = open_source(source, loop, microphone if sound else "")
        loaded = open_engine(model, engine=engine, threads=threads)  # type: ignore[arg-type]
    except TalkcodecError as error:
        sys.stderr.write(f"error: {error}\n")
        raise typer.Exit(exit_code_of(error)) from None

    async def run() -> ExitCode:
        return await SenderApp(loaded, opened, options).run()

    code = run_program(run, verbose)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
