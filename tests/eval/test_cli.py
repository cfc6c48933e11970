"""The command line end to end on a made-up clip, without instruments."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.ablation import ablation_table, switches
from eval.cli import app, main
from eval.instruments import find
from eval.rows import load_rows
from talkcodec.errors import ModelError, TalkcodecError, UsageError

BLIND = ["--landmarks", "none", "--identity", "none"]


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_score_writes_a_line_for_each_generated_clip(video, clip, tmp_path):
    shifted = tmp_path / "shifted.npy"
    np.save(shifted, np.roll(clip.frames, 4, axis=2))
    output = call("score", "--reference", video, "--generated", video, "--generated", shifted, *BLIND)
    same, moved = (json.loads(line) for line in output.splitlines())
    assert same["strict"]["l1"] == 0
    assert moved["strict"]["l1"] > 0.01


def test_measure_report_and_resume(video, tmp_path):
    results, page = tmp_path / "results.jsonl", tmp_path / "report.html"
    points = ["--point", "copy:quality=-1", "--point", "x264:crf=40", "--point", "talkcodec:model=untrained:tiny"]
    assert "3 to measure" in call("rd", video, "-o", results, "--size", 64, *points, *BLIND)
    assert "0 to measure" in call("rd", video, "-o", results, "--size", 64, *points, *BLIND)
    call("report", results, "-o", page, "--clips", video, "--command", "python -m eval rd ...")
    assert "python -m eval rd ..." in page.read_text()


def test_without_instruments_the_rest_is_measured_and_what_is_missing_is_said_once(video, tmp_path, monkeypatch):
    monkeypatch.setattr(find, "_DEFAULT_FOLDERS", (tmp_path / "nowhere",))
    results = tmp_path / "results.jsonl"
    output = call("rd", video, "-o", results, "--size", 64, "--point", "copy:quality=-1", "--point", "x264:crf=40")
    assert output.count("AKD, MKR and jitter are not measured: face_landmark.tflite is not in") == 1
    assert output.count("AED is not measured: mobilefacenet.onnx is not in") == 1
    assert output.count("github.com/foamliu/MobileFaceNet, and name its folder with --models") == 1
    rows = load_rows([results])
    assert len(rows) == 2
    assert all(row.strict["psnr_db"] > 0 and row.strict["akd_px"] is None and not row.error for row in rows)


@pytest.mark.parametrize("asked", [["--landmarks", "mesh68"], ["--identity", "mobilefacenet"], ["--models", "."]])
def test_an_instrument_that_was_asked_for_and_is_missing_is_an_error(video, tmp_path, monkeypatch, asked):
    monkeypatch.setattr(find, "_DEFAULT_FOLDERS", (tmp_path / "nowhere",))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="is not in"):
        call("rd", video, "-o", tmp_path / "r.jsonl", "--point", "copy", *asked)


def test_addresses_are_whole_when_piped(monkeypatch, tmp_path):
    monkeypatch.setattr(find, "_DEFAULT_FOLDERS", (tmp_path / "nowhere",))
    assert "get it from github.com/ShiqiYu/libfacedetection.train (Apache-2.0), then --models DIR" in call("models")


def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs matplotlib and scipy: pip install 'talkcodec\[eval\]'"):
        call("models")


def test_instruments_as_json(monkeypatch, tmp_path):
    monkeypatch.setattr(find, "_DEFAULT_FOLDERS", (tmp_path / "nowhere",))
    rows = {row["name"]: row for row in json.loads(call("models", "--json"))}
    assert rows["mobilefacenet.onnx"]["measures"] == "AED"
    assert not rows["mobilefacenet.onnx"]["usable"]


@pytest.mark.parametrize(("arguments", "code"), [(["rd", "nothing.mp4", "-o", "r.jsonl"], 1), (["report", "r"], 2)])
def test_errors_end_as_in_every_program(arguments, code, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["eval", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert capsys.readouterr().err.splitlines()[-1].startswith("talkcodec: ")


def test_ablation_gives_differences_to_the_default(video, tmp_path):
    results = tmp_path / "results.jsonl"
    output = call("ablation", video, "-o", results, "--model", "untrained:tiny", "--size", 64, *BLIND)
    measured = switches("untrained:tiny")
    table = ablation_table(load_rows([results]), measured)
    assert [row[0] for row in table.rows] == [switch.name for switch in measured]
    assert table.rows[0][0] == "default"
    assert all(row[1] == "1" for row in table.rows)
    rows = {row.point: row for row in load_rows([results])}
    default, coarse = (rows[measured[index].point.key].strict["l1"] for index in (0, 4))
    assert table.rows[4][4].startswith(f"{coarse - default:+.4f} [")
    assert "| no Jacobians | 1 |" in output


def test_a_wrong_name_is_one_clear_error(video, tmp_path):
    with pytest.raises(TalkcodecError, match="unknown point 'h262'"):
        call("rd", video, "-o", tmp_path / "r.jsonl", "--point", "h262", *BLIND)
    with pytest.raises(TalkcodecError, match="no such file"):
        call("rd", tmp_path / "nothing", "-o", tmp_path / "r.jsonl", *BLIND)
    with pytest.raises(TalkcodecError, match="nothing to write"):
        call("report", tmp_path / "r.jsonl")


def test_models_lists_what_is_there(tmp_path):
    output = call("models", "--models", tmp_path)
    assert "face-alignment" in output
    assert "foamliu" in output
