"""Flicker along the true motion."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from eval.metrics.flicker import flicker

Frames = npt.NDArray[np.uint8]


@pytest.fixture
def moving() -> Frames:
    """A texture that moves evenly, two pixels a frame."""
    noise = np.random.default_rng(3).integers(0, 256, (16, 24, 3), np.uint8)
    wide = cv2.resize(noise, (192, 128), interpolation=cv2.INTER_CUBIC)
    return np.stack([wide[:, 2 * t : 2 * t + 128] for t in range(12)])


def test_even_motion_is_no_flicker(moving: Frames) -> None:
    steady, _ = flicker(moving, moving)
    still = float(np.abs(moving[2].astype(float) - 2 * moving[1] + moving[0]).mean())
    assert steady < 0.25 * still


def test_brightness_that_alternates_is_found(moving: Frames) -> None:
    beaten = np.clip(moving.astype(int) + np.where(np.arange(12) % 2, 4, -4)[:, None, None, None], 0, 255)
    steady, unsteady = flicker(moving, beaten.astype(np.uint8))
    assert unsteady == pytest.approx(16, abs=3)  # second difference of +4, -4, +4
    assert steady < 3


def test_a_steady_offset_is_no_flicker(moving: Frames) -> None:
    low = (moving // 2).astype(np.uint8)
    steady, offset = flicker(low, (low + 20).astype(np.uint8))
    assert offset == pytest.approx(steady, abs=0.05)


def test_two_pictures_have_none(moving: Frames) -> None:
    assert np.isnan(flicker(moving[:2], moving[:2])).all()
