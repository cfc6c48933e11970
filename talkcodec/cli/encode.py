"""talkcodec encode"""

from enum import Enum
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


class RungKind(str, Enum):  # noqa: UP042  (typer prints the values of a str Enum)
    """What is sent beside keyframes."""

    auto = "auto"
    motion = "motion"
    hybrid = "hybrid"
    video = "video"


def encode(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video with one face; its sound is kept.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.tkc", help="The recording to write.")],
    rung: Annotated[
        RungKind | None,
        typer.Option(
            help="motion: keypoints alone. hybrid: small coded pictures, restored with the keyframe. video: coded "
            "pictures as they are. auto: by the rate. Without a rate, motion."
        ),
    ] = None,
    bitrate: Annotated[
        float | None, typer.Option(metavar="KBPS", help="Rate of the picture in kbit/s, keyframes and all included.")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    quality: Annotated[
        int | None, typer.Option(help="Of the keyframe pictures, 0 to 100; else by the rate, or 45.")
    ] = None,
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

    Examples: talkcodec encode talk.mp4 talk.tkc
    talkcodec encode talk.mp4 talk.tkc --bitrate 6
    """
    check_output(out, source, suffix=".tkc")
    from talkcodec.bitstream import MotionSteps
    from talkcodec.codec import EncoderConfig, Rung
    from talkcodec.convert import encode_video
    from talkcodec.errors import ConfigError
    from talkcodec.media import MediaReader

    if not 0 <= audio_kbps <= 510:
        raise ConfigError(f"--audio-kbps: got {audio_kbps:g}, expected 0 (no sound) to 510")
    if bitrate is not None and not 1 <= bitrate <= 1000:
        raise ConfigError(f"--bitrate: got {bitrate:g}, expected 1 to 1000 kbit/s")
    if rung is RungKind.auto and bitrate is None:
        raise ConfigError("--rung auto chooses by the rate: give --bitrate KBPS too")
    steps = {"keypoint_step": keypoint_step, "jacobian_step": jacobian_step}
    config = EncoderConfig(
        steps=MotionSteps(**{name: value for name, value in steps.items() if value is not None}),
        still=still,
        still_quality=45 if quality is None else quality,
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
            bitrate_bps=None if bitrate is None else bitrate * 1000,
            rung=None if rung in (None, RungKind.auto) else Rung(rung.value),
        )  # fmt: skip
    picture_bytes = done.file_bytes - done.audio_bytes
    layer, size = ("motion", done.motion_bytes) if done.rung is Rung.MOTION else ("base", done.base_bytes)
    typer.echo(
        f"{out}: {done.frames} frames, {done.duration_s:.2f} s, {done.file_bytes} bytes; "
        f"{done.rung.value} rung, picture {8e-3 * picture_bytes / done.duration_s:.2f} kbit/s "
        f"({done.keyframes} keyframe{'s' * (done.keyframes != 1)} {done.keyframe_bytes} bytes, "
        f"{layer} {size} bytes, {size / done.frames:.1f} a frame, the envelope too), "
        f"sound {8e-3 * done.audio_bytes / done.duration_s:.2f} kbit/s"
    )
