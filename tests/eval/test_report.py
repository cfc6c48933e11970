"""The report from made-up rows: numbers arrive in the tables, failures are named, nothing is fetched from outside."""

import json
import math
import re

import pytest

from eval.compressai import export
from eval.points import parse_points
from eval.report import ReportConfig, build_report
from eval.report.build import KEPT
from eval.rows import Row
from eval.summary import bootstrap_mean, common_clips, frame_weighted, summarise
from talkcodec.errors import UsageError

METRICS = ("l1", "psnr_db", "ssim", "ms_ssim", "akd_px", "akd_ocular", "aed", "mkr")


def row(clip, point_text, kbps, quality, error=""):
    """quality: PSNR in dB; the errors follow from it."""
    (point,) = parse_points([point_text])
    scores = dict.fromkeys(METRICS, 10 ** (-quality / 20))
    scores.update(psnr_db=quality, mkr=0.0)
    rates = dict.fromkeys(("payload_bps", "keyframe_bps", "message_bps", "wire_up_bps", "wire_bps"), 1000 * kbps)
    return Row(
        clip, point.codec, point.key, point.curve, point.label, dict(point.settings), 50, 25.0, 64, rates, scores,
        scores, 1.0, 1.5, {"mesh68": "ab" * 32}, 5, "", "0.1.0", 0.1, error,
    )  # fmt: skip


@pytest.fixture
def rows():
    made = []
    for index, clip in enumerate(("anna", "ben", "carl")):
        made += [row(clip, f"x265:crf={51 - 6 * n}", 4 * 2**n, 28 + 3 * n + index) for n in range(4)]
        made += [row(clip, f"talkcodec:quality={q}", 2 * 2**n, 28 + 3 * n + index) for n, q in enumerate((10, 25, 45))]
        made.append(row(clip, "copy", 1, 22 + index))
    return made


def test_the_page_says_what_was_measured_and_fetches_nothing(rows, tmp_path):
    rows.append(row("dora", "copy", 0, 0, error="MediaError: no face in any frame"))
    written = build_report(rows, ReportConfig(tmp_path / "r.html", tmp_path / "r.md", tmp_path / "figures"))
    assert {path.name for path in written} == {
        "r.html", "r.md", "rd-message.svg", "rd-message.png", "rd-wire.svg", "rd-wire.png",
    }  # fmt: skip
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") == 2
    assert not re.search(r"(?:src|href)=['\"]https?:", page)
    assert "3 clips, 150 frames" in page
    assert "dora, copy quality 45: MediaError: no face in any frame" in page
    markdown = (tmp_path / "r.md").read_text()
    assert "![Rate and quality, all that is coded, envelopes too](figures/rd-message.png)" in markdown
    assert re.search(r"\| x265 \| -50 % \|", markdown)  # talkcodec needs half of x265's rate, by construction
    assert re.search(r"\| x265 \| 16\.0 \(2\.0x\) \|", markdown)  # so that x265 breaks even at twice 8 kbit/s
    by_clip = markdown[markdown.index("## BD-rate clip by clip") :]  # so on every clip as well
    assert re.search(r"\| median \| -50 % \|", by_clip)
    assert re.search(r"\| dearer than the best of all \| 0 of 3 \|", by_clip)
    assert "| X2Face | published | 0.078 |" in markdown


def test_links_lead_from_the_markdown_to_the_figures(rows, tmp_path):
    """Also where the page's folder is a link to another: `..` leaves the one it leads to."""
    (tmp_path / "deep" / "docs").mkdir(parents=True)
    (tmp_path / "docs").symlink_to(tmp_path / "deep" / "docs")
    for folder in (tmp_path / "docs", tmp_path / "elsewhere", tmp_path):
        build_report(rows, ReportConfig(markdown=folder / "r.md", figures=tmp_path / "figures"))
        links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", (folder / "r.md").read_text())
        assert len(links) == 2
        assert all((folder.resolve() / link).is_file() for link in links)


def test_what_is_kept_by_hand_stays_when_the_page_is_written_anew(rows, tmp_path):
    page = tmp_path / "r.md"
    config = ReportConfig(markdown=page)
    build_report(rows, config)
    fresh = page.read_text()
    first, last = KEPT
    page.write_text(f"# Results\n\nold\n\n{first}\n**What this is.** Words.\n{last}\n\nold\n")
    build_report(rows, config)
    text = page.read_text()
    assert "old" not in text
    assert f"{first}\n**What this is.** Words.\n{last}\n" in text
    assert text.replace(f"{first}\n**What this is.** Words.\n{last}\n\n", "") == fresh
    build_report(rows, config)
    assert page.read_text() == text
    page.write_text(f"# Results\n{first}\nWords.\n")
    with pytest.raises(UsageError, match="in line 2 has no"):
        build_report(rows, config)


def test_a_clip_that_was_not_measured_everywhere_is_left_out_and_named(rows):
    kept, left_out = common_clips([*rows, row("emil", "copy", 1, 20)])
    assert left_out == ["emil"]
    assert {each.clip for each in kept} == {"anna", "ben", "carl"}


def test_nothing_to_report_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="nothing to report"):
        build_report([row("anna", "copy", 1, 20, error="x")], ReportConfig(tmp_path / "r.html"))


def test_means_weigh_clips_alike_and_the_papers_weigh_frames():
    a, b = row("anna", "copy", 1, 20), row("ben", "copy", 3, 40)
    b = Row(**{**b.__dict__, "frames": 150})
    (mean,) = summarise([a, b])
    assert mean.rate("payload_bps") == 2000
    assert mean.value("psnr_db") == 30
    assert frame_weighted([a, b], "psnr_db") == pytest.approx((20 * 50 + 40 * 150) / 200)
    assert mean.bits_per_pixel == pytest.approx(2000 / (25 * 64 * 64))


def test_the_bootstrap_interval_covers_the_mean_and_repeats():
    values = [1.0, 2.0, 3.0, 4.0, None, math.nan]
    interval = bootstrap_mean(values)
    assert (interval.mean, interval.count) == (2.5, 4)
    assert 1 <= interval.low < 2.5 < interval.high <= 4
    assert bootstrap_mean(values) == interval
    assert bootstrap_mean([3.0, 3.0]).low == 3.0
    assert bootstrap_mean([None]).count == 0


def test_compressai_files_have_what_its_plot_tool_reads(rows, tmp_path):
    paths = {path.name: json.loads(path.read_text()) for path in export(rows, tmp_path)}
    document = paths["x265.json"]
    assert document["name"] == "x265"
    assert document["results"]["bpp"] == sorted(document["results"]["bpp"])
    assert len(document["results"]["psnr"]) == 4
    assert document["results"]["bpp"][0] == pytest.approx(4000 / (25 * 64 * 64))
