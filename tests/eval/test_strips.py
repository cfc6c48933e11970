"""Film strips: which clips, at whose rate, with eyes and mouth cut where the truth has them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from eval.report import ReportConfig, build_report
from eval.report.film import SIDE, SLICE, close_ups, film_strip, instants, time_slices
from eval.report.strips import gain_db, ranked_clips
from talkcodec.errors import UsageError
from tests.eval.test_report import row

TINY = {"model": "untrained:tiny"}


def rows_with_gains(gains: dict[str, float]):
    """Rows of clips on which talkcodec is so many dB above av1 at its rate, 8 kbit/s, and far above x265."""
    made = []
    for clip, gain in gains.items():
        made += [row(clip, f"av1:crf={63 - 6 * n}", 4 * 2**n, 28 + 3 * n) for n in range(3)]
        made += [row(clip, f"x265:crf={51 - 6 * n}", 4 * 2**n, 20 + n) for n in range(3)]
        ours = row(clip, "talkcodec:quality=45", 8, 31 + gain)
        made.append(replace(ours, settings={**ours.settings, **TINY}))
    return made


class Detector:
    """Finds landmarks at one place: eyes about (20, 20), a mouth about (30, 45)."""

    name, sha256 = "made up", ""

    def detect(self, picture):
        points = np.zeros((68, 2), np.float32)
        points[36:48] = np.linspace((10, 18), (30, 22), 12)
        points[48:68] = np.linspace((25, 43), (35, 47), 20)
        return points


@pytest.fixture
def three(clip, tmp_path):
    frames = np.concatenate([clip.frames] * 5)[:50]
    for name in ("anna", "ben", "carl"):
        np.save(tmp_path / f"{name}.npy", frames)
    return tmp_path


def test_clips_are_ranked_by_psnr_above_av1_at_the_same_rate():
    rows = rows_with_gains({"anna": 2, "ben": -1, "carl": 1, "dora": 0})
    ours = [each for each in rows if each.codec == "talkcodec"]
    assert ranked_clips(rows, ours) == {"best": "anna", "median": "carl", "worst": "ben"}
    anchors = [each for each in rows if each.clip == "anna" and each.codec == "av1"]
    assert gain_db(anchors, ours[0]) == pytest.approx(2)
    assert gain_db(anchors, replace(ours[0], rates={"message_bps": 2000})) is None
    assert ranked_clips([each for each in rows if each.codec != "av1"], ours)["best"] == "anna"
    assert ranked_clips(ours, ours) == {}


def test_best_median_and_worst_go_to_figures_and_markdown_when_asked_for(three):
    rows = rows_with_gains({"anna": 2, "ben": -1, "carl": 1})
    config = ReportConfig(
        html=three / "r.html",
        markdown=three / "r.md",
        figures=three / "figures",
        clips=(three,),
        strips=("best", "carl"),
        landmarks=Detector(),
    )
    build_report(rows, config)
    assert {path.name for path in (three / "figures").glob("strip-*")} == {"strip-best.jpg", "strip-carl.jpg"}
    markdown, page = (three / "r.md").read_text(), (three / "r.html").read_text()
    assert "![anna, the best of 3 clips](figures/strip-best.jpg)" in markdown
    assert "![carl, the median of 3 clips](figures/strip-carl.jpg)" in markdown
    assert "+2.00 dB beside what av1's measured points say" in markdown
    assert "eyes and mouth" in markdown
    assert "ben" not in markdown.split("## All operating points")[0]
    assert page.count("data:image/jpeg") == 3
    picture = cv2.imread(str(three / "figures" / "strip-best.jpg"))
    plain = film_strip([("a", np.zeros((50, 64, 64, 3), np.uint8))] * 3)
    assert picture.shape[1] == plain.shape[1]
    assert picture.shape[0] > 1.3 * plain.shape[0]


def test_a_strip_of_a_clip_that_is_not_given_is_left_out_unless_it_was_asked_for(three):
    rows = rows_with_gains({"anna": 2, "ben": -1, "carl": 1})
    config = ReportConfig(three / "r.html", clips=(three / "carl.npy",))
    build_report(rows, config)
    page = (three / "r.html").read_text()
    assert page.count("<img") == 1
    assert "carl, the median of 3 clips" in page
    assert "No film strip of anna, the best of 3 clips: --clips does not name it." in page
    assert "No film strip of ben, the worst of 3 clips: --clips does not name it." in page
    for name in ("anna", "worst", "nobody"):
        with pytest.raises(UsageError, match=f"no film strip of '{name}'"):
            build_report(rows, replace(config, strips=(name,)))
    with pytest.raises(UsageError, match="needs clips"):
        build_report(rows, replace(config, clips=(), strips=("best",)))


def test_close_ups_follow_the_face_and_keep_their_size():
    first, second = Detector().detect(None), Detector().detect(None) + 5
    second[36:48, 0] = np.linspace(0, 40, 12)  # wider eyes: all of the clip's boxes are as wide
    boxes = close_ups([None, first, None, second])
    assert [[box[:2] for box in instant] for instant in boxes[:3]] == [[(20, 20), (30, 45)]] * 3
    assert [box[:2] for box in boxes[3]] == [(20, 25), (35, 50)]
    assert len({tuple(box[2:] for box in instant) for instant in boxes}) == 1
    assert boxes[0][0][2] > 40
    assert close_ups([None, None]) == []


def test_every_line_is_cut_at_the_same_place():
    """A white square in the box is white in the close-up, and what stands outside of it is not seen."""
    frames = np.zeros((9, 64, 64, 3), np.uint8)
    frames[:, 10:21, 20:31] = 255
    frames[:, 40:, :] = 128
    count = len(instants(9))
    strip = film_strip([("a", frames), ("b", 255 - frames)], [[(25, 15, 11, 11)]] * count)
    half = strip.shape[0] // 2
    close = [strip[at + half - 2 - SIDE : at + half - 2, :SIDE] for at in (0, half)]
    assert (close[0] == 255).all()
    assert (close[1] == 0).all()


def test_a_time_slice_has_the_column_of_each_frame_in_order():
    frames = np.zeros((10, 64, 64, 3), np.uint8)
    frames[:, :, 20] = np.arange(10)[:, None, None] * 20
    drawn = time_slices([("a", frames), ("b", frames[::-1])], 20, 200)
    assert drawn.shape == (2 * (24 + SLICE), 200, 3)
    first, second = (drawn[at + 30, 10::20, 0] for at in (0, 24 + SLICE))
    assert list(first) == [20 * number for number in range(10)]
    assert list(second) == list(first[::-1])
    assert not time_slices([("a", frames)], 21, 200)[24:].any()
