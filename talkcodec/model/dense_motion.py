"""Dense motion: sparse motion of two frames -> deformation field and occlusion maps (FOMM, section 3.2)."""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.config import ModelConfig
from talkcodec.model.geometry import coordinate_grid, gaussian_heatmaps, local_motions, warp
from talkcodec.model.layers import Conv, upsample2

__all__ = ["DenseMotion", "DenseMotionNetwork", "Sparse"]

Sparse = tuple[Tensor, Tensor | None]
"""Keypoints (B, K, 2) and Jacobians (B, K, 2, 2) or None."""

REFINEMENT_LIMIT = 0.1
"""Reach of the refinement of the deformation, in normalised coordinates."""


class DenseMotion(NamedTuple):
    """deformation (B, m, m, 2); mask (B, K + 1, m, m); occlusion (B, scales, m, m) in [0, 1];
    features (B, C, m, m): what the network saw, for the generator."""

    deformation: Tensor
    mask: Tensor
    occlusion: Tensor
    features: Tensor


class DenseMotionNetwork(nn.Module):
    """Weights the candidate motions of the keypoints at motion size m (eq. 7), and refines their sum.

    The refinement, at most REFINEMENT_LIMIT, is ours: it lets lips and lids move between keypoints.
    """

    def __init__(self, config: ModelConfig, scales: int) -> None:
        super().__init__()
        self.config = config
        widths = config.lite.dense_channels
        candidates = config.keypoints + 1
        inputs = candidates * 4  # a heatmap difference and a warped picture each
        self.flat = Conv(inputs, widths[0] // 2, 1)
        self.down = nn.ModuleList([Conv(inputs, widths[1], 3, 2)])
        self.down.extend(Conv(a, b, 3, 2) for a, b in itertools.pairwise(widths[1:]))
        pairs = list(zip(widths[:1:-1], widths[-2:0:-1], strict=False))
        self.up = nn.ModuleList(Conv(deep + skip, skip) for deep, skip in pairs)
        self.last = Conv(widths[1] + widths[0] // 2, widths[0])
        self.candidates, self.scales = candidates, scales
        self.head = nn.Conv2d(widths[0], candidates + scales + 2, 3, 1, 1)
        self.head.weight.data[-2:] = 0
        assert self.head.bias is not None
        self.head.bias.data[-2:] = 0
        self.head.bias.data[candidates:-2] = 1

    def forward(self, small: Tensor, source: Sparse, driving: Sparse) -> DenseMotion:
        """small: the reference picture at motion size (B, 3, m, m) in [0, 1]."""
        batch, _, m, _ = small.shape
        grid = coordinate_grid(m, m, source[0], self.config.align_corners)
        motions = local_motions(grid, source, driving)  # (B, K + 1, m, m, 2)
        copies = small[:, None].expand(-1, self.candidates, -1, -1, -1).flatten(0, 1)
        warped = warp(copies, motions.flatten(0, 1), self.config.align_corners, "border")
        variance = self.config.kp_variance
        heat = gaussian_heatmaps(driving[0], grid, variance) - gaussian_heatmaps(source[0], grid, variance)
        stack = torch.cat([heat.new_zeros(batch, 1, m, m), heat, warped.reshape(batch, -1, m, m)], 1)
        skips = []
        x = stack
        for down in self.down:
            x = down(x)
            skips.append(x)
        for up, skip in zip(self.up, skips[-2::-1], strict=True):
            x = up(torch.cat([upsample2(x), skip], 1))
        x = self.last(torch.cat([upsample2(x), self.flat(stack)], 1))
        out = self.head(x).float()
        mask = F.softmax(out[:, : self.candidates], 1)
        deformation = (mask[..., None] * motions).sum(1)
        deformation = deformation + REFINEMENT_LIMIT * torch.tanh(out[:, -2:]).permute(0, 2, 3, 1)
        occlusion = torch.sigmoid(out[:, self.candidates : -2])
        return DenseMotion(deformation, mask, occlusion, x)
