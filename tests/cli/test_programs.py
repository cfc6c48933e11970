"""The three programs of a call at the command line: the same options for the same things, the same ends."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from talkcodec.cli.app import app
from talkcodec.codec import EncoderConfig, Rung
from talkcodec.command.exits import ExitCode, exit_code_of, tell
from talkcodec.command.options import (
    DEFAULT_BUDGET_KBPS,
    RungKind,
    encoder_config,
    picture_rate,
    rate_config,
    threads_for,
)
from talkcodec.errors import (
    BitstreamError,
    BusyError,
    ClosedError,
    ConfigError,
    MediaError,
    MismatchError,
    RefusedError,
    UsageError,
)
from talkcodec.session import RateConfig
from talkcodec.training.toml import read_toml

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = {"send": "sender", "receive": "receiver", "call": "call"}
ENCODER = {"keypoint_step", "jacobian_step", "still", "quality", "keyframe_interval", "refresh_l1", "smoothing"}
RATE = {"budget", "bundle", "motion_fps", "added_delay", "rung", "bitrate"}
COMMON = {"model", "engine", "threads", "ice_server", "stats", "verbose"}


def options_of(command: str) -> dict[str, inspect.Parameter]:
    function = getattr(importlib.import_module(f"{PROGRAMS[command]}.command"), command)
    return dict(inspect.signature(function).parameters)


def test_programs_take_the_same_options_for_the_same_things() -> None:
    send, receive, call = (options_of(command) for command in PROGRAMS)
    assert send.keys() >= ENCODER | RATE | COMMON
    assert call.keys() >= ENCODER | RATE | COMMON
    assert receive.keys() >= COMMON
    for name in ENCODER | RATE | COMMON:
        assert str(send[name].annotation) == str(call[name].annotation), name
        assert send[name].default == call[name].default, name
    for name in COMMON:
        assert str(send[name].annotation) == str(receive[name].annotation), name
        assert send[name].default == receive[name].default, name


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_nothing_more_goes_into_is_one_sentence() -> None:
    command = [sys.executable, "-m", "talkcodec", "model", "list"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == ExitCode.FAILED
    assert re.fullmatch("talkcodec: the disk is full.*\n", done.stderr)


@pytest.mark.parametrize("command", ["encode", "send", "call"])
def test_help_shows_the_defaults_of_the_configurations(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"]).output
    rows = re.split(r"\s--(?=[a-z])", " ".join(said.split()))
    shown = {row.split()[0]: found[1] for row in rows if (found := re.search(r"\[default: ([^\];]+)", row))}
    config = EncoderConfig()
    assert shown["quality"] == str(config.still_quality)
    assert shown["keypoint-step"] == str(config.steps.keypoint_step)
    assert shown["jacobian-step"] == str(config.steps.jacobian_step)
    assert shown["refresh-l1"] == str(config.refresh_l1)
    assert shown["still"] == config.still
    if command != "encode":
        assert shown["budget"] == str(DEFAULT_BUDGET_KBPS)
        assert shown["added-delay"] == str(RateConfig().max_added_delay_ms)


def test_options_become_configurations() -> None:
    made = encoder_config(
        keypoint_step=16, jacobian_step=64, still="webp", quality=30, keyframe_interval=0, refresh_l1=1.0
    )
    assert (made.steps.keypoint_step, made.steps.jacobian_step) == (16, 64)
    assert (made.still, made.still_quality, made.keyframe_interval_s, made.refresh_l1) == ("webp", 30, None, None)
    assert rate_config(bundle=2, motion_fps=0, added_delay=40).max_added_delay_ms == 40
    with pytest.raises(ConfigError, match="bundle"):
        rate_config(bundle=9, motion_fps=0, added_delay=40)


def test_a_rung_and_a_rate_become_what_a_peer_is_set_to() -> None:
    assert picture_rate(None, None) == (None, None)
    assert picture_rate(RungKind.auto, 6.5) == (None, 6500.0)
    assert picture_rate(RungKind.video, None) == (Rung.VIDEO, None)
    with pytest.raises(ConfigError, match="--bitrate"):
        picture_rate(None, 0.5)


def test_threads_follow_what_an_end_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: each end of a demo got one thread, and the one that generates skipped a third of the frames."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    assert threads_for(generates=False) == 1
    assert threads_for(generates=True) is None
    assert threads_for(generates=True, engines_here=2) == 1
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0}, raising=False)
    assert threads_for(generates=False) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2), (UsageError("x"), 2), (MediaError("x"), 1), (RefusedError("x"), 3), (BusyError("x"), 3),
        (ClosedError("x"), 4), (MismatchError("x"), 5), (BitstreamError("x"), 1), (ZeroDivisionError("x"), 1),
    ],
)  # fmt: skip
def test_an_error_has_one_code_whatever_the_program(error: Exception, code: int) -> None:
    assert exit_code_of(error) == ExitCode(code)


def test_a_file_that_is_missing_has_the_same_code_whatever_it_was_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as configuration:
        read_toml(tmp_path / "no.toml")
    assert exit_code_of(configuration.value) is ExitCode.FAILED
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ConfigError) as wrong:
        read_toml(tmp_path / "bad.toml")
    assert exit_code_of(wrong.value) is ExitCode.USAGE


def test_errors_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(MediaError("the film\nhas no end")) is ExitCode.FAILED
    assert capsys.readouterr().err == "talkcodec: the film has no end\n"
    assert tell(ZeroDivisionError("division by zero")) is ExitCode.FAILED
    said = capsys.readouterr().err
    assert said.startswith("talkcodec: ZeroDivisionError: division by zero; this is a fault of the program")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["send", "http://127.0.0.1:9/whip", "--source", "nothing.mp4"], 1, "does not exist"),
        (["send", "http://127.0.0.1:9/whip", "--source", "sample", "--still", "gif"], 2, "still is 'gif'"),
        (["send", "http://127.0.0.1:9/whip", "--source", "camera:99"], 1, "camera 99 cannot be opened"),
        (["receive", "--sink", "none", "--model", "nope"], 1, "no model 'nope'"),
        (["receive", "--sink", "window", "--model", "untrained:tiny"], 1, "no screen here"),
        (["receive", "--ice-server", "nonsense"], 2, "--ice-server"),
        (["receive", "--sink", "film.avi", "--model", "untrained:tiny"], 2, "--sink"),
        (["call", "not-a-link"], 2, "copy all of it"),
    ],
)
def test_programs_end_with_a_sentence_and_their_code(arguments: list[str], code: int, words: str) -> None:
    headless = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    for command in (["talkcodec", *arguments], [PROGRAMS[arguments[0]], *arguments[1:]]):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=headless,
            timeout=100,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert done.stderr.startswith("talkcodec: ")
        assert len(done.stderr.strip().splitlines()) == 1
