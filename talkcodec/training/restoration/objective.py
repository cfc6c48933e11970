"""The losses of a restoration: pixels, structure, edges, more at eyes and mouth, and the warped keyframe alone."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.restoration import Prepared, RestorationNetwork, Window
from talkcodec.training.face_features import FaceFeatures
from talkcodec.training.landmarks import EXPRESSIVE
from talkcodec.training.losses import face_focus, gradient
from talkcodec.training.restoration.config import RestorationLosses
from talkcodec.training.restoration.samples import Batch

__all__ = ["FACES", "RestorationObjective", "pictures_to_tensor", "structure"]


FACES = 3
"""Samples whose face features are compared: the recognition network costs as much as the restoration."""


class RestorationObjective(nn.Module):
    """One batch -> the weighted terms."""

    def __init__(self, network: RestorationNetwork, features: FaceFeatures | None = None) -> None:
        super().__init__()
        self.network, self.features = network, features

    def forward(self, batch: Batch, losses: RestorationLosses) -> dict[str, Tensor]:
        parts, device = batch.parts, next(self.network.parameters()).device
        keyframes, targets, bases = (
            pictures_to_tensor(p).to(device) for p in (batch.keyframes, parts.target, parts.base)
        )
        flows, middles, landmarks = (
            torch.from_numpy(a).to(device) for a in (parts.flow, parts.middle, parts.landmarks)
        )
        each = len(targets) // len(keyframes)
        prepared = self.network.prepare(keyframes)
        keyframe, *kept = [t.repeat_interleave(each, 0) for t in (keyframes, *prepared)]
        window = Window(middles, targets.shape[-1] / keyframes.shape[-1])
        result = self.network.restore(bases, flows, keyframe, Prepared(*kept), window)
        picture = result.picture.float()
        focus = torch.ones_like(targets[:, :1])
        if losses.face_focus:
            width = 0.06 * keyframes.shape[-1] / targets.shape[-1]
            focus = face_focus(focus, landmarks[:, EXPRESSIVE], losses.face_focus, width)
        terms = {"pixels": losses.pixels * (focus * (picture - targets).abs()).mean()}
        if losses.structure:
            terms["structure"] = losses.structure * structure(picture, targets, focus)
        if losses.gradient:
            terms["gradient"] = losses.gradient * gradient(picture, targets, focus)
        if losses.warp:
            sure = result.mask.detach().float() * focus
            terms["warp"] = losses.warp * (sure * (result.warped.float() - targets).abs()).mean()
        if losses.identity and self.features is not None:
            chosen = _whole_faces(landmarks)
            if len(chosen):
                faces = (t[chosen] for t in (result.picture, targets, landmarks))
                terms["identity"] = losses.identity * len(chosen) / FACES * self.features(*faces)
        return terms


def _whole_faces(landmarks: Tensor) -> Tensor:
    """Numbers of the first `FACES` samples whose eyes and mouth lie in their part."""
    inside = (landmarks[:, EXPRESSIVE].abs() <= 1).all(2).all(1)  # NaN is not
    return inside.nonzero()[:FACES, 0]


def structure(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """1 - SSIM with a uniform window of 7 at every other pixel, as `losses.box_ssim`, weighted by (B, 1, c, c).

    All moments go through one pair of one-dimensional windows, in the memory order in which pooling is quick: window by
    window and moment by moment, it took a fifth of a step.
    """
    moments = torch.cat([prediction, target, prediction.square(), target.square(), prediction * target, weights], 1)
    rows = F.avg_pool2d(moments.contiguous(memory_format=torch.channels_last), (7, 1), (2, 1))
    mean, mean_t, square, square_t, cross, local = torch.split(
        F.avg_pool2d(rows, (1, 7), (1, 2)), [3, 3, 3, 3, 3, 1], 1
    )
    c1, c2 = 0.01**2, 0.03**2
    product, squares = mean * mean_t, mean.square() + mean_t.square()
    top = (2 * product + c1) * (2 * (cross - product) + c2)
    ssim = top / ((squares + c1) * (square + square_t - squares + c2))
    loss: Tensor = (local * (1 - ssim)).mean()
    return loss


def pictures_to_tensor(values: npt.NDArray[np.generic]) -> Tensor:
    """(B, h, w, 3) in [0, 255] -> (B, 3, h, w) in [0, 1], in the memory order of convolutions."""
    return torch.from_numpy(values).permute(0, 3, 1, 2).float() / 255
