"""One training step's loss: from a batch of pairs to a number to descend."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.dense_motion import Sparse
from talkcodec.model.geometry import Animation, resize
from talkcodec.model.lite import LiteNetwork
from talkcodec.training import losses
from talkcodec.training.augment import RandomTransform
from talkcodec.training.config import LossWeights, TrainingConfig
from talkcodec.training.discriminator import Discriminator
from talkcodec.training.landmarks import EXPRESSIVE

__all__ = ["Objective", "draw_animation"]


def draw_animation(
    network: LiteNetwork, sources: Tensor, sparse: Sparse, noise: tuple[float, float], generator: torch.Generator
) -> Animation:
    """Animate detected motion, disturbed as quantisation would.

    sources (B, R, 3, S, S); sparse: keypoints (B, R + 1, K, 2) and Jacobians (B, R + 1, K, 2, 2) of the sources and,
    last, of the driving picture.
    """

    def disturb(values: Tensor, width: float) -> Tensor:
        return values + width * (torch.rand(values.shape, generator=generator).to(values) - 0.5)

    keypoints = disturb(sparse[0], noise[0])
    jacobians = None if sparse[1] is None else disturb(sparse[1], noise[1])

    def of(number: int) -> Sparse:
        return keypoints[:, number], None if jacobians is None else jacobians[:, number]

    references = [network.encode_reference(sources[:, n], *of(n)) for n in range(sources.shape[1])]
    return network.fuse(references, *of(-1))


class Objective(nn.Module):
    """The whole loss as a module, so that one wrapper distributes it over processes."""

    def __init__(self, network: LiteNetwork, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.vgg: nn.Module | None = None
        if any(stage.weights.perceptual for stage in config.stages):
            self.vgg = losses.perceptual_network()

    def forward(
        self,
        pictures: Tensor,
        landmarks: Tensor,
        weights: LossWeights,
        discriminator: Discriminator | None,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """pictures (B, R + 1, 3, S, S), the driving one last, and their landmarks (B, R + 1, 68, 2), NaN where unknown
        -> the weighted terms by name (their sum is the loss) and the prediction (B, 3, S, S), if one was made."""
        learning = self.network.detector.heatmap.weight.requires_grad
        with torch.set_grad_enabled(learning):
            keypoints, jacobians = self.network.detect(pictures.flatten(0, 1))
        prediction: Tensor | None = None
        terms: dict[str, Tensor] = {}
        if learning:
            terms |= self._detector_terms(pictures, landmarks, (keypoints, jacobians), weights, generator)
        if weights.reconstruction:
            shape = pictures.shape[:2]
            rows = keypoints.view(*shape, *keypoints.shape[1:])
            sparse = (rows, None if jacobians is None else jacobians.view(*shape, *jacobians.shape[1:]))
            noise = (self.config.keypoint_noise, self.config.jacobian_noise)
            animation = draw_animation(self.network, pictures[:, :-1], sparse, noise, generator)
            prediction = animation.prediction.float()
            terms |= self._picture_terms(pictures, landmarks[:, -1], animation, weights)
            if discriminator is not None:
                terms |= _adversarial_terms(prediction, pictures[:, -1], discriminator, weights)
        return terms, prediction

    def _detector_terms(
        self, pictures: Tensor, landmarks: Tensor, sparse: Sparse, weights: LossWeights, generator: torch.Generator
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        keypoints, jacobians = sparse
        each = pictures.shape[1]
        if weights.equivariance_keypoints:
            driving = pictures[:, -1]
            transform = RandomTransform(driving.shape[0], driving, generator)
            moved = transform.picture(driving, self.network.config.align_corners)
            keypoints_t, jacobians_t = self.network.detect(moved)
            still = keypoints[each - 1 :: each]
            equivariance = losses.equivariance_keypoints(still, transform, keypoints_t)
            terms["equivariance"] = weights.equivariance_keypoints * equivariance
            if jacobians is not None and jacobians_t is not None and weights.equivariance_jacobians:
                first_order = losses.equivariance_jacobians(
                    jacobians[each - 1 :: each], transform, keypoints_t, jacobians_t
                )
                terms["equivariance_jacobians"] = weights.equivariance_jacobians * first_order
        if weights.keypoint_spread:
            guided = [bool(group) for group in self.config.guide]
            terms["keypoint_spread"] = weights.keypoint_spread * losses.keypoint_spread(keypoints, guided)
        if weights.guide:
            terms["guide"] = weights.guide * losses.guide(keypoints, landmarks.flatten(0, 1), self.config.guide)
        return terms

    def _picture_terms(
        self, pictures: Tensor, landmarks: Tensor, animation: Animation, weights: LossWeights
    ) -> dict[str, Tensor]:
        driving, prediction = pictures[:, -1], animation.prediction.float()
        focus = losses.motion_focus(pictures[:, 0], driving, weights.motion_focus)
        if weights.face_focus:
            focus = losses.face_focus(focus, landmarks[:, EXPRESSIVE], weights.face_focus)
        terms = {"reconstruction": weights.reconstruction * losses.pyramid_l1(prediction, driving, focus)}
        if weights.structure:
            terms["structure"] = weights.structure * losses.structure(prediction, driving, focus)
        if weights.gradient:
            terms["gradient"] = weights.gradient * losses.gradient(prediction, driving, focus)
        if weights.warp and animation.deformed is not None:
            deformed = animation.deformed.float()
            occlusion = animation.occlusion
            assert occlusion is not None
            seen = focus * (0.2 + 0.8 * resize(occlusion.detach(), (deformed.shape[-2], deformed.shape[-1]), False))
            terms["warp"] = weights.warp * losses.pyramid_l1(deformed, driving, seen)
        if weights.perceptual and self.vgg is not None:
            terms["perceptual"] = weights.perceptual * F.l1_loss(self.vgg(prediction), self.vgg(driving))
        return terms


def _adversarial_terms(
    prediction: Tensor, driving: Tensor, discriminator: Discriminator, weights: LossWeights
) -> dict[str, Tensor]:
    fake_scores, fake_features = discriminator(prediction)
    with torch.no_grad():
        _, real_features = discriminator(driving)
    terms = {
        "adversarial": weights.adversarial * losses.adversarial_generator(fake_scores.float()),
        "feature_matching": weights.feature_matching * losses.feature_matching(real_features, fake_features),
    }
    if weights.nearest_neighbour:
        nearest = losses.nearest_neighbour(prediction, driving, discriminator.blocks[0])
        terms["nearest_neighbour"] = weights.nearest_neighbour * nearest
    return terms
