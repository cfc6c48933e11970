"""Each loss against its definition."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import nn

from talkcodec.training import losses
from talkcodec.training.augment import RandomTransform, jitter_rows, zoom_some


def transform(batch: int = 2) -> RandomTransform:
    return RandomTransform(batch, torch.zeros(1), torch.Generator().manual_seed(3))


def test_transform_jacobian_is_the_derivative_of_its_points() -> None:
    t = transform()
    points = torch.rand(2, 6, 2, dtype=torch.float64) * 1.6 - 0.8
    t.matrix, t.shift, t.centres, t.weights = (x.double() for x in (t.matrix, t.shift, t.centres, t.weights))
    step = 1e-6
    numeric = torch.stack(
        [
            (t.points(points + step * e) - t.points(points - step * e)) / (2 * step)
            for e in torch.eye(2, dtype=torch.float64)
        ],
        -1,
    )
    assert torch.allclose(t.jacobian(points), numeric, atol=1e-4)


def test_equivariance_is_zero_for_points_that_move_with_the_picture() -> None:
    t = transform()
    moved = torch.rand(2, 5, 2) - 0.5
    keypoints = t.points(moved)
    assert float(losses.equivariance_keypoints(keypoints, t, moved)) < 1e-6
    jacobians_t = torch.eye(2).expand(2, 5, 2, 2)
    jacobians = t.jacobian(moved) @ jacobians_t
    assert float(losses.equivariance_jacobians(jacobians, t, moved, jacobians_t)) < 1e-4
    assert float(losses.equivariance_keypoints(keypoints + 0.1, t, moved)) == pytest.approx(0.1, rel=1e-3)


def test_box_ssim_is_scikit_image_s() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((32, 32)).astype(np.float32)
    b = np.clip(a + 0.1 * rng.standard_normal((32, 32)), 0, 1).astype(np.float32)
    full = structural_similarity(a, b, win_size=7, data_range=1, full=True, use_sample_covariance=False)[1]
    ours = losses.box_ssim(*(torch.from_numpy(x)[None, None] for x in (a, b)))[0, 0].numpy()
    assert np.allclose(ours, full[3:-3, 3:-3], atol=1e-3)


def test_reconstruction_terms_vanish_only_for_equal_pictures() -> None:
    torch.manual_seed(0)
    a, weights = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    b = (a + 0.1).clamp(0, 1)
    for loss in (losses.pyramid_l1, losses.structure, losses.gradient):
        assert float(loss(a, a, weights)) == pytest.approx(0, abs=1e-5)
        assert float(loss(a, b, weights)) > 1e-3


def test_focus_has_mean_one_and_rests_on_what_moved() -> None:
    a = torch.zeros(1, 3, 64, 64)
    b = a.clone()
    b[:, :, 40:50, 20:40] = 1
    focus = losses.motion_focus(a, b, 2.0)
    assert float(focus.mean()) == pytest.approx(1, abs=1e-5)
    assert float(focus[0, 0, 45, 30]) > 3 * float(focus[0, 0, 5, 5])


def test_nearest_neighbour_forgives_a_shift_that_l1_punishes() -> None:
    torch.manual_seed(0)
    a = torch.rand(1, 3, 16, 16)
    shifted = torch.roll(a, 1, -1)
    near = losses.nearest_neighbour(shifted[..., 4:-4, 4:-4], a[..., 4:-4, 4:-4], nn.Identity(), reach=1)
    assert float(near) < 0.4 * float((shifted - a).abs().mean())


def test_spread_counts_only_keypoints_that_are_too_near() -> None:
    apart = torch.tensor([[[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]])
    assert float(losses.keypoint_spread(apart)) == 0
    together = torch.zeros(1, 2, 2)
    assert float(losses.keypoint_spread(together)) == pytest.approx(1)


def test_adversarial_terms() -> None:
    ones, zeros = torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    assert float(losses.adversarial_generator(ones)) == 0
    assert float(losses.adversarial_discriminator(ones, zeros)) == 0
    assert float(losses.adversarial_discriminator(zeros, ones)) == 2
    assert float(losses.feature_matching([ones, ones], [zeros, ones])) == pytest.approx(0.5)


def test_both_pictures_of_a_pair_are_jittered_alike() -> None:
    pictures = torch.rand(4, 1, 3, 8, 8).expand(-1, 3, -1, -1, -1)
    jittered, _ = jitter_rows(pictures, torch.zeros(4, 3, 68, 2), torch.Generator().manual_seed(0))
    assert torch.equal(jittered[:, 0], jittered[:, 1])
    assert torch.equal(jittered[:, 0], jittered[:, 2])
    assert not torch.equal(jittered, pictures)


def test_landmarks_go_where_the_picture_goes() -> None:
    """A bright dot on a landmark stays under it (or under its mirror image's name) through flip and zoom."""
    size, count = 64, 16
    x, y = torch.tensor([10, 40]), torch.tensor([20, 30])  # the outer corners of the eyes
    pictures = torch.zeros(count, 1, 3, size, size)
    pictures[..., y[0] - 1 : y[0] + 2, x[0] - 1 : x[0] + 2] = 1.0
    landmarks = torch.full((count, 1, 68, 2), float("nan"))
    landmarks[:, 0, 36] = torch.stack([(x[0] + 0.5) / size, (y[0] + 0.5) / size]) * 2 - 1
    landmarks[:, 0, 45] = torch.stack([(x[1] + 0.5) / size, (y[1] + 0.5) / size]) * 2 - 1
    generator = torch.Generator().manual_seed(3)
    pictures, landmarks = jitter_rows(pictures, landmarks, generator)
    zoomed, moved = zoom_some(pictures.flatten(0, 1), landmarks.flatten(0, 1), generator, share=1.0)
    flipped = 0
    for picture, points in zip(zoomed, moved, strict=True):
        if (points.abs() > 0.95).any():
            continue  # the window left the dot out
        brightest = int(picture.sum(0).argmax())
        found = (torch.tensor([brightest % size, brightest // size]) + 0.5) / size * 2 - 1
        side = 36 if (points[36] - found).norm() < (points[45] - found).norm() else 45
        assert (points[side] - found).abs().max() < 2.5 * 2 / size
        flipped += side == 45
    assert 0 < flipped < count


def test_a_guided_keypoint_is_drawn_to_the_mean_of_its_landmarks() -> None:
    landmarks = torch.full((2, 68, 2), float("nan"))
    landmarks[0, 37], landmarks[0, 38] = torch.tensor([0.2, 0.0]), torch.tensor([0.4, 0.0])
    keypoints = torch.zeros(2, 3, 2, requires_grad=True)
    loss = losses.guide(keypoints, landmarks, [[], [37, 38]])
    assert float(loss.detach()) == pytest.approx(0.3 / 4)  # one coordinate of two, in one picture of two
    loss.backward()  # type: ignore[no-untyped-call]
    assert keypoints.grad is not None
    assert keypoints.grad.isfinite().all()
    assert (keypoints.grad != 0).nonzero().tolist() == [[0, 1, 0]]


def test_guided_keypoints_may_meet_free_ones_may_not() -> None:
    together = torch.zeros(1, 3, 2)
    assert float(losses.keypoint_spread(together, [True, True, True])) == 0
    assert float(losses.keypoint_spread(together, [True, True])) > 0


def test_the_face_counts_more_where_it_is_known() -> None:
    flat = torch.ones(2, 1, 64, 64)
    landmarks = torch.tensor([[[0.5, 0.5]], [[float("nan")] * 2]])
    weights = losses.face_focus(flat, landmarks, 3.0)
    assert torch.allclose(weights.mean((1, 2, 3)), torch.ones(2))
    assert float(weights[0, 0, 48, 48]) > 3 * float(weights[0, 0, 5, 5])
    assert torch.allclose(weights[1], torch.ones(1, 64, 64))


def test_zoom_shows_a_window_of_the_picture() -> None:
    ramp = torch.linspace(0, 1, 64).expand(8, 3, 64, 64)
    nothing = torch.zeros(8, 68, 2)
    untouched, _ = zoom_some(ramp, nothing, torch.Generator().manual_seed(0), share=0.0)
    assert torch.allclose(untouched, ramp, atol=1e-5)
    zoomed, _ = zoom_some(ramp, nothing, torch.Generator().manual_seed(0), share=1.0)
    spans = zoomed[:, 0, 0, -1] - zoomed[:, 0, 0, 0]
    assert (spans < 0.999).all()
    assert (spans > 0.65).all()
