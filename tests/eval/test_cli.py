"""The command line end to end on a made-up clip, without instruments."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.ablation import ablation_table, switches
from eval.cli import app
from eval.rows import load_rows
from talkcodec.errors import TalkcodecError

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
