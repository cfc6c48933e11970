import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.bitstream import MotionState, MotionSteps, dequantise, generic_table, quantise
from talkcodec.errors import ConfigError, UsageError
from talkcodec.types import Motion

from . import samples


@settings(deadline=None)
@given(samples.tables, samples.steps, st.integers(0, 2**32 - 1))
def test_error_is_at_most_half_a_step(table, steps, seed):
    motion = samples.random_motion(np.random.default_rng(seed), table.keypoints, table.jacobians)
    state = quantise(motion, table, steps)
    back = dequantise(state, table, steps)
    assert back.keypoints.dtype == np.float32
    assert np.abs(back.keypoints - motion.keypoints).max() <= steps.keypoint_step / 8192 + 1e-6
    if table.jacobians:
        assert np.abs(back.jacobians - motion.jacobians).max() <= steps.jacobian_step / 8192 + 1e-6
    else:
        assert back.jacobians is None


@settings(deadline=None)
@given(samples.tables, samples.steps, st.data())
def test_a_state_survives_its_own_motion(table, steps, data):
    state = data.draw(samples.state_strategy(table, limit=200))
    motion = dequantise(state, table, steps)
    inside = np.abs(motion.keypoints).max() < 2 and (motion.jacobians is None or np.abs(motion.jacobians).max() < 16)
    if inside:
        assert quantise(motion, table, steps) == state


@given(st.integers(0, 2**32 - 1))
def test_with_a_predictor_the_error_stays_below_two_thirds_of_a_step(seed):
    random = np.random.default_rng(seed)
    table, steps = samples.TABLE, samples.STEPS
    motion, before = samples.random_motion(random, 2), samples.random_motion(random, 2)
    predictor = quantise(before, table, steps)
    state = quantise(motion, table, steps, predictor)
    error = np.abs(dequantise(state, table, steps).keypoints - motion.keypoints).max()
    assert error <= 0.67 * steps.keypoint_step / 4096 + 1e-6
    assert quantise(before, table, steps, predictor) == predictor


def test_small_trembling_sends_nothing():
    table, steps = samples.TABLE, samples.STEPS
    motion = Motion(np.zeros((2, 2), np.float32), np.tile(np.eye(2, dtype=np.float32), (2, 1, 1)))
    held = quantise(motion, table, steps)
    trembling = Motion(motion.keypoints + np.float32(0.6 * 32 / 4096), motion.jacobians)
    assert quantise(trembling, table, steps) != held
    assert quantise(trembling, table, steps, held) == held


def test_far_values_are_clamped_and_do_not_wrap():
    table = generic_table(1, True)
    motion = Motion(np.array([[1e30, -1e30]], np.float32), np.full((1, 2, 2), 1e30, np.float32))
    back = dequantise(quantise(motion, table, MotionSteps(1, 1)), table, MotionSteps(1, 1))
    assert back.keypoints.tolist() == [[2.0, -2.0]]
    assert back.jacobians.tolist() == [[[16.0, 16.0], [16.0, 16.0]]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["keypoints", "jacobians"])
def test_values_that_are_not_finite_are_refused(value, part):
    arrays = {"keypoints": np.zeros((2, 2), np.float32), "jacobians": np.zeros((2, 2, 2), np.float32)}
    arrays[part].flat[1] = value
    with pytest.raises(UsageError, match="not finite"):
        quantise(Motion(**arrays), samples.TABLE, samples.STEPS)


def test_other_shapes_are_refused():
    motion = samples.random_motion(np.random.default_rng(0), 3)
    with pytest.raises(UsageError, match="keypoints have shape"):
        quantise(motion, samples.TABLE, samples.STEPS)
    with pytest.raises(UsageError, match="Jacobians"):
        quantise(Motion(motion.keypoints), generic_table(3, True), samples.STEPS)
    with pytest.raises(UsageError, match="coefficients"):
        dequantise(MotionState((1, 2)), samples.TABLE, samples.STEPS)
    with pytest.raises(UsageError, match="predictor"):
        quantise(motion, generic_table(3, True), samples.STEPS, MotionState((1, 2)))


def test_keypoints_alone_drop_jacobians():
    motion = samples.random_motion(np.random.default_rng(0), 3)
    table = generic_table(3, False)
    assert dequantise(quantise(motion, table, samples.STEPS), table, samples.STEPS).jacobians is None


@pytest.mark.parametrize("step", [0, -1, 4097])
def test_steps_out_of_range_are_refused(step):
    with pytest.raises(ConfigError, match="expected 1 to 4096"):
        MotionSteps(step, 64)
    with pytest.raises(ConfigError, match="expected 1 to 4096"):
        MotionSteps(64, step)
