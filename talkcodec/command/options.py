"""The options of every program: the same name, help and default for the same thing.

Defaults stand in the configurations (EncoderConfig, RateConfig); they are read when a command runs or its help is
shown, so that nothing heavy is imported before.
"""

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from talkcodec.errors import ConfigError
from talkcodec.model.config import DEFAULT_MODEL

if TYPE_CHECKING:
    from talkcodec.codec import EncoderConfig, Rung
    from talkcodec.peer.config import PeerConfig
    from talkcodec.peer.webrtc import IceServer
    from talkcodec.runtime import Engine
    from talkcodec.session import RateConfig

__all__ = [
    "DEFAULT_BUDGET_KBPS",
    "DEFAULT_MODEL",
    "BitrateOption",
    "BudgetOption",
    "BundleOption",
    "CarrierOption",
    "DelayOption",
    "EngineKind",
    "EngineOption",
    "ForceOption",
    "IceServerOption",
    "JacobianStepOption",
    "JsonOption",
    "KeyframeIntervalOption",
    "KeypointStepOption",
    "ModelOption",
    "MotionFpsOption",
    "QualityOption",
    "QuietOption",
    "RefreshOption",
    "RungKind",
    "RungOption",
    "SmoothingOption",
    "SoundBitrateOption",
    "SoundFrameOption",
    "StatsOption",
    "StillOption",
    "ThreadsOption",
    "VerboseOption",
    "encoder_config",
    "ice_servers",
    "open_model",
    "peer_config",
    "picture_rate",
    "rate_config",
    "threads_for",
]


class EngineKind(str, Enum):  # noqa: UP042  (typer prints the values of a str Enum)
    """What executes the networks."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"


class RungKind(str, Enum):  # noqa: UP042  (typer prints the values of a str Enum)
    """What is sent beside keyframes."""

    auto = "auto"
    motion = "motion"
    hybrid = "hybrid"
    video = "video"


class _Configured:
    """A default that stands in a configuration: read when it is needed, or shown."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read

    def __call__(self) -> Any:
        return self._read()

    def __str__(self) -> str:
        return str(self._read())


def _encoder(read: "Callable[[EncoderConfig], Any]") -> _Configured:
    def value() -> Any:
        from talkcodec.codec import EncoderConfig

        return read(EncoderConfig())

    return _Configured(value)


def _rate(read: "Callable[[RateConfig], Any]") -> _Configured:
    def value() -> Any:
        from talkcodec.session import RateConfig

        return read(RateConfig())

    return _Configured(value)


def _option(default: _Configured, *names: str, **how: Any) -> Any:
    return typer.Option(*names, default_factory=default, **how)


ModelOption: TypeAlias = Annotated[
    str, typer.Option("--model", help="A model's name (see: talkcodec model list) or a .safetensors file.")
]
EngineOption: TypeAlias = Annotated[EngineKind, typer.Option("--engine", help="What executes the networks.")]
ThreadsOption: TypeAlias = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads of the engine; else by what it has to do.")
]

KeypointStepOption: TypeAlias = Annotated[
    int,
    _option(
        _encoder(lambda config: config.steps.keypoint_step), min=1, max=4096, help="Keypoint precision, in 1/4096."
    ),
]
JacobianStepOption: TypeAlias = Annotated[
    int,
    _option(
        _encoder(lambda config: config.steps.jacobian_step), min=1, max=4096, help="Jacobian precision, in 1/4096."
    ),
]
StillOption: TypeAlias = Annotated[
    str, _option(_encoder(lambda config: config.still), help="Coding of keyframe pictures: av1, webp or jpeg.")
]
QualityOption: TypeAlias = Annotated[
    int, _option(_encoder(lambda config: config.still_quality), min=0, max=100, help="Of the keyframe pictures.")
]
KeyframeIntervalOption: TypeAlias = Annotated[
    float,
    _option(
        _encoder(lambda config: config.keyframe_interval_s or 0.0),
        min=0,
        max=36_000,
        metavar="SECONDS",
        help="A keyframe at the latest after this time; 0: by quality only.",
    ),
]
RefreshOption: TypeAlias = Annotated[
    float,
    _option(
        _encoder(lambda config: config.refresh_l1),
        "--refresh-l1",
        min=0,
        help="Mean error (pictures in 0 to 1) that brings a keyframe; 1 for never.",
    ),
]
SmoothingOption: TypeAlias = Annotated[
    float, _option(_encoder(lambda config: config.smoothing), min=0, max=0.99, help="Calms resting keypoints.")
]

RungOption: TypeAlias = Annotated[
    RungKind | None,
    typer.Option(
        "--rung",
        help="motion: keypoints alone. hybrid: small coded pictures, restored with the keyframe. video: coded "
        "pictures of full size. auto: by the rate. Without it: auto, or, where no rate is set, motion.",
    ),
]
BitrateOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--bitrate", metavar="KBPS", help="Rate of the picture in kbit/s, keyframes and all included."),
]

BudgetOption: TypeAlias = Annotated[
    float,
    typer.Option(
        metavar="KBPS", min=8, max=2000, help="All that this side sends: picture, sound, headers, control; kbit/s."
    ),
]
DEFAULT_BUDGET_KBPS = 20.0
BundleOption: TypeAlias = Annotated[
    int, _option(_rate(lambda config: config.bundle), min=0, max=4, help="Motion units a message; 0: automatic.")
]
MotionFpsOption: TypeAlias = Annotated[
    float,
    _option(_rate(lambda config: config.motion_fps), min=0, max=120, help="Motion frames a second; 0: automatic."),
]
DelayOption: TypeAlias = Annotated[
    float,
    _option(
        _rate(lambda config: config.max_added_delay_ms),
        "--added-delay",
        min=0,
        max=1000,
        metavar="MS",
        help="Delay that bundling may add, ms.",
    ),
]

CarrierOption: TypeAlias = Annotated[
    Literal["auto", "data-channel", "sound"],
    typer.Option("--carrier", help="What takes motion and reports; auto: the sound's packets where possible."),
]
SoundBitrateOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--sound-bitrate", metavar="KBPS", min=6, max=64, help="Of the voice; else what the budget buys."),
]
SoundFrameOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--sound-frame", metavar="MS", min=20, max=120, help="Sound in a packet; else by the budget."),
]

IceServerOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--ice-server", help="stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD; may be repeated."),
]
StatsOption: TypeAlias = Annotated[
    Path | None, typer.Option("--stats", metavar="FILE", help="Write one JSON line a second to this file.")
]
QuietOption: TypeAlias = Annotated[bool, typer.Option("--quiet", help="No status line.")]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ForceOption: TypeAlias = Annotated[bool, typer.Option("--force", help="Overwrite the output without asking.")]
VerboseOption: TypeAlias = Annotated[bool, typer.Option("--verbose", "-v", help="Log everything, for finding faults.")]


def encoder_config(
    *,
    keypoint_step: int,
    jacobian_step: int,
    still: str,
    quality: int,
    keyframe_interval: float,
    refresh_l1: float,
    smoothing: float | None = None,
    acknowledged: bool = False,
) -> "EncoderConfig":
    """What the options say. Raises ConfigError."""
    from talkcodec.bitstream import MotionSteps
    from talkcodec.codec import EncoderConfig

    config = EncoderConfig()
    return EncoderConfig(
        steps=MotionSteps(keypoint_step, jacobian_step),
        still=still,
        still_quality=quality,
        keyframe_interval_s=keyframe_interval or None,
        refresh_l1=None if refresh_l1 >= 1 else refresh_l1,
        smoothing=config.smoothing if smoothing is None else smoothing,
        acknowledged=acknowledged,
    )


def rate_config(*, bundle: int, motion_fps: float, added_delay: float) -> "RateConfig":
    """What the options say. Raises ConfigError."""
    from talkcodec.session import RateConfig

    return RateConfig(bundle=bundle, motion_fps=motion_fps, max_added_delay_ms=added_delay)


def picture_rate(rung: RungKind | None, bitrate: float | None) -> "tuple[Rung | None, float | None]":
    """The rung, None for the ladder's, and bit/s. Raises ConfigError."""
    from talkcodec.codec import Rung

    if bitrate is not None and not 1 <= bitrate <= 1000:
        raise ConfigError(f"--bitrate: got {bitrate:g}, expected 1 to 1000 kbit/s")
    chosen = None if rung in (None, RungKind.auto) else Rung(rung.value)
    return chosen, None if bitrate is None else bitrate * 1000


def peer_config(
    encoder: "EncoderConfig",
    rate: "RateConfig",
    *,
    budget: float,
    rung: RungKind | None,
    bitrate: float | None,
    carrier: Literal["auto", "data-channel", "sound"],
    sound_bitrate: float | None,
    sound_frame: int | None,
) -> "PeerConfig":
    """What the options say. Raises ConfigError."""
    from talkcodec.peer.config import PeerConfig

    chosen, bitrate_bps = picture_rate(rung, bitrate)
    return PeerConfig(
        encoder=encoder, rate=rate, budget_kbps=budget, rung=chosen, bitrate_bps=bitrate_bps, carrier=carrier,
        voice_bps=None if sound_bitrate is None else round(sound_bitrate * 1000), sound_frame_ms=sound_frame,
    )  # fmt: skip


def ice_servers(texts: list[str] | None) -> "tuple[IceServer, ...]":
    """What the options say. Raises ConfigError."""
    from talkcodec.peer.webrtc import IceServer

    return tuple(IceServer.parse(text) for text in texts or ())


def open_model(name: str, engine: EngineKind, threads: int | None = None) -> "Engine":
    """The engine with this model; the first time its networks are converted for this machine, so say that."""
    from rich.console import Console

    from talkcodec.runtime import open_engine

    with Console(stderr=True).status(f"Preparing {name}; the first time on a machine this takes some ten seconds"):
        return open_engine(name, engine=engine.value, threads=threads)


def threads_for(*, generates: bool, engines_here: int = 1) -> int | None:
    """CPU threads of an engine for which none were asked; None is all.

    An end that only sends looks for keypoints, which is little work, and leaves half of the processor to the others.
    One that generates pictures takes all. engines_here: so many that generate share this machine.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not generates:
        return max(1, cores // 2)
    return None if engines_here == 1 else max(1, cores // engines_here)
