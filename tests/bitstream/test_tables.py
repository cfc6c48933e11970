import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given

from talkcodec.bitstream import MotionSteps, generic_table, load_table, table_for_model, tables
from talkcodec.bitstream.tables import available_tables, read_table, scale_shift, table_from_bytes, table_to_bytes
from talkcodec.errors import ConfigError, MismatchError

from . import samples


def every_table():
    shipped = [json.loads(tables._data("tables.json"))[str(key)] for key in available_tables()]
    trained = [load_table(key, entry["keypoints"], entry["jacobians"])
               for key, entry in zip(available_tables(), shipped, strict=True)]  # fmt: skip
    return [generic_table(1, False), generic_table(64, True), *trained]


@pytest.mark.parametrize("table", every_table(), ids=lambda table: table.name)
def test_a_table_can_say_every_symbol(table):
    assert (table.shapes >= 1).all()
    assert (table.shapes.sum(axis=1) == 1 << 14).all()
    assert (table.profile_frequencies >= 1).all()
    assert table.profile_frequencies.sum() == 1 << 14
    assert table.profiles.shape == (len(table.profile_frequencies), table.coefficients)
    assert table.intra_profiles.shape[1] == table.coefficients
    assert len(table.intra_profiles) <= 256
    for profiles in (table.profiles, table.intra_profiles):
        assert profiles.min() >= 0
        assert profiles.max() < tables.SCALES
    if table.transform is not None:
        assert np.abs(table.transform @ table.transform.T - np.eye(table.coefficients)).max() < 1e-5


def test_generic_shapes_never_change():
    # Version 0 of the generic table: other numbers here would make old streams unreadable.
    digest = hashlib.sha256(tables._data("generic.json")).hexdigest()
    assert digest == "d77e73478bf549add4065bc50f05a7e31038beaad9131dff0715781702fc319a"
    assert (generic_table(3, True).shapes == tables.laplace_shapes()).all()


@given(samples.steps)
def test_scale_shift_is_the_floor_of_quarter_octaves(steps):
    # base steps of the generic table are 64/64
    exact = 2 * math.log2(steps.keypoint_step * steps.jacobian_step / 64**2)
    shift = scale_shift(generic_table(3, True), steps)
    assert shift == math.floor(exact) or abs(exact - round(exact)) < 1e-9
    alone = 4 * math.log2(steps.keypoint_step / 64)
    assert abs(scale_shift(generic_table(3, False), steps) - alone) <= 1


@pytest.mark.parametrize(
    ("steps", "shift"), [((64, 64), 0), ((32, 64), -2), ((80, 80), 1), ((4096, 4096), 24), ((1, 1), -24)]
)
def test_scale_shift_at_known_steps(steps, shift):
    # 80/80 is a regression: a positive shift once ran on into a negative shift count.
    assert scale_shift(generic_table(3, True), MotionSteps(*steps)) == shift


def test_unknown_and_unfitting_tables_are_named():
    with pytest.raises(MismatchError, match="4242"):
        load_table(4242, 10, True)
    with pytest.raises(ConfigError, match="keypoints is 65"):
        generic_table(65, True)
    assert table_for_model("no such model", 7, True) is generic_table(7, True)


def test_a_table_file_comes_back(tmp_path):
    table = generic_table(2, True)
    path = tmp_path / "table.json"
    path.write_bytes(table_to_bytes(table))
    back = read_table(path)
    assert table_to_bytes(back) == table_to_bytes(table)
    assert back.coefficients == 12
    assert back.transform is None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format": 2}', b"[]", b"\xff\xfe"])
def test_a_file_that_is_no_table_is_one_error(tmp_path, data):
    path = tmp_path / "table.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="no motion table"):
        read_table(path)
    with pytest.raises(ConfigError, match="no motion table"):
        read_table(tmp_path / "absent.json")


def test_a_damaged_installation_is_noticed(monkeypatch):
    data = table_to_bytes(generic_table(2, True))
    entry = {"file": "x.json", "sha256": "0" * 64, "name": "x", "model": "", "keypoints": 2, "jacobians": True}
    monkeypatch.setattr(tables, "_manifest", lambda: {"77": entry})
    monkeypatch.setattr(tables, "_data", lambda name: data)
    with pytest.raises(MismatchError, match="damaged"):
        load_table(77, 2, True)
    entry["sha256"] = hashlib.sha256(data).hexdigest()
    assert load_table(77, 2, True).keypoints == 2
    with pytest.raises(MismatchError, match="3"):
        load_table(77, 3, True)
    assert table_from_bytes(data).name == "generic"
