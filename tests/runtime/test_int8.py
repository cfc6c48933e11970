"""int8: takes effect at a small loss, is kept by its calibration, says what is missing."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from talkcodec.errors import EngineError
from talkcodec.media import MediaReader
from talkcodec.runtime import Engine, open_engine, quantise
from talkcodec.sample import sample_path
from talkcodec.types import Drive

MODEL = "untrained:tiny"


pytestmark = pytest.mark.usefixtures("cache_in_test_folder")


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "MAX_SAMPLES", 8)


def generated(engine: Engine, float_engine: Engine) -> np.ndarray:
    """The sample's second second from its first picture, with the motion of the float engine."""
    size = engine.config.picture_size
    with MediaReader(sample_path()) as reader:
        pictures = [frame.picture for frame, _ in zip(reader, range(30), strict=False)]
    first, last = (np.ascontiguousarray(p[:size, :size]) for p in (pictures[0], pictures[-1]))
    reference = engine.encode_reference(first, float_engine.detect(first))
    picture = engine.generate_float(reference, Drive(float_engine.detect(last)))
    rounded = engine.generate(reference, Drive(float_engine.detect(last)))
    assert np.array_equal(rounded, np.round(picture * np.float32(255)).astype(np.uint8))
    return picture


def test_int8_is_an_option_with_a_small_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nncf")
    plain = open_engine(MODEL, "openvino", threads=1)
    narrow = open_engine(MODEL, "auto", threads=1, precision="int8")
    assert "int8" in narrow.description
    loss = np.abs(generated(plain, plain) - generated(narrow, plain))
    assert loss.max() > 1e-5  # the option took effect
    assert loss.mean() < 0.01

    # A second start needs neither NNCF nor a new calibration; another calibration does.
    monkeypatch.setitem(sys.modules, "nncf", None)
    again = open_engine(MODEL, "openvino", threads=1, precision="int8", calibration=sample_path())
    assert np.array_equal(generated(again, plain), generated(narrow, plain))


def test_only_convolutions_are_quantised(cache: Path) -> None:
    pytest.importorskip("nncf")
    open_engine(MODEL, "openvino", precision="int8")
    openvino = pytest.importorskip("openvino")
    quantised = 0
    for path in cache.rglob("generate_float.xml"):
        for node in openvino.Core().read_model(path).get_ops():
            if node.get_type_name() == "FakeQuantize":
                quantised += 1
                users = {user.get_node().get_type_name() for user in node.output(0).get_target_inputs()}
                assert users <= quantise.CONVOLUTIONS
    assert quantised > 0


def test_without_nncf_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "FORMAT", "not in the cache")
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(EngineError, match=r"pip install 'talkcodec\[int8\]'"):
        open_engine(MODEL, precision="int8")


def test_wrong_requests_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        with pytest.raises(EngineError, match="torch has no int8"):
            open_engine(MODEL, "torch", precision="int8")
        with pytest.raises(EngineError, match="of int8 only"):
            open_engine(MODEL, calibration=tmp_path)
        with pytest.raises(EngineError, match="does not exist"):
            open_engine(MODEL, precision="int8", calibration=tmp_path / "missing")
        with pytest.raises(EngineError, match="no video in"):
            open_engine(MODEL, precision="int8", calibration=tmp_path)
        (tmp_path / "text.mp4").write_text("no video")
        with pytest.raises(EngineError, match=r"cannot be read as a video|int8 needs NNCF"):
            open_engine(MODEL, precision="int8", calibration=tmp_path)
    assert caplog.records == []  # int8 is never replaced by something else with a warning
