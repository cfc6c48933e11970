"""The graphs of the restoration network as torch modules: uint8 pictures (1, S, S, 3) at their borders."""

from typing import cast

import torch
from torch import Tensor, nn

from talkcodec.model.restoration import Prepared, RestorationNetwork

__all__ = ["example_inputs", "make_graph"]


class Prepare(nn.Module):
    """picture (1, S, S, 3) uint8 -> what is known of the keyframe alone."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.prepare(_from_bytes(picture)))


class Restore(nn.Module):
    """base (1, S/2, S/2, 3) float32 in [0, 255], flow (1, 2, S/2, S/2), picture, prepared -> (1, S, S, 3) uint8."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, base: Tensor, flow: Tensor, picture: Tensor, *prepared: Tensor) -> Tensor:
        small = base.permute(0, 3, 1, 2) / 255
        made = self.network.restore(small, flow, _from_bytes(picture), Prepared(*prepared)).picture
        return _to_bytes(made)


class Whole(nn.Module):
    """picture (1, S, S, 3) uint8, coded at the whole size, restored with itself -> (1, S, S, 3) uint8."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> Tensor:
        values = _from_bytes(picture)
        prepared = self.network.prepare(values)
        still = torch.zeros_like(prepared.reduced[:, :2])
        return _to_bytes(self.network.restore(prepared.reduced, still, values, prepared).picture)


_GRAPHS = {"prepare": Prepare, "restore": Restore, "whole": Whole}


def make_graph(name: str, network: RestorationNetwork) -> nn.Module:
    """ "prepare", "restore" or "whole" of a network in evaluation mode."""
    graph: nn.Module = _GRAPHS[name](network)
    return graph.eval()


def example_inputs(name: str, network: RestorationNetwork) -> tuple[Tensor, ...]:
    """Inputs of the right shapes and types."""
    size = network.config.picture_size
    picture = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    if name != "restore":
        return (picture,)
    half = size // 2
    with torch.no_grad():
        prepared = cast(tuple[Tensor, ...], Prepare(network)(picture))
    return (torch.zeros(1, half, half, 3), torch.zeros(1, 2, half, half), picture, *prepared)


def _from_bytes(picture: Tensor) -> Tensor:
    return picture.permute(0, 3, 1, 2).float() / 255


def _to_bytes(picture: Tensor) -> Tensor:
    return (picture.permute(0, 2, 3, 1).clamp(0, 1) * 255).round().to(torch.uint8)
