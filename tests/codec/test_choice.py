"""Which picture of a recording a keyframe shows."""

import numpy as np

from talkcodec.codec import CroppedPicture
from talkcodec.codec.choice import ReferenceChoice
from talkcodec.types import Crop, Picture

WHOLE = Crop(0, 0, 64)


def pictures(levels: list[int], crops: list[Crop] | None = None) -> list[CroppedPicture]:
    crops = crops or [WHOLE] * len(levels)
    grey = [np.full((64, 64, 3), level, np.uint8) for level in levels]
    return [CroppedPicture(p, crop, (64, 64), True, 0) for p, crop in zip(grey, crops, strict=True)]


def shown(picture: Picture) -> int:
    return int(picture[0, 0, 0])


def test_the_picture_least_far_from_all_others_is_chosen() -> None:
    choice = ReferenceChoice(pictures([100, 108, 110, 112, 114]))
    assert shown(choice.at(0)) == 110


def test_only_what_comes_after_the_keyframe_counts() -> None:
    choice = ReferenceChoice(pictures([100, 108, 110, 112, 114]))
    assert shown(choice.at(3)) in (112, 114)


def test_another_scene_is_not_looked_into() -> None:
    choice = ReferenceChoice(pictures([100] * 5 + [101] * 6 + [102] * 5 + [200] * 40))
    assert shown(choice.at(0)) == 101
    assert shown(choice.at(16)) == 200


def test_a_wipe_at_the_start_is_no_scene() -> None:
    """Regression: the keyframe showed a white wipe of two frames, and all that followed was restored with it."""
    choice = ReferenceChoice(pictures([250, 180, 100, 101, 102, 102, 103, 104]))
    assert shown(choice.at(0)) in (101, 102)


def test_a_crop_that_moves_ends_the_scene() -> None:
    moved = Crop(8, 0, 64)
    choice = ReferenceChoice(pictures([100, 101, 102, 110, 110, 110, 110], [WHOLE] * 3 + [moved] * 4))
    assert shown(choice.at(0)) == 101
    assert shown(choice.at(4)) == 110


def test_another_face_ends_the_scene() -> None:
    cut = pictures([100, 101, 102, 110, 110, 110, 110])
    last = cut[3]
    cut[3] = CroppedPicture(last.picture, last.crop, last.captured_size, True, 0, new_face=True)
    assert shown(ReferenceChoice(cut).at(0)) == 101
