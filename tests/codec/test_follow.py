"""Who is the speaker, decided from boxes and colours alone."""

import numpy as np
import pytest

from talkcodec.codec.face import FaceBox
from talkcodec.codec.follow import Face, FollowerConfig, SpeakerFollower
from talkcodec.errors import ConfigError


def colours(number: int) -> np.ndarray:
    histogram = np.zeros((32, 32), np.float32)
    histogram[number, number] = 1
    return histogram


def face(x: float, width: float = 100, person: int = 1) -> Face:
    return Face(FaceBox(x, 200, width), colours(person))


def test_the_largest_is_followed_first_and_then_stays() -> None:
    follower = SpeakerFollower()
    assert follower.follow([face(100, 90), face(400, 120, 2)], 0.0) == face(400, 120).box
    for step in range(1, 20):
        assert follower.follow([face(100, 150), face(400, 120, 2)], step * 0.2) == face(400, 120).box
    assert follower.speakers == 1


def test_a_much_larger_face_that_stays_takes_over_in_the_end() -> None:
    follower = SpeakerFollower()
    follower.follow([face(100)], 0.0)
    times = np.arange(1, 40) * 0.2
    chosen = [follower.follow([face(100), face(500, 180, 2)], time_s) for time_s in times]
    taken = next(time_s for time_s, box in zip(times, chosen, strict=True) if box == face(500, 180).box)
    assert taken - 0.2 == pytest.approx(FollowerConfig().challenge_s, abs=0.01)


def test_of_two_faces_of_one_size_that_jitter_one_is_followed() -> None:
    rng = np.random.default_rng(0)
    follower, places = SpeakerFollower(), []
    for step in range(60):
        pair = [face(200 + rng.normal(0, 4), 100 + rng.normal(0, 8)), face(420, 100 + rng.normal(0, 8), 2)]
        box = follower.follow(pair, step * 0.2)
        assert box is not None
        places.append(box)
    assert all(box.distance(places[0]) < 0.4 for box in places)
    assert follower.speakers == 1


def test_a_face_found_in_part_and_as_a_whole_is_one() -> None:
    follower = SpeakerFollower()
    for step in range(20):
        assert follower.follow([face(300, 80 if step % 2 else 170)], step * 0.2) is not None
    assert follower.speakers == 1


def test_a_challenger_that_leaves_starts_again() -> None:
    follower = SpeakerFollower()
    follower.follow([face(100)], 0.0)
    for step in range(1, 60):
        others = [face(500, 180, 2)] if step % 20 < 15 else []
        assert follower.follow([face(100), *others], step * 0.2) == face(100).box


def test_the_speakers_colours_may_change_slowly_but_not_at_once() -> None:
    follower = SpeakerFollower()
    follower.follow([face(100)], 0.0)
    mixed = colours(1) * 0.7 + colours(2) * 0.3
    for step in range(1, 12):
        assert follower.follow([Face(face(100).box, mixed)], step * 0.4) is not None
        mixed = mixed * 0.9 + colours(2) * 0.1
    assert follower.speakers == 1
    assert follower.follow([face(100, person=9)], 12 * 0.4) is None


def test_after_a_cut_or_a_long_absence_anybody_is_taken_at_once() -> None:
    follower = SpeakerFollower()
    follower.follow([face(100)], 0.0)
    assert follower.follow([face(500, 60, 2)], 0.4) is None
    assert follower.follow([face(500, 60, 2)], 0.6, cut=True) == face(500, 60).box
    assert follower.follow([], 2.0) is None
    assert follower.follow([face(100, 70, 3)], 4.0) == face(100, 70).box
    assert follower.speakers == 3


def test_after_a_cut_the_face_at_the_same_place_goes_on() -> None:
    follower = SpeakerFollower()
    follower.follow([face(100)], 0.0)
    assert follower.follow([face(500, 200, 2), face(110)], 0.4, cut=True) == face(110).box
    assert follower.speakers == 1


@pytest.mark.parametrize(
    "wrong",
    [{"reach": 0.0}, {"size_ratio": 0.9}, {"stay_s": -1.0}, {"stay_s": 5.0}, {"challenge_s": -1.0}],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        FollowerConfig(**wrong)
