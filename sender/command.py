"""talkcodec send, python -m sender"""

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
    QuietOption,
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

__all__ = ["send"]


def send(
    url: Annotated[str, typer.Argument(help="The receiver's address, as it printed it: http(s)://HOST:PORT/whip")],
    *,
    key: Annotated[str, typer.Option(envvar="TALKCODEC_KEY", help="The key that the receiver printed.")] = "",
    source: Annotated[
        str, typer.Option(help='"sample", "camera", "camera:1", or a video file.', metavar="SOURCE")
    ] = "camera",
    loop: Annotated[bool, typer.Option(help="Start a file again when it ends.")] = False,
    sound: Annotated[bool, typer.Option(help="Send sound too: the file's, or the microphone's.")] = True,
    microphone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Microphone; a camera takes the system's unless one is named.")
    ] = None,
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
    ice_server: IceServerOption = None,
    ca: Annotated[str | None, typer.Option(help="Certificate (PEM) to trust for https.")] = None,
    give_up: Annotated[float, typer.Option(help="Seconds without a call before the program ends.")] = 60.0,
    seconds: Annotated[float, typer.Option(help="End the call after this time; 0: with the source.")] = 0.0,
    stats: StatsOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Send a face to a receiver, one way.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (key, or busy), 4 the receiver is gone, 5 the two ends do
    not fit together, 130 interrupted.
    """
    from sender.program import SendOptions, SendProgram
    from talkcodec.command.console import run_program
    from talkcodec.command.exits import ExitCode
    from talkcodec.media.sources import open_source

    encoder = encoder_config(
        keypoint_step=keypoint_step, jacobian_step=jacobian_step, still=still, quality=quality,
        keyframe_interval=keyframe_interval, refresh_l1=refresh_l1, smoothing=smoothing, acknowledged=True,
    )  # fmt: skip
    rate = rate_config(bundle=bundle, motion_fps=motion_fps, added_delay=added_delay)
    options = SendOptions(
        url=url,
        key=key,
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
        sound=sound,
        give_up_s=give_up,
        seconds=seconds,
        stats=stats,
        quiet=quiet,
    )
    opened = open_source(source, loop, microphone if sound else "")
    loaded = open_model(model, engine, threads or threads_for(generates=False))

    async def run() -> ExitCode:
        return await SendProgram(loaded, opened, options).run()

    raise typer.Exit(run_program(run, verbose))
