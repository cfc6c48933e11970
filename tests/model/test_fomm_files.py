"""Model files and the import of published checkpoints: strict, hashed, never unpickled."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from talkcodec.errors import ConfigError, ModelError
from talkcodec.model.config import FommNetworks, ModelConfig
from talkcodec.model.files import load_model, load_strictly, read_model_file, save_model
from talkcodec.model.network import Network, build_network
from talkcodec.model.published import import_published, read_published_config

CONFIG = ModelConfig(
    architecture="fomm",
    picture_size=128,
    keypoints=4,
    fomm=FommNetworks(4, 16, 2, 0.25, 4, 16, 2, 0.25, 8, 16, 2, 1, True),
)
YAML = """
dataset_params: {frame_shape: [128, 128, 3]}
model_params:
  common_params: {num_kp: 4, num_channels: 3, estimate_jacobian: true}
  kp_detector_params: {temperature: 0.1, block_expansion: 4, max_features: 16, scale_factor: 0.25, num_blocks: 2}
  generator_params:
    {block_expansion: 8, max_features: 16, num_down_blocks: 2, num_bottleneck_blocks: 1, estimate_occlusion_map: true,
     dense_motion_params: {block_expansion: 4, max_features: 16, num_blocks: 2, scale_factor: 0.25}}
"""


@pytest.fixture
def network() -> Network:
    torch.manual_seed(5)
    return build_network(CONFIG)


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(YAML)
    return path


def write_checkpoint(path: Path, network: Network, **entries: object) -> Path:
    parts = {
        part: {
            key.removeprefix(f"{part}."): value
            for key, value in network.state_dict().items()
            if key.startswith(f"{part}.")
        }
        for part in ("kp_detector", "generator")
    }
    torch.save({**parts, **entries}, path)
    return path


def test_a_saved_model_comes_back_the_same(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    digest = save_model(path, network, CONFIG, {"licence": "MIT", "author": "me"})
    loaded = load_model(path)
    assert (loaded.config, loaded.hash, loaded.name) == (CONFIG, digest, "model")
    assert len(digest) == 32
    assert loaded.metadata == {"licence": "MIT", "author": "me"}
    assert not loaded.network.training
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[key], value)
    assert read_model_file(path).hash == digest
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_hash_follows_weights_and_configuration_but_not_the_label(network: Network, tmp_path: Path) -> None:
    def digest(config: ModelConfig, licence: str = "MIT") -> bytes:
        return save_model(tmp_path / "m.safetensors", network, config, {"licence": licence})

    first = digest(CONFIG)
    assert digest(CONFIG, "Apache-2.0") == first
    other = ModelConfig.from_dict({**CONFIG.to_dict(), "align_corners": True})
    assert digest(other) != first
    next(network.parameters()).data.view(-1)[0] += 1
    assert digest(CONFIG) != first


def test_every_flipped_region_of_a_model_file_is_noticed(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, network, CONFIG, {"licence": "MIT"})
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for position in (4, 12, header + 100, len(data) - 1):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(ModelError):
            load_model(path)
    for length in (0, 7, 100, header, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            load_model(path)


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(ModelError, match="no such file, and shipped are"):
        load_model("no-such-model")
    with pytest.raises(ModelError, match="there are tiny"):
        load_model("untrained:no-such-preset")


def test_a_model_without_licence_is_not_saved(network: Network, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="licence"):
        save_model(tmp_path / "m.safetensors", network, CONFIG, {})


def test_other_safetensors_files_are_refused(network: Network, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="no talkcodec configuration"):
        load_model(path)


def test_untrained_models_are_the_same_each_time_and_leave_the_random_state_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, second = load_model("untrained:tiny"), load_model("untrained:tiny")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.hash == second.hash
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_import_keeps_every_tensor(network: Network, yaml_file: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "x-cpk.pth.tar", network, epoch=3, optimizer_generator={"state": {}})
    out = tmp_path / "out.safetensors"
    digest = import_published(checkpoint, yaml_file, out, licence="MIT", align_corners=True)
    loaded = load_model(out)
    assert loaded.hash == digest
    assert loaded.config == ModelConfig.from_dict({**CONFIG.to_dict(), "align_corners": True})
    assert loaded.metadata["licence"] == "MIT"
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[key], value)


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape", "no generator", "not a tensor"])
def test_import_is_strict(change: str, network: Network, yaml_file: Path, tmp_path: Path) -> None:
    generator = {
        key.removeprefix("generator."): value
        for key, value in network.state_dict().items()
        if key.startswith("generator.")
    }
    if change == "missing":
        del generator["final.bias"]
    elif change == "unexpected":
        generator["final.scale"] = torch.zeros(3)
    elif change == "shape":
        generator["final.bias"] = torch.zeros(4)
    elif change == "not a tensor":
        generator["final.bias"] = 3
    entry = None if change == "no generator" else generator
    checkpoint = write_checkpoint(tmp_path / "x-cpk.pth.tar", network, generator=entry)
    with pytest.raises(ModelError, match="generator" if change == "no generator" else r"final\.(bias|scale)"):
        import_published(checkpoint, yaml_file, tmp_path / "out.safetensors", licence="MIT")
    assert not (tmp_path / "out.safetensors").exists()


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.path),))


def test_a_pickle_bomb_does_not_go_off(network: Network, yaml_file: Path, tmp_path: Path) -> None:
    crater = tmp_path / "crater"
    checkpoint = write_checkpoint(tmp_path / "x-cpk.pth.tar", network, epoch=Bomb(crater))
    with pytest.raises(ModelError, match="read safely"):
        import_published(checkpoint, yaml_file, tmp_path / "out.safetensors", licence="MIT")
    bare = tmp_path / "bare.pth.tar"
    bare.write_bytes(pickle.dumps(Bomb(crater), protocol=2))
    with pytest.raises(ModelError):
        import_published(bare, yaml_file, tmp_path / "out.safetensors", licence="MIT")
    assert not crater.exists()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("num_kp: 4,", "num_kp: 4, colour: red,", "unknown colour"),
        ("num_channels: 3", "num_channels: 1", "num_channels is 1"),
        ("[128, 128, 3]", "[128, 64, 3]", "square"),
        ("num_kp: 4", "num_kp: many", "many|str"),
        ("model_params:", "model:", "model_params"),
        ("estimate_occlusion_map: true,\n", "estimate_occlusion_map: true, depth: 2,\n", "unknown depth"),
        ("dense_motion_params:", "dense_params:", "dense_motion_params"),
        ("model_params:", "model_params: [", "no YAML"),
    ],
)
def test_yaml_files_are_read_strictly(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    assert old in YAML
    path = tmp_path / "model.yaml"
    path.write_text(YAML.replace(old, new))
    with pytest.raises(ConfigError, match=complaint):
        read_published_config(path, align_corners=False)


def test_missing_files_are_named(tmp_path: Path, yaml_file: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.yaml"):
        read_published_config(tmp_path / "nothing.yaml", align_corners=False)
    with pytest.raises(ModelError, match=r"nothing\.pth\.tar"):
        import_published(tmp_path / "nothing.pth.tar", yaml_file, tmp_path / "o.safetensors", licence="MIT")


def test_weights_that_are_no_numbers_are_refused() -> None:
    network = build_network(ModelConfig())
    tensors = {name: value.clone() for name, value in network.state_dict().items()}
    load_strictly(network, tensors, "these")
    tensors["detector.down.0.norm.bias"][0] = float("nan")
    with pytest.raises(ModelError, match="1 with values that are no numbers"):
        load_strictly(network, tensors, "these")
