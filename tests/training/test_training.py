"""The training command on the embedded sample, small enough for every test run."""

import csv
import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talkcodec.errors import ConfigError, MediaError, ModelError, UsageError
from talkcodec.model.config import preset
from talkcodec.model.files import load_model
from talkcodec.sample import sample_path
from talkcodec.training.command import train
from talkcodec.training.config import LossWeights, Stage, TrainingConfig, load_config
from talkcodec.training.data import Clip, Pairs, build_cache, load_cache
from talkcodec.training.landmarks import LandmarkTracker
from talkcodec.training.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "talkcodec" / "training" / "configs"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(sample_path(), folder / "astronaut_01.mp4")
    return folder


@pytest.fixture(scope="module")
def clips(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    cache = tmp_path_factory.mktemp("cache")
    build_cache(videos, cache, 64, 4)
    return load_cache(cache)


def small(**weights: float) -> TrainingConfig:
    stage = Stage(size=64, steps=6, batch=2, warmup=2, weights=LossWeights(**weights))
    return TrainingConfig(preset("tiny"), (stage,), precision="fp32", validate_every=100, checkpoint_every=100)


def test_a_tiny_run_learns_to_beat_copying(videos: Path, tmp_path: Path) -> None:
    score = train(CONFIGS / "tiny.toml", videos, tmp_path)
    assert score is not None
    assert score.l1 < score.copy_l1
    with (tmp_path / "train.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["reconstruction"]) < 0.8 * float(rows[0]["reconstruction"])
    model = load_model(tmp_path / "model.safetensors")
    assert model.config == preset("tiny")
    assert list(tmp_path.glob("sheet-*.png"))


def test_a_resumed_run_takes_the_same_steps(clips: list[Clip], tmp_path: Path) -> None:
    def run(out: Path, pauses: int) -> dict[str, torch.Tensor]:
        out.mkdir()
        for _ in range(pauses + 1):
            trainer = Trainer(small(), clips, [], out)
            trainer.resume()
            until = trainer.step + 3
            trainer.run(lambda p: None, lambda t=trainer, u=until: pauses > 0 and t.step >= u)
        return trainer.network.state_dict()

    straight, resumed = run(tmp_path / "a", 0), run(tmp_path / "b", 1)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


@pytest.mark.parametrize("switch", ["nearest_neighbour", "adversarial", "feature_matching"])
def test_optional_losses_train(clips: list[Clip], tmp_path: Path, switch: str) -> None:
    config = small(**{"feature_matching": 1.0, switch: 0.5})
    trainer = Trainer(config, clips, [], tmp_path)
    seen: list[dict[str, float]] = []
    trainer.run(lambda p: seen.append(p.terms))
    assert all(step[switch] > 0 for step in seen)
    assert all(torch.isfinite(p).all() for p in trainer.network.parameters())


def test_a_frozen_detector_stays_and_the_rest_learns(clips: list[Clip], tmp_path: Path) -> None:
    config = small()
    config = dataclasses.replace(config, stages=(dataclasses.replace(config.stages[0], freeze_detector=True),))
    trainer = Trainer(config, clips, [], tmp_path)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.run(lambda p: None)
    changed = {name for name, value in trainer.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith("detector.") for name in changed)


def test_two_references_train(clips: list[Clip], tmp_path: Path) -> None:
    tiny = preset("tiny")
    config = dataclasses.replace(
        small(), model=dataclasses.replace(tiny, lite=dataclasses.replace(tiny.lite, references=2))
    )
    trainer = Trainer(config, clips, [], tmp_path)
    trainer.run(lambda p: None)
    attention = trainer.network.generator.attention
    assert attention is not None
    assert any(layer.weight.grad.abs().sum() > 0 for layer in attention)


def test_a_checkpoint_of_another_model_is_refused(clips: list[Clip], tmp_path: Path) -> None:
    Trainer(small(), clips, [], tmp_path).save_checkpoint()
    other = dataclasses.replace(small(), model=dataclasses.replace(preset("tiny"), jacobians=False))
    with pytest.raises(ModelError, match="another model"):
        Trainer(other, clips, [], tmp_path).resume()


def test_pairs_depend_on_seed_and_step_alone(clips: list[Clip]) -> None:
    first, again = Pairs(clips, 7).batch(11, 3), Pairs(clips, 7).batch(11, 3)
    assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(first, again, strict=True))
    assert (Pairs(clips, 7).batch(12, 3)[1] != first[1]).any()
    assert (Pairs(clips, 7, rank=1).batch(11, 3)[1] != first[1]).any()


def test_a_stage_without_pictures_draws_the_keypoints_to_their_landmarks(clips: list[Clip], tmp_path: Path) -> None:
    marks = np.zeros((len(clips[0].frames), 68, 2), np.float32)
    marks[:, 30] = 0.5
    guided = [dataclasses.replace(clip, landmarks=marks) for clip in clips]
    stage = Stage(size=64, steps=30, batch=4, rate=3e-3, warmup=1, weights=LossWeights(reconstruction=0.0, guide=20.0))
    config = dataclasses.replace(small(), stages=(stage,), guide=((), (30,)), zoom_share=0.0)
    with pytest.raises(ConfigError, match="--landmarks"):
        Trainer(config, clips, [], tmp_path)
    trainer = Trainer(config, guided, [], tmp_path)
    terms = []
    generator = {n: p.clone() for n, p in trainer.network.generator.named_parameters()}
    trainer.run(lambda progress: terms.append(progress.terms["guide"]))
    assert terms[-1] < 0.5 * terms[0]
    assert all(torch.equal(p, generator[n]) for n, p in trainer.network.generator.named_parameters())


def test_a_missing_or_broken_landmark_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    with pytest.raises(UsageError, match="face_recognition_models"):
        LandmarkTracker(tmp_path / "missing.dat")
    (tmp_path / "bad.dat").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="shape predictor"):
        LandmarkTracker(tmp_path / "bad.dat")


def test_bad_clips_are_skipped_and_named(videos: Path, tmp_path: Path) -> None:
    shutil.copytree(videos, tmp_path / "in")
    (tmp_path / "in" / "broken.mp4").write_bytes(b"not a video")
    for name, frames in (("faceless", 8), ("short", 1)):
        writer = cv2.VideoWriter(str(tmp_path / "in" / f"{name}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (128, 96))
        for _ in range(frames):
            writer.write(np.zeros((96, 128, 3), np.uint8))
        writer.release()
    skipped = build_cache(tmp_path / "in", tmp_path / "cache", 64, 2)
    assert {name: reason.split()[0] for name, reason in skipped.items()} == {
        "broken.mp4": "cannot",
        "faceless.avi": "no",
        "short.avi": "no",
    }
    assert len(load_cache(tmp_path / "cache")) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="no video"):
        build_cache(tmp_path / "empty", tmp_path / "cache2", 64, 2)


def test_shipped_configurations_load() -> None:
    for path in CONFIGS.glob("*.toml"):
        assert load_config(path).stages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 3", "unknown stepz"),
        ("[[stages]]\nsize = 100", "multiple of 64"),
        ("model = 'big'", "no preset"),
        ("precision = 'fp8'", "fp8"),
        ("guide = [[68]]", "landmarks 0 to 67"),
        ("model = [", "not TOML"),
        ("[[stages]]\nweights = { sharp = 1 }", "unknown sharp"),
    ],
)
def test_bad_configurations_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "missing.toml")
