"""`eval rd`: measure every clip at every operating point, in several processes or on several machines, resumable."""

import multiprocessing
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.clips import Clip, looped, read_clip
from eval.points import Point
from eval.rows import Row, append_row, load_rows
from eval.wire import Traffic
from talkcodec.errors import MediaError, TalkcodecError, UsageError

__all__ = ["Job", "RunConfig", "code_point", "measure", "pending_jobs", "run"]

Frames = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class RunConfig:
    """How clips are measured: the first `frames` of each (None for all), scaled to `size`, by which instruments; looped
    forwards and backwards to `loop_s` seconds, 0 for as they are."""

    frames: int | None = None
    size: int = 256
    models: Path | None = None
    landmarks: str = "mesh68"
    identity: str = "mobilefacenet"
    identity_every: int = 5
    loop_s: float = 0.0


@dataclass(frozen=True)
class Job:
    """One measurement to make."""

    clip: Path
    point: Point


def pending_jobs(
    clips: list[Path], points: list[Point], results: Path, instruments: Collection[str] = ()
) -> list[Job]:
    """Jobs without a finished row in `results`, clip by clip. Rows with an error, of other weights, or without one of
    `instruments` run again.

    Raises UsageError when two clips have the same name, since rows would not tell them apart, and where `results` is
    compressed, since no row can be added there.
    """
    if results.suffix == ".gz":
        raise UsageError(f"{results}: unpack it first (gunzip), so that rows can be added")
    if len({clip.stem for clip in clips}) < len(clips):
        raise UsageError("two clips have the same name; results are kept by name")
    weights = {point.key: _weights(point) for point in points if point.codec == "talkcodec"}
    done = set()
    for row in load_rows([results]) if results.exists() else []:
        made_with = row.model_sha256, row.restoration_sha256
        current = made_with == weights.get(row.point, made_with)
        if not row.error and current and row.instruments.keys() >= set(instruments):
            done.add(row.identity)
    return [Job(clip, point) for clip in clips for point in points if (clip.stem, point.key) not in done]


def run(jobs: list[Job], config: RunConfig, results: Path, processes: int = 1, ray: str | None = None) -> Iterator[Row]:
    """Measure, append each row to `results` as it comes, and hand it out. `ray`: a cluster's address, or "local".

    A job that fails gives a row with its error; it never ends the run.
    """
    results.parent.mkdir(parents=True, exist_ok=True)
    mend_cut_line(results)
    if ray is not None:
        rows = _on_ray(jobs, config, ray)
    elif processes > 1:
        rows = _in_processes(jobs, config, processes)
    else:
        rows = (measure(job, config) for job in jobs)
    for row in rows:
        append_row(results, row)
        yield row


def measure(job: Job, config: RunConfig) -> Row:
    """Code, decode and score one clip at one point."""
    import talkcodec

    point = job.point
    names: dict[str, Any] = {
        "clip": job.clip.stem,
        "codec": point.codec,
        "point": point.key,
        "curve": point.curve,
        "label": point.label,
        "settings": dict(point.settings),
    }
    started = time.perf_counter()
    try:
        from eval.metrics import score_clip

        clip, seen, instruments = _observed(job.clip, config)
        started = time.perf_counter()
        frames, traffic = code_point(clip, point)
        seconds = time.perf_counter() - started
        model_sha256, restoration_sha256 = _weights(point) if point.codec == "talkcodec" else ("", "")
        scores = score_clip(
            clip.frames, frames, instruments, identity_every=config.identity_every, reference=seen
        ).to_dict()
        return Row(
            **names,
            frames=len(clip.frames),
            fps=float(clip.fps),
            size=clip.frames.shape[1],
            rates=traffic.bitrates_bps(clip.duration_s),
            **scores,
            identity_every=config.identity_every,
            model_sha256=model_sha256,
            restoration_sha256=restoration_sha256,
            version=talkcodec.__version__,
            seconds=seconds,
        )
    except (TalkcodecError, ValueError, RuntimeError, MemoryError) as error:
        # One clip or codec that fails, whatever its library raises, is a row of its own and no end of the run.
        return Row(**names, error=f"{type(error).__name__}: {error}", seconds=time.perf_counter() - started)


def code_point(clip: Clip, point: Point) -> tuple[Frames, Traffic]:
    """Code and decode a clip at one point: (T, H, W, 3) pictures and the bytes that they took."""
    if point.codec == "talkcodec":
        from eval.subject import code_talkcodec

        return code_talkcodec(clip, point)
    from eval.anchors import code_anchor, code_copy

    if point.codec == "copy":
        return code_copy(clip, point["quality"] if point["quality"] >= 0 else None)
    between = bool(point["between"])
    return code_anchor(clip, point.codec, point["crf"], point["size"] or None, point["every"], between)


def mend_cut_line(results: Path) -> None:
    """Cut off a last line that an interrupted run left unfinished, so that the next row starts on its own line."""
    if results.exists():
        data = results.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            results.write_bytes(data[:whole])


def _weights(point: Point) -> tuple[str, str]:
    """Hashes of the model and of what restores, as in a Row."""
    from eval.subject import model_sha256, restoration_sha256

    return model_sha256(point["model"]), restoration_sha256(point)


@lru_cache(maxsize=1)
def _instruments(config: RunConfig) -> Any:
    import cv2

    from eval.instruments import open_instruments

    cv2.setNumThreads(1)  # processes share the cores already
    return open_instruments(config.models, config.landmarks, config.identity)


@lru_cache(maxsize=2)
def _observed(path: Path, config: RunConfig) -> Any:
    """The clip and what the instruments see in it; kept, since jobs come clip by clip."""
    from eval.metrics import observe

    clip = looped(read_clip(path, config.frames, config.size), config.loop_s)
    if len(clip.frames) < 2:
        raise MediaError(f"{path}: one frame is no clip")
    instruments = _instruments(config)
    seen = observe(clip.frames, instruments, config.identity_every)
    if instruments.landmarks is not None and not seen.found.any():
        raise MediaError(f"{path}: no face in any frame")
    return clip, seen, instruments


def _in_processes(jobs: list[Job], config: RunConfig, processes: int) -> Iterator[Row]:
    context = multiprocessing.get_context("spawn")  # OpenVINO and OpenCV do not survive a fork
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        futures = [pool.submit(measure, job, config) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _on_ray(jobs: list[Job], config: RunConfig, address: str) -> Iterator[Row]:
    """Over a Ray cluster; clips must be readable by the same path on each machine."""
    try:
        import ray
    except ImportError as error:
        raise UsageError("--ray needs the package ray: pip install 'talkcodec[ray]'") from error
    ray.init(address=None if address == "local" else address, ignore_reinit_error=True, log_to_driver=False)
    try:
        remote = ray.remote(num_cpus=1)(measure)
        waiting = [remote.remote(Job(job.clip.resolve(), job.point), config) for job in jobs]
        while waiting:
            ready, waiting = ray.wait(waiting, num_returns=1)
            yield ray.get(ready[0])
    finally:
        ray.shutdown()
