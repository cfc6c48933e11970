"""python -m receiver"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from talkcodec.errors import TalkcodecError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any.")] = 8088,
    key: Annotated[str, typer.Option(envvar="TALKCODEC_KEY", help="Key that callers need; else made up.")] = "",
    cert: Annotated[str | None, typer.Option(help="Certificate (PEM), for https.")] = None,
    cert_key: Annotated[str | None, typer.Option(help="Its private key (PEM).")] = None,
    sink: Annotated[str, typer.Option(help="none, window, virtual-camera, or FILE.mp4.", metavar="SINK")] = "window",
    sound: Annotated[bool, typer.Option(help="Keep the sound in the file.")] = True,
    model: Annotated[str, typer.Option(help="A model's name or .safetensors file.")] = "lite-256",
    engine: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the engine.")] = None,
    ice_server: Annotated[
        list[str] | None, typer.Option(help="stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD; may be repeated.")
    ] = None,
    once: Annotated[bool, typer.Option(help="End after the first call.")] = False,
    stats: Annotated[Path | None, typer.Option(help="Write one JSON line a second to this file.")] = None,
    quiet: Annotated[bool, typer.Option(help="No status line.")] = False,
    verbose: Annotated[bool, typer.Option(help="Log everything, for finding faults.")] = False,
) -> None:
    """Wait for a sender and show its face.

    Exit codes: 0 done (--once), 1 failed, 2 wrong usage, 4 the sender is gone (--once), 5 the two ends do not fit
    together (--once), 130 interrupted.
    """
    from receiver.app import ReceiverApp, ReceiverOptions
    from talkcodec.media.sinks import open_sink
    from talkcodec.peer.console import ExitCode, exit_code_of, run_program
    from talkcodec.peer.link import IceServer
    from talkcodec.peer.signalling import WhipConfig, WhipServer
    from talkcodec.runtime import open_engine

    try:
        options = ReceiverOptions(
            whip=WhipConfig(host=host, port=port, key=key, cert=cert, key_file=cert_key),
            ice_servers=tuple(IceServer.parse(text) for text in ice_server or ()),
            once=once,
            stats=stats,
            quiet=quiet,
        )
        loaded = open_engine(model, engine=engine, threads=threads)  # type: ignore[arg-type]
        opened = open_sink(sink, sound, loaded.config.picture_size)
    except TalkcodecError as error:
        sys.stderr.write(f"error: {error}\n")
        raise typer.Exit(exit_code_of(error)) from None

    def started(whip: WhipServer) -> None:
        sys.stdout.write(f"waiting at {whip.url}\ncall with: python -m sender {whip.url} --key {whip.key}\n")
        sys.stdout.flush()

    async def run() -> ExitCode:
        return await ReceiverApp(loaded, opened, options).run(started)

    raise typer.Exit(run_program(run, verbose))


if __name__ == "__main__":
    app()
