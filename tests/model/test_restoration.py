"""The restoration network: where it starts, what it caches, and its files."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from talkcodec.errors import ConfigError, ModelError
from talkcodec.model.files import read_model_file, save_model, shipped_models
from talkcodec.model.restoration import Prepared, RestorationConfig, RestorationNetwork, Window
from talkcodec.model.restoration_files import load_restoration, shipped_restorations
from talkcodec.runtime.restoration import open_whole
from talkcodec.sample import sample_path
from talkcodec.training.restoration.streams import StreamSettings, code_stream
from talkcodec.types import Picture

SMALL = RestorationConfig(64, (8, 12, 16), 8, 8, (1, 1, 1))


def stirred(config: RestorationConfig = SMALL) -> RestorationNetwork:
    """A network that has left its start, as after training."""
    torch.manual_seed(3)
    network = RestorationNetwork(config).eval().requires_grad_(False)
    for layer in (network.refine, network.head):
        torch.nn.init.normal_(layer.weight, std=0.02)
    return network


def sample(size: int = 64, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Base, smooth flow and keyframe."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(batch, 3, 8, 8, generator=generator)
    keyframe = F.interpolate(coarse, size=(size, size), mode="bilinear")
    base = F.interpolate(coarse.roll(1, 3), size=(size // 2, size // 2), mode="bilinear")
    flow = 0.1 * torch.randn(batch, 2, 4, 4, generator=generator)
    return base, F.interpolate(flow, size=(size // 2, size // 2), mode="bilinear"), keyframe


@pytest.mark.parametrize("size", [64, 128, 256])
def test_it_gives_a_picture_of_the_keyframes_size(size: int) -> None:
    base, flow, keyframe = sample(size, 1)
    network = stirred(RestorationConfig(size, (8, 12, 16), 8, 8, (1, 1, 1)))
    assert network(base, keyframe, flow).shape == (1, 3, size, size)


def test_before_training_it_is_the_blend() -> None:
    """m w + (1 - m) u with m = exp(-(smooth difference / 20)^2), computed here in another way."""
    base, flow, keyframe = sample()
    network = RestorationNetwork(SMALL).requires_grad_(False)
    picture = network(base, keyframe, flow)
    side = (torch.arange(64) + 0.5) / 32 - 1
    grid = torch.stack(torch.meshgrid(side, side, indexing="xy"))
    at = grid + F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False)
    warped = F.grid_sample(keyframe, at.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    enlarged = F.interpolate(base, scale_factor=2, mode="bicubic", align_corners=False)
    apart = (255 * (F.avg_pool2d(warped, 2) - base)).square().mean(1, keepdim=True)
    apart = F.avg_pool2d(F.pad(apart, [2] * 4, mode="replicate"), 5, 1)
    mask = F.interpolate(torch.exp(-apart / 20**2).clamp(0.02, 0.98), scale_factor=2, mode="nearest")
    torch.testing.assert_close(picture, mask * warped + (1 - mask) * enlarged, atol=2e-5, rtol=0)


def test_cached_features_change_nothing() -> None:
    base, flow, keyframe = sample()
    network = stirred()
    kept = Prepared(*(t.clone() for t in network.prepare(keyframe)))
    for shift in (0.0, 0.1):
        cached = network.restore(base + shift, flow, keyframe, kept).picture
        assert torch.equal(cached, network(base + shift, keyframe, flow))


def test_a_part_is_restored_as_in_the_whole() -> None:
    """Away from the part's border, beyond which it cannot see."""
    base, flow, keyframe = sample(256)
    network = stirred(RestorationConfig(256, (8, 12, 16), 8, 8, (0, 0, 0)))
    whole = network(base, keyframe, flow)
    left, top, side = 64, 32, 160
    middle = torch.tensor([[left + side / 2, top + side / 2]]).expand(2, 2) / 128 - 1
    half = (..., slice(top // 2, (top + side) // 2), slice(left // 2, (left + side) // 2))
    part = network.restore(base[half], flow[half], keyframe, network.prepare(keyframe), Window(middle, side / 256))
    inside = slice(64, 96)
    expected = whole[..., top : top + side, left : left + side][..., inside, inside]
    torch.testing.assert_close(part.picture[..., inside, inside], expected, atol=1e-5, rtol=0)


def test_it_learns_what_no_blend_can_show() -> None:
    base, flow, keyframe = sample()
    torch.manual_seed(0)
    network = RestorationNetwork(SMALL)
    truth = (keyframe.flip(3) * 0.5 + 0.2).detach()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    errors = []
    for _ in range(60):
        loss = (network(base, keyframe, flow) - truth).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert errors[-1] < 0.25 * errors[0]


def test_it_runs_in_openvino() -> None:
    openvino = pytest.importorskip("openvino")

    class Restore(torch.nn.Module):
        def __init__(self, network: RestorationNetwork) -> None:
            super().__init__()
            self.network = network

        def forward(self, base: Tensor, flow: Tensor, keyframe: Tensor, *kept: Tensor) -> Tensor:
            return self.network.restore(base, flow, keyframe, Prepared(*kept)).picture

    network = stirred()
    base, flow, keyframe = sample(batch=1)
    inputs = (base, flow, keyframe, *network.prepare(keyframe))
    model = openvino.convert_model(Restore(network), example_input=inputs)
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result = compiled([t.numpy() for t in inputs])[0]
    np.testing.assert_allclose(result, Restore(network)(*inputs).numpy(), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_files_keep_the_network(tmp_path: Path, dtype: torch.dtype) -> None:
    network = stirred()
    path = tmp_path / "n.safetensors"
    digest = save_model(path, network.to(dtype), SMALL, {"licence": "test"})
    loaded = load_restoration(path)
    assert (loaded.config, loaded.hash, loaded.metadata) == (SMALL, digest, {"licence": "test"})
    for name, value in loaded.network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, network.state_dict()[name].float())


def test_models_of_motion_and_of_restoration_are_not_taken_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    save_model(path, stirred(), SMALL, {"licence": "test"})
    with pytest.raises(ModelError, match="expected a model of motion"):
        read_model_file(path)
    with pytest.raises(ModelError, match="no restoration network"):
        load_restoration("lite-256")
    assert not set(shipped_models()) & set(shipped_restorations())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": [8, 8]}, "channels"),
        ({"channels": [8, 8, 1e9]}, "channels"),
        ({"blocks": [1, -1, 1]}, "blocks"),
        ({"blocks": 3}, "blocks"),
        ({"picture_size": 100}, "multiple of 64"),
        ({"reference_channels": "8"}, "reference_channels"),
        ({"depth": 3}, "unknown depth"),
        ({"architecture": "lite"}, "expected 'restoration'"),
    ],
)
def test_bad_sizes_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RestorationConfig.from_dict(values)
    assert RestorationConfig.from_dict(SMALL.to_dict()) == SMALL


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_a_picture_of_the_whole_size_loses_what_the_coder_put_on(engine: str) -> None:
    pytest.importorskip(engine)
    with av.open(str(sample_path())) as film:
        frame = next(film.decode(video=0)).to_ndarray(format="rgb24")
    side = min(frame.shape[:2])
    truth = cv2.resize(frame[:side, :side], (256, 256), interpolation=cv2.INTER_AREA)
    coded = code_stream(truth[None], StreamSettings(256, 60, 1, "vp9", 1)).pictures[0]
    restored = open_whole("restore-256-whole", engine, 1)(coded)

    def error(picture: Picture) -> float:
        return float(np.square(picture.astype(np.float64) - truth).mean())

    assert restored.shape == (256, 256, 3)
    assert error(restored) < 0.97 * error(coded)
