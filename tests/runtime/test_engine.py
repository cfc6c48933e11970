"""Engines: equal outputs, inputs checked, fall-back, and a start that needs no torch."""

import logging
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import openvino
import pytest

from talkcodec.errors import EngineError, ModelError
from talkcodec.model.config import FommNetworks, ModelConfig
from talkcodec.model.files import read_model_file, save_model
from talkcodec.model.network import build_network
from talkcodec.runtime import Engine, open_engine
from talkcodec.runtime.openvino_backend import save_graph
from talkcodec.runtime.restoration import WholeRestorer
from talkcodec.runtime.restorer import Blend, Restorable
from talkcodec.types import Base, Drive, Later, Motion, Picture

MODEL = "untrained:tiny"


pytestmark = pytest.mark.usefixtures("cache_in_test_folder")


@pytest.fixture(scope="module")
def torch_engine() -> Engine:
    return open_engine(MODEL, "torch", device="cpu")


@pytest.fixture(scope="module")
def openvino_engine(cache: Path) -> Engine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        return open_engine(MODEL, "openvino", threads=1)


def face_like(size: int, shift: int = 0) -> Picture:
    blobs = np.random.default_rng(7).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.roll(cv2.resize(blobs, (size, size), interpolation=cv2.INTER_CUBIC), shift, axis=1)


def test_openvino_equals_torch(torch_engine: Engine, openvino_engine: Engine) -> None:
    size = torch_engine.config.picture_size
    source, driving = face_like(size), face_like(size, 5)
    outputs = []
    for engine in (torch_engine, openvino_engine):
        motion, moved = engine.detect(source), engine.detect(driving)
        assert motion.jacobians is not None
        assert not np.allclose(motion.keypoints, moved.keypoints, atol=1e-4)
        reference = engine.encode_reference(source, motion)
        exact = engine.generate_float(reference, Drive(moved))
        picture = engine.generate(reference, Drive(moved))
        assert (picture.dtype, picture.shape) == (np.uint8, (size, size, 3))
        assert (exact.dtype, exact.shape) == (np.float32, (size, size, 3))
        assert np.array_equal(picture, np.round(exact * np.float32(255)).astype(np.uint8))
        assert exact.std() > 0.05
        outputs.append((motion.keypoints, motion.jacobians, exact))
    for theirs, ours in zip(*outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("jacobians", [True, False])
def test_openvino_equals_torch_for_the_published_architecture(jacobians: bool, tmp_path: Path) -> None:
    sizes = FommNetworks(4, 16, 2, 0.25, 4, 16, 2, 0.25, 8, 16, 2, 1, True)
    config = ModelConfig(architecture="fomm", picture_size=128, keypoints=4, jacobians=jacobians, fomm=sizes)
    path = tmp_path / "small.safetensors"
    save_model(path, build_network(config), config, {"licence": "MIT"})
    outputs = []
    for name in ("torch", "openvino"):
        engine = open_engine(path, name, device="cpu")  # type: ignore[arg-type]
        motion, moved = engine.detect(face_like(128)), engine.detect(face_like(128, 5))
        reference = engine.encode_reference(face_like(128), motion)
        outputs.append((motion.keypoints, engine.generate_float(reference, Drive(moved))))
    for theirs, ours in zip(*outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


def test_both_engines_name_the_same_model(torch_engine: Engine, openvino_engine: Engine) -> None:
    assert torch_engine.model_hash == openvino_engine.model_hash
    assert torch_engine.config == openvino_engine.config
    assert "OpenVINO" in openvino_engine.description
    assert "f32" in openvino_engine.description


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_inputs_of_another_shape_are_refused(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{name}_engine")
    size, k = engine.config.picture_size, engine.config.keypoints
    picture = face_like(size)
    motion = engine.detect(picture)
    reference = engine.encode_reference(picture, motion)
    for wrong in (picture[:-1], picture.astype(np.float32), picture[..., :2]):
        with pytest.raises(EngineError, match="picture"):
            engine.detect(wrong)
    with pytest.raises(EngineError, match="keypoints"):
        engine.generate(reference, Drive(replace(motion, keypoints=np.zeros((k + 1, 2), np.float32))))
    with pytest.raises(EngineError, match="jacobians"):
        engine.generate(reference, Drive(replace(motion, jacobians=None)))
    with pytest.raises(EngineError, match="finite"):
        engine.generate(reference, Drive(replace(motion, keypoints=np.full((k, 2), np.nan, np.float32))))


def test_a_reference_belongs_to_its_engine(torch_engine: Engine, openvino_engine: Engine) -> None:
    picture = face_like(torch_engine.config.picture_size)
    motion = torch_engine.detect(picture)
    with pytest.raises(EngineError, match="another engine"):
        openvino_engine.generate(torch_engine.encode_reference(picture, motion), Drive(motion))


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_singular_jacobians_give_a_picture(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{name}_engine")
    picture = face_like(engine.config.picture_size)
    motion = engine.detect(picture)
    reference = engine.encode_reference(picture, motion)
    broken = Motion(motion.keypoints, np.zeros((engine.config.keypoints, 2, 2), np.float32))
    assert np.isfinite(engine.generate_float(reference, Drive(broken))).all()


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_read_only_and_strided_inputs_are_taken(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{name}_engine")
    picture = face_like(engine.config.picture_size)
    expected = engine.detect(picture)
    frozen = picture.copy()
    frozen.flags.writeable = False
    strided = np.repeat(picture, 2, axis=1)[:, ::2]
    mirrored = np.ascontiguousarray(picture[:, ::-1])[:, ::-1]
    for same in (frozen, strided, mirrored):
        assert np.array_equal(engine.detect(same).keypoints, expected.keypoints)


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_results_are_the_callers_to_keep(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{name}_engine")
    size = engine.config.picture_size
    first = engine.detect(face_like(size))
    kept = first.keypoints.copy()
    reference = engine.encode_reference(face_like(size), first)
    shown = engine.generate(reference, Drive(first))
    shown_copy = shown.copy()
    other = engine.detect(face_like(size, 9))
    engine.encode_reference(face_like(size, 9), other)
    engine.generate(reference, Drive(other))
    assert np.array_equal(first.keypoints, kept)
    assert np.array_equal(shown, shown_copy)
    assert np.array_equal(engine.generate(reference, Drive(first)), shown)


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_two_threads_get_what_one_gets(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{name}_engine")
    size = engine.config.picture_size
    pictures = [face_like(size, shift) for shift in range(8)]
    motions = [engine.detect(picture) for picture in pictures]
    reference = engine.encode_reference(pictures[0], motions[0])
    shown = [engine.generate(reference, Drive(motion)) for motion in motions]
    wrong: list[int] = []

    def detect() -> None:
        wrong.extend(
            i
            for i, picture in enumerate(pictures)
            if not np.allclose(engine.detect(picture).keypoints, motions[i].keypoints, atol=1e-6)
        )

    def generate() -> None:
        wrong.extend(
            i
            for i, motion in enumerate(motions)
            if np.abs(engine.generate(reference, Drive(motion)).astype(int) - shown[i]).max() > 1
        )

    threads = [threading.Thread(target=work) for work in (detect, generate, generate, detect)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_warm_start_needs_no_torch(openvino_engine: Engine) -> None:
    code = (
        "import sys, numpy as np; from talkcodec.runtime import open_engine; from talkcodec.types import Drive; "
        f"e = open_engine({MODEL!r}, 'openvino'); s = e.config.picture_size; "
        "p = np.zeros((s, s, 3), np.uint8); m = e.detect(p); e.generate(e.encode_reference(p, m), Drive(m)); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_auto_falls_back_to_torch_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("no such plugin\nat line 3")

    monkeypatch.setattr("talkcodec.runtime.openvino_backend.OpenVINOBackend", broken)
    with caplog.at_level(logging.WARNING):
        engine = open_engine(MODEL, "auto", device="cpu")
    assert engine.description.startswith("torch")
    assert [record.getMessage() for record in caplog.records] == [
        "OpenVINO cannot run untrained:tiny (no such plugin); using torch, which is slower"
    ]
    with pytest.raises(EngineError, match="no such plugin"):
        open_engine(MODEL, "openvino")


@pytest.mark.parametrize("obstacle", ["no folder", "no home", "disk full"])
def test_a_cache_that_cannot_be_written_costs_a_conversion_and_a_warning(
    obstacle: str,
    openvino_engine: Engine,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """Regression: without a home, or on a full disk, the slower torch was taken."""
    (entry,) = (cache / "talkcodec" / "openvino").iterdir()

    def convert(file: object, folder: Path) -> None:
        if obstacle == "disk full" and tmp_path in folder.parents:
            save_graph(openvino.Core().read_model(entry / "detect.xml"), folder / "gone" / "detect.xml")
        shutil.copytree(entry, folder, dirs_exist_ok=True)

    monkeypatch.setattr("talkcodec.runtime.openvino_backend._convert", convert)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if obstacle == "no folder":
        (tmp_path / "talkcodec").write_text("not a folder")
    elif obstacle == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does for a user that is not known
    with caplog.at_level(logging.WARNING):
        engine = open_engine(MODEL, threads=1)
    assert engine.description.startswith("OpenVINO")
    picture = face_like(engine.config.picture_size)
    assert np.array_equal(engine.detect(picture).keypoints, openvino_engine.detect(picture).keypoints)
    assert any("cannot keep converted graphs" in record.getMessage() for record in caplog.records)
    if obstacle == "disk full":
        assert not any((tmp_path / "talkcodec" / "openvino").iterdir())


def test_what_cannot_be_opened_is_named() -> None:
    with pytest.raises(EngineError, match="expected auto, torch or openvino"):
        open_engine(MODEL, "tensorrt")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="threads"):
        open_engine(MODEL, "torch", threads=0)
    with pytest.raises(EngineError, match="precision"):
        open_engine(MODEL, "torch", precision="f16")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="no device"):
        open_engine(MODEL, "torch", device="abacus")
    with pytest.raises(EngineError, match="no device"):
        open_engine(MODEL, "openvino", device="NPU7")
    with pytest.raises(ModelError, match="no such file"):
        open_engine("no-such-model")


def test_bfloat16_is_an_option_with_a_small_loss(openvino_engine: Engine) -> None:
    try:
        narrow = open_engine(MODEL, "openvino", threads=1, precision="bf16")
    except EngineError as error:
        pytest.skip(str(error))
    size = openvino_engine.config.picture_size
    pictures = []
    for engine in (openvino_engine, narrow):
        reference = engine.encode_reference(face_like(size), openvino_engine.detect(face_like(size)))
        pictures.append(engine.generate_float(reference, Drive(openvino_engine.detect(face_like(size, 2)))))
    loss = np.abs(pictures[0] - pictures[1])
    assert loss.max() > 1e-5  # the option took effect, and f32 was not bfloat16 in disguise
    assert loss.mean() < 0.01


class _Network(Blend):
    """Counts how often it restores."""

    restored = 0

    def restore(self, reference: Restorable, base: Base) -> Picture:
        self.restored += 1
        return super().restore(reference, base)


def test_light_restores_without_the_network(torch_engine: Engine) -> None:
    network = _Network()
    size = torch_engine.config.picture_size
    engine = Engine(read_model_file(MODEL), torch_engine._backend, lambda: network)
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    reference = engine.encode_reference(picture, None)
    small = np.asarray(cv2.resize(picture, (size // 2, size // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    drive = Drive(base=Base(small.astype(np.float32), engine.find_flow(reference, small)))
    light = engine.generate(reference, drive, light=True)
    assert network.restored == 0
    assert np.array_equal(light, engine.generate(reference, drive)), "here the network is the blend itself"
    assert network.restored == 1


def test_pictures_of_the_whole_size_are_restored_with_themselves_unless_light(torch_engine: Engine) -> None:
    opened: list[int] = []

    def inverted(picture: Picture) -> Picture:
        return 255 - picture

    def whole() -> WholeRestorer:
        opened.append(1)
        return inverted

    size = torch_engine.config.picture_size
    engine = Engine(read_model_file(MODEL), torch_engine._backend, whole=whole)
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    reference = engine.encode_reference(picture, None)
    flow = np.zeros((2, size // 2, size // 2), np.float32)
    large, small = Base(picture.astype(np.float32), flow), Base(picture[::2, ::2].astype(np.float32), flow)
    assert np.array_equal(engine.generate(reference, Drive(base=large), light=True), picture)
    engine.generate(reference, Drive(base=small))
    engine.generate(reference, Drive(base=large, later=Later(small, 0.5)))  # restored as the smaller is
    assert not opened, "a network that nobody needs is not loaded"
    for _ in range(2):
        assert np.array_equal(engine.generate(reference, Drive(base=large)), 255 - picture)
    assert opened == [1]
    fine, half = (Base(large.picture, flow, quantiser=quantiser) for quantiser in (20, 70))
    assert np.array_equal(engine.generate(reference, Drive(base=fine)), picture)
    assert np.abs(engine.generate(reference, Drive(base=half)) - 127.5).max() <= 0.5
    larger = Base(np.repeat(np.repeat(picture, 2, 0), 2, 1).astype(np.float32), flow)
    assert engine.generate(reference, Drive(base=larger)).shape == (2 * size, 2 * size, 3), "no network has this size"


def test_between_two_pictures_what_moves_is_shown_once(torch_engine: Engine) -> None:
    size = torch_engine.config.picture_size
    a, b, truth = (face_like(size, shift) for shift in (0, 8, 4))
    inner = (slice(size // 8, -size // 8),) * 2
    made = torch_engine.between(a, b, 0.5)
    doubled = (a.astype(float) + b) / 2
    assert np.abs(made - truth.astype(float))[inner].mean() < np.abs(doubled - truth)[inner].mean() / 2
