"""Measuring: rows are complete, failures are rows, an interrupted run goes on where it stopped."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from eval.clips import read_clip
from eval.points import make_point, parse_points
from eval.rd import Job, RunConfig, measure, pending_jobs, run
from eval.rows import append_row, load_rows
from eval.subject import code_talkcodec, restoration_sha256
from talkcodec.errors import MediaError, UsageError
from talkcodec.model.files import read_label

BLIND = RunConfig(size=64, landmarks="none", identity="none")
POINTS = parse_points(["copy:quality=-1", "x264:crf=40", "talkcodec:model=untrained:tiny"])


@pytest.fixture
def clips(tmp_path, video):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing that decodes")
    single = tmp_path / "single.npy"
    np.save(single, np.zeros((1, 64, 64, 3), np.uint8))
    wide = tmp_path / "wide.npy"
    np.save(wide, np.zeros((3, 64, 96, 3), np.uint8))
    return [video, broken, single, wide]


def test_every_job_gives_a_row_and_failures_say_why(clips, tmp_path):
    results = tmp_path / "results.jsonl"
    rows = list(run(pending_jobs(clips, POINTS[:2], results), BLIND, results))
    assert len(rows) == 8
    good = [row for row in rows if not row.error]
    assert {row.clip for row in good} == {"moving"}
    assert all(row.strict["l1"] > 0 and row.strict["akd_px"] is None for row in good)
    reasons = {row.clip: row.error for row in rows if row.error}
    assert "cannot be read" in reasons["broken"]
    assert "one frame" in reasons["single"]
    assert "not square" in reasons["wide"]
    assert sorted(row.identity for row in load_rows([results])) == sorted(row.identity for row in rows)


def test_rows_may_be_compressed(video, tmp_path):
    results, packed = tmp_path / "results.jsonl", tmp_path / "results.jsonl.gz"
    list(run(pending_jobs([video], POINTS[:2], results), BLIND, results))
    packed.write_bytes(gzip.compress(results.read_bytes()))
    assert load_rows([packed]) == load_rows([results])
    with pytest.raises(UsageError, match="gunzip"):
        pending_jobs([video], POINTS, packed)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(MediaError, match="cannot be read"):
        load_rows([packed])


def test_an_interrupted_run_goes_on_where_it_stopped(video, tmp_path):
    results = tmp_path / "results.jsonl"
    jobs = pending_jobs([video], POINTS[:2], results)
    stopped = run(jobs, BLIND, results)
    next(stopped)
    stopped.close()
    with results.open("a") as file:
        file.write('{"clip": "moving", "codec": "x2')  # killed while it wrote
    left = pending_jobs([video], POINTS[:2], results)
    assert left == jobs[1:]
    list(run(left, BLIND, results))
    assert pending_jobs([video], POINTS[:2], results) == []
    assert all(json.loads(line) for line in results.read_text().splitlines())


def test_failed_rows_and_rows_of_other_weights_run_again(video, tmp_path):
    results = tmp_path / "results.jsonl"
    jobs = [Job(video, POINTS[2])]
    row = next(run(jobs, BLIND, results))
    assert row.error == ""
    assert len(row.model_sha256) == 64
    assert pending_jobs([video], POINTS, results) == [Job(video, point) for point in POINTS[:2]]
    results.write_text(results.read_text().replace(row.model_sha256, "0" * 64))
    assert Job(video, POINTS[2]) in pending_jobs([video], POINTS, results)


def test_rows_name_the_weights_that_restore_and_run_again_with_others(video, tmp_path, monkeypatch):
    results = tmp_path / "results.jsonl"
    point = make_point("talkcodec", model="untrained:tiny", rung="hybrid", base=32, fps=12.5, level=10)
    assert restoration_sha256(point) == "", "none at that size"
    monkeypatch.setattr("eval.subject.restoration_for", lambda size, whole: None if whole else "restore-256")
    row = next(run([Job(video, point)], BLIND, results))
    assert row.error == ""
    assert row.restoration_sha256 == read_label("restore-256").hash.hex()
    assert restoration_sha256(make_point("talkcodec", model="untrained:tiny")) == "", "the motion rung restores nothing"
    assert pending_jobs([video], [point], results) == []
    results.write_text(results.read_text().replace(row.restoration_sha256, ""))  # as rows were before
    assert pending_jobs([video], [point], results) == [Job(video, point)]


def test_rows_without_an_instrument_that_is_there_now_run_again(video, tmp_path):
    results = tmp_path / "results.jsonl"
    jobs = [Job(video, POINTS[0])]
    row = next(run(jobs, BLIND, results))
    assert pending_jobs([video], POINTS[:1], results) == []
    assert pending_jobs([video], POINTS[:1], results, {"mesh68"}) == jobs
    append_row(results, replace(row, instruments={"mesh68": "ab" * 32}))
    assert pending_jobs([video], POINTS[:1], results, {"mesh68"}) == []
    assert pending_jobs([video], POINTS[:1], results, {"mesh68", "mobilefacenet"}) == jobs


def test_talkcodec_counts_what_a_call_sends(video):
    row = measure(Job(video, parse_points(["talkcodec:model=untrained:tiny,bundle=3"])[0]), BLIND)
    single = measure(Job(video, parse_points(["talkcodec:model=untrained:tiny,bundle=1"])[0]), BLIND)
    seconds = row.frames / row.fps
    assert row.rates["payload_bps"] == single.rates["payload_bps"]
    assert row.rates["keyframe_bps"] < row.rates["payload_bps"] < row.rates["message_bps"]
    # 12 frames: 4 messages instead of 12, each 93 bytes up and half as many back, less some bytes of envelope.
    saved = (single.rates["wire_bps"] - row.rates["wire_bps"]) * seconds / 8
    assert 8 * 93 + 4 * 93 <= saved <= 8 * 93 + 4 * 93 + 8 * 12


def test_half_the_motion_is_interpolated(video):
    full = measure(Job(video, parse_points(["talkcodec:model=untrained:tiny"])[0]), BLIND)
    half = measure(Job(video, parse_points(["talkcodec:model=untrained:tiny,every=2"])[0]), BLIND)
    assert half.error == ""
    assert half.frames == full.frames
    motion = [row.rates["payload_bps"] - row.rates["keyframe_bps"] for row in (full, half)]
    assert motion[1] < 0.75 * motion[0]


def test_units_too_large_for_one_bundle_keep_their_times(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), np.uint8)
    np.save(tmp_path / "noise.npy", noise)
    point = make_point("talkcodec", model="untrained:tiny", rung="video", fps=25.0, level=100, bundle=3)
    shown, traffic = code_talkcodec(read_clip(tmp_path / "noise.npy"), point)
    assert traffic.payload_bytes > 10 * 1400, "three units do not fill a bundle"
    apart = [[np.abs(picture.astype(int) - frame).mean() for frame in noise] for picture in shown]
    assert np.argmin(apart, axis=1).tolist() == list(range(10))


@pytest.mark.parametrize("settings", ["jacobians=0", "quality=-1", "interval=0.2", "refresh=0.01"])
def test_every_switch_runs(video, settings):
    row = measure(Job(video, parse_points([f"talkcodec:model=untrained:tiny,{settings}"])[0]), BLIND)
    assert row.error == ""
    assert (row.rates["payload_bps"] == 0) == (settings == "quality=-1")


def test_two_clips_of_one_name_are_refused(video, tmp_path):
    with pytest.raises(UsageError, match="same name"):
        pending_jobs([video, tmp_path / "other" / "moving.mp4"], POINTS, tmp_path / "results.jsonl")


@pytest.mark.slow
def test_processes_give_the_same_rows(video, tmp_path):
    jobs = [Job(video, point) for point in POINTS[:2]]
    alone = [measure(job, BLIND) for job in jobs]
    together = list(run(jobs, BLIND, tmp_path / "results.jsonl", processes=2))
    assert {(row.point, row.strict["l1"]) for row in together} == {(row.point, row.strict["l1"]) for row in alone}


@pytest.mark.slow
def test_ray_gives_the_same_rows(video, tmp_path):
    pytest.importorskip("ray")
    jobs = [Job(video, point) for point in POINTS[:2]]
    alone = [measure(job, BLIND) for job in jobs]
    spread = list(run(jobs, BLIND, tmp_path / "results.jsonl", ray="local"))
    assert {(row.point, row.strict["l1"]) for row in spread} == {(row.point, row.strict["l1"]) for row in alone}
