"""The light networks: shapes, switches of the family, and the budget of the default."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from talkcodec.errors import ConfigError
from talkcodec.model.config import LiteNetworks, ModelConfig, preset
from talkcodec.model.lite import LiteNetwork

TINY = preset("tiny")


def lite(**switches: object) -> ModelConfig:
    return dataclasses.replace(TINY, lite=dataclasses.replace(TINY.lite, **switches))  # type: ignore[arg-type]


def network(config: ModelConfig) -> LiteNetwork:
    torch.manual_seed(0)
    return LiteNetwork(config).eval()


VARIANTS = {
    "default": TINY,
    "zeroth-order": dataclasses.replace(TINY, jacobians=False),
    "bottleneck": lite(skips="bottleneck"),
    "two references": lite(references=2),
    "corners": dataclasses.replace(TINY, align_corners=True),
}


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_every_member_of_the_family_generates(name: str) -> None:
    config = VARIANTS[name]
    net = network(config)
    source, driving = torch.rand(2, 2, 3, 64, 64)
    sparse = net.detect(source)
    assert sparse[0].shape == (2, 5, 2)
    assert (sparse[1] is None) == (not config.jacobians)
    references = [net.encode_reference(source, *sparse)] * config.lite.references
    animation = net.fuse(references, *net.detect(driving))
    assert animation.prediction.shape == (2, 3, 64, 64)
    assert 0 <= float(animation.prediction.min()) <= float(animation.prediction.max()) <= 1
    assert torch.allclose(animation.mask.sum(1), torch.ones(2, 32, 32), atol=1e-5)


@torch.no_grad()
def test_a_call_with_two_references_starts_with_one() -> None:
    net = network(lite(references=2))
    source = torch.rand(1, 3, 64, 64)
    sparse = net.detect(source)
    reference = net.encode_reference(source, *sparse)
    assert torch.allclose(net.fuse([reference] * 2, *sparse).prediction, net.generate(reference, *sparse), atol=1e-5)


@torch.no_grad()
def test_untrained_it_begins_by_copying() -> None:
    net = network(TINY)
    source = torch.rand(1, 3, 64, 64)
    sparse = net.detect(source)
    animation = net.animate(net.encode_reference(source, *sparse), *sparse)
    assert animation.deformed is not None
    assert float((animation.deformed - source).abs().mean()) < 0.15


@torch.no_grad()
def test_singular_jacobians_give_a_picture_not_nan() -> None:
    net = network(TINY)
    source = torch.rand(1, 3, 64, 64)
    keypoints, jacobians = net.detect(source)
    assert jacobians is not None
    reference = net.encode_reference(source, keypoints, jacobians)
    assert torch.isfinite(net.generate(reference, keypoints, torch.zeros_like(jacobians))).all()
    assert torch.isfinite(net.generate(reference, keypoints * 100, jacobians * 1e4)).all()


@torch.no_grad()
def test_the_default_keeps_its_budget() -> None:
    net = network(preset("lite-256"))
    picture = torch.rand(1, 3, 256, 256)
    with FlopCounterMode(display=False) as detect:
        sparse = net.detect(picture)
    reference = net.encode_reference(picture, *sparse)
    with FlopCounterMode(display=False) as generate:
        net.generate(reference, *sparse)
    assert detect.get_total_flops() <= 0.5e9
    assert generate.get_total_flops() <= 3e9
    assert 4 * sum(p.numel() for p in net.parameters()) <= 8e6


def test_configuration_survives_json_and_refuses_nonsense() -> None:
    for config in VARIANTS.values():
        assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match="unknown depth"):
        ModelConfig.from_dict({**TINY.to_dict(), "depth": 3})
    with pytest.raises(ConfigError, match="picture_size"):
        ModelConfig(picture_size=100)
    with pytest.raises(ConfigError, match="skips"):
        ModelConfig(lite=LiteNetworks(skips="none"))  # type: ignore[arg-type]
    for name, value in (("keypoints", "ten"), ("picture_size", 256.0), ("temperature", "warm"), ("kp_variance", -1)):
        with pytest.raises(ConfigError, match=name):
            ModelConfig.from_dict({**TINY.to_dict(), name: value})
    for name, size in (("channels", [1e9]), ("channels", "wide"), ("bottleneck_blocks", -1), ("motion_size", 2**40)):
        with pytest.raises(ConfigError, match=name):
            ModelConfig.from_dict({**TINY.to_dict(), "lite": {name: size}})
    with pytest.raises(ConfigError, match="no preset"):
        preset("huge")
