"""Base pictures of instants that have none of their own."""

import cv2
import numpy as np
import pytest

from talkcodec.runtime.between import between
from talkcodec.types import Base, FloatArray

SIDE = 128


def textured(size: int = SIDE) -> FloatArray:
    noise = np.random.default_rng(1).uniform(0, 255, (2 * SIDE, 2 * SIDE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    smooth = np.clip(128 + 6 * (smooth - smooth.mean()), 0, 255)
    return np.asarray(cv2.resize(smooth, (2 * size, 2 * size), interpolation=cv2.INTER_AREA), dtype=np.float32)


def seen(moved_px: int, size: int = SIDE) -> Base:
    """The texture, moved to the right by so many pixels of SIDE, and where it is found in a reference that is not."""
    texture, left = textured(size), (SIDE // 4 - moved_px) * size // SIDE
    flow = np.zeros((2, SIDE, SIDE), np.float32)
    flow[0] = -moved_px / (SIDE / 2)
    return Base(np.ascontiguousarray(texture[:size, left : left + size]), flow)


@pytest.mark.parametrize("size", [SIDE // 2, SIDE, 2 * SIDE])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_what_moves_is_shown_where_it_is_at_the_instant(size: int, share: float) -> None:
    a, b, truth = seen(0, size), seen(8, size), seen(round(8 * share), size)
    made = between(a, b, share)
    inner = (slice(size // 8, -size // 8),) * 2
    error = np.abs(made.picture - truth.picture)[inner].mean()
    doubled = np.abs((1 - share) * a.picture + share * b.picture - truth.picture)[inner].mean()
    assert error < doubled / 3
    within = (slice(None), *(slice(SIDE // 8, -SIDE // 8),) * 2)
    assert np.abs(made.flow - truth.flow)[within].mean() * SIDE / 2 < 0.5  # pixels


def test_at_both_ends_it_is_what_stands_there() -> None:
    a, b = seen(0), seen(8)
    assert np.array_equal(between(a, b, 0).picture, a.picture)
    assert np.array_equal(between(a, b, 1).picture, b.picture)


@pytest.mark.parametrize(("first", "second"), [(SIDE, 2 * SIDE), (2 * SIDE, SIDE)])
def test_between_two_sizes_it_has_the_smaller(first: int, second: int) -> None:
    made = between(seen(0, first), seen(8, second), 0.5)
    assert made.picture.shape == (SIDE, SIDE, 3)
    assert np.abs(made.picture - seen(4).picture)[16:-16, 16:-16].mean() < 6


def test_the_flow_of_another_reference_is_not_mixed_in() -> None:
    a, b, truth = seen(0), seen(8), seen(4)
    b.flow[:] = 1
    made = between(a, b, 0.5, same=False)
    within = (slice(None), *(slice(SIDE // 8, -SIDE // 8),) * 2)
    assert np.abs(made.flow - truth.flow)[within].mean() * SIDE / 2 < 0.5


def test_the_ends_are_left_as_they_were() -> None:
    a, b = seen(0), seen(8)
    kept = [array.copy() for base in (a, b) for array in (base.picture, base.flow)]
    between(a, b, 0.5)
    now = [array for base in (a, b) for array in (base.picture, base.flow)]
    assert all(np.array_equal(before, after) for before, after in zip(kept, now, strict=True))
