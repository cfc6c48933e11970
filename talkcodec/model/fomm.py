"""The first-order motion model as published: keypoint detector, dense motion, occlusion-aware generator.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019; equations are the paper's.
Published checkpoints load strictly. What depends only on the source picture is computed once, in
`encode_reference`; the published code recomputes it for every frame.

Two coordinate conventions meet here, as in the published code: its own grid always puts the centres
of the corner pixels at -1 and 1, and its resizes never do; its calls of grid_sample took the default
of the torch version of the day (aligned before 1.3). `ModelConfig.align_corners` is the last.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.config import ModelConfig
from talkcodec.model.fomm_blocks import (
    AntiAliasedDownscale,
    DownBlock,
    Hourglass,
    ResidualBlock,
    SameBlock,
    UpBlock,
    widths,
)
from talkcodec.model.geometry import (
    Animation,
    coordinate_grid,
    gaussian_heatmaps,
    local_motions,
    resize,
    soft_argmax,
    warp,
)

__all__ = ["FommNetwork"]

Sparse = tuple[Tensor, Tensor | None]
"""Keypoints (B, K, 2) and Jacobians (B, K, 2, 2) or None."""


class KeypointDetector(nn.Module):
    """Picture -> keypoints and Jacobians: heatmaps of an hourglass at a quarter of the size (section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = config.fomm
        self.temperature = config.temperature
        self.predictor = Hourglass(sizes.detector_expansion, 3, sizes.detector_max_features, sizes.detector_blocks)
        self.kp = nn.Conv2d(self.predictor.outputs, config.keypoints, 7)
        self.jacobian = nn.Conv2d(self.predictor.outputs, 4 * config.keypoints, 7) if config.jacobians else None
        if self.jacobian is not None:  # training begins at the identity
            assert self.jacobian.bias is not None
            nn.init.zeros_(self.jacobian.weight)
            self.jacobian.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0] * config.keypoints))
        self.down = _downscale(sizes.detector_scale)

    def forward(self, picture: Tensor) -> Sparse:
        """(B, 3, S, S) in [0, 1] -> keypoints (B, K, 2), jacobians (B, K, 2, 2) or None."""
        features = self.predictor(self.down(picture))
        scores = self.kp(features)  # (B, K, h - 6, w - 6)
        heatmap = F.softmax(scores.flatten(2) / self.temperature, dim=2).view_as(scores)
        keypoints = soft_argmax(heatmap, align_corners=True)
        if self.jacobian is None:
            return keypoints, None
        maps = self.jacobian(features).unflatten(1, (-1, 4))  # (B, K, 4, h - 6, w - 6)
        jacobians = (heatmap[:, :, None] * maps).flatten(3).sum(-1)
        return keypoints, jacobians.unflatten(-1, (2, 2))


class DenseMotionNetwork(nn.Module):
    """Sparse motion -> deformation field, mask and occlusion map at a quarter of the size (section 3.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes, candidates = config.fomm, config.keypoints + 1
        self.align_corners, self.variance = config.align_corners, config.kp_variance
        self.hourglass = Hourglass(sizes.dense_expansion, 4 * candidates, sizes.dense_max_features, sizes.dense_blocks)
        self.mask = nn.Conv2d(self.hourglass.outputs, candidates, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.outputs, 1, 7, padding=3) if sizes.occlusion else None
        self.down = _downscale(sizes.dense_scale)

    def forward(self, small: Tensor, source: Sparse, driving: Sparse) -> tuple[Tensor, Tensor, Tensor | None]:
        """small (B, 3, h, w): `down` of the source picture.

        Returns deformation (B, h, w, 2), mask (B, K + 1, h, w), occlusion (B, 1, h, w) or None.
        """
        batch, _, h, w = small.shape
        grid = coordinate_grid(h, w, small, align_corners=True)
        motions = local_motions(grid, source, driving)  # (B, K + 1, h, w, 2), eq. 4
        driving_heat, source_heat = (gaussian_heatmaps(x[0], grid, self.variance) for x in (driving, source))
        heatmaps = F.pad(driving_heat - source_heat, (0, 0, 0, 0, 1, 0))  # eq. 6; zeros for the background
        candidates = motions.shape[1]
        copies = small[:, None].expand(-1, candidates, -1, -1, -1).flatten(0, 1)
        warped = warp(copies, motions.flatten(0, 1), self.align_corners).view(batch, candidates, 3, h, w)
        inputs = torch.cat([heatmaps[:, :, None], warped], dim=2).flatten(1, 2)  # (B, 4 (K + 1), h, w)
        features = self.hourglass(inputs)
        mask = F.softmax(self.mask(features), dim=1)
        deformation = (mask[..., None] * motions).sum(1)  # eq. 7
        occlusion = None if self.occlusion is None else torch.sigmoid(self.occlusion(features))
        return deformation, mask, occlusion


class Generator(nn.Module):
    """Source features, warped and masked at a quarter of the size, -> picture (section 3.3, eq. 8)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = config.fomm
        channels = widths(sizes.generator_expansion, sizes.generator_max_features, sizes.generator_down_blocks)
        steps = list(pairwise(channels))
        self.align_corners = config.align_corners
        self.dense_motion_network = DenseMotionNetwork(config)
        self.first = SameBlock(3, channels[0], 7)
        self.down_blocks = nn.ModuleList(DownBlock(a, b) for a, b in steps)
        self.up_blocks = nn.ModuleList(UpBlock(b, a) for a, b in reversed(steps))
        self.bottleneck = nn.Sequential()
        for number in range(sizes.generator_bottleneck_blocks):
            self.bottleneck.add_module(f"r{number}", ResidualBlock(channels[-1]))
        self.final = nn.Conv2d(channels[0], 3, 7, padding=3)

    def encode(self, picture: Tensor) -> Tensor:
        """Source features xi (B, C, S / 4, S / 4) of a source picture (B, 3, S, S)."""
        x: Tensor = self.first(picture)
        for block in self.down_blocks:
            x = block(x)
        return x

    def forward(self, features: Tensor, deformation: Tensor, occlusion: Tensor | None) -> Tensor:
        """Features of `encode` -> picture (B, 3, S, S) in [0, 1]."""
        x = self.deform(features, deformation)
        if occlusion is not None:
            x = x * resize(occlusion, (x.shape[2], x.shape[3]), align_corners=False)  # eq. 8
        x = self.bottleneck(x)
        for block in self.up_blocks:
            x = block(x)
        return torch.sigmoid(self.final(x))

    def deform(self, x: Tensor, deformation: Tensor) -> Tensor:
        """x (B, C, H, W) warped by a deformation field (B, h, w, 2) of any size."""
        field = resize(deformation.permute(0, 3, 1, 2), (x.shape[2], x.shape[3]), align_corners=False)
        return warp(x, field.permute(0, 2, 3, 1), self.align_corners)


class FommNetwork(nn.Module):
    """The published networks as one model.

    A reference is a tuple of tensors: keypoints, jacobians (only for first-order motion), the
    downscaled picture, the picture, and its features.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.kp_detector = KeypointDetector(config)
        self.generator = Generator(config)

    def detect(self, picture: Tensor) -> Sparse:
        """Pictures (B, 3, S, S) in [0, 1] -> keypoints (B, K, 2), jacobians (B, K, 2, 2) or None."""
        keypoints, jacobians = self.kp_detector(picture)
        return keypoints, jacobians

    def encode_reference(self, picture: Tensor, keypoints: Tensor, jacobians: Tensor | None) -> tuple[Tensor, ...]:
        """Everything that depends on the reference picture alone."""
        sparse = (keypoints,) if jacobians is None else (keypoints, jacobians)
        small = self.generator.dense_motion_network.down(picture)
        return (*sparse, small, picture, self.generator.encode(picture))

    def animate(self, reference: tuple[Tensor, ...], keypoints: Tensor, jacobians: Tensor | None) -> Animation:
        """A reference and the motion of a driving frame -> the generated picture and its parts."""
        deformation, mask, occlusion = self._motion(reference, keypoints, jacobians)
        prediction = self.generator(reference[-1], deformation, occlusion)
        deformed = self.generator.deform(reference[-2], deformation)
        return Animation(prediction, deformed, deformation, mask, occlusion)

    def generate(self, reference: tuple[Tensor, ...], keypoints: Tensor, jacobians: Tensor | None) -> Tensor:
        """The prediction alone, (B, 3, S, S) in [0, 1]."""
        deformation, _, occlusion = self._motion(reference, keypoints, jacobians)
        prediction: Tensor = self.generator(reference[-1], deformation, occlusion)
        return prediction

    def _motion(
        self, reference: tuple[Tensor, ...], keypoints: Tensor, jacobians: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        source = (reference[0], reference[1] if self.config.jacobians else None)
        deformation, mask, occlusion = self.generator.dense_motion_network(
            reference[-3], source, (keypoints, jacobians)
        )
        return deformation, mask, occlusion


def _downscale(scale: float) -> nn.Module:
    return nn.Identity() if scale == 1 else AntiAliasedDownscale(3, scale)
