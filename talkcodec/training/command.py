"""`talkcodec train`: from a folder of videos to a model file."""

import signal
from functools import partial
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from talkcodec.errors import ConfigError, MediaError
from talkcodec.model.files import save_model
from talkcodec.training.config import TrainingConfig, load_config
from talkcodec.training.data import KEYFRAME_QUALITIES, Clip, build_cache, load_cache
from talkcodec.training.face_features import FaceFeatures
from talkcodec.training.landmarks import add_landmarks
from talkcodec.training.loop import Progress as Step
from talkcodec.training.loop import Score
from talkcodec.training.restoration.config import RestorationTraining
from talkcodec.training.restoration.samples import load_coded
from talkcodec.training.restoration.streams import add_streams
from talkcodec.training.restoration.trainer import RestorationTrainer
from talkcodec.training.trainer import Trainer

__all__ = ["train"]


def train(
    config_path: Path,
    data: Path,
    out: Path,
    validation: Path | None = None,
    cache: Path | None = None,
    init: Path | None = None,
    landmarks: Path | None = None,
    face_features: Path | None = None,
    licence: str = "unstated: as free as the training data",
) -> Score | None:
    """Train a model and leave `model.safetensors`, the logs, sheets and a checkpoint in `out`.

    data, validation: folders of videos; what cannot be used is skipped and named at the end. A
    validation folder that is left out means the last tenth of the identities of `data`.
    cache: where decoded clips are kept (default: `out`/cache). init: a checkpoint to start from.
    landmarks: a shape predictor of dlib with 68 points, wanted when the configuration guides keypoints or
    weights eyes and mouth. face_features: folder of a face recognition network, wanted when a loss looks at identity.
    licence: written into the model file.
    Started again with the same `out`, it goes on where it stopped. Under `torchrun` every process
    trains on its own pairs; the cache must be on a disk that all see.
    """
    config = load_config(config_path)
    console = Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    data_cache = cache or out / "cache"
    clips, held_out, skipped = _load_data(config, data, validation, data_cache, landmarks, console)
    trainer: Trainer | RestorationTrainer
    if isinstance(config, RestorationTraining):
        names = {clip.name for clip in clips}
        with _bar(console, True) as bar:
            tick = partial(_tick, bar, bar.add_task("coding", total=None))
            add_streams(data_cache / "train", config.streams, tick, config.whole)
        coded = [clip for clip in load_coded(data_cache / "train", config.whole) if clip.clip.name in names]
        features = FaceFeatures(face_features) if face_features is not None and config.needs_features else None
        trainer = RestorationTrainer(config, coded, held_out, out, features)
    else:
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
                bar.console.print(f"step {step.step}: {step.score.describe()}")

        trainer.run(report, stop)
    if trainer.rank == 0:
        about = {**trainer.metadata(), "licence": licence}
        save_model(out / "model.safetensors", trainer.average, config.model, about)
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
    config: TrainingConfig | RestorationTraining,
    data: Path,
    validation: Path | None,
    cache: Path,
    landmarks: Path | None,
    console: Console,
) -> tuple[list[Clip], list[Clip], dict[str, str]]:
    skipped: dict[str, str] = {}
    loaded = []
    if config.needs_landmarks and landmarks is None:
        raise ConfigError(
            "this configuration looks at landmarks: give --landmarks shape_predictor_68_face_landmarks.dat"
        )
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
                config.qualities if isinstance(config, RestorationTraining) else KEYFRAME_QUALITIES,
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
