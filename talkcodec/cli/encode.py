"""talkcodec encode"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.cli.common import check_output, print_json, progress
from talkcodec.command.options import (
    DEFAULT_MODEL,
    BitrateOption,
    EngineKind,
    EngineOption,
    ForceOption,
    JacobianStepOption,
    JsonOption,
    KeyframeIntervalOption,
    KeypointStepOption,
    ModelOption,
    QualityOption,
    RefreshOption,
    RungKind,
    RungOption,
    SmoothingOption,
    StillOption,
    encoder_config,
    open_model,
    picture_rate,
)
from talkcodec.errors import ConfigError

if TYPE_CHECKING:
    from talkcodec.codec import EncoderConfig, Rung
    from talkcodec.runtime import Engine

__all__ = ["encode", "encode_file"]

_AUDIO_KBPS = 16.0


def encode(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video with one face; its sound is kept.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.tkc", help="The recording to write.")],
    rung: RungOption = None,
    bitrate: BitrateOption = None,
    *,
    model: ModelOption = DEFAULT_MODEL,
    quality: QualityOption,
    keypoint_step: KeypointStepOption,
    jacobian_step: JacobianStepOption,
    keyframe_interval: KeyframeIntervalOption,
    refresh_l1: RefreshOption,
    still: StillOption,
    smoothing: SmoothingOption,
    crop: Annotated[bool, typer.Option("--crop/--no-crop", help="Follow the face, or take the middle square.")] = True,
    audio_kbps: Annotated[float, typer.Option(help="Of the Opus sound track; 0 leaves it out.")] = _AUDIO_KBPS,
    audio_track: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Which sound track, 1 for the first; else the default one.")
    ] = None,
    engine: EngineOption = EngineKind.auto,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encode a video to a recording of a few kbit/s.

    \b
    Examples:
    talkcodec encode talk.mp4 talk.tkc
    talkcodec encode talk.mp4 talk.tkc --bitrate 6
    """
    check_output(out, source, suffix=".tkc", force=force)
    if not 0 <= audio_kbps <= 510:
        raise ConfigError(f"--audio-kbps: got {audio_kbps:g}, expected 0 (no sound) to 510")
    if rung is RungKind.auto and bitrate is None:
        raise ConfigError("--rung auto chooses by the rate: give --bitrate KBPS too")
    chosen, bitrate_bps = picture_rate(rung, bitrate)
    config = encoder_config(
        keypoint_step=keypoint_step, jacobian_step=jacobian_step, still=still, quality=quality,
        keyframe_interval=keyframe_interval, refresh_l1=refresh_l1, smoothing=smoothing,
    )  # fmt: skip
    encode_file(
        source, out, open_model(model, engine), config, rung=chosen, bitrate_bps=bitrate_bps, crop=crop,
        audio_kbps=audio_kbps, audio_track=audio_track, as_json=as_json,
    )  # fmt: skip


def encode_file(
    source: Path,
    out: Path,
    engine: "Engine",
    config: "EncoderConfig",
    *,
    rung: "Rung | None" = None,
    bitrate_bps: float | None = None,
    crop: bool = True,
    audio_kbps: float = _AUDIO_KBPS,
    audio_track: int | None = None,
    as_json: bool = False,
) -> None:
    """Encode with a progress bar, and say what came out."""
    from talkcodec.codec import Rung
    from talkcodec.convert import encode_video
    from talkcodec.media import MediaReader

    with MediaReader(source) as reader:
        total = reader.info.frame_count
    first = "looking ahead, and trying what shows it best" if bitrate_bps else None
    with progress("encoding", total, out, first) as report:
        done = encode_video(
            source, out, engine, config,
            crop=crop, audio_bps=round(audio_kbps * 1000), audio_track=audio_track, report=report,
            bitrate_bps=bitrate_bps, rung=rung,
        )  # fmt: skip
    picture_bytes = done.file_bytes - done.audio_bytes
    picture_kbps, sound_kbps = (8e-3 * size / done.duration_s for size in (picture_bytes, done.audio_bytes))
    if as_json:
        values = {"file": str(out), **asdict(done), "rung": done.rung.value}
        print_json(values | {"picture_kbps": round(picture_kbps, 3), "sound_kbps": round(sound_kbps, 3)})
        return
    layer, size = ("motion", done.motion_bytes) if done.rung is Rung.MOTION else ("base", done.base_bytes)
    typer.echo(
        f"{out}: {done.frames} frames, {done.duration_s:.2f} s, {done.file_bytes} bytes; "
        f"{done.rung.value} rung, picture {picture_kbps:.2f} kbit/s "
        f"({done.keyframes} keyframe{'s' * (done.keyframes != 1)} {done.keyframe_bytes} bytes, "
        f"{layer} {size} bytes, {size / done.frames:.1f} a frame, the envelope too), "
        f"sound {sound_kbps:.2f} kbit/s"
    )
