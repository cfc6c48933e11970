"""talkcodec call, python -m call"""

from pathlib import Path
from typing import Annotated

import typer

from talkcodec.command.options import (
    DEFAULT_BUDGET_KBPS,
    DEFAULT_MODEL,
    BitrateOption,
    BudgetOption,
    BundleOption,
    CarrierOption,
    DelayOption,
    EngineKind,
    EngineOption,
    IceServerOption,
    JacobianStepOption,
    KeyframeIntervalOption,
    KeypointStepOption,
    ModelOption,
    MotionFpsOption,
    QualityOption,
    RefreshOption,
    RungOption,
    SmoothingOption,
    SoundBitrateOption,
    SoundFrameOption,
    StatsOption,
    StillOption,
    ThreadsOption,
    VerboseOption,
    encoder_config,
    ice_servers,
    open_model,
    peer_config,
    rate_config,
    threads_for,
)

__all__ = ["call"]

PAGE_PORT = 8090
"""The same at each start, so that the browser remembers name, devices and permissions."""


def call(
    link: Annotated[
        str, typer.Argument(help="The link that you were given; without one, you get a link to give.")
    ] = "",
    *,
    name: Annotated[str, typer.Option(help="Your name, as your peer reads it; the page asks for it too.")] = "",
    listen: Annotated[str, typer.Option(help="Where peers can call; 0.0.0.0: from other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port where peers call; 0: any.")] = 0,
    cert: Annotated[str | None, typer.Option(help="Certificate (PEM): peers call by https.")] = None,
    cert_key: Annotated[str | None, typer.Option(help="Its private key (PEM).")] = None,
    public_url: Annotated[str, typer.Option(help="Address for peers before a tunnel: https://HOST/whip")] = "",
    ca: Annotated[str | None, typer.Option(help="Certificate (PEM) to trust when calling by https.")] = None,
    ice_server: IceServerOption = None,
    page: Annotated[bool, typer.Option(help="Serve the page.")] = True,
    page_host: Annotated[
        str,
        typer.Option(
            help="Where the page is served; anything else than this machine needs "
            "--page-cert, and whoever has the address has your camera."
        ),
    ] = "127.0.0.1",
    page_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, show_default=str(PAGE_PORT), help="Port of the page; 0, or where it is taken: any."
        ),
    ] = None,
    page_cert: Annotated[str | None, typer.Option(help="Certificate (PEM) of the page.")] = None,
    page_cert_key: Annotated[str | None, typer.Option(help="Its private key (PEM).")] = None,
    source: Annotated[
        str, typer.Option(help='A file instead of camera and microphone: "sample" or a path.', metavar="SOURCE")
    ] = "",
    demo: Annotated[bool, typer.Option("--demo", help="Both ends on this machine, with the embedded sample.")] = False,
    record_dir: Annotated[Path, typer.Option(help="Where recordings go.")] = Path(),
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    model: ModelOption = DEFAULT_MODEL,
    engine: EngineOption = EngineKind.auto,
    threads: ThreadsOption = None,
    rung: RungOption = None,
    bitrate: BitrateOption = None,
    budget: BudgetOption = DEFAULT_BUDGET_KBPS,
    carrier: CarrierOption = "auto",
    sound_bitrate: SoundBitrateOption = None,
    sound_frame: SoundFrameOption = None,
    bundle: BundleOption,
    motion_fps: MotionFpsOption,
    added_delay: DelayOption,
    still: StillOption,
    quality: QualityOption,
    keyframe_interval: KeyframeIntervalOption,
    refresh_l1: RefreshOption,
    keypoint_step: KeypointStepOption,
    jacobian_step: JacobianStepOption,
    smoothing: SmoothingOption,
    stats: StatsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Call somebody, or wait for a call, in the browser.

    Open the page that is printed; --demo has both ends on this machine. Exit codes: 1 failed, 2 wrong usage, 130
    interrupted, which is its ordinary end.
    """
    from call.options import CallOptions, Invitation, PageOptions
    from call.program import Program, ProgramOptions
    from talkcodec.command.console import run_program
    from talkcodec.command.exits import ExitCode
    from talkcodec.peer.signalling import WhipConfig

    threads = threads or threads_for(generates=True, engines_here=2 if demo else 1)
    encoder = encoder_config(
        keypoint_step=keypoint_step, jacobian_step=jacobian_step, still=still, quality=quality,
        keyframe_interval=keyframe_interval, refresh_l1=refresh_l1, smoothing=smoothing, acknowledged=True,
    )  # fmt: skip
    rate = rate_config(bundle=bundle, motion_fps=motion_fps, added_delay=added_delay)
    call_options = CallOptions(
        name=name,
        invitation=Invitation.parse(link) if link else None,
        whip=WhipConfig(host=listen, port=port, cert=cert, key_file=cert_key),
        public_url=public_url,
        ca_file=ca,
        ice_servers=ice_servers(ice_server),
        peer=peer_config(
            encoder,
            rate,
            budget=budget,
            rung=rung,
            bitrate=bitrate,
            carrier=carrier,
            sound_bitrate=sound_bitrate,
            sound_frame=sound_frame,
        ),
        record_dir=record_dir,
        stats=stats,
        page=page,
    )
    page_options = PageOptions(
        page_host,
        PAGE_PORT if page_port is None else page_port,
        or_any=page_port is None,
        cert=page_cert,
        key_file=page_cert_key,
    )
    guest = ["--model", model, "--engine", engine.value, "--carrier", carrier]
    guest += ["--threads", str(threads)] if threads else []
    shown, invited = page_options if page else None, tuple(guest) if demo else None
    options = ProgramOptions(call_options, shown, source, invited, open_page)
    loaded = open_model(model, engine, threads)

    async def run() -> ExitCode:
        return await Program(loaded, options).run()

    raise typer.Exit(run_program(run, verbose))
