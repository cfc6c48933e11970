"""Restore a picture from its small coded copy and a keyframe (the hybrid rung).

Optical flow from the small picture to the reduced keyframe is given, and refined here. The result is a blend, pixel by
pixel, of the warped keyframe (texture) and the enlarged small picture (truth), and a residual drawn on top. Before
any training it is exactly the untrained blend: refinement, mask and residual start at zero change.

Almost all arithmetic happens at a quarter of the size and below; at full size only two samplings and the blend do.
What depends on the keyframe alone is computed once for each keyframe, by `prepare`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.geometry import coordinate_grid, warp
from talkcodec.model.restoration_config import RestorationConfig

__all__ = ["Prepared", "Restoration", "RestorationConfig", "RestorationNetwork", "Window", "blend_logit"]

BLEND_TOLERANCE = 20 / 255
"""Difference of base and warped keyframe at which the untrained mask has fallen to 1 / e."""

SMOOTHING = 5
"""Side in base pixels of the window over which that difference is averaged."""

LARGEST_REFINEMENT = 0.05
"""Scale of the learned change of the flow, in units of half the picture."""


class Prepared(NamedTuple):
    """What depends on a keyframe alone: it reduced (B, 3, S/2, S/2), and features (B, C, S/4, S/4)."""

    reduced: Tensor
    features: Tensor


class Restoration(NamedTuple):
    """A restored picture (B, 3, S, S), not clamped, and what it was made of.

    warped: the keyframe (B, 3, S, S); mask (B, 1, S, S), 1 where it shows; flow (B, 2, S/2, S/2) as refined.
    """

    picture: Tensor
    warped: Tensor
    mask: Tensor
    flow: Tensor


class Window(NamedTuple):
    """Which part of the whole is restored: its middle (B, 2), (x, y) in [-1, 1], and its share of the whole's side."""

    middle: Tensor
    share: float


class RestorationNetwork(nn.Module):
    """base (B, 3, S/2, S/2), keyframe (B, 3, S, S), both in [0, 1]; flow (B, 2, S/2, S/2) -> (B, 3, S, S).

    flow: how far from each base pixel its like lies in the keyframe, (x, y) in units of half the picture.
    """

    def __init__(self, config: RestorationConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth = config.channels
        reference, context = config.reference_channels, config.context_channels
        self.enlarge = _Enlarge()
        self.reference = nn.Sequential(_Conv(48, 48), _Conv(48, 48), nn.Conv2d(48, reference, 3, 1, 1))
        self.context = nn.Sequential(_Conv(27, context), _Conv(context, context))
        self.refine = nn.Conv2d(context, 8, 3, 1, 1)
        self.enter = _Conv(19, half)
        self.down = _Conv(half, quarter, stride=2)
        self.mix = _Conv(quarter + reference + context, quarter, kernel=1)
        self.before = nn.Sequential(*[_Block(quarter) for _ in range(config.blocks[0])])
        self.down_again = _Conv(quarter, eighth, stride=2)
        self.middle = nn.Sequential(*[_Block(eighth) for _ in range(config.blocks[1])])
        self.up = nn.Conv2d(eighth, quarter, 1)
        self.after = nn.Sequential(*[_Block(quarter) for _ in range(config.blocks[2])])
        self.up_again = nn.Conv2d(quarter, 4 * half, 1)
        self.leave = _Conv(half, half)
        self.head = nn.Conv2d(half, 16, 3, 1, 1)
        for layer in (self.refine, self.head):  # so that it starts as the untrained blend
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, base: Tensor, keyframe: Tensor, flow: Tensor) -> Tensor:
        """Both steps at once."""
        return self.restore(base, flow, keyframe, self.prepare(keyframe)).picture

    def prepare(self, keyframe: Tensor) -> Prepared:
        """Once for each keyframe (B, 3, S, S)."""
        return Prepared(F.avg_pool2d(keyframe, 2), self.reference(F.pixel_unshuffle(keyframe - 0.5, 4)))

    def restore(
        self, base: Tensor, flow: Tensor, keyframe: Tensor, prepared: Prepared, window: Window | None = None
    ) -> Restoration:
        """Once for each shown picture; `prepared` is what `prepare` made of this keyframe.

        window: base and flow are a part of the whole, and so will be the result; only training wants that.
        """
        warped = _sample(prepared.reduced, flow, window)  # S/2
        doubt = blend_logit(base, warped)
        pictures = torch.cat([base - 0.5, warped - 0.5, doubt / 4], 1)
        quarter_flow = F.avg_pool2d(flow, 2)
        seen = [F.pixel_unshuffle(pictures[:, :6], 2), F.avg_pool2d(pictures[:, 6:], 2), quarter_flow * 8]
        context = self.context(torch.cat(seen, 1))  # (B, context, S/4, S/4)
        flow = flow + LARGEST_REFINEMENT * F.pixel_shuffle(self.refine(context), 2)
        warped = _sample(keyframe, _double(flow), window)  # S
        lowpass = F.avg_pool2d(warped, 2)
        logit = blend_logit(base, lowpass)
        seen = [F.pixel_unshuffle(warped - 0.5, 2), base - 0.5, (base - lowpass) * 2, logit / 4]
        half = self.enter(torch.cat(seen, 1))  # (B, channels[0], S/2, S/2)
        features = _sample(prepared.features, F.avg_pool2d(flow, 2), window)
        quarter = self.before(self.mix(torch.cat([self.down(half), features, context], 1)))
        eighth = self.middle(self.down_again(quarter))
        quarter = self.after(quarter + _double(self.up(eighth)))
        half = self.leave(half + F.pixel_shuffle(self.up_again(quarter), 2))
        drawn, mask = torch.split(self.head(half), [12, 4], 1)  # of each four pixels: three colours, the mask's change
        mask = F.pixel_shuffle(torch.sigmoid(logit + 4 * mask), 2)
        enlarged = self.enlarge(base)
        return Restoration(enlarged + mask * (warped - enlarged) + F.pixel_shuffle(drawn, 2), warped, mask, flow)


def blend_logit(base: Tensor, lowpass: Tensor) -> Tensor:
    """Log-odds (B, 1, S/2, S/2) of the untrained mask, exp(-(difference / tolerance)^2) of two pictures at S/2."""
    squared = (base - lowpass).square().mean(1, keepdim=True)
    apart = F.avg_pool2d(F.pad(squared, [SMOOTHING // 2] * 4, "replicate"), SMOOTHING, 1)
    mask = torch.exp(-apart / BLEND_TOLERANCE**2).clamp(0.02, 0.98)
    return torch.log(mask / (1 - mask))


def _sample(picture: Tensor, flow: Tensor, window: Window | None) -> Tensor:
    """picture (B, C, h, w) sampled at each point of flow (B, 2, h', w'), moved by it."""
    grid = coordinate_grid(flow.shape[2], flow.shape[3], flow, align_corners=False)
    if window is not None:
        grid = grid * window.share + window.middle[:, None, None]
    return warp(picture, flow.permute(0, 2, 3, 1) + grid, align_corners=False, padding="border")


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Enlarge(nn.Module):
    """Twice the size by cubic interpolation, as one convolution: a resizing kernel takes ten times as long."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        t = (-0.03515625, 0.26171875, 0.87890625, -0.10546875)  # Keys' kernel, a = -0.75, a quarter of a pixel off
        taps = torch.tensor([[*t, 0.0], [0.0, *reversed(t)]])  # (2, 5): left or upper, right or lower of two pixels
        kernel = torch.einsum("ai,bj->abij", taps, taps).reshape(4, 5, 5)
        weight = torch.zeros(12, 3, 5, 5)
        for colour in range(3):
            weight[4 * colour : 4 * colour + 4, colour] = kernel
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(F.pad(x, [2] * 4, "replicate"), self.weight), 2)


class _Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        nn.init.kaiming_normal_(self.conv.weight, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x), 0.1)


class _Block(nn.Module):
    """x + two 3x3 convolutions of x; starts as no change."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Conv(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.normal_(self.second.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(self.first(x))
        return F.leaky_relu(x + change, 0.1)
