"""Building blocks of the first-order motion model, with the names of the published state dicts.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, supplementary A.
The published SynchronizedBatchNorm computes what BatchNorm2d does at inference, with the same names.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["AntiAliasedDownscale", "DownBlock", "Hourglass", "ResidualBlock", "SameBlock", "UpBlock", "widths"]


def widths(expansion: int, maximum: int, blocks: int) -> list[int]:
    """Channels at each scale, full size first: `expansion` doubled per scale up to `maximum`."""
    return [min(maximum, expansion * 2**scale) for scale in range(blocks + 1)]


class SameBlock(nn.Module):
    """Convolution, normalisation, ReLU at one size: (B, in, h, w) -> (B, out, h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class DownBlock(SameBlock):
    """SameBlock, then half the size by averaging: (B, in, h, w) -> (B, out, h / 2, w / 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class UpBlock(SameBlock):
    """Twice the size by repetition, then SameBlock: (B, in, h, w) -> (B, out, 2h, 2w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class ResidualBlock(nn.Module):
    """x + two pre-activated 3x3 convolutions of x, the shape unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv1(F.relu(self.norm1(x)))
        change = self.conv2(F.relu(self.norm2(change)))
        return x + change


class AntiAliasedDownscale(nn.Module):
    """Gaussian blur, then every n-th pixel, n = 1 / scale: (B, C, h, w) -> (B, C, h / n, w / n)."""

    weight: Tensor

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.step = round(1 / scale)
        sigma = (1 / scale - 1) / 2
        size = 2 * round(sigma * 4) + 1
        self.padding, self.channels = size // 2, channels
        offsets = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        line = torch.exp(-offsets.square() / (2 * sigma**2))
        kernel = line[:, None] * line[None, :]
        self.register_buffer("weight", (kernel / kernel.sum()).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        # A strided convolution gives the pixels that the published code blurs first and then picks.
        return F.conv2d(x, self.weight, stride=self.step, padding=self.padding, groups=self.channels)


class _Encoder(nn.Module):
    def __init__(self, expansion: int, inputs: int, maximum: int, blocks: int) -> None:
        super().__init__()
        channels = [inputs, *widths(expansion, maximum, blocks)[1:]]
        self.down_blocks = nn.ModuleList(DownBlock(a, b) for a, b in pairwise(channels))

    def forward(self, x: Tensor) -> list[Tensor]:
        scales = [x]
        for block in self.down_blocks:
            scales.append(block(scales[-1]))
        return scales


class _Decoder(nn.Module):
    def __init__(self, expansion: int, maximum: int, blocks: int) -> None:
        super().__init__()
        channels = widths(expansion, maximum, blocks)
        self.up_blocks = nn.ModuleList(
            UpBlock(channels[scale + 1] * (1 if scale == blocks - 1 else 2), channels[scale])
            for scale in reversed(range(blocks))
        )

    def forward(self, scales: list[Tensor]) -> Tensor:
        x, skips = scales[-1], scales[-2::-1]
        for block, skip in zip(self.up_blocks, skips, strict=True):
            x = torch.cat([block(x), skip], dim=1)
        return x


class Hourglass(nn.Module):
    """U-Net (Ronneberger et al., 2015): (B, in, h, w) -> (B, expansion + in, h, w); h, w multiples of 2^blocks."""

    def __init__(self, expansion: int, inputs: int, maximum: int, blocks: int) -> None:
        super().__init__()
        self.encoder = _Encoder(expansion, inputs, maximum, blocks)
        self.decoder = _Decoder(expansion, maximum, blocks)
        self.outputs = min(expansion, maximum) + inputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out
