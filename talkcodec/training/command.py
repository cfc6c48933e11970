"""`talkcodec train`: from a folder of videos to a model file."""

import signal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import cast

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from talkcodec.errors import ConfigError, MediaError
from talkcodec.model.files import save_model
from talkcodec.model.network import Network
from talkcodec.training.config import TrainingConfig, load_config
from talkcodec.training.data import Clip, build_cache, load_cache
from talkcodec.training.landmarks import add_landmarks
from talkcodec.training.trainer import Progress as Step
from talkcodec.training.trainer import Trainer
from talkcodec.training.validate import Score

__all__ = ["train"]


def train(
    config_path: Path,
    data: Path,
    out: Path,
    validation: Path | None = None,
    cache: Path | None = None,
    init: Path | None = None,
    landmarks: Path | None = None,
    licence: str = "unstated: as free as the training data",
) -> Score | None:
    """Train a model and leave `model.safetensors`, the logs, sheets and a checkpoint in `out`.

    data, validation: folders of videos; what cannot be used is skipped and named at the end. A
    validation folder that is left out means the last tenth of the identities of `data`.
    cache: where decoded clips are kept (default: `out`/cache). init: a checkpoint to start from.
    landmarks: a shape predictor of dlib with 68 points, wanted when the configuration guides keypoints.
    licence: written into the model file.
    Started again with the same `out`, it goes on where it stopped. Under `torchrun` every process
    trains on its own pairs; the cache must be on a disk that all see.
    """
    config = load_config(config_path)
    console = Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    clips, held_out, skipped = _load_data(config, data, validation, cache or out / "cache", landmarks, console)
    trainer = Trainer(config, clips, held_out, out)
    if trainer.resume():
        console.print(f"resumed at step {trainer.step} of {trainer.steps}")
    elif init is not None:
        trainer.start_from(torch.load(init, map_location="cpu", weights_only=True)["average"])
    stop = _StopRequest()
    score: Score | None = None
    with _bar(console, trainer.rank == 0) as bar:
        task = bar.add_task("training", total=trainer.steps, completed=trainer.step)

        def report(step: Step) -> None:
            nonlocal score
            loss = sum(v for k, v in step.terms.items() if k != "discriminator")
            bar.update(task, completed=step.step, description=f"stage {step.stage + 1} loss {loss:.3f}")
            if step.score:
                score = step.score
                bar.console.print(f"step {step.step}: {_describe(step.score)}")

        trainer.run(report, stop)
    if trainer.rank == 0:
        about = {**trainer.metadata(), "licence": licence}
        save_model(out / "model.safetensors", cast(Network, trainer.average), config.model, about)
        console.print(f"{'stopped' if stop() else 'finished'} at step {trainer.step}; model in {out}/model.safetensors")
        for name, reason in skipped.items():
            console.print(f"skipped {name}: {reason}")
    return score


class _StopRequest:
    """True once the process was asked to end; the step under way is finished and saved."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def _load_data(
    config: TrainingConfig,
    data: Path,
    validation: Path | None,
    cache: Path,
    landmarks: Path | None,
    console: Console,
) -> tuple[list[Clip], list[Clip], dict[str, str]]:
    skipped: dict[str, str] = {}
    loaded = []
    if config.needs_landmarks and landmarks is None:
        raise ConfigError("this configuration guides keypoints: give --landmarks shape_predictor_68_face_landmarks.dat")
    for name, folder in (("train", data), ("validation", validation)):
        if folder is None:
            continue
        with _bar(console, True) as bar:
            task = bar.add_task(f"decoding {folder}", total=None)
            skipped |= build_cache(
                folder,
                cache / name,
                config.model.picture_size,
                config.keyframes,
                partial(_tick, bar, task),
            )
            if name == "train" and config.needs_landmarks and landmarks is not None:
                task = bar.add_task("landmarks", total=None)
                add_landmarks(cache / name, landmarks, partial(_tick, bar, task))
        loaded.append(load_cache(cache / name))
    clips = loaded[0]
    if validation is not None:
        return clips, loaded[1], skipped
    identities = sorted({clip.identity for clip in clips})
    kept = set(identities[-max(1, len(identities) // 10) :]) if len(identities) > 1 else set()
    training = [clip for clip in clips if clip.identity not in kept]
    if not training:
        raise MediaError(f"{data} holds no clip to train on")
    return training, [clip for clip in clips if clip.identity in kept] or clips[:1], skipped


def _tick(bar: Progress, task: TaskID, done: int, of: int, name: str) -> None:
    bar.update(task, completed=done, total=of)


def _bar(console: Console, shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not shown)


def _describe(score: Score) -> str:
    return (
        f"L1 {score.l1:.4f} (copy {score.copy_l1:.4f}, {1 - score.l1 / score.copy_l1:+.0%} better)  "
        f"PSNR {score.psnr_db:.2f} dB (copy {score.copy_psnr_db:.2f})  "
        f"SSIM {score.ssim:.3f} (copy {score.copy_ssim:.3f})  worse than copying: {score.worse_than_copying}"
    )
