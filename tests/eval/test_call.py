"""Live calls scored: which frame each shown picture belongs to, and a short real call."""

import numpy as np
import pytest

from eval.call import CONDITIONS, CallRow, _find_offset, _there_and_back, call_table, load_calls, measure_call
from eval.instruments import Instruments
from talkcodec.errors import MediaError
from talkcodec.runtime import open_engine
from talkcodec.types import Kind, Motion, PlayedPicture


def test_the_clip_is_played_there_and_back():
    assert [_there_and_back(step, 4) for step in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert _there_and_back(5, 1) == 0


def test_pictures_are_matched_with_frames_by_their_motion():
    rng = np.random.default_rng(0)
    forward = [Motion(rng.normal(0, 1, (5, 2)).astype(np.float32)) for _ in range(6)]
    track = [*forward, *forward[-2:0:-1]]
    picture = np.zeros((8, 8, 3), np.uint8)
    shown = []
    for step in range(12):
        kind = Kind.FROZEN if step in (0, 4) else Kind.EXACT
        seen = Motion(track[(step + 7) % len(track)].keypoints + np.float32(0.01))
        shown.append(PlayedPicture(picture, 3600 * step, kind, 0.0, None, seen))
    assert _find_offset(track, list(range(12)), shown) == 7


def test_a_clip_of_another_size_is_refused(clip):
    engine = open_engine("untrained:lite-256", threads=1)
    with pytest.raises(MediaError, match="64x64, the model needs 256x256"):
        measure_call(engine, clip, CONDITIONS[0], "25 fps", Instruments())


@pytest.mark.slow
def test_a_call_over_a_clean_network_shows_every_frame(clip, tmp_path):
    engine = open_engine("untrained:tiny", threads=1)
    row = measure_call(engine, clip, CONDITIONS[0], "25 fps", Instruments(), seconds=3.0)
    assert isinstance(row, CallRow)
    assert row.result["shown"] >= 60
    assert row.strict["l1"] < 0.2
    assert call_table([row]).rows[0][0] == "clean"


def test_a_file_of_something_else_is_named(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"clip": "a"}\n')
    with pytest.raises(MediaError, match=r"other\.jsonl: not a result of `eval call`"):
        load_calls([path])
