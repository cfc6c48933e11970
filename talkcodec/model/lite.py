"""The light networks as one model: detect, encode_reference, animate."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.model.config import ModelConfig
from talkcodec.model.dense_motion import DenseMotionNetwork
from talkcodec.model.detector import KeypointDetector
from talkcodec.model.generator import Generator, ReferenceEncoder
from talkcodec.model.geometry import Animation, resize

__all__ = ["LiteNetwork"]


class LiteNetwork(nn.Module):
    """Detector, dense motion and generator under one configuration; weights are shared by all sizes.

    A reference is a tuple of tensors: keypoints, jacobians (only for first-order motion), the
    picture at motion size, the picture, and its features, largest first.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.detector = KeypointDetector(config)
        self.reference_encoder = ReferenceEncoder(config)
        self.dense_motion = DenseMotionNetwork(config, scales=len(config.lite.channels))
        self.generator = Generator(config)

    def detect(self, picture: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pictures (B, 3, S, S) in [0, 1] -> keypoints (B, K, 2), jacobians (B, K, 2, 2) or None."""
        keypoints, jacobians = self.detector(picture)
        return keypoints, jacobians

    def encode_reference(self, picture: Tensor, keypoints: Tensor, jacobians: Tensor | None) -> tuple[Tensor, ...]:
        """Everything that depends on the reference picture alone."""
        m = self.config.lite.motion_size
        if picture.shape[-1] % m == 0:
            small = F.avg_pool2d(picture, picture.shape[-1] // m)
        else:
            small = resize(picture, (m, m), self.config.align_corners)
        sparse = (keypoints,) if jacobians is None else (keypoints, jacobians)
        return (*sparse, small, picture, *self.reference_encoder(picture))

    def animate(self, reference: tuple[Tensor, ...], keypoints: Tensor, jacobians: Tensor | None) -> Animation:
        """One reference and the motion of a driving frame -> the generated picture and its parts."""
        return self.fuse([reference], keypoints, jacobians)

    def fuse(self, references: Sequence[tuple[Tensor, ...]], keypoints: Tensor, jacobians: Tensor | None) -> Animation:
        """Several references of the same speaker, the first being the nearest in time."""
        order = 2 if self.config.jacobians else 1
        motions = []
        for reference in references:
            source = (reference[0], reference[1] if self.config.jacobians else None)
            motions.append(self.dense_motion(reference[order], source, (keypoints, jacobians)))
        animation: Animation = self.generator(
            [(reference[order + 1], list(reference[order + 2 :])) for reference in references], motions
        )
        return animation

    def generate(self, reference: tuple[Tensor, ...], keypoints: Tensor, jacobians: Tensor | None) -> Tensor:
        """The prediction alone, (B, 3, S, S) in [0, 1]."""
        return self.animate(reference, keypoints, jacobians).prediction
