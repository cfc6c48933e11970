"""Augmentation of pairs, and the random transform of the equivariance losses."""

import torch
from torch import Tensor

from talkcodec.model.geometry import coordinate_grid, warp
from talkcodec.training.landmarks import MIRRORED

__all__ = ["RandomTransform", "jitter_rows", "zoom_some"]


class RandomTransform:
    """A random affine plus thin-plate-spline transform of the plane (FOMM, appendix, as published).

    T(z) = A z + b + sum_i w_i U(|z - c_i|), U(r) = r^2 log r^2, over a 5 x 5 grid of centres.
    """

    def __init__(
        self, batch: int, like: Tensor, generator: torch.Generator, affine: float = 0.08, spline: float = 0.006
    ) -> None:
        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(like)

        self.matrix = torch.eye(2).to(like) + affine * normal(batch, 2, 2)
        self.shift = affine * normal(batch, 2)
        self.centres = coordinate_grid(5, 5, like, True).reshape(-1, 2)
        self.weights = spline * normal(batch, 25, 2)

    def points(self, points: Tensor) -> Tensor:
        """T at points (B, N, 2)."""
        squared = (points[:, :, None] - self.centres).square().sum(-1)  # (B, N, 25)
        bend = (squared * torch.log(squared + 1e-6)) @ self.weights
        return points @ self.matrix.transpose(1, 2) + self.shift[:, None] + bend

    def jacobian(self, points: Tensor) -> Tensor:
        """dT/dz at points (B, N, 2) -> (B, N, 2, 2), row = output, column = input."""
        offsets = points[:, :, None] - self.centres  # (B, N, 25, 2)
        squared = offsets.square().sum(-1)
        slope = 2 * (torch.log(squared + 1e-6) + squared / (squared + 1e-6))
        bend = torch.einsum("bnc,bncj,bci->bnij", slope, offsets, self.weights)
        return self.matrix[:, None] + bend

    def picture(self, picture: Tensor, align_corners: bool) -> Tensor:
        """The picture whose pixel z shows the original's T(z); reflected at the border."""
        batch, _, height, width = picture.shape
        grid = coordinate_grid(height, width, picture, align_corners)
        field = self.points(grid.reshape(1, -1, 2).expand(batch, -1, -1)).view(batch, height, width, 2)
        return warp(picture, field, align_corners, "reflection")


def jitter_rows(pictures: Tensor, landmarks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same random flip, gain, offset and gamma for all pictures of a row.

    pictures (B, N, 3, S, S) in [0, 1], landmarks (B, N, 68, 2) in [-1, 1].
    """
    batch = pictures.shape[0]

    def uniform(low: float, high: float, channels: int) -> Tensor:
        values = torch.rand(batch, 1, channels, 1, 1, generator=generator)
        return (low + (high - low) * values).to(pictures)

    gain, offset, gamma = uniform(0.85, 1.15, 3), uniform(-0.05, 0.05, 3), uniform(0.8, 1.25, 1)
    flip = uniform(0, 1, 1) < 0.5
    pictures = torch.where(flip, pictures.flip(-1), pictures)
    mirrored = landmarks[:, :, list(MIRRORED)] * torch.tensor([-1.0, 1.0]).to(landmarks)
    landmarks = torch.where(flip[..., 0], mirrored, landmarks)
    return ((pictures.clamp(1e-4, 1) ** gamma) * gain + offset).clamp(0, 1), landmarks


def zoom_some(
    pictures: Tensor, landmarks: Tensor, generator: torch.Generator, share: float = 0.3, least: float = 0.7
) -> tuple[Tensor, Tensor]:
    """A random window of some of the pictures (B, 3, S, S), enlarged to fill them, each on its own; and what
    becomes of their landmarks (B, 68, 2).

    Clips are cropped around the face, so their own pairs hardly teach nearness and large shifts.
    """
    batch, _, height, width = pictures.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(pictures)

    side = torch.where(uniform(batch) < share, least + (1 - least) * uniform(batch), 1.0)
    middle = (1 - side)[:, None] * (2 * uniform(batch, 2) - 1)  # the window stays inside
    grid = coordinate_grid(height, width, pictures, False)
    field = side[:, None, None, None] * grid + middle[:, None, None]
    return warp(pictures, field, False, "border"), (landmarks - middle[:, None]) / side[:, None, None]
