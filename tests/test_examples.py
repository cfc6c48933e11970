"""The programs in examples/ run as they stand there, with the embedded sample."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from talkcodec.media import MediaReader
from talkcodec.sample import sample_path

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here() -> None:
    run = set(re.findall(r'example\("(\w+)"\)', Path(__file__).read_text(encoding="utf-8")))
    assert {path.stem for path in EXAMPLES.glob("*.py")} == run


def test_a_file_to_a_file(tmp_path: Path) -> None:
    example("file_to_file").main(sample_path(), tmp_path / "talk.tkc", tmp_path / "talk.mp4")
    assert (tmp_path / "talk.tkc").stat().st_size < 25_000
    with MediaReader(sample_path()) as original, MediaReader(tmp_path / "talk.mp4") as decoded:
        assert len(list(decoded)) == len(list(original))


def test_bytes_and_back_over_a_way_that_loses(capsys: pytest.CaptureFixture[str]) -> None:
    example("bytes_and_back").main()
    match = re.fullmatch(r"(\d+) of (\d+) pictures of \(256, 256, 3\) from (\d+) bytes\n", capsys.readouterr().out)
    assert match is not None
    shown, frames, size = map(int, match.groups())
    assert frames / 2 < shown < frames * 5 / 6
    assert size < 80 * frames


async def test_a_call_between_two_peers(capsys: pytest.CaptureFixture[str]) -> None:
    await example("two_peers").main(pictures=20)
    match = re.match(r"(\d+) pictures shown, at least 20 of them exact, from (\d+) bytes", capsys.readouterr().out)
    assert match is not None
    assert int(match[1]) >= 20
    assert int(match[2]) > 2000, "a keyframe at least"
