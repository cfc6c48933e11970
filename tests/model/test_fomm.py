"""The first-order motion model against outputs of the published code, and against its state dicts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talkcodec.model.config import FommNetworks, ModelConfig, preset
from talkcodec.model.files import load_model
from talkcodec.model.fomm import FommNetwork
from talkcodec.model.network import build_network
from talkcodec.model.published import import_published

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "fomm-tiny"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="no ../shared/reference/fomm-tiny")

SMALL = ModelConfig(
    architecture="fomm",
    picture_size=128,
    keypoints=4,
    fomm=FommNetworks(4, 16, 2, 0.25, 4, 16, 2, 0.25, 8, 16, 2, 1, True),
)


def small_network(config: ModelConfig = SMALL) -> FommNetwork:
    torch.manual_seed(3)
    return FommNetwork(config).eval().requires_grad_(False)


@needs_reference
@pytest.mark.parametrize("align_corners", [False, True])
def test_outputs_equal_the_published_code(align_corners: bool, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    import_published(
        REFERENCE / "tiny-cpk.pth.tar", REFERENCE / "tiny.yaml", out, licence="MIT", align_corners=align_corners
    )
    network = load_model(out).network
    expected = {key: torch.from_numpy(value) for key, value in np.load(REFERENCE / "tiny-io.npz").items()}
    prefix = "aligned" if align_corners else "unaligned"

    def close(got: torch.Tensor | None, key: str, tolerance: float = 1e-5) -> None:
        assert got is not None
        torch.testing.assert_close(got, expected[key], rtol=0, atol=tolerance, msg=lambda text: f"{key}: {text}")

    with torch.no_grad():
        source = network.detect(expected["source"])
        driving = network.detect(expected["driving"])
        reference = network.encode_reference(expected["source"], *source)
        animation = network.animate(reference, *driving)
        prediction = network.generate(reference, *driving)
    close(source[0], "kp_source_value")
    close(source[1], "kp_source_jacobian")
    close(driving[0], "kp_driving_value")
    close(driving[1], "kp_driving_jacobian")
    close(animation.deformation, f"{prefix}_deformation")
    close(animation.mask, f"{prefix}_mask")
    close(animation.occlusion, f"{prefix}_occlusion_map")
    close(animation.prediction, f"{prefix}_prediction")
    close(prediction, f"{prefix}_prediction")
    # The warped picture multiplies 3e-7 of deformation by the steepness of a noisy picture.
    close(animation.deformed, f"{prefix}_deformed", 2e-4)


@needs_reference
def test_state_dict_of_vox_256_has_the_published_names_and_shapes() -> None:
    published = json.loads((REFERENCE / "vox-256-state-dict-shapes.json").read_text())
    expected = {
        f"{part}.{key}": tuple(shape) for part in ("kp_detector", "generator") for key, shape in published[part].items()
    }
    with torch.device("meta"):
        network = build_network(preset("vox-256"))
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected


def test_singular_and_huge_driving_jacobians_give_finite_pictures() -> None:
    network = small_network()
    picture = torch.rand(1, 3, 128, 128)
    keypoints, jacobians = network.detect(picture)
    reference = network.encode_reference(picture, keypoints, jacobians)
    assert jacobians is not None
    for scale in (0.0, 1e-20, 1e6):
        for broken in (torch.zeros_like(jacobians), torch.ones_like(jacobians), scale * jacobians):
            animation = network.animate(reference, keypoints, broken)
            assert all(bool(torch.isfinite(part).all()) for part in animation if part is not None)
            assert 0 <= float(animation.prediction.min()) <= float(animation.prediction.max()) <= 1


def test_zeroth_order_motion_has_no_jacobians() -> None:
    network = small_network(replace(SMALL, jacobians=False))
    picture = torch.rand(2, 3, 128, 128)
    keypoints, jacobians = network.detect(picture)
    assert keypoints.shape == (2, 4, 2)
    assert jacobians is None
    reference = network.encode_reference(picture, keypoints, None)
    assert network.generate(reference, keypoints, None).shape == picture.shape
    assert not any("jacobian" in key for key in network.state_dict())


def test_without_occlusion_the_warped_features_pass_unmasked() -> None:
    network = small_network(replace(SMALL, fomm=replace(SMALL.fomm, occlusion=False)))
    picture = torch.rand(1, 3, 128, 128)
    sparse = network.detect(picture)
    animation = network.animate(network.encode_reference(picture, *sparse), *sparse)
    assert animation.occlusion is None
    assert bool(torch.isfinite(animation.prediction).all())


def test_a_batch_equals_its_pictures_one_by_one() -> None:
    network = small_network()
    pictures = torch.rand(3, 3, 128, 128)
    sparse = network.detect(pictures)
    moved = (sparse[0].roll(1, 0), None if sparse[1] is None else sparse[1].roll(1, 0))
    together = network.generate(network.encode_reference(pictures, *sparse), *moved)
    for i in range(3):
        j = (i - 1) % 3
        one, driving = network.detect(pictures[i : i + 1]), network.detect(pictures[j : j + 1])
        alone = network.generate(network.encode_reference(pictures[i : i + 1], *one), *driving)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5)
