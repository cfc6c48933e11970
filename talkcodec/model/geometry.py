"""Sparse motion to dense motion: the equations of the first-order motion model, and the one warp.

Coordinates are normalised to [-1, 1], x right, y down. With ``align_corners`` the centres of the
corner pixels lie at -1 and 1; without it, their outer edges do.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Animation",
    "coordinate_grid",
    "gaussian_heatmaps",
    "invert_jacobian",
    "local_motions",
    "resize",
    "soft_argmax",
    "warp",
]


class Animation(NamedTuple):
    """One generated picture and what it was made of; None where an architecture has no such thing.

    prediction (B, 3, S, S) in [0, 1]; deformed: the warped reference picture (B, 3, S, S);
    deformation (B, h, w, 2): where in the reference each driving pixel comes from;
    mask (B, K + 1, h, w): softmax over background and keypoints; occlusion (B, 1, h, w), 1 = visible.
    """

    prediction: Tensor
    deformed: Tensor | None = None
    deformation: Tensor | None = None
    mask: Tensor | None = None
    occlusion: Tensor | None = None


def coordinate_grid(height: int, width: int, like: Tensor, align_corners: bool) -> Tensor:
    """Normalised (x, y) of every pixel centre, (height, width, 2), of `like`'s type and device."""
    axes = []
    for size in (height, width):
        steps = torch.arange(size, dtype=like.dtype, device=like.device)
        axes.append(2 * steps / (size - 1) - 1 if align_corners else (2 * steps + 1) / size - 1)
    y, x = axes
    return torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], dim=-1)


def warp(features: Tensor, grid: Tensor, align_corners: bool, padding: str = "zeros") -> Tensor:
    """Backward bilinear warp: features (B, C, H, W) sampled at grid (B, h, w, 2) -> (B, C, h, w)."""
    return F.grid_sample(features, grid, mode="bilinear", padding_mode=padding, align_corners=align_corners)


def resize(features: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Bilinear resize of (B, C, H, W) to (B, C, *size); the same tensor when nothing changes."""
    if features.shape[-2:] == size:
        return features
    return F.interpolate(features, size=size, mode="bilinear", align_corners=align_corners)


def soft_argmax(heatmap: Tensor, align_corners: bool) -> Tensor:
    """Expected coordinate of each heatmap (B, K, H, W), summing to 1 over H x W -> (B, K, 2)."""
    grid = coordinate_grid(heatmap.shape[2], heatmap.shape[3], heatmap, align_corners)
    x = (heatmap.sum(2) * grid[0, :, 0]).sum(-1)
    y = (heatmap.sum(3) * grid[:, 0, 1]).sum(-1)
    return torch.stack([x, y], dim=-1)


def gaussian_heatmaps(keypoints: Tensor, grid: Tensor, variance: float) -> Tensor:
    """exp(-|z - p_k|^2 / (2 variance)) at each grid point (h, w, 2) -> (B, K, h, w) (eq. 6)."""
    x = torch.exp(-0.5 * (grid[0, :, 0] - keypoints[..., :1]).square() / variance)  # (B, K, w)
    y = torch.exp(-0.5 * (grid[:, 0, 1] - keypoints[..., 1:]).square() / variance)  # (B, K, h)
    return y[..., :, None] * x[..., None, :]


def invert_jacobian(jacobian: Tensor, least: float = 1e-3) -> Tensor:
    """Inverse of (..., 2, 2) in closed form, finite for every finite input.

    A determinant closer to zero than `least` is pushed away from it with its sign kept, so that a
    degenerate or corrupted Jacobian gives a large warp instead of NaN.
    """
    a, b = jacobian[..., 0, 0], jacobian[..., 0, 1]
    c, d = jacobian[..., 1, 0], jacobian[..., 1, 1]
    determinant = a * d - b * c
    sign = torch.where(determinant < 0, -1.0, 1.0).to(determinant.dtype)
    determinant = torch.where(determinant.abs() < least, sign * least, determinant)
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    return adjugate / determinant[..., None, None]


def local_motions(
    grid: Tensor,
    source: tuple[Tensor, Tensor | None],
    driving: tuple[Tensor, Tensor | None],
) -> Tensor:
    """Candidate motions around each keypoint, background first (eq. 4 and 5).

    T_k(z) = p_S,k + J_S,k J_D,k^-1 (z - p_D,k), and the identity for the background.
    grid (h, w, 2); keypoints (B, K, 2); jacobians (B, K, 2, 2) or None -> (B, K + 1, h, w, 2).
    """
    source_points, source_jacobians = source
    driving_points, driving_jacobians = driving
    if source_jacobians is not None and driving_jacobians is not None:
        matrix = source_jacobians @ invert_jacobian(driving_jacobians)  # (B, K, 2, 2)
        shift = source_points - (matrix @ driving_points[..., None])[..., 0]
        columns = grid[None, None, :, :, :, None] * matrix.transpose(-1, -2)[:, :, None, None]  # (B, K, h, w, 2, 2)
        motions = columns.sum(-2) + shift[:, :, None, None, :]
    else:
        motions = grid[None, None] + (source_points - driving_points)[:, :, None, None, :]
    identity = grid[None, None].expand(motions.shape[0], 1, *grid.shape)
    return torch.cat([identity, motions], dim=1)
