"""The tables that look for defeats."""

from eval.points import make_point
from eval.report.checks import clips_beside_anchor_table, rates_beside_best_table
from eval.rows import Row
from eval.summary import summarise

METRICS = ("l1", "ms_ssim", "akd_ocular", "mkr")


def row(codec: str, rate_kbps: float, psnr_db: float, clip: str = "a", **settings: int | float | str) -> Row:
    point = make_point(codec, **settings)
    scores = {**dict.fromkeys(METRICS, 0.0), "psnr_db": psnr_db, "ssim": psnr_db / 50}
    scores |= {"akd_px": 50 - psnr_db, "aed": (50 - psnr_db) / 50}
    return Row(
        clip, codec, point.key, point.curve, point.label, dict(point.settings), 10, 25.0, 256,
        dict.fromkeys(("payload_bps", "message_bps"), rate_kbps * 1000), scores, scores,
    )  # fmt: skip


AV1 = [row("av1", 4, 30, crf=63), row("av1", 16, 34, crf=50)]


def ours(kbps: float, psnr_db: float) -> Row:
    return row("talkcodec", kbps, psnr_db, rung="auto", kbps=kbps)


def test_a_point_that_needs_more_rate_than_the_best_anchor_is_marked() -> None:
    rows = [*AV1, ours(4, 32), ours(10, 32)]  # AV1 has 32 dB at 8 kbit/s
    table = rates_beside_best_table(summarise(rows), "talkcodec rung auto", "message_bps", "coded")
    assert [line[2] for line in table.rows] == ["-50 %", "**+25 %**"]
    assert "4 times" in table.note  # all four metrics of one point


def test_beyond_the_anchors_best_it_has_won_and_below_their_least_it_is_counted() -> None:
    rows = [*AV1, ours(5, 29), ours(20, 36)]
    table = rates_beside_best_table(summarise(rows), "talkcodec rung auto", "message_bps", "coded")
    assert [line[2] for line in table.rows] == ["**+25 %**", "better than all"]


def test_a_clip_that_is_worse_than_the_anchor_at_its_rate_is_marked() -> None:
    rows = [*AV1, ours(8, 31.5), ours(10, 33.5), ours(30, 40)]
    table = clips_beside_anchor_table(rows, "talkcodec rung auto", "av1", "message_bps")
    assert list(table.rows[0]) == ["a", "**-0.50**", "+0.86", "-"]
    assert table.note.endswith("Once it is over 0.3 dB worse.")
