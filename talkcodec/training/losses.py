"""The losses of the research line, each a small function. Pictures are (B, 3, S, S) in [0, 1]."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.errors import UsageError
from talkcodec.model.geometry import coordinate_grid, invert_jacobian
from talkcodec.training.augment import RandomTransform

__all__ = [
    "adversarial_discriminator",
    "adversarial_generator",
    "box_ssim",
    "equivariance_jacobians",
    "equivariance_keypoints",
    "face_focus",
    "feature_matching",
    "gradient",
    "guide",
    "keypoint_spread",
    "motion_focus",
    "nearest_neighbour",
    "perceptual_network",
    "pyramid_l1",
    "structure",
]


def motion_focus(source: Tensor, driving: Tensor, strength: float) -> Tensor:
    """Per-pixel weights (B, 1, S, S) of mean 1 that grow where source and driving differ.

    Most of a talking head stands still; without this, lips and lids hardly count.
    """
    change = (source - driving).abs().mean(1, keepdim=True)
    size = max(3, source.shape[-1] // 32 | 1)
    change = F.avg_pool2d(change, size, 1, size // 2)
    weights = 1 + strength * (change / (change.mean((2, 3), keepdim=True) + 0.02)).clamp(max=4)
    return weights / weights.mean((2, 3), keepdim=True)


def face_focus(focus: Tensor, landmarks: Tensor, strength: float, width: float = 0.08) -> Tensor:
    """Weights (B, 1, S, S) that grow near the given landmarks (B, N, 2), by a Gaussian of `width` around each."""
    grid = coordinate_grid(32, 32, focus, False)
    squared = (grid[None, None] - landmarks[:, :, None, None]).square().sum(-1)  # (B, N, 32, 32)
    near = torch.exp(-squared.amin(1, keepdim=True) / (2 * width**2)).nan_to_num(0.0)
    near = F.interpolate(near, size=focus.shape[-2:], mode="bilinear", align_corners=False)
    weights = focus * (1 + strength * near)
    return weights / weights.mean((2, 3), keepdim=True)


def guide(keypoints: Tensor, landmarks: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Mean distance of keypoints (N, K, 2) from the landmarks (N, 68, 2) that each is drawn to; NaN draws nowhere
    (after the landmark guidance of Guo et al., LivePortrait, 2024)."""
    total, count = keypoints.new_zeros(()), 0
    for number, group in enumerate(groups):
        if group:
            away = (keypoints[:, number] - landmarks[:, list(group)].mean(1)).abs()
            total, count = total + torch.nanmean(away.where(away.isfinite(), away.new_tensor(0.0))), count + 1
    return total / max(1, count)


def pyramid_l1(prediction: Tensor, target: Tensor, weights: Tensor, scales: int = 4) -> Tensor:
    """Mean absolute error over a pyramid of halved pictures (multi-scale reconstruction, FOMM eq. 10 on pixels)."""
    total = prediction.new_zeros(())
    for scale in range(scales):
        if scale:
            prediction, target, weights = (F.avg_pool2d(x, 2) for x in (prediction, target, weights))
        total = total + (weights * (prediction - target).abs()).mean()
    return total / scales


def gradient(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean absolute error of horizontal and vertical differences: edges where they belong."""
    error = prediction - target
    dx = (error[..., :, 1:] - error[..., :, :-1]).abs()
    dy = (error[..., 1:, :] - error[..., :-1, :]).abs()
    return (weights[..., :, 1:] * dx).mean() + (weights[..., 1:, :] * dy).mean()


def box_ssim(prediction: Tensor, target: Tensor, window: int = 7, stride: int = 1) -> Tensor:
    """Structural similarity map (Wang et al. 2004) with a uniform window, (B, 3, S, S) -> (B, 3, s, s)."""
    mean = [F.avg_pool2d(x, window, stride) for x in (prediction, target)]
    square = F.avg_pool2d(prediction * prediction, window, stride) - mean[0].square()
    square_t = F.avg_pool2d(target * target, window, stride) - mean[1].square()
    cross = F.avg_pool2d(prediction * target, window, stride) - mean[0] * mean[1]
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean[0] * mean[1] + c1) * (2 * cross + c2)
    return top / ((mean[0].square() + mean[1].square() + c1) * (square + square_t + c2))


def structure(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """1 - SSIM at full and half size, weighted like the pixels."""
    total = prediction.new_zeros(())
    for scale in range(2):
        if scale:
            prediction, target, weights = (F.avg_pool2d(x, 2) for x in (prediction, target, weights))
        local = F.avg_pool2d(weights, 7, 2)
        total = total + (local * (1 - box_ssim(prediction, target, 7, 2))).mean()
    return total / 2


def equivariance_keypoints(keypoints: Tensor, transform: RandomTransform, transformed: Tensor) -> Tensor:
    """|p_D - T(p_T(D))| for keypoints (B, K, 2) (FOMM eq. 11)."""
    return (keypoints - transform.points(transformed)).abs().mean()


def equivariance_jacobians(
    jacobians: Tensor, transform: RandomTransform, keypoints_t: Tensor, jacobians_t: Tensor
) -> Tensor:
    """|1 - J_D^-1 T'(p_T) J_T| for Jacobians (B, K, 2, 2) (FOMM eq. 12)."""
    product = invert_jacobian(jacobians, 0.05) @ transform.jacobian(keypoints_t) @ jacobians_t
    return (torch.eye(2).to(product) - product).abs().clamp(max=5).mean()


def keypoint_spread(keypoints: Tensor, guided: Sequence[bool] = (), distance: float = 0.15) -> Tensor:
    """Penalty on keypoints (B, K, 2) nearer to each other than `distance`, so that they do not huddle
    where the gradient is largest and leave mouth and eyes without one (Wang et al., CVPR 2021, prior loss).

    guided: of the first keypoints, which have their place already; two such may meet.
    """
    squared = (keypoints[:, :, None] - keypoints[:, None]).square().sum(-1)
    placed = torch.zeros(keypoints.shape[1]).to(squared)
    placed[: len(guided)] = torch.tensor([float(g) for g in guided]).to(squared)
    apart = (1 - torch.eye(len(placed)).to(squared)) * (1 - placed[:, None] * placed)
    return (apart * F.relu(1 - squared / distance**2)).sum((1, 2)).mean() / keypoints.shape[1]


def nearest_neighbour(prediction: Tensor, target: Tensor, features: nn.Module, reach: int = 2) -> Tensor:
    """Each generated feature is compared with the best of a (2 reach + 1)^2 neighbourhood of the
    target (Siarohin et al., CVPR 2018, eq. 6), so that a shift of a pixel is not punished by blur."""
    generated, wanted = features(prediction), features(target)
    _, _, height, width = generated.shape
    padded = F.pad(wanted, [reach] * 4, mode="replicate")
    best: Tensor | None = None
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            distance = (generated - padded[:, :, dy : dy + height, dx : dx + width]).abs().mean(1)
            best = distance if best is None else torch.minimum(best, distance)
    assert best is not None
    return best.mean()


def adversarial_generator(fake_scores: Tensor) -> Tensor:
    """Least squares: (1 - D(fake))^2 (FOMM and Monkey-Net, as published)."""
    return (1 - fake_scores).square().mean()


def adversarial_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Least squares: (1 - D(real))^2 + D(fake)^2."""
    return (1 - real_scores).square().mean() + fake_scores.square().mean()


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean absolute difference of the discriminator's features (Monkey-Net eq. 9)."""
    total = fake[0].new_zeros(())
    for r, f in zip(real, fake, strict=True):
        total = total + (r.detach() - f).abs().mean()
    return total / len(real)


def perceptual_network() -> nn.Module:
    """VGG-19's first layers, for those who have torchvision and its weights (FOMM eq. 10).

    Raises UsageError with what to do when either is missing; nothing here needs it.
    """
    try:
        from torchvision.models import VGG19_Weights, vgg19  # type: ignore[import-not-found,unused-ignore]

        layers = vgg19(weights=VGG19_Weights.IMAGENET1K_V1).features[:21]
    except Exception as error:
        raise UsageError(
            f"the perceptual loss needs torchvision and its VGG-19 weights ({error}); "
            "install torchvision and allow the download once, or set weights.perceptual = 0"
        ) from error
    network: nn.Module = layers.eval().requires_grad_(False)
    return network
