"""Patch discriminator whose features also serve the feature-matching loss (Monkey-Net, CVPR 2019)."""

import itertools

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["Discriminator"]


class Discriminator(nn.Module):
    """Three strided convolutions with spectral normalisation, and a score for each patch."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width)
        self.blocks = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in itertools.pairwise(widths))
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, S, S) -> patch scores (B, 1, S/8, S/8) and the features of each block."""
        x = picture - 0.5
        features = []
        for block in self.blocks:
            x = F.leaky_relu(block(x), 0.2)
            features.append(x)
        return self.score(x), features
