"""Picture fidelity: L1, PSNR, SSIM, MS-SSIM of one frame. Pictures are float32 RGB in [0, 1], (H, W, 3)."""

import math

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["PSNR_CEILING_DB", "l1", "ms_ssim", "psnr_db", "ssim", "ssim_and_ms_ssim"]

PSNR_CEILING_DB = 100.0
"""Identical pictures have infinite PSNR; means need a number."""

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

Unit = npt.NDArray[np.float32]


def l1(reference: Unit, generated: Unit) -> float:
    """Mean absolute difference over channels and pixels, in [0, 1]."""
    return float(np.mean(np.abs(reference - generated), dtype=np.float64))


def psnr_db(reference: Unit, generated: Unit) -> float:
    """Peak signal to noise ratio over the three channels together, dB, at most PSNR_CEILING_DB."""
    mse = float(np.mean(np.square(reference - generated), dtype=np.float64))
    return PSNR_CEILING_DB if mse <= 10 ** (-PSNR_CEILING_DB / 10) else -10 * math.log10(mse)


def ssim(reference: Unit, generated: Unit) -> float:
    """Structural similarity (Wang et al., 2004): 11x11 Gaussian of sigma 1.5, mean of the R, G and B values.

    The same as scikit-image with gaussian_weights, use_sample_covariance=False.
    """
    return float(_similarity_terms(reference, generated)[0].mean())


def ms_ssim(reference: Unit, generated: Unit) -> float:
    """Multi-scale structural similarity; see `ssim_and_ms_ssim`."""
    return ssim_and_ms_ssim(reference, generated)[1]


def ssim_and_ms_ssim(reference: Unit, generated: Unit) -> tuple[float, float]:
    """SSIM, and multi-scale SSIM (Wang, Simoncelli and Bovik, 2003): five scales, 2x2 mean between them.

    Negative contrast terms count as 0. MS-SSIM is NaN for pictures too small for five scales (a side below 176).
    """
    single, contrast = _similarity_terms(reference, generated)
    if min(reference.shape[:2]) < _WINDOW * 2 ** (len(_SCALE_WEIGHTS) - 1):
        return float(single.mean()), math.nan
    product = np.maximum(contrast, 0) ** _SCALE_WEIGHTS[0]
    for scale, weight in enumerate(_SCALE_WEIGHTS[1:], start=1):
        reference, generated = _halve(reference), _halve(generated)
        similarity, contrast = _similarity_terms(reference, generated)
        last = scale == len(_SCALE_WEIGHTS) - 1
        product *= np.maximum(similarity if last else contrast, 0) ** weight
    return float(single.mean()), float(product.mean())


def _similarity_terms(x: Unit, y: Unit) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean similarity and mean contrast-structure of R, G, B, (3,) each, where the window lies inside the picture."""
    mean_x, mean_y = _blur(x), _blur(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    contrast = (2 * (_blur(x * y) - product) + _C2) / (_blur(x * x + y * y) - squares + _C2)
    luminance = (2 * product + _C1) / (squares + _C1)
    axes = (0, 1)
    return (luminance * contrast).mean(axis=axes, dtype=np.float64), contrast.mean(axis=axes, dtype=np.float64)


def _blur(x: Unit) -> Unit:
    edge = _WINDOW // 2
    return np.asarray(cv2.GaussianBlur(x, (_WINDOW, _WINDOW), _SIGMA)[edge:-edge, edge:-edge], dtype=np.float32)


def _halve(x: Unit) -> Unit:
    height, width = x.shape[0] // 2, x.shape[1] // 2
    even = x[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)
