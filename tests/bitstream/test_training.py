import json

import numpy as np
import pytest

from talkcodec.bitstream import (
    MotionSteps,
    MotionUnit,
    generic_table,
    parse_motion,
    quantise,
    serialize_motion,
)
from talkcodec.bitstream.tables import read_table
from talkcodec.bitstream.train_tables import main, read_traces
from talkcodec.coding import HeldReferences
from talkcodec.errors import UsageError


def write_traces(folder, clips=4, frames=120, seed=0):
    """Three keypoints that follow one head and tremble a little."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    for number in range(clips):
        head = np.cumsum(random.normal(0, 0.01, (frames, 1, 2)), axis=0)
        keypoints = head + random.uniform(-0.5, 0.5, (1, 3, 2)) + random.normal(0, 0.002, (frames, 3, 2))
        turn = np.cumsum(random.normal(0, 0.01, (frames, 1, 2, 2)), axis=0)
        jacobians = np.eye(2) + turn + random.normal(0, 0.004, (frames, 3, 2, 2))
        np.savez(folder / f"{number}.npz", keypoints=keypoints.astype("f4"), jacobians=jacobians.astype("f4"))


def coded_bytes(clip, table, steps):
    held, sent = HeldReferences(), 0
    state = quantise(clip[0], table, steps)
    held.add_unit(0, state)
    for sequence, motion in enumerate(clip[1:], 1):
        state = quantise(motion, table, steps, state)
        unit = MotionUnit(sequence, 0, 0, 1, state)
        data = serialize_motion(unit, held, table, steps)
        back = parse_motion(data, sequence=sequence, timestamp=0, reference_id=0, lookup=held, table=table, steps=steps)
        assert back == unit
        held.add_unit(sequence, state)
        sent += len(data)
    return sent


def test_a_trained_table_codes_such_motion_better_than_the_generic_one(tmp_path, capsys):
    write_traces(tmp_path / "train")
    write_traces(tmp_path / "val", clips=1, seed=9)
    path = tmp_path / "table.json"
    assert main([str(tmp_path / "train"), "-o", str(path), "--id", "7", "--model", "test"]) == 0
    entry = json.loads(capsys.readouterr().out.split("\n", 1)[1])
    assert entry["7"]["model"] == "test"
    table, steps = read_table(path), MotionSteps()
    assert (table.table_id, table.keypoints, table.jacobians) == (7, 3, True)
    [clip] = read_traces(tmp_path / "val").values()
    assert coded_bytes(clip, table, steps) < 0.9 * coded_bytes(clip, generic_table(3, True), steps)


def test_training_twice_gives_the_same_table(tmp_path):
    write_traces(tmp_path / "train", clips=2)
    for name in ("a", "b"):
        assert main([str(tmp_path / "train"), "-o", str(tmp_path / name), "--keypoints-only"]) == 0
    a, b = ((tmp_path / name).read_text().replace('"name":"b"', '"name":"a"') for name in ("a", "b"))
    assert a == b
    assert not read_table(tmp_path / "a").jacobians


def test_bad_traces_are_skipped_and_named(tmp_path, caplog, capsys):
    folder = tmp_path / "train"
    write_traces(folder, clips=2)
    (folder / "text.npz").write_text("no archive")
    np.savez(folder / "shape.npz", keypoints=np.zeros((3, 4)))
    np.savez(folder / "infinite.npz", keypoints=np.full((3, 4, 2), np.inf))
    np.savez(folder / "other.npz", points=np.zeros((3, 4, 2)))
    np.savez(folder / "pickled.npz", keypoints=np.array([{}], dtype=object))
    assert len(read_traces(folder)) == 2
    for name in ("text", "shape", "infinite", "other", "pickled"):
        assert name in caplog.text
    with pytest.raises(UsageError, match="no trace"):
        read_traces(tmp_path)
    assert main([str(tmp_path), "-o", str(tmp_path / "x")]) == 1
    assert "no trace" in capsys.readouterr().err


def test_too_few_frames_and_mixed_kinds_are_refused(tmp_path, capsys):
    folder = tmp_path / "train"
    write_traces(folder, clips=1, frames=50)
    assert main([str(folder), "-o", str(tmp_path / "x")]) == 1
    assert "fewer than 200" in capsys.readouterr().err
    np.savez(folder / "four.npz", keypoints=np.zeros((300, 4, 2), "f4"))
    assert main([str(folder), "-o", str(tmp_path / "x")]) == 1
    assert "2 kinds" in capsys.readouterr().err
