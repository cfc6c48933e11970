"""Validation of a restoration: other people's clips, beside the untrained blend and the enlarged base picture."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talkcodec.model.restoration import RestorationNetwork
from talkcodec.runtime.restorer import reduced_grey
from talkcodec.training.data import Clip
from talkcodec.training.restoration.objective import pictures_to_tensor
from talkcodec.training.restoration.samples import Stream, moment, whole_moment
from talkcodec.training.restoration.streams import StreamSettings, code_stream
from talkcodec.training.validate import picture_scores

__all__ = ["RestorationScore", "ValidationSet", "contact_sheet", "validate", "validation_set"]

FRAMES = 80
"""Of each clip that are coded."""

SETTINGS = tuple(StreamSettings(size, crf, 2) for size, crf in ((128, 63), (128, 57), (128, 50), (96, 57)))
WHOLE_CRFS = (55, 48, 41)
"""Of pictures of the whole size, as the video rung codes them."""


class RestorationScore(NamedTuple):
    """Means over samples, L1 and SSIM on pictures in [0, 1], PSNR in dB: ours, the untrained blend's, the base's."""

    l1: float
    psnr_db: float
    ssim: float
    blend_l1: float
    blend_psnr_db: float
    blend_ssim: float
    base_l1: float
    base_psnr_db: float
    base_ssim: float

    @property
    def badness(self) -> float:
        """L1 as a share of the untrained blend's."""
        return self.l1 / self.blend_l1

    def describe(self) -> str:
        """One line."""
        return (
            f"L1 {self.l1:.4f} (blend {self.blend_l1:.4f}, base {self.base_l1:.4f})  "
            f"PSNR {self.psnr_db:.2f} dB ({self.blend_psnr_db:.2f}, {self.base_psnr_db:.2f})  "
            f"SSIM {self.ssim:.3f} ({self.blend_ssim:.3f}, {self.base_ssim:.3f})"
        )


class ValidationSet(NamedTuple):
    """keyframes (K, 3, S, S); of each sample which one, base (N, 3, S/2, S/2), flow, target (N, S, S, 3) uint8."""

    keyframes: Tensor
    which: list[int]
    bases: Tensor
    flows: Tensor
    targets: npt.NDArray[np.uint8]


def validation_set(
    clips: list[Clip], settings: tuple[StreamSettings, ...] | None = None, whole: bool = False
) -> ValidationSet:
    """Every clip coded with each of the settings; two coded instants and two between, the keyframe the clip's first.

    whole: at the clip's size, and each picture its own keyframe.
    """
    keyframes, which, moments, targets = [], [], [], []
    for clip in clips:
        reduced = reduced_grey(np.array(clip.keyframes[0]))
        frames = clip.frames[:FRAMES]
        own = tuple(StreamSettings(frames.shape[1], crf, 2, "vp9", 1) for crf in WHOLE_CRFS)
        if not whole:
            keyframes.append(np.array(clip.keyframes[0]))
        for setting in settings or (own if whole else SETTINGS):
            stream = Stream(setting, code_stream(frames, setting).pictures)
            last = len(stream.pictures) - 1
            for coded in {last // 2, last}:
                for frame in {coded * setting.every, max(0, coded * setting.every - setting.every // 2)}:
                    if whole:
                        picture, now = whole_moment(stream, frame)
                        keyframes.append(picture)
                    else:
                        now = moment(stream, frame, reduced)
                    which.append(len(keyframes) - 1)
                    moments.append(now)
                    targets.append(frames[frame])
    return ValidationSet(
        pictures_to_tensor(np.stack(keyframes)),
        which,
        pictures_to_tensor(np.stack([m.base for m in moments])),
        torch.from_numpy(np.stack([m.flow for m in moments])),
        np.stack(targets),
    )


@torch.no_grad()
def validate(network: RestorationNetwork, data: ValidationSet, device: torch.device) -> RestorationScore:
    """All samples of the set, one by one: restored, blended without training, and the base picture enlarged."""
    untrained = RestorationNetwork(network.config).to(device).eval()
    rows = []
    for number, which in enumerate(data.which):
        base, flow = (t[number : number + 1].to(device) for t in (data.bases, data.flows))
        keyframe = data.keyframes[which : which + 1].to(device)
        target = pictures_to_tensor(data.targets[number : number + 1]).to(device)
        restored = network.restore(base, flow, keyframe, network.prepare(keyframe)).picture
        pictures = (restored, untrained(base, keyframe, flow), untrained.enlarge(base))
        rows.append(torch.cat([picture_scores(p.clamp(0, 1), target) for p in pictures], 1)[0])
    return RestorationScore(*torch.stack(rows).mean(0).tolist())


@torch.no_grad()
def contact_sheet(network: RestorationNetwork, data: ValidationSet, device: torch.device) -> npt.NDArray[np.uint8]:
    """Columns: truth, base, untrained blend, restored, mask; up to eight samples, spread over the set."""
    untrained = RestorationNetwork(network.config).to(device).eval()
    lines = []
    for number in np.linspace(0, len(data.which) - 1, min(8, len(data.which))).astype(int):
        base, flow = (t[number : number + 1].to(device) for t in (data.bases, data.flows))
        keyframe = data.keyframes[data.which[number]][None].to(device)
        target = pictures_to_tensor(data.targets[number : number + 1]).to(device)
        ours = network.restore(base, flow, keyframe, network.prepare(keyframe))
        mask = ours.mask.expand(-1, 3, -1, -1)
        row = [target, network.enlarge(base), untrained(base, keyframe, flow), ours.picture, mask]
        lines.append(torch.cat(row, -1)[0].clamp(0, 1))
    picture: npt.NDArray[np.uint8] = (torch.cat(lines, 1).movedim(0, -1) * 255).round().byte().cpu().numpy()
    return picture
