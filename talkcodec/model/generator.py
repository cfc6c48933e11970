"""Generator: cached reference features + dense motion -> picture.

Texture is copied, not drawn, wherever it can be. Features of the reference are warped and masked by
an occlusion map at every scale (deformable skip connections, Siarohin et al., CVPR 2018), and the
picture itself is a per-pixel blend of three paths: the warped reference picture, the drawn picture,
and the unwarped reference picture for a still background (Sivaraman et al., Gemino, NSDI 2024).
Several references are fused by attention (Lathuilière et al., WACV 2020).
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.config import ModelConfig
from talkcodec.model.dense_motion import DenseMotion
from talkcodec.model.geometry import Animation, resize, warp
from talkcodec.model.layers import Conv, ResidualBlock, upsample2

__all__ = ["Generator", "ReferenceEncoder"]


class ReferenceEncoder(nn.Module):
    """Features of a reference picture at half, quarter, eighth and sixteenth size: once a keyframe."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = config.lite.channels
        self.stem = Conv(3, widths[0], 5, 2)
        self.down = nn.ModuleList(
            nn.Sequential(Conv(a, b, 3, 2), ResidualBlock(b)) for a, b in itertools.pairwise(widths)
        )

    def forward(self, picture: Tensor) -> list[Tensor]:
        """(B, 3, S, S) -> features, largest first."""
        features = [self.stem(picture - 0.5)]
        for down in self.down:
            features.append(down(features[-1]))
        return features


class Generator(nn.Module):
    """Draws from the smallest scale up, each scale joined by the warped features of the references."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.lite.channels
        motion_features = config.lite.dense_channels[0]
        self.deformable = config.lite.skips == "deformable"
        self.bottom = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(config.lite.bottleneck_blocks)))
        self.narrow, self.fuse, self.refine = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for scale in range(len(widths) - 2, -1, -1):
            skip = widths[scale] if self.warped(scale) else 0
            motion = motion_features if scale == 1 else 0
            self.narrow.append(nn.Conv2d(widths[scale + 1], widths[scale], 1))
            self.fuse.append(Conv(widths[scale] + skip + motion, widths[scale], 1))
            self.refine.append(ResidualBlock(widths[scale]))
        paths = 3 if self.deformable else 0
        self.head = nn.Conv2d(widths[0], 4 * (3 + paths), 3, 1, 1)
        if self.deformable:
            assert self.head.bias is not None
            self.head.bias.data[12:16] = 2.0  # begin by copying
        self.attention: nn.ModuleList | None = None
        if config.lite.references > 1:
            self.attention = nn.ModuleList(nn.Conv2d(2 * w, 1, 1) for w in widths)

    def warped(self, scale: int) -> bool:
        """Whether the features of this scale (0 = half size) are warped: all, or those up to quarter size."""
        return self.deformable or scale >= 1

    def forward(self, references: Sequence[tuple[Tensor, list[Tensor]]], motions: Sequence[DenseMotion]) -> Animation:
        """references: each (picture (B, 3, S, S), features of ReferenceEncoder); motions: one for each."""
        corners = self.config.align_corners
        scales = len(references[0][1])

        def skip_features(scale: int, x: Tensor | None) -> Tensor:
            found = []
            for (_, features), motion in zip(references, motions, strict=True):
                size = features[scale].shape[-2:]
                field = _resize_field(motion.deformation, size, corners)
                visible = _resize_map(motion.occlusion[:, scale : scale + 1], size, corners)
                found.append(warp(features[scale], field.to(features[scale].dtype), corners, "border") * visible)
            return self._attend(scale, x, found)

        x = self.bottom(skip_features(scales - 1, None))
        for step, scale in enumerate(range(scales - 2, -1, -1)):
            x = upsample2(self.narrow[step](x))
            parts = [x]
            if self.warped(scale):
                parts.append(skip_features(scale, x))
            if scale == 1:
                drawn_from = torch.stack([m.features for m in motions]).mean(0)
                parts.append(resize(drawn_from, (x.shape[-2], x.shape[-1]), corners))
            x = self.refine[step](self.fuse[step](torch.cat(parts, 1)))
        out = F.pixel_shuffle(self.head(x).float(), 2)
        drawn = torch.sigmoid(out[:, :3])
        pictures = [picture for picture, _ in references]
        size = pictures[0].shape[-2:]
        moved = [
            warp(picture, _resize_field(motion.deformation, size, corners), corners, "border")
            for picture, motion in zip(pictures, motions, strict=True)
        ]
        deformed = self._blend_references(x, moved)
        first = motions[0]
        occlusion = first.occlusion[:, :1]
        if not self.deformable:
            return Animation(drawn, deformed, first.deformation, first.mask, occlusion)
        weights = F.softmax(out[:, 3:6], 1)  # warped, drawn, still
        prediction = weights[:, 0:1] * deformed + weights[:, 1:2] * drawn + weights[:, 2:3] * pictures[0]
        return Animation(prediction, deformed, first.deformation, first.mask, occlusion)

    def _attend(self, scale: int, x: Tensor | None, found: list[Tensor]) -> Tensor:
        """Softmax over sources of a score from decoder and warped features (WACV 2020, eq. 3)."""
        if len(found) == 1 or self.attention is None:
            return found[0]
        query = torch.stack(found).mean(0) if x is None else x
        scores = torch.stack([self.attention[scale](torch.cat([query, f], 1)) for f in found])
        return (torch.softmax(scores, 0) * torch.stack(found)).sum(0)

    def _blend_references(self, x: Tensor, moved: list[Tensor]) -> Tensor:
        """The warped pictures of several references, weighed by how well each agrees with the others' mean."""
        if len(moved) == 1:
            return moved[0]
        stacked = torch.stack(moved)
        score = -20.0 * (stacked - stacked.mean(0, keepdim=True)).abs().mean(2, keepdim=True)
        return (torch.softmax(score, 0) * stacked).sum(0)


def _resize_field(field: Tensor, size: torch.Size, align_corners: bool) -> Tensor:
    """A deformation field (B, h, w, 2) at another size."""
    return resize(field.permute(0, 3, 1, 2), (size[0], size[1]), align_corners).permute(0, 2, 3, 1)


def _resize_map(values: Tensor, size: torch.Size, align_corners: bool) -> Tensor:
    """A map (B, 1, h, w) at another size; averaged when shrinking."""
    if values.shape[-1] > size[1]:
        return F.avg_pool2d(values, values.shape[-1] // size[1])
    return resize(values, (size[0], size[1]), align_corners)
