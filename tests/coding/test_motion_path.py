"""Between units that arrived, and a little beyond the last."""

import numpy as np
import pytest

from talkcodec.coding import CONCEAL_MS, extrapolate_motion, mix_drive
from talkcodec.types import Base, Crop, Drive, Later, Motion


def test_layers_between_two_instants_are_mixed() -> None:
    def pictured(value: float, size: int = 8) -> Base:
        return Base(np.full((size, size, 3), value, np.float32), np.full((2, 4, 4), value / 100, np.float32))

    def moved(value: float) -> Motion:
        return Motion(np.full((2, 2), value, np.float32))

    before, after = pictured(10), pictured(20)
    drive = mix_drive(Drive(moved(0), before), Drive(moved(1), after), 0.25, same=True)
    assert drive.motion is not None
    assert drive.motion.keypoints == pytest.approx(0.25)
    assert drive.base is before
    assert drive.later == (after, 0.25, True)
    only_motion = mix_drive(Drive(moved(0), pictured(1)), Drive(moved(1)), 0.5, same=True)
    assert only_motion.motion is not None
    assert only_motion.base is None


def test_across_a_keyframe_base_pictures_of_one_crop_are_mixed_and_motion_is_not() -> None:
    def base(crop: Crop) -> Base:
        return Base(np.zeros((8, 8, 3), np.float32), np.zeros((2, 4, 4), np.float32), crop)

    def moved(value: float) -> Motion:
        return Motion(np.full((2, 2), value, np.float32))

    before, after = base(Crop(0, 0, 100)), base(Crop(0, 0, 100))
    assert mix_drive(Drive(base=before), Drive(base=after), 0.5, same=False) == Drive(
        None, before, Later(after, 0.5, False)
    )
    for a, b, same in [
        (Drive(base=before), Drive(base=base(Crop(9, 0, 100))), True),  # the crop has moved
        (Drive(moved(0)), Drive(moved(1)), False),
        (Drive(base=before), Drive(moved(1)), True),  # another rung
        (Drive(moved(0)), Drive(base=after), True),
    ]:
        assert mix_drive(a, b, 0.5, same) is a


def test_extrapolation_slows_down_to_rest() -> None:
    before, last = (Motion(np.full((2, 2), place, np.float32)) for place in (0.0, 0.1))
    ahead = [extrapolate_motion(before, last, 40, age).keypoints[0, 0] for age in (0, 40, 120, CONCEAL_MS, 2000)]
    assert ahead == sorted(ahead)
    assert ahead[0] == pytest.approx(0.1)
    assert 0.18 < ahead[1] < 0.2
    assert ahead[3] == ahead[4]
    assert extrapolate_motion(before, last, 0, 40) is last
    assert extrapolate_motion(before, last, CONCEAL_MS + 1, 40) is last
