"""Validation: every clip from its first frame, measured beside copying that frame; and a contact sheet."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from talkcodec.model.geometry import Animation
from talkcodec.model.lite import LiteNetwork
from talkcodec.training.data import Clip
from talkcodec.training.losses import box_ssim

__all__ = ["Score", "contact_sheet", "picture_scores", "to_tensor", "validate"]


class Score(NamedTuple):
    """Means over clips: L1 and SSIM on pictures in [0, 1], PSNR in dB; the same for copying the keyframe."""

    l1: float
    psnr_db: float
    ssim: float
    copy_l1: float
    copy_psnr_db: float
    copy_ssim: float
    worse_than_copying: int

    @property
    def badness(self) -> float:
        """L1 as a share of that of copying."""
        return self.l1 / self.copy_l1

    def describe(self) -> str:
        """One line."""
        return (
            f"L1 {self.l1:.4f} (copy {self.copy_l1:.4f}, {1 - self.badness:+.0%} better)  "
            f"PSNR {self.psnr_db:.2f} dB (copy {self.copy_psnr_db:.2f})  "
            f"SSIM {self.ssim:.3f} (copy {self.copy_ssim:.3f})  worse than copying: {self.worse_than_copying}"
        )


def to_tensor(pictures: npt.NDArray[np.uint8], size: int, device: torch.device) -> Tensor:
    """(..., H, W, 3) uint8 -> (..., 3, size, size) in [0, 1], shrunk by averaging."""
    tensor = torch.from_numpy(np.array(pictures)).to(device).movedim(-1, -3).float() / 255
    if tensor.shape[-1] != size:
        lead = tensor.shape[:-3]
        tensor = F.interpolate(tensor.flatten(0, -4), size=(size, size), mode="area").view(*lead, 3, size, size)
    return tensor


def picture_scores(prediction: Tensor, target: Tensor) -> Tensor:
    """(B, 3, S, S) twice -> (B, 3): L1, PSNR, SSIM of each picture."""
    error = prediction - target
    psnr = -10 * torch.log10(error.square().mean((1, 2, 3)).clamp(min=1e-10))
    ssim = box_ssim(prediction, target).mean((1, 2, 3))
    return torch.stack([error.abs().mean((1, 2, 3)), psnr, ssim], 1)


@torch.no_grad()
def validate(
    network: LiteNetwork, clips: list[Clip], size: int, device: torch.device, frames: int = 10
) -> tuple[Score, list[Animation]]:
    """`frames` evenly spread frames of each clip, all driven from its first keyframe."""
    network.eval()
    rows, animations = [], []
    for clip in clips:
        chosen = np.linspace(0, len(clip.frames) - 1, min(frames, len(clip.frames))).round().astype(int)
        driving = to_tensor(clip.frames[chosen], size, device)
        source = to_tensor(clip.keyframes[:1], size, device)
        sparse = network.detect(source)
        reference = network.encode_reference(source, *sparse)
        count = len(chosen)
        repeated = tuple(t.expand(count, *t.shape[1:]) for t in reference)
        animation = network.animate(repeated, *network.detect(driving))
        ours = picture_scores(animation.prediction, driving)
        copied = picture_scores(source.expand_as(driving), driving)
        rows.append(torch.cat([ours, copied], 1).mean(0))
        animations.append(animation)
    network.train()
    table = torch.stack(rows).cpu()
    worse = int((table[:, 0] > table[:, 3]).sum())
    l1, psnr, ssim, copy_l1, copy_psnr, copy_ssim = table.mean(0).tolist()
    return Score(l1, psnr, ssim, copy_l1, copy_psnr, copy_ssim, worse), animations


@torch.no_grad()
def contact_sheet(network: LiteNetwork, clips: list[Clip], size: int, device: torch.device) -> npt.NDArray[np.uint8]:
    """Columns: source, driving with keypoints, warped, generated, occlusion; the most moved frame of each clip."""
    network.eval()
    lines = []
    for clip in clips:
        spread = np.linspace(0, len(clip.frames) - 1, min(24, len(clip.frames))).astype(int)
        few = to_tensor(clip.frames[spread], size, device)
        source = to_tensor(clip.keyframes[:1], size, device)
        farthest = int((few - source).abs().mean((1, 2, 3)).argmax())
        driving = few[farthest : farthest + 1]
        keypoints, jacobians = network.detect(driving)
        reference = network.encode_reference(source, *network.detect(source))
        animation = network.animate(reference, keypoints, jacobians)
        marked = driving.clone()
        for x, y in ((keypoints[0] + 1) / 2 * size).round().long().clamp(2, size - 3).tolist():
            marked[0, :, y - 2 : y + 3, x - 2 : x + 3] = torch.tensor([1.0, 0.2, 0.1])[:, None, None].to(marked)
        assert animation.deformed is not None
        assert animation.occlusion is not None
        occlusion = F.interpolate(animation.occlusion, size=(size, size)).expand(-1, 3, -1, -1)
        row = torch.cat([source, marked, animation.deformed, animation.prediction, occlusion], -1)
        lines.append(row[0].clamp(0, 1))
    network.train()
    sheet = torch.cat(lines, 1).movedim(0, -1)
    picture: npt.NDArray[np.uint8] = (sheet * 255).round().byte().cpu().numpy()
    return picture
