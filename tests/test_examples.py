"""The programs of examples/ run as they stand, with a model that is quick; README.md shows their cores."""

import os
import re
import subprocess
import sys
from pathlib import Path

from talkcodec.media import MediaReader
from talkcodec.sample import sample_path

ROOT = Path(__file__).parent.parent
MODEL = "untrained:tiny"


def run(*arguments: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_file_to_file(tmp_path: Path) -> None:
    recording, film = tmp_path / "talk.tkc", tmp_path / "talk.mp4"
    said = run(ROOT / "examples/file_to_file.py", sample_path(), recording, film, MODEL, folder=tmp_path)
    assert f"{recording}: {recording.stat().st_size} bytes" in said
    with MediaReader(film) as reader:
        assert f"{film}: {len(list(reader))} frames" in said


def test_bytes_and_back(tmp_path: Path) -> None:
    said = run(ROOT / "examples/bytes_and_back.py", MODEL, folder=tmp_path)
    match = re.fullmatch(r"(\d+) of 150 pictures of \(64, 64, 3\) from (\d+) bytes\n", said)
    assert match is not None, said
    assert 85 <= int(match[1]) <= 115, "a third is lost"
    assert int(match[2]) < 10_000


def test_two_peers(tmp_path: Path) -> None:
    said = run(ROOT / "examples/two_peers.py", MODEL, folder=tmp_path)
    match = re.fullmatch(r"(\d+) pictures shown, at least 25 of them exact, from (\d+) bytes on the wire\n", said)
    assert match is not None, said
    assert int(match[1]) >= 25


def test_array_to_disk(tmp_path: Path) -> None:
    said = run(ROOT / "examples/array_to_disk.py", tmp_path / "frames", MODEL, folder=tmp_path)
    saved_bytes = sum(path.stat().st_size for path in (tmp_path / "frames").iterdir())
    assert said == f"(150, 64, 64, 3) to {saved_bytes} bytes, and back to (150, 64, 64, 3)\n"
    assert len(list((tmp_path / "frames").glob("*.unit"))) == 150


def test_webcam_with_the_sample_in_its_place(tmp_path: Path) -> None:
    film = tmp_path / "seen.mp4"
    said = run(ROOT / "examples/webcam.py", film, "sample", "2", MODEL, folder=tmp_path)
    assert re.fullmatch(r"second 0: \d+ bytes\nsecond 1: \d+ bytes\n", said)
    with MediaReader(film) as reader:
        assert len(list(reader)) == 50
