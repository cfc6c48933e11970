"""The shipped model on real faces: what a user gets. Needs the weights, and clips in ../shared/data."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from talkcodec.media import MediaReader
from talkcodec.model.files import shipped_models
from talkcodec.sample import sample_path
from talkcodec.types import Picture

CLIPS = Path(__file__).parents[2] / ".." / "shared" / "data"
MODEL = "lite-256"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MODEL not in shipped_models(), reason=f"{MODEL} is not in the package yet"),
]


def talkcodec(*arguments: object) -> str:
    command = [sys.executable, "-m", "talkcodec", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def halves(film: Path) -> tuple[list[Picture], list[Picture]]:
    """Original and decoded pictures of a side-by-side film."""
    with MediaReader(film) as reader:
        frames = [frame.picture for frame in reader]
    middle = frames[0].shape[1] // 2
    return [frame[:, :middle] for frame in frames], [frame[:, middle:] for frame in frames]


def mean_error(pictures: list[Picture], others: list[Picture]) -> float:
    pairs = zip(pictures, others, strict=True)
    return float(np.mean([np.abs(a.astype(np.int16) - b).mean() for a, b in pairs]))


@pytest.mark.parametrize("name", ["sample", "akiyo_01", "hard"])
def test_a_clip_comes_back_at_a_few_kbit_and_better_than_its_keyframe(name: str, tmp_path: Path) -> None:
    if name == "sample":
        clip = sample_path()
    else:
        found = sorted((CLIPS / "hard").glob("*.mp4")) if name == "hard" else [CLIPS / "val" / f"{name}.mp4"]
        if not found or not found[0].exists():
            pytest.skip("no clips in ../shared/data")
        clip = found[0]
    source = tmp_path / "in.mp4"
    shutil.copy(clip, source)
    coded, film = tmp_path / "out.tkc", tmp_path / "out.mp4"
    talkcodec("encode", source, coded, "--model", MODEL, "--audio-kbps", 0)
    rows = {line.split()[0]: line.split() for line in talkcodec("info", coded).splitlines() if line.strip()}
    # "all BYTES SHARE KBIT/S". The sample: six seconds, and two keyframes of 3.5 kB, 9.4 kbit/s by themselves.
    assert float(rows["all"][3]) < {"sample": 15, "akiyo_01": 5, "hard": 30}[name]
    talkcodec("decode", coded, film, "--side-by-side", source)
    originals, decoded = halves(film)
    assert mean_error(originals, decoded) < mean_error(originals, [decoded[0]] * len(decoded))
