"""Training of the restoration network on the embedded sample, small enough for every test run."""

import csv
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talkcodec.errors import ConfigError, MediaError, ModelError
from talkcodec.model.restoration_config import RestorationConfig
from talkcodec.model.restoration_files import load_restoration
from talkcodec.runtime.between import between
from talkcodec.runtime.restorer import reduced_grey
from talkcodec.sample import sample_path
from talkcodec.training.command import train
from talkcodec.training.config import load_config
from talkcodec.training.data import build_cache, load_cache
from talkcodec.training.losses import box_ssim
from talkcodec.training.restoration.config import RestorationLosses, RestorationStage, RestorationTraining
from talkcodec.training.restoration.objective import structure
from talkcodec.training.restoration.samples import (
    CodedClip,
    Samples,
    Stream,
    load_coded,
    moment,
)
from talkcodec.training.restoration.streams import StreamSettings, add_streams, code_stream
from talkcodec.training.restoration.trainer import RestorationTrainer
from talkcodec.training.restoration.validate import RestorationScore, validate, validation_set
from talkcodec.types import Base

TINY = RestorationTraining(
    RestorationConfig(64, (8, 12, 16), 8, 8, (1, 1, 1)),
    (RestorationStage(size=48, steps=6, batch=2, warmup=2, losses=RestorationLosses(face_focus=0.0)),),
    precision="fp32",
    keyframes=3,
    streams=2,
    validate_every=100,
    checkpoint_every=100,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network is slower on several threads, many times so beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(sample_path(), folder / "astronaut_01.mp4")
    return folder


@pytest.fixture(scope="module")
def cache(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    build_cache(videos, folder, 64, 3)
    frames = np.load(next(folder.glob("*.frames.npy")))[:12]
    np.save(next(folder.glob("*.frames.npy")), frames)
    add_streams(folder, 2)
    return folder


@pytest.fixture(scope="module")
def clips(cache: Path) -> list[CodedClip]:
    return load_coded(cache)


def test_streams_are_what_a_receiver_decodes(cache: Path, clips: list[CodedClip]) -> None:
    frames = clips[0].clip.frames
    assert len(clips[0].streams) == 2
    for settings in (
        StreamSettings(64, 30, 2),
        StreamSettings(32, 40, 1, "vp9", 5),
        StreamSettings(64, 30, 3, smoothing_px=3),
    ):
        pictures, unit_bytes = code_stream(frames, settings)
        assert len(unit_bytes) == len(pictures)
        assert min(unit_bytes) > 0
        assert pictures.shape == (-(-len(frames) // settings.every), settings.size, settings.size, 3)
        if settings.size == 64 and not settings.smoothing_px:
            assert np.abs(pictures.astype(float) - frames[:: settings.every]).mean() < 12
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*.stream*")}
    add_streams(cache, 2)
    assert before == {path: path.stat().st_mtime_ns for path in cache.glob("*.stream*")}


def test_between_two_base_pictures_it_is_what_a_receiver_makes_of_both(clips: list[CodedClip]) -> None:
    keyframe = np.array(clips[0].clip.keyframes[0])
    reduced = cv2.resize(keyframe, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    stream = Stream(StreamSettings(32, 50, 4), np.stack([reduced, np.roll(reduced, 4, axis=1)]))
    first, quarter, last = (moment(stream, frame, reduced_grey(keyframe)) for frame in (0, 1, 4))
    assert np.abs(first.flow).max() < 0.02  # the keyframe itself
    made = between(*(Base(now.base, now.flow) for now in (first, last)), 0.25)
    np.testing.assert_allclose(quarter.base, made.picture, atol=1e-4)
    np.testing.assert_allclose(quarter.flow, made.flow, atol=1e-6)


def test_flow_points_from_the_base_into_the_keyframe(clips: list[CodedClip]) -> None:
    keyframe = np.array(clips[0].clip.keyframes[0])
    reduced = cv2.resize(keyframe, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    moved = np.roll(reduced, 2, axis=1)  # two pixels to the right
    flow = moment(Stream(StreamSettings(32, 50, 1), moved[None]), 0, reduced_grey(keyframe)).flow
    assert np.median(flow[0, 8:-8, 8:-8]) == pytest.approx(-2 / 16, abs=0.05)


def test_batches_depend_on_seed_step_and_process_alone(clips: list[CodedClip]) -> None:
    first, again = (Samples(clips, TINY).batch(11, 4, 48) for _ in range(2))
    assert first.keyframes.shape == (2, 64, 64, 3)
    assert first.parts.target.shape == (4, 48, 48, 3)
    assert first.parts.base.shape == (4, 24, 24, 3)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first.parts[:4], again.parts[:4], strict=True))
    assert (Samples(clips, TINY).batch(12, 4, 48).parts.target != first.parts.target).any()
    assert (Samples(clips, TINY, rank=1).batch(11, 4, 48).parts.target != first.parts.target).any()
    with pytest.raises(MediaError, match="no clip"):
        Samples([], TINY)


def test_parts_of_target_base_and_landmarks_agree(clips: list[CodedClip]) -> None:
    """A landmark that is put on a bright spot is on it in the part, mirrored or not."""
    frames = np.zeros((12, 64, 64, 3), np.uint8)
    marks = np.zeros((12, 68, 2), np.float32)
    for number in range(12):
        x, y = 20 + 2 * number, 30
        frames[number, y : y + 2, x : x + 2] = 255
        marks[number] = (np.array([x, y]) + 1) / 32 - 1
    clip = dataclasses.replace(clips[0].clip, frames=frames, keyframes=frames[:3], landmarks=marks)
    stream = Stream(StreamSettings(32, 50, 1), np.ascontiguousarray(frames[:, ::2, ::2]))
    for step in range(6):
        parts = Samples([CodedClip(clip, (stream,))], TINY).batch(step, 2, 48).parts
        for target, base, landmarks in zip(parts.target, parts.base, parts.landmarks, strict=True):
            y, x = np.unravel_index(target[..., 0].argmax(), (48, 48))
            assert landmarks[0] == pytest.approx((np.array([x, y]) + 1) / 24 - 1, abs=1e-5)
            assert np.unravel_index(base[..., 0].argmax(), (24, 24)) == (y // 2, x // 2)


def test_structure_is_box_ssim(clips: list[CodedClip]) -> None:
    a, b, weights = (torch.rand(2, n, 32, 32, generator=torch.Generator().manual_seed(n)) for n in (3, 3, 1))
    local = torch.nn.functional.avg_pool2d(weights, 7, 2)
    expected = (local * (1 - box_ssim(a, b, 7, 2))).mean()
    torch.testing.assert_close(structure(a, b, weights), expected, atol=1e-4, rtol=1e-4)


def test_a_resumed_run_takes_the_same_steps(clips: list[CodedClip], tmp_path: Path) -> None:
    def run(out: Path, pauses: int) -> dict[str, torch.Tensor]:
        out.mkdir()
        for _ in range(pauses + 1):
            trainer = RestorationTrainer(TINY, clips, [], out)
            trainer.resume()
            until = trainer.step + 3
            trainer.run(lambda p: None, lambda t=trainer, u=until: pauses > 0 and t.step >= u)
        return trainer.network.state_dict()

    straight, resumed = run(tmp_path / "a", 0), run(tmp_path / "b", 1)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_checkpoint_of_another_model_is_refused(clips: list[CodedClip], tmp_path: Path) -> None:
    RestorationTrainer(TINY, clips, [], tmp_path).save_checkpoint()
    other = dataclasses.replace(TINY, model=RestorationConfig(64, (8, 16, 16), 8, 8, (1, 1, 1)))
    with pytest.raises(ModelError, match="another model"):
        RestorationTrainer(other, clips, [], tmp_path).resume()


def test_eyes_and_mouth_need_landmarks(clips: list[CodedClip], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--landmarks"):
        RestorationTrainer(dataclasses.replace(TINY, stages=(RestorationStage(size=48, batch=2),)), clips, [], tmp_path)


def test_an_untrained_network_scores_as_the_blend(cache: Path, clips: list[CodedClip], tmp_path: Path) -> None:
    data = validation_set(load_cache(cache), (StreamSettings(32, 50, 2),))
    score = validate(RestorationTrainer(TINY, clips, [], tmp_path).average, data, torch.device("cpu"))
    assert (score.l1, score.psnr_db, score.ssim) == pytest.approx(
        (score.blend_l1, score.blend_psnr_db, score.blend_ssim)
    )
    assert score.badness == pytest.approx(1)
    assert score.base_l1 > 0


def test_the_command_trains_a_model(videos: Path, cache: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(
        """
        precision = "fp32"
        keyframes = 3
        streams = 1
        validate_every = 60
        [model]
        architecture = "restoration"
        picture_size = 64
        channels = [8, 12, 16]
        blocks = [1, 1, 1]
        reference_channels = 8
        context_channels = 8
        [[stages]]
        losses = { face_focus = 0.0 }
        size = 64
        steps = 60
        batch = 4
        rate = 3e-3
        warmup = 5
        """
    )
    score = train(config, videos, tmp_path / "out")
    assert isinstance(score, RestorationScore)
    assert score.l1 < score.blend_l1
    with (tmp_path / "out" / "train.csv").open() as file:
        assert {"pixels", "structure", "gradient", "warp"} <= set(next(csv.DictReader(file)))
    assert load_restoration(tmp_path / "out" / "model.safetensors").config.channels == (8, 12, 16)
    assert list((tmp_path / "out").glob("sheet-*.png"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth = 3", "unknown depth"),
        ("precision = 'fp8'", "fp8"),
        ("qualities = [60, 25]", "low and high"),
        ("stages = []", "at least one"),
        ("streams = 0", "at least 1"),
        ("between_share = 2", "shares"),
        ("[[stages]]\nsize = 100", "multiple of 16"),
        ("[[stages]]\nsize = 512", "at most the picture's"),
        ("[[stages]]\nbatch = 3", "multiple of each"),
        ("[[stages]]\nlosses = { sharp = 1 }", "unknown sharp"),
        ("[[stages]]\nlosses = { pixels = -1.0 }", "no weight below"),
    ],
)
def test_bad_configurations_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"{text}\n[model]\narchitecture = 'restoration'")
    with pytest.raises(ConfigError, match=message):
        load_config(path)
