"""Operating points by name."""

import pytest

from eval.points import PRESETS, parse_points
from talkcodec.errors import ConfigError


def test_a_key_reads_back_as_the_same_point():
    for preset in PRESETS.values():
        for point in preset:
            assert parse_points([point.key]) == [point]


def test_points_are_complete_and_not_repeated():
    points = parse_points(["x265:crf=48", "x265:size=0,crf=48", "quick"])
    assert len(points) == 1 + 3
    assert points[0]["every"] == 1


def test_a_curve_differs_in_quality_alone():
    a, b, c = parse_points(["talkcodec:quality=10", "talkcodec:quality=80", "talkcodec:quality=10,kp=64"])
    assert a.curve == b.curve != c.curve
    assert a.label != b.label


@pytest.mark.parametrize("text", ["h263", "x265:qp=3", "x265:crf", "x265:crf=low", "talkcodec:steps=1"])
def test_what_is_not_known_is_refused_with_what_is(text):
    with pytest.raises(ConfigError, match=r"expected|known|has no setting"):
        parse_points([text])
