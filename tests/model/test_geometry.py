"""The motion equations, checked against their definitions."""

import pytest
import torch

from talkcodec.model.geometry import (
    coordinate_grid,
    gaussian_heatmaps,
    invert_jacobian,
    local_motions,
    soft_argmax,
    warp,
)


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_coordinate_grid_is_the_identity_warp(align_corners: bool) -> None:
    picture = torch.rand(1, 3, 12, 20)
    grid = coordinate_grid(12, 20, picture, align_corners)[None]
    assert torch.allclose(warp(picture, grid, align_corners), picture, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
def test_soft_argmax_of_a_single_pixel_is_its_centre(align_corners: bool) -> None:
    heatmap = torch.zeros(1, 1, 8, 8)
    heatmap[0, 0, 2, 5] = 1
    expected = coordinate_grid(8, 8, heatmap, align_corners)[2, 5]
    assert torch.allclose(soft_argmax(heatmap, align_corners)[0, 0], expected)


def test_heatmaps_follow_equation_6() -> None:
    grid = coordinate_grid(16, 16, torch.zeros(1), False)
    points = torch.rand(2, 3, 2) * 2 - 1
    expected = torch.exp(-0.5 * (grid[None, None] - points[:, :, None, None]).square().sum(-1) / 0.01)
    assert torch.allclose(gaussian_heatmaps(points, grid, 0.01), expected, atol=1e-6)


def test_local_motions_follow_equation_4() -> None:
    torch.manual_seed(0)
    grid = coordinate_grid(6, 6, torch.zeros(1), False)
    source = (torch.rand(2, 4, 2), torch.eye(2) + 0.1 * torch.randn(2, 4, 2, 2))
    driving = (torch.rand(2, 4, 2), torch.eye(2) + 0.1 * torch.randn(2, 4, 2, 2))
    motions = local_motions(grid, source, driving)
    assert motions.shape == (2, 5, 6, 6, 2)
    assert torch.equal(motions[:, 0], grid.expand(2, 6, 6, 2))
    matrix = source[1] @ torch.linalg.inv(driving[1])
    z = grid[3, 1] - driving[0]
    expected = source[0] + (matrix @ z[..., None])[..., 0]
    assert torch.allclose(motions[:, 1:, 3, 1], expected, atol=1e-5)


def test_inverse_matches_linalg_and_never_explodes() -> None:
    torch.manual_seed(1)
    good = torch.eye(2) + 0.3 * torch.randn(50, 2, 2)
    good = good[torch.linalg.det(good).abs() > 0.05]
    assert torch.allclose(invert_jacobian(good), torch.linalg.inv(good), atol=1e-4)
    for singular in (torch.zeros(2, 2), torch.ones(2, 2), torch.tensor([[1.0, 2.0], [2.0, 4.0]])):
        assert torch.isfinite(invert_jacobian(singular)).all()
