"""`eval call`: a live call over bad networks, scored on what the viewer saw.

Two real WebRTC peers and a relay run in real time (talkcodec.peer.experiment); pictures are generated afterwards from
the motion that was shown, so that the network is judged and not the speed of this machine. A picture is compared with
the captured frame of its own media time; a frozen one with the frame that was due.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.clips import Clip
from eval.instruments import Instruments
from eval.metrics import ClipScores, score_clip
from eval.report.tables import Table
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.errors import ClosedError, MediaError, UsageError
from talkcodec.peer.experiment import CallResult, Condition, TracedEngine, run_call
from talkcodec.session import RateConfig
from talkcodec.transport.impairment import Impairment
from talkcodec.types import Drive, Kind, Motion, PlayedPicture

__all__ = ["CONDITIONS", "MODES", "CallRow", "call_table", "load_calls", "measure_call"]

CONDITIONS = (
    Condition("clean"),
    Condition("loss 5 %", Impairment(loss=0.05)),
    Condition("loss 10 %", Impairment(loss=0.10)),
    Condition("loss 20 %", Impairment(loss=0.20)),
    Condition("bursts, 5 % in runs of 4", Impairment(loss=0.05, burst_length=4)),
    Condition("RTT 100 ms, jitter 30 ms", Impairment(delay_ms=50, jitter_ms=30)),
)

MODES = {
    "25 fps": RateConfig(bundle=3, motion_fps=25),
    "12.5 fps": RateConfig(bundle=2, motion_fps=12.5),
}

_PATIENCE_S = 40.0
"""For connecting, warming up and closing."""

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CallRow:
    """One measured call: what the network did (CallResult) and how good the shown pictures were (strict ModeScores)."""

    clip: str
    mode: str
    result: dict[str, Any]
    strict: dict[str, Any]
    jitter_px: float | None
    model_sha256: str


def measure_call(
    engine: Any,
    clip: Clip,
    condition: Condition,
    mode: str,
    instruments: Instruments,
    seconds: float = 10.0,
    seed: int = 1,
) -> CallRow:
    """Hold one call of `seconds` after the warm-up, there and back through the clip, and score what was shown.

    Raises UsageError for an unknown mode, MediaError for a clip of another size than the model's, ClosedError when no
    call came about.
    """
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
    size = engine.config.picture_size
    if clip.frames.shape[1:3] != (size, size):
        raise MediaError(f"{clip.name}: {clip.frames.shape[2]}x{clip.frames.shape[1]}, the model needs {size}x{size}")
    frames = [np.ascontiguousarray(frame) for frame in clip.frames]
    traced = _Traced(engine, frames)
    shown: list[PlayedPicture] = []
    call = run_call(
        traced,
        frames,
        condition,
        rate=MODES[mode],
        fps=float(clip.fps),
        seconds=seconds,
        seed=seed,
        on_picture=shown.append,
    )
    try:
        result = asyncio.run(asyncio.wait_for(call, seconds + _PATIENCE_S))
    except TimeoutError as error:
        raise ClosedError(f"no call came about within {_PATIENCE_S:g} s") from error
    scores = _score(engine, traced, frames, shown, float(clip.fps), instruments, seconds).to_dict()
    return CallRow(clip.name, mode, asdict(result), scores["strict"], scores["jitter_px"], engine.model_hash.hex())


def call_table(rows: Sequence[CallRow]) -> Table:
    """Networks against rate, latency and quality."""
    lines = []
    for row in rows:
        result, strict = CallResult(**row.result), row.strict
        share = 100 / max(1, result.shown)
        latency = "-" if result.latency_ms_p50 is None else f"{result.latency_ms_p50:.0f} / {result.latency_ms_p95:.0f}"
        shares = [f"{count * share:.1f}" for count in (result.exact, result.concealed, result.frozen)]
        quality = [f"{strict['l1']:.4f}", f"{strict['psnr_db']:.2f}", *map(_digits, (strict["akd_px"], strict["aed"]))]
        lines.append([result.condition, row.mode, f"{result.wire_kbps:.1f}", *shares, latency, *quality])
    header = ["network", "motion", "wire both kbit/s", "exact %", "concealed %", "frozen %", "latency p50 / p95 ms"]
    header += ["L1", "PSNR dB", "AKD px", "AED"]
    clips = ", ".join(sorted({row.clip for row in rows}))
    note = (
        f"Live calls over a lossy relay ({clips}), both directions with IP and UDP headers, keyframe before the "
        "measurement. Shown pictures against the frames of their media time, frozen ones against the one that was due."
    )
    return Table("Calls over bad networks", note, header, lines)


def load_calls(paths: Iterable[Path]) -> list[CallRow]:
    """Rows of `eval call`; raises MediaError for a file that holds something else."""
    rows = []
    for path in paths:
        try:
            rows += [CallRow(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError, TypeError) as error:
            raise MediaError(f"{path}: not a result of `eval call`: {error}") from error
    return rows


class _Traced(TracedEngine):
    """Generates nothing, hands out the reference picture itself, and remembers the motion that came with it."""

    def __init__(self, engine: Any, frames: list[Frames]) -> None:
        super().__init__(engine, frames)
        self.reference_motion: dict[int, Motion] = {}

    def encode_reference(self, picture: Frames, motion: Motion | None) -> Any:
        assert motion is not None
        self.reference_motion[id(picture)] = motion
        return picture


def _score(
    engine: Any,
    traced: _Traced,
    frames: list[Frames],
    shown: list[PlayedPicture],
    fps: float,
    instruments: Instruments,
    seconds: float,
) -> ClipScores:
    shown = shown[-round(seconds * fps) :]  # what came before was warm-up
    if len(shown) < 2:
        raise UsageError("the call showed nothing; the machine is too slow or the network let nothing through")
    period = CLOCK_HZ / fps
    steps = [round(time32_diff(each.timestamp, shown[0].timestamp) / period) for each in shown]
    track = [traced.detect(frame) for frame in [*frames, *frames[-2:0:-1]]]  # as the sender plays the clip
    offset = _find_offset(track, steps, shown)
    numbers = [_there_and_back(offset + step, len(frames)) for step in steps]
    pictures: list[Frames] = []
    references: dict[int, Any] = {}
    for each in shown:
        if each.motion is None or (each.kind is Kind.FROZEN and pictures):
            pictures.append(pictures[-1] if pictures else each.picture)
            continue
        key = id(each.picture)
        if key not in references:
            references[key] = engine.encode_reference(each.picture, traced.reference_motion[key])
        pictures.append(engine.generate(references[key], Drive(each.motion)))
    return score_clip([frames[number] for number in numbers], pictures, instruments)


def _find_offset(track: list[Motion], steps: list[int], shown: list[PlayedPicture]) -> int:
    """Which frame was shown first: the one for which exact pictures have the motion of their frames."""
    exact = [(s, p.motion.keypoints) for s, p in zip(steps, shown, strict=True) if p.kind is Kind.EXACT and p.motion]
    if not exact:
        raise UsageError("no exact picture was shown, so that pictures cannot be matched with frames")
    keypoints = np.stack([motion.keypoints for motion in track])  # (2 T - 2, K, 2)
    numbers = np.array([step for step, _ in exact])
    seen = np.stack([points for _, points in exact])
    distances = [float(np.abs(keypoints[(start + numbers) % len(track)] - seen).mean()) for start in range(len(track))]
    return int(np.argmin(distances))


def _there_and_back(step: int, count: int) -> int:
    """Frame number at a step of the round trip 0, 1, ..., count - 1, count - 2, ..., 1, 0, 1, ..."""
    position = step % max(1, 2 * count - 2)
    return position if position < count else 2 * count - 2 - position


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
