"""python -m call [LINK]"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from talkcodec.errors import TalkcodecError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    link: Annotated[
        str, typer.Argument(help="The link that you were given; without one, you get a link to give.")
    ] = "",
    listen: Annotated[str, typer.Option(help="Where peers can call; 0.0.0.0: from other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port where peers call; 0: any.")] = 0,
    cert: Annotated[str | None, typer.Option(help="Certificate (PEM): peers call by https.")] = None,
    cert_key: Annotated[str | None, typer.Option(help="Its private key (PEM).")] = None,
    public_url: Annotated[str, typer.Option(help="Address for peers before a tunnel: https://HOST/whip")] = "",
    ca: Annotated[str | None, typer.Option(help="Certificate (PEM) to trust when calling by https.")] = None,
    ice_server: Annotated[
        list[str] | None, typer.Option(help="stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD; may be repeated.")
    ] = None,
    page: Annotated[bool, typer.Option(help="Serve the page.")] = True,
    page_host: Annotated[
        str,
        typer.Option(
            help="Where the page is served; anything else than this machine needs "
            "--page-cert, and whoever has the address has your camera."
        ),
    ] = "127.0.0.1",
    page_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any.")] = 0,
    page_cert: Annotated[str | None, typer.Option(help="Certificate (PEM) of the page.")] = None,
    page_cert_key: Annotated[str | None, typer.Option(help="Its private key (PEM).")] = None,
    source: Annotated[
        str, typer.Option(help='A file instead of camera and microphone: "sample" or a path.', metavar="SOURCE")
    ] = "",
    demo: Annotated[bool, typer.Option("--demo", help="Both ends on this machine, with the embedded sample.")] = False,
    record_dir: Annotated[Path, typer.Option(help="Where recordings go.")] = Path(),
    compare: Annotated[bool, typer.Option(help="Measure what H.264 would need (1 ms a frame).")] = True,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    model: Annotated[str, typer.Option(help="A model's name or .safetensors file.")] = "lite-256",
    engine: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the engine.")] = None,
    verbose: Annotated[bool, typer.Option(help="Log everything, for finding faults.")] = False,
) -> None:
    """Call somebody, or wait for a call, in the browser: only keypoints and sound cross the network.

    Open the page that is printed. Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
    from call.options import CallOptions, Invitation, PageOptions
    from call.program import Program, ProgramOptions
    from talkcodec.peer.console import ExitCode, exit_code_of, run_program
    from talkcodec.peer.link import IceServer
    from talkcodec.peer.signalling import WhipConfig
    from talkcodec.runtime import open_engine

    try:
        call_options = CallOptions(
            invitation=Invitation.parse(link) if link else None,
            whip=WhipConfig(host=listen, port=port, cert=cert, key_file=cert_key),
            public_url=public_url,
            ca_file=ca,
            ice_servers=tuple(IceServer.parse(text) for text in ice_server or ()),
            compare=compare,
            record_dir=record_dir,
        )
        page_options = PageOptions(page_host, page_port, cert=page_cert, key_file=page_cert_key)
        guest = ("--model", model, "--engine", engine) + (("--threads", str(threads)) if threads else ())
        options = ProgramOptions(
            call_options, page_options if page else None, source, guest if demo else None, open_page
        )
        loaded = open_engine(model, engine=engine, threads=threads)  # type: ignore[arg-type]
    except TalkcodecError as error:
        sys.stderr.write(f"error: {error}\n")
        raise typer.Exit(exit_code_of(error)) from None

    async def run() -> ExitCode:
        return await Program(loaded, options).run()

    code = run_program(run, verbose)
    raise typer.Exit(ExitCode.DONE if code is ExitCode.INTERRUPTED else code)


if __name__ == "__main__":
    app()
