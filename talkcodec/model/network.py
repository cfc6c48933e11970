"""The one interface of every architecture, and the way from a configuration to a network."""

from typing import Protocol, cast

from torch import Tensor, nn

from talkcodec.model.config import ModelConfig
from talkcodec.model.geometry import Animation

__all__ = ["Network", "NetworkMethods", "build_network"]


class NetworkMethods(Protocol):
    """What a network does: batched float tensors, pictures (B, 3, S, S) in [0, 1]."""

    config: ModelConfig

    def detect(self, picture: Tensor) -> tuple[Tensor, Tensor | None]:
        """Keypoints (B, K, 2) and Jacobians (B, K, 2, 2), None for zeroth-order motion."""

    def encode_reference(self, picture: Tensor, keypoints: Tensor, jacobians: Tensor | None) -> tuple[Tensor, ...]:
        """Everything that depends on the reference picture alone."""

    def animate(self, reference: tuple[Tensor, ...], keypoints: Tensor, jacobians: Tensor | None) -> Animation:
        """The generated picture and what it was made of."""

    def generate(self, reference: tuple[Tensor, ...], keypoints: Tensor, jacobians: Tensor | None) -> Tensor:
        """The prediction alone, (B, 3, S, S) in [0, 1]."""


class Network(NetworkMethods, nn.Module):
    """A torch module with these methods; only a name for types, see `build_network`."""


def build_network(config: ModelConfig) -> Network:
    """A network of this configuration with fresh random weights, in training mode."""
    if config.architecture == "fomm":
        from talkcodec.model.fomm import FommNetwork

        return cast(Network, FommNetwork(config))
    from talkcodec.model.lite import LiteNetwork

    return cast(Network, LiteNetwork(config))
