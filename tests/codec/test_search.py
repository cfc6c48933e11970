"""The search for the quality with which pictures take a number of bytes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.codec.base import BaseConfig
from talkcodec.codec.search import Fit, fit_quality

Measure = Callable[[BaseConfig], int]


def search(measure: Measure, target: float, start: float = 10) -> tuple[Fit, list[float]]:
    tried: list[float] = []

    def counted(config: BaseConfig) -> int:
        tried.append(config.quality)
        return measure(config)

    return fit_quality(BaseConfig(quality=start), target, counted), tried


@given(
    st.dictionaries(st.integers(0, 200), st.integers(1, 10**7), max_size=8), st.integers(1, 10**7),
    st.floats(0.5, 1e7), st.integers(0, 200),
)  # fmt: skip
def test_the_search_ends_with_the_best_that_it_saw_whatever_it_measures(
    sizes: dict[int, int], otherwise: int, target: float, start: int
) -> None:
    def size_of(quality: float) -> int:
        return sizes.get(round(2 * quality), otherwise)

    fit, tried = search(lambda config: size_of(config.quality), target, start / 2)
    assert 1 <= len(tried) <= 8
    assert len(set(tried)) == len(tried)
    assert all(0 <= quality <= 100 and 2 * quality == round(2 * quality) for quality in tried)
    assert fit.size_bytes == size_of(fit.base.quality)
    miss = abs(np.log(fit.size_bytes / target))
    assert all(miss <= abs(np.log(size_of(quality) / target)) + 1e-9 for quality in tried)


@given(st.floats(100, 50_000), st.floats(0.025, 0.09), st.floats(0, 90), st.integers(0, 100))
def test_a_smooth_growth_is_met_to_a_few_per_cent(floor: float, growth: float, wanted: float, start: int) -> None:
    def measure(config: BaseConfig) -> int:
        return round(floor * np.exp(growth * config.quality))

    target = floor * np.exp(growth * wanted)
    fit, _ = search(measure, target, start)
    assert fit.size_bytes == pytest.approx(target, rel=0.05)


@pytest.mark.parametrize("target", [60, 100, 300, 1000])
@pytest.mark.parametrize("start", [0, 20, 60, 100])
def test_a_growth_that_bends_is_met_too(target: float, start: float) -> None:
    """Regression: noise after a minute that had quality 100 took 48 % more than its share. Bytes of a picture of it."""
    qualities = [0, 5, 10, 15, 20, 30, 40, 60, 80, 100]
    logs = np.log([30, 52, 90, 193, 323, 711, 1076, 1968, 2851, 3879])
    fit, _ = search(lambda config: round(100 * np.exp(np.interp(config.quality, qualities, logs))), 100 * target, start)
    assert fit.size_bytes == pytest.approx(100 * target, rel=0.08)


def test_targets_out_of_reach_end_at_the_ends() -> None:
    def measure(config: BaseConfig) -> int:
        return round(1000 * np.exp(0.04 * config.quality))

    low, tried = search(measure, 10)
    assert (low.base.quality, len(tried)) == (0, 2)
    assert search(measure, 1e9)[0].base.quality == 100
