import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.bitstream import MotionState, MotionUnit, parse_motion, serialize_motion
from talkcodec.bitstream.motion import MAX_MOTION_BYTES
from talkcodec.clock import seq16_add
from talkcodec.coding import HeldReferences
from talkcodec.errors import BitstreamError, StateError, UsageError

from . import samples


def parse_again(data, unit, held, table, steps):
    return parse_motion(
        data, sequence=unit.sequence, timestamp=unit.timestamp, reference_id=unit.reference_id, lookup=held,
        table=table, steps=steps,
    )  # fmt: skip


@st.composite
def cases(draw):
    table, steps = draw(samples.tables), draw(samples.steps)
    unit = MotionUnit(
        draw(samples.u16), draw(samples.u32), draw(samples.u8), draw(samples.u8), draw(samples.state_strategy(table))
    )
    held, base = HeldReferences(), draw(samples.state_strategy(table))
    if unit.predictor:
        held.add_unit(seq16_add(unit.sequence, -unit.predictor), base)
    else:
        held.store(unit.reference_id, base, None)
    return unit, held, table, steps


@settings(deadline=None, max_examples=60)
@given(cases())
def test_every_legal_unit_comes_back(case):
    unit, held, table, steps = case
    data = serialize_motion(unit, held, table, steps)
    assert len(data) <= MAX_MOTION_BYTES
    assert parse_again(data, unit, held, table, steps) == unit


@settings(deadline=None, max_examples=60)
@given(cases(), st.data())
def test_a_cut_unit_is_refused_or_is_another_unit_in_its_shortest_form(case, data):
    unit, held, table, steps = case
    whole = serialize_motion(unit, held, table, steps)
    cut = whole[: data.draw(st.integers(0, max(len(whole) - 1, 0)))]
    if cut == whole:
        return
    try:
        other = parse_again(cut, unit, held, table, steps)
    except (BitstreamError, StateError):
        return
    assert other != unit


@settings(deadline=None, max_examples=60)
@given(cases(), st.binary(min_size=1, max_size=4))
def test_bytes_to_spare_are_refused_or_change_the_unit(case, tail):
    unit, held, table, steps = case
    whole = serialize_motion(unit, held, table, steps)
    try:
        other = parse_again(whole + tail, unit, held, table, steps)
    except (BitstreamError, StateError):
        return
    assert other != unit


def test_zeros_to_spare_are_refused():
    held, unit = samples.held_states(), samples.MOTION_VECTORS["motion-from-keyframe"]
    whole = serialize_motion(unit, held, samples.TABLE, samples.STEPS)
    with pytest.raises(BitstreamError, match="spare"):
        parse_again(whole + b"\0", unit, held, samples.TABLE, samples.STEPS)


def test_standing_still_costs_at_most_two_bytes():
    held, state = HeldReferences(), MotionState((0,) * 384)
    held.add_unit(9, state)
    table = samples.generic_table(64, True)
    assert len(serialize_motion(MotionUnit(10, 0, 0, 1, state), held, table, samples.STEPS)) <= 2


def test_a_state_that_is_not_held_is_named():
    unit = MotionUnit(3, 0, 9, 4, MotionState((0,) * 12))
    with pytest.raises(StateError, match="unit 65535"):
        serialize_motion(unit, HeldReferences(), samples.TABLE, samples.STEPS)
    held = samples.held_states()
    data = serialize_motion(unit, held, samples.TABLE, samples.STEPS)
    with pytest.raises(StateError, match="unit 65535"):
        parse_again(data, unit, HeldReferences(), samples.TABLE, samples.STEPS)
    unit = MotionUnit(3, 0, 7, 0, MotionState((0,) * 12))
    data = serialize_motion(unit, held, samples.TABLE, samples.STEPS)
    with pytest.raises(StateError, match="keyframe 7"):
        parse_again(data, unit, HeldReferences(), samples.TABLE, samples.STEPS)


def test_a_residual_that_leaves_the_range_is_refused():
    held, unit = HeldReferences(), MotionUnit(1, 0, 0, 0, MotionState((2**20 - 1,) * 12))
    held.store(0, MotionState((0,) * 12), None)
    data = serialize_motion(unit, held, samples.TABLE, samples.STEPS)
    held.store(0, MotionState((1,) * 12), None)
    with pytest.raises(BitstreamError, match="leaves"):
        parse_again(data, unit, held, samples.TABLE, samples.STEPS)


def test_misuse_is_ours():
    with pytest.raises(UsageError, match="sequence"):
        MotionUnit(65536, 0, 0, 0, MotionState(()))
    with pytest.raises(UsageError, match="predictor"):
        MotionUnit(0, 0, 0, 256, MotionState(()))
    with pytest.raises(UsageError, match="reference_id"):
        MotionUnit(0, 0, -1, 0, MotionState(()))
    with pytest.raises(UsageError, match="coefficients"):
        serialize_motion(MotionUnit(5, 0, 7, 0, MotionState((1,))), samples.held_states(), samples.TABLE, samples.STEPS)


def test_a_unit_that_is_too_long_is_refused_before_it_is_read():
    unit = samples.MOTION_VECTORS["motion-from-keyframe"]
    with pytest.raises(BitstreamError, match="at most"):
        parse_again(bytes(MAX_MOTION_BYTES + 1), unit, samples.held_states(), samples.TABLE, samples.STEPS)


def test_held_states_forget_the_oldest():
    held = HeldReferences(2, 3)
    for number in range(5):
        held.store(number, MotionState((number,)), None)
        held.add_unit(number, MotionState((number,)))
    assert [number for number in range(5) if held.keyframe_state(number)] == [3, 4]
    assert [number for number in range(5) if held.unit_state(number)] == [2, 3, 4]
    held.store(3, MotionState((30,)), None)
    held.store(5, MotionState((5,)), None)
    assert held.keyframe_state(3) == MotionState((30,))
    held.clear()
    assert held.unit_state(4) is None
