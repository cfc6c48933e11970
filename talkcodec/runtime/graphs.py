"""The graphs that an engine runs, as torch modules: uint8 pictures (1, S, S, 3) at their borders.

Conversion from and to bytes is part of the graph, so that a compiler can fuse it. A zeroth-order
model has no Jacobians: they are left out of inputs and outputs rather than passed as None.
"""

import torch
from torch import Tensor, nn

from talkcodec.model.network import Network

__all__ = ["GRAPHS", "example_inputs", "make_graph"]

GRAPHS = ("detect", "encode_reference", "generate", "generate_float")


class Detect(nn.Module):
    """picture (1, S, S, 3) uint8 -> keypoints (1, K, 2) [, jacobians (1, K, 2, 2)]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        keypoints, jacobians = self.network.detect(_from_bytes(picture, self.network))
        return (keypoints,) if jacobians is None else (keypoints, jacobians)


class EncodeReference(nn.Module):
    """picture, keypoints [, jacobians] -> the tensors of a reference."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, *motion: Tensor) -> tuple[Tensor, ...]:
        keypoints, jacobians = motion[0], motion[1] if self.network.config.jacobians else None
        return self.network.encode_reference(_from_bytes(picture, self.network), keypoints, jacobians)


class GenerateFloat(nn.Module):
    """keypoints [, jacobians], tensors of a reference -> prediction (1, S, S, 3) float32 in [0, 1]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        order = 2 if self.network.config.jacobians else 1
        jacobians = inputs[1] if self.network.config.jacobians else None
        prediction = self.network.generate(inputs[order:], inputs[0], jacobians)
        return prediction.float().permute(0, 2, 3, 1).clamp(0, 1)


class Generate(GenerateFloat):
    """As GenerateFloat, rounded to uint8."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return (super().forward(*inputs) * 255).round().to(torch.uint8)


def make_graph(name: str, network: Network) -> nn.Module:
    """One of GRAPHS of a network in evaluation mode."""
    made: dict[str, type[Detect | EncodeReference | GenerateFloat]] = {
        "detect": Detect,
        "encode_reference": EncodeReference,
        "generate": Generate,
        "generate_float": GenerateFloat,
    }
    return made[name](network).eval()


def example_inputs(name: str, network: Network) -> tuple[Tensor, ...]:
    """Inputs of the right shapes and types for one of GRAPHS."""
    size = network.config.picture_size
    picture = torch.zeros(1, size, size, 3, dtype=torch.uint8, device=next(network.parameters()).device)
    if name == "detect":
        return (picture,)
    with torch.no_grad():
        motion: tuple[Tensor, ...] = Detect(network)(picture)
        if name == "encode_reference":
            return (picture, *motion)
        return (*motion, *EncodeReference(network)(picture, *motion))


def _from_bytes(picture: Tensor, network: Network) -> Tensor:
    """(1, S, S, 3) uint8 -> (1, 3, S, S) in [0, 1], in the network's type."""
    return picture.permute(0, 3, 1, 2).to(next(network.parameters()).dtype) / 255
