"""One training step's loss: from a batch of pairs to a number to descend."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.geometry import Animation, resize
from talkcodec.model.lite import LiteNetwork
from talkcodec.training import losses
from talkcodec.training.augment import RandomTransform
from talkcodec.training.config import LossWeights, TrainingConfig
from talkcodec.training.discriminator import Discriminator

__all__ = ["Objective", "draw_animation"]


def draw_animation(
    network: LiteNetwork, sources: Tensor, driving: Tensor, noise: tuple[float, float], generator: torch.Generator
) -> tuple[Animation, tuple[Tensor, Tensor | None]]:
    """Detect, disturb as quantisation would, and animate. sources (B, R, 3, S, S), driving (B, 3, S, S)."""
    batch, count = sources.shape[:2]
    with torch.set_grad_enabled(network.detector.training):
        keypoints, jacobians = network.detect(torch.cat([sources.flatten(0, 1), driving]))

    def disturb(values: Tensor, width: float) -> Tensor:
        return values + width * (torch.rand(values.shape, generator=generator).to(values) - 0.5)

    coded = disturb(keypoints, noise[0])
    coded_jacobians = None if jacobians is None else disturb(jacobians, noise[1])
    split = batch * count
    references = []
    for number in range(count):
        rows = slice(number, split, count)
        rows_jacobians = None if coded_jacobians is None else coded_jacobians[rows]
        references.append(network.encode_reference(sources[:, number], coded[rows], rows_jacobians))
    driving_jacobians = None if coded_jacobians is None else coded_jacobians[split:]
    animation = network.fuse(references, coded[split:], driving_jacobians)
    return animation, (keypoints[split:], None if jacobians is None else jacobians[split:])


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
        sources: Tensor,
        driving: Tensor,
        weights: LossWeights,
        discriminator: Discriminator | None,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """-> the weighted terms by name (their sum is the loss) and the prediction (B, 3, S, S)."""
        noise = (self.config.keypoint_noise, self.config.jacobian_noise)
        animation, (keypoints, jacobians) = draw_animation(self.network, sources, driving, noise, generator)
        prediction = animation.prediction.float()
        focus = losses.motion_focus(sources[:, 0], driving, weights.motion_focus)
        terms: dict[str, Tensor] = {}

        def add(name: str, weight: float, value: Tensor) -> None:
            terms[name] = weight * value

        add("reconstruction", weights.reconstruction, losses.pyramid_l1(prediction, driving, focus))
        if weights.structure:
            add("structure", weights.structure, losses.structure(prediction, driving, focus))
        if weights.gradient:
            add("gradient", weights.gradient, losses.gradient(prediction, driving, focus))
        if weights.warp and animation.deformed is not None:
            deformed = animation.deformed.float()
            occlusion = animation.occlusion
            assert occlusion is not None
            seen = focus * (0.2 + 0.8 * resize(occlusion.detach(), (deformed.shape[-2], deformed.shape[-1]), False))
            add("warp", weights.warp, losses.pyramid_l1(deformed, driving, seen))
        learning = self.network.detector.heatmap.weight.requires_grad
        if learning and weights.equivariance_keypoints:
            transform = RandomTransform(driving.shape[0], driving, generator)
            moved = transform.picture(driving, self.network.config.align_corners)
            keypoints_t, jacobians_t = self.network.detect(moved)
            equivariance = losses.equivariance_keypoints(keypoints, transform, keypoints_t)
            add("equivariance", weights.equivariance_keypoints, equivariance)
            if jacobians is not None and jacobians_t is not None and weights.equivariance_jacobians:
                first_order = losses.equivariance_jacobians(jacobians, transform, keypoints_t, jacobians_t)
                add("equivariance_jacobians", weights.equivariance_jacobians, first_order)
        if learning and weights.keypoint_spread:
            add("keypoint_spread", weights.keypoint_spread, losses.keypoint_spread(keypoints))
        if weights.perceptual and self.vgg is not None:
            add("perceptual", weights.perceptual, F.l1_loss(self.vgg(prediction), self.vgg(driving)))
        if discriminator is not None:
            fake_scores, fake_features = discriminator(prediction)
            with torch.no_grad():
                _, real_features = discriminator(driving)
            add("adversarial", weights.adversarial, losses.adversarial_generator(fake_scores.float()))
            add("feature_matching", weights.feature_matching, losses.feature_matching(real_features, fake_features))
            if weights.nearest_neighbour:
                nearest = losses.nearest_neighbour(prediction, driving, discriminator.blocks[0])
                add("nearest_neighbour", weights.nearest_neighbour, nearest)
        return terms, prediction
