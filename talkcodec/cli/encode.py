"""talkcodec encode"""

from pathlib import Path
from typing import Annotated

import typer

from talkcodec.cli.common import (
    DEFAULT_MODEL,
    EngineKind,
    EngineOption,
    ModelOption,
    check_output,
    open_model,
    progress,
)

__all__ = ["encode"]


def encode(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video with one face; its sound is kept.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.tkc", help="The recording to write.")],
    model: ModelOption = DEFAULT_MODEL,
    quality: Annotated[int, typer.Option(help="Of the keyframe pictures, 0 to 100.")] = 45,
    keypoint_step: Annotated[int | None, typer.Option(help="Keypoint precision, in 1/4096; else 32.")] = None,
    jacobian_step: Annotated[int | None, typer.Option(help="Jacobian precision, in 1/4096; else 128.")] = None,
    keyframe_interval: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="A keyframe at the latest after this time.")
    ] = None,
    refresh_l1: Annotated[
        float, typer.Option(help="Mean error (pictures in 0 to 1) that brings a keyframe; 1 for never.")
    ] = 0.06,
    still: Annotated[str, typer.Option(help="Coding of keyframe pictures: av1, webp or jpeg.")] = "av1",
    smoothing: Annotated[float, typer.Option(help="Calms resting keypoints, 0 to 0.99.")] = 0.0,
    crop: Annotated[bool, typer.Option("--crop/--no-crop", help="Follow the face, or take the middle square.")] = True,
    audio_kbps: Annotated[float, typer.Option(help="Of the Opus sound track; 0 leaves it out.")] = 16.0,
    audio_track: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Which sound track, 1 for the first; else the default one.")
    ] = None,
    engine: EngineOption = EngineKind.auto,
) -> None:
    """Encode a video to a recording of a few kbit/s.

    Example: talkcodec encode talk.mp4 talk.tkc
    """
    check_output(out, source, suffix=".tkc")
    from talkcodec.bitstream import MotionSteps
    from talkcodec.codec import EncoderConfig
    from talkcodec.convert import encode_video
    from talkcodec.errors import ConfigError
    from talkcodec.media import MediaReader

    if not 0 <= audio_kbps <= 510:
        raise ConfigError(f"--audio-kbps: got {audio_kbps:g}, expected 0 (no sound) to 510")
    steps = {"keypoint_step": keypoint_step, "jacobian_step": jacobian_step}
    config = EncoderConfig(
        steps=MotionSteps(**{name: value for name, value in steps.items() if value is not None}),
        still=still,
        still_quality=quality,
        keyframe_interval_s=keyframe_interval,
        refresh_l1=None if refresh_l1 >= 1 else refresh_l1,
        smoothing=smoothing,
    )
    with MediaReader(source) as reader:
        total = reader.info.frame_count
    opened = open_model(model, engine)
    with progress("encoding", total, out) as report:
        done = encode_video(
            source, out, opened, config,
            crop=crop, audio_bps=round(audio_kbps * 1000), audio_track=audio_track, report=report,
        )  # fmt: skip
    video_kbps = 8e-3 * (done.keyframe_bytes + done.motion_bytes) / done.duration_s
    a_frame = done.motion_bytes / done.frames
    typer.echo(
        f"{out}: {done.frames} frames, {done.duration_s:.2f} s, {done.file_bytes} bytes; "
        f"picture {video_kbps:.2f} kbit/s ({done.keyframes} keyframe{'s' * (done.keyframes != 1)} "
        f"{done.keyframe_bytes} bytes, motion {done.motion_bytes} bytes, {a_frame:.1f} a frame), "
        f"sound {8e-3 * done.audio_bytes / done.duration_s:.2f} kbit/s"
    )
