"""`encode --bitrate` and `--rung`: the rate is met, as many frames come out as went in, and the file can be entered."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from eval.clips import Clip, looped, read_clip
from talkcodec import convert
from talkcodec.bitstream import CodedUnit, Layer, RecordingReader, parse_base
from talkcodec.codec import fitting
from talkcodec.media import MediaReader, MediaWriter
from talkcodec.sample import sample_path
from tests.cli.test_commands import fails, run

MODEL = "untrained:tiny"
CLIPS = Path(__file__).parents[3] / "shared" / "data" / "val"
SECONDS = 12
TOLERANCE = 0.10


def film(path: Path, clip: Clip, size: int) -> Path:
    with MediaWriter(path, size, size, float(clip.fps)) as writer:
        for number, frame in enumerate(clip.frames):
            picture = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
            writer.write(picture, float(number / clip.fps))
    return path


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample played to and fro."""
    return film(tmp_path_factory.mktemp("rates") / "sample.mp4", looped(read_clip(sample_path()), SECONDS), 256)


def units_in(recording: Path) -> list[CodedUnit]:
    with recording.open("rb") as file:
        reader = RecordingReader(file)
        units = [record for record in reader if isinstance(record, CodedUnit)]
    assert reader.problem is None
    return units


def rung_in(said: str) -> str:
    return said.split(" rung")[0].split()[-1]


def rung_of(recording: Path) -> str:
    """The video rung's keyframes show nothing, in a few bytes."""
    keyframe = units_in(recording)[0].keyframe
    assert keyframe is not None
    return "video" if len(keyframe) < 250 else "hybrid"


def rate_of(recording: Path, seconds: float) -> float:
    return 8e-3 * recording.stat().st_size / seconds


@pytest.mark.slow
@pytest.mark.parametrize("kbps", [3, 4.5, 6, 10, 20])
@pytest.mark.parametrize("name", ["sample", "akiyo_01", "cvit-sample4_01"])
def test_a_rate_is_met(name: str, kbps: float, sample: Path, tmp_path: Path) -> None:
    clip, out = sample, tmp_path / "out.tkc"
    if name != "sample":
        path = CLIPS / f"{name}.mp4"
        if not path.exists():
            pytest.skip("no clips in ../shared/data")
        clip = film(tmp_path / "in.mp4", looped(read_clip(path, max_frames=25 * SECONDS), SECONDS), 256)
    code, said, errors = run("encode", clip, out, "--bitrate", kbps, "--model", "lite-256", "--audio-kbps", 0)
    assert code == 0, errors
    assert f"{SECONDS * 25} frames" in said
    assert rung_in(said) == rung_of(out)
    assert rate_of(out, SECONDS) == pytest.approx(kbps, rel=TOLERANCE)


@pytest.mark.parametrize(("rung", "kbps"), [("auto", 3), ("hybrid", 8), ("video", 14)])
def test_a_rate_is_met_by_a_small_model(rung: str, kbps: float, sample: Path, tmp_path: Path) -> None:
    """Pictures of 64 px."""
    out = tmp_path / "out.tkc"
    code, said, errors = run(
        "encode",
        sample,
        out,
        "--bitrate",
        kbps,
        "--rung",
        rung,
        "--model",
        MODEL,
        "--audio-kbps",
        0,
        "--no-crop",
        "--refresh-l1",
        1,
    )
    assert code == 0, errors
    assert rung_in(said) == rung_of(out)
    assert rung in ("auto", rung_of(out))
    assert rate_of(out, SECONDS) == pytest.approx(kbps, rel=TOLERANCE)


def test_a_rate_is_met_over_segments_of_which_the_first_ones_beginning_is_tried(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each, not only in all of them, since what follows is fitted anew."""
    monkeypatch.setattr(convert, "SEGMENT_S", 4.0)
    monkeypatch.setattr(fitting, "_TRIED_S", 2.0)
    out = tmp_path / "out.tkc"
    code, said, errors = run(
        "encode", sample, out, "--bitrate", 8, "--rung", "hybrid", "--model", MODEL, "--audio-kbps", 0, "--no-crop",
        "--refresh-l1", 1,
    )  # fmt: skip
    assert code == 0, errors
    assert f"{SECONDS * 25} frames" in said
    assert rate_of(out, SECONDS) == pytest.approx(8, rel=TOLERANCE)
    units = units_in(out)
    times = [unit.timestamp for unit in units]
    assert times == sorted(set(times))
    assert times[-1] == (SECONDS * 25 - 1) * 3600
    for first, last in pairwise((0, 4, 8, 12)):
        pieces = [unit for unit in units if first <= unit.timestamp / 90_000 < last]
        size_bytes = sum(len(unit.payload) + len(unit.keyframe or b"") + 6 for unit in pieces)
        assert 8e-3 * size_bytes / (last - first) == pytest.approx(8, rel=0.2)
    assert run("decode", out, tmp_path / "out.mp4")[0] == 0
    with MediaReader(tmp_path / "out.mp4") as shown:
        assert sum(1 for _ in shown) == SECONDS * 25


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(clip, recording) of 50 frames of 30 a second, of which the last is not due, with three keyframes."""
    folder = tmp_path_factory.mktemp("hybrid")
    clip = read_clip(sample_path(), max_frames=50)
    source, out = film(folder / "in.mp4", Clip("sample", clip.frames, clip.fps * 30 / 25), 64), folder / "out.tkc"
    code, said, errors = run(
        "encode", source, out, "--rung", "hybrid", "--model", MODEL, "--no-crop", "--audio-kbps", 0,
        "--keyframe-interval", 0.6,
    )  # fmt: skip
    assert code == 0, errors
    assert "50 frames, 1.67 s" in said
    return source, out


def test_as_many_frames_come_out_as_went_in(hybrid: tuple[Path, Path]) -> None:
    """Regression: what stood behind the last coded picture was lost."""
    source, recording = hybrid
    out = recording.with_name("decoded.mp4")
    units = units_in(recording)
    assert units[-1].timestamp == 49 * 3000
    assert len(units) < 25
    assert run("decode", recording, out)[0] == 0
    with MediaReader(source) as given, MediaReader(out) as shown:
        times = [[round(frame.time_s, 2) for frame in reader] for reader in (given, shown)]
    assert times[0] == times[1]


def test_a_hybrid_recording_can_be_entered_at_each_keyframe(hybrid: tuple[Path, Path]) -> None:
    units = units_in(hybrid[1])
    entered = [unit for unit in units if unit.keyframe is not None]
    assert len(entered) == 3
    assert all(unit.layer is Layer.BASE for unit in units)
    assert all((parse_base(unit.payload).start is not None) == (unit.keyframe is not None) for unit in units)


def test_info_counts_base_pictures(hybrid: tuple[Path, Path]) -> None:
    code, said, _ = run("info", hybrid[1])
    assert code == 0
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line.strip()}
    units = units_in(hybrid[1])
    assert rows["base"][1:3] == [str(len(units)), str(sum(len(unit.payload) for unit in units))]


def test_a_damaged_hybrid_recording_keeps_what_stands_before(hybrid: tuple[Path, Path]) -> None:
    whole = hybrid[1].read_bytes()
    cut, out = hybrid[1].with_name("cut.tkc"), hybrid[1].with_name("cut.mp4")
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    assert "before the damage" in fails("decode", cut, out)
    with MediaReader(out) as reader:
        assert 10 <= len(list(reader)) < 50


def test_the_quality_of_keyframes_is_heard_beside_a_rate(sample: Path, tmp_path: Path) -> None:
    sizes = []
    for quality in (20, 80):
        out = tmp_path / f"{quality}.tkc"
        run(
            "encode", sample, out, "--bitrate", 20, "--rung", "hybrid", "--quality", quality, "--model", MODEL,
            "--no-crop", "--audio-kbps", 0,
        )  # fmt: skip
        sizes.append(np.mean([len(unit.keyframe) for unit in units_in(out) if unit.keyframe is not None]))
    assert sizes[1] > 1.5 * sizes[0]


@pytest.mark.parametrize(("arguments", "words"), [
    (("--rung", "auto"), "--bitrate"),
    (("--bitrate", 0.5), "1 to 1000"),
    (("--bitrate", 2000), "1 to 1000"),
])  # fmt: skip
def test_rates_and_rungs_that_make_no_sense_are_explained(
    arguments: tuple[object, ...], words: str, sample: Path, tmp_path: Path
) -> None:
    assert words in fails("encode", sample, tmp_path / "out.tkc", *arguments)
