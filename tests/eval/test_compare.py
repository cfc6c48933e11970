"""BD-rate and break-even rates against values worked out by hand."""

import math

import pytest

from eval.compare import bd_rate, break_even, front, value_at

ANCHOR = [(4.0, 30.0), (8.0, 33.0), (16.0, 36.0), (32.0, 39.0)]


def test_half_the_rate_at_equal_quality_is_minus_fifty_percent():
    result = bd_rate(ANCHOR, [(rate / 2, quality) for rate, quality in ANCHOR], "psnr_db")
    assert result.percent == pytest.approx(-50)
    assert result.overlap == 1


def test_where_less_is_better_the_sign_turns():
    errors = [(rate, 60 - quality) for rate, quality in ANCHOR]
    assert bd_rate(errors, [(3 * rate, error) for rate, error in errors], "akd_px").percent == pytest.approx(200)


def test_a_shift_on_a_logarithmic_line_is_found_exactly():
    # Both lie on straight lines in log rate: 3 dB a doubling, the tested one 1 dB better.
    tested = [(rate, quality + 1) for rate, quality in ANCHOR]
    assert bd_rate(ANCHOR, tested, "psnr_db").percent == pytest.approx(100 * (2 ** (-1 / 3) - 1))


def test_nothing_is_extrapolated():
    far = [(1.0, 20.0), (2.0, 23.0), (3.0, 26.0)]
    refused = bd_rate(ANCHOR, far, "psnr_db")
    assert refused.percent is None
    assert "0%" in refused.reason
    little = [(1.0, 10.0), (2.0, 20.0), (3.0, 32.0)]  # 2 of 22 dB in common
    assert bd_rate(ANCHOR, little, "psnr_db").percent is None


def test_two_points_are_no_curve():
    assert bd_rate(ANCHOR, ANCHOR[:2], "psnr_db").reason == "4 and 2 points"


def test_the_front_keeps_what_nothing_beats():
    curve = [(8.0, 3.0), (4.0, 5.0), (6.0, 5.5), (9.0, math.nan), (16.0, 2.0), (16.0, 2.5)]
    assert front(curve, "akd_px") == [(4.0, 5.0), (8.0, 3.0), (16.0, 2.0)]


def test_break_even_lies_between_the_points_in_log_rate():
    assert break_even(ANCHOR, 34.5, "psnr_db").rate == pytest.approx(math.sqrt(8 * 16))
    assert break_even([(4.0, 5.0), (16.0, 1.0)], 3.0, "l1").rate == pytest.approx(8)


def test_break_even_outside_the_curve_names_its_end():
    worse = break_even(ANCHOR, 45, "psnr_db")
    assert (worse.rate, worse.bound, worse.beyond) == (None, 32, "above")
    better = break_even(ANCHOR, 20, "psnr_db")
    assert (better.rate, better.bound, better.beyond) == (None, 4, "below")


def test_the_value_at_a_rate_lies_between_the_points_and_never_beyond():
    assert value_at(ANCHOR, math.sqrt(8 * 16), "psnr_db") == pytest.approx(34.5)
    assert value_at(ANCHOR, 33, "psnr_db") is None
    assert value_at(ANCHOR, 3.9, "psnr_db") is None
