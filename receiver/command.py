"""talkcodec receive, python -m receiver"""

import sys
from typing import Annotated

import typer

from talkcodec.command.options import (
    DEFAULT_MODEL,
    CarrierOption,
    EngineKind,
    EngineOption,
    IceServerOption,
    ModelOption,
    QuietOption,
    StatsOption,
    ThreadsOption,
    VerboseOption,
    ice_servers,
    open_model,
    threads_for,
)

__all__ = ["receive"]


def receive(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any.")] = 8088,
    key: Annotated[str, typer.Option(envvar="TALKCODEC_KEY", help="Key that callers need; else made up.")] = "",
    cert: Annotated[str | None, typer.Option(help="Certificate (PEM), for https.")] = None,
    cert_key: Annotated[str | None, typer.Option(help="Its private key (PEM).")] = None,
    sink: Annotated[str, typer.Option(help="none, window, virtual-camera, or FILE.mp4.", metavar="SINK")] = "window",
    sound: Annotated[bool, typer.Option(help="Keep the sound in the file.")] = True,
    model: ModelOption = DEFAULT_MODEL,
    engine: EngineOption = EngineKind.auto,
    threads: ThreadsOption = None,
    carrier: CarrierOption = "auto",
    ice_server: IceServerOption = None,
    once: Annotated[bool, typer.Option(help="End after the first call.")] = False,
    stats: StatsOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Wait for a sender and show its face, one way.

    Exit codes: 0 done (--once), 1 failed, 2 wrong usage, 4 the sender is gone (--once), 5 the two ends do not fit
    together (--once), 130 interrupted.
    """
    from receiver.program import ReceiveOptions, ReceiveProgram
    from talkcodec.command.console import run_program, started_as
    from talkcodec.command.exits import ExitCode
    from talkcodec.media.sinks import open_sink
    from talkcodec.peer.config import PeerConfig
    from talkcodec.peer.signalling import WhipConfig, WhipServer

    options = ReceiveOptions(
        whip=WhipConfig(host=host, port=port, key=key, cert=cert, key_file=cert_key),
        ice_servers=ice_servers(ice_server),
        peer=PeerConfig(carrier=carrier),
        once=once,
        stats=stats,
        quiet=quiet,
    )
    loaded = open_model(model, engine, threads or threads_for(generates=True))
    opened = open_sink(sink, sound, loaded.config.picture_size)

    def started(whip: WhipServer) -> None:
        caller = started_as("sender", "send")
        sys.stdout.write(f"waiting at {whip.url}\ncall with: {caller} {whip.url} --key {whip.key}\n")
        sys.stdout.flush()

    async def run() -> ExitCode:
        return await ReceiveProgram(loaded, opened, options).run(started)

    raise typer.Exit(run_program(run, verbose))
