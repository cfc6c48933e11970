"""Picture metrics against independent implementations and numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from eval.metrics import fidelity


@pytest.fixture(params=[0.01, 0.1, 0.4])
def pair(request):
    """A smooth picture with texture, and the same with noise."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:192, 0:208] / 20
    base = np.stack([np.sin(x) * np.cos(y), np.sin(x + y), np.cos(2 * x)], axis=-1) * 0.4 + 0.5
    noisy = base + rng.normal(0, request.param, base.shape)
    return base.astype(np.float32), np.clip(noisy, 0, 1).astype(np.float32)


def test_l1_is_the_mean_absolute_difference():
    a = np.zeros((2, 2, 3), np.float32)
    b = a.copy()
    b[0, 0] = (0.3, 0.6, 0.9)
    assert fidelity.l1(a, b) == pytest.approx(1.8 / 12)


def test_psnr_agrees_with_scikit_image(pair):
    assert fidelity.psnr_db(*pair) == pytest.approx(peak_signal_noise_ratio(*pair, data_range=1), abs=1e-4)


def test_psnr_of_a_constant_error_of_a_tenth_is_20_db():
    a = np.full((4, 4, 3), 0.5, np.float32)
    assert fidelity.psnr_db(a, a + np.float32(0.1)) == pytest.approx(20, abs=1e-4)


def test_ssim_agrees_with_scikit_image(pair):
    wanted = structural_similarity(
        *pair, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )
    assert fidelity.ssim(*pair) == pytest.approx(wanted, abs=1e-5)


def test_ms_ssim_agrees_with_torchmetrics(pair):
    """Channel by channel, as pytorch-msssim and CompressAI do; torchmetrics pools the channels of one picture."""
    channels = [torch.from_numpy(p.transpose(2, 0, 1)[:, None].copy()) for p in pair]  # (3, 1, H, W)
    wanted = multiscale_structural_similarity_index_measure(*channels, data_range=1.0, normalize="relu")
    assert fidelity.ms_ssim(*pair) == pytest.approx(float(wanted), abs=1e-4)


def test_identical_pictures_reach_the_bounds(pair):
    picture, _ = pair
    assert fidelity.l1(picture, picture) == 0
    assert fidelity.psnr_db(picture, picture) == fidelity.PSNR_CEILING_DB
    assert fidelity.ssim_and_ms_ssim(picture, picture) == pytest.approx((1, 1), abs=1e-6)


def test_ms_ssim_needs_room_for_five_scales():
    small = np.zeros((128, 128, 3), np.float32)
    ssim, ms_ssim = fidelity.ssim_and_ms_ssim(small, small)
    assert ssim == 1
    assert math.isnan(ms_ssim)
