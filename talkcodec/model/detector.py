"""Keypoint detector: picture -> keypoints and Jacobians (FOMM, section 3.1)."""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.config import ModelConfig
from talkcodec.model.geometry import resize, soft_argmax
from talkcodec.model.layers import Conv, ResidualBlock, upsample2

__all__ = ["KeypointDetector"]


class KeypointDetector(nn.Module):
    """An hourglass over the picture at twice motion size, heatmaps at half motion size.

    Reading at twice motion size costs one strided convolution and shows eyelids and lips, which
    are a pixel high at motion size.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.size = 2 * config.lite.motion_size
        widths = config.lite.detector_channels
        self.down = nn.ModuleList([Conv(3, widths[0], 5, 2)])
        self.down.extend(Conv(a, b, 3, 2) for a, b in itertools.pairwise(widths))
        self.bottom = ResidualBlock(widths[-1])
        pairs = list(zip(widths[:0:-1], widths[-2:0:-1], strict=False))
        self.up = nn.ModuleList(Conv(deep + skip, skip) for deep, skip in pairs)
        self.heatmap = nn.Conv2d(widths[1], config.keypoints, 3, 1, 1)
        self.jacobian: nn.Conv2d | None = None
        if config.jacobians:
            self.jacobian = nn.Conv2d(widths[1], 4 * config.keypoints, 3, 1, 1)
            nn.init.zeros_(self.jacobian.weight)
            assert self.jacobian.bias is not None
            self.jacobian.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0] * config.keypoints))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, 3, S, S) in [0, 1] -> keypoints (B, K, 2), jacobians (B, K, 2, 2) or None."""
        if picture.shape[-1] > self.size and picture.shape[-1] % self.size == 0:
            x = F.avg_pool2d(picture, picture.shape[-1] // self.size)
        else:
            x = resize(picture, (self.size, self.size), self.config.align_corners)
        x = x - 0.5
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.bottom(x)
        for up, skip in zip(self.up, skips[-2:0:-1], strict=True):
            x = up(torch.cat([upsample2(x), skip], 1))
        scores = self.heatmap(x).float() / self.config.temperature
        heatmap = F.softmax(scores.flatten(2), -1).view_as(scores)  # (B, K, h, w)
        keypoints = soft_argmax(heatmap, self.config.align_corners)
        if self.jacobian is None:
            return keypoints, None
        maps = self.jacobian(x).float().unflatten(1, (self.config.keypoints, 4))  # (B, K, 4, h, w)
        jacobians = (heatmap[:, :, None] * maps).sum((-2, -1))
        return keypoints, jacobians.unflatten(-1, (2, 2))
