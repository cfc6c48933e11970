"""How alike two faces look to a recognition network: a loss that knows whose face it is.

The network is dlib's (King, 2017; a residual network with 29 convolutions, weights CC0), in the form in which the npm
package @vladmandic/face-api carries it. It is not the one that the evaluation measures identity with.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcodec.errors import UsageError

__all__ = ["FaceFeatures"]

SIDE = 150
"""Pixels of the aligned face."""

_NAME = "face_recognition_model"
_MEAN = (122.782, 117.001, 104.298)
_BLOCKS = (
    ("conv32_1", "conv32_2", "conv32_3"),
    ("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    ("conv128_down", "conv128_1", "conv128_2"),
    ("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)
_LARGEST_FILE = 50_000_000


class FaceFeatures(nn.Module):
    """Pictures (B, 3, c, c) in [0, 1] and their landmarks -> how far apart the two faces are."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the model's manifest and weights. UsageError when it does not."""
        super().__init__()
        self._weights = nn.ParameterDict()
        for name, value in _read(folder).items():
            self._weights[name.replace("/", "_")] = nn.Parameter(value, requires_grad=False)

    def forward(self, pictures: Tensor, targets: Tensor, landmarks: Tensor) -> Tensor:
        """Mean distance of the features of four depths and of the embedding; all of (B, ...).

        landmarks: (B, 68, 2), x and y in [-1, 1] of the part, all finite. Both faces are cut out alike.
        """
        grid = F.affine_grid(_alignment(landmarks), [len(pictures), 3, SIDE, SIDE], align_corners=False)
        with torch.no_grad():
            wanted = self._features(F.grid_sample(targets, grid, padding_mode="border", align_corners=False))
        got = self._features(F.grid_sample(pictures, grid, padding_mode="border", align_corners=False))
        distance = (got[-1] - wanted[-1]).square().sum(1).mean()
        for ours, theirs in zip(got[:-1], wanted[:-1], strict=True):
            distance = distance + (F.normalize(ours, dim=1) - F.normalize(theirs, dim=1)).square().sum(1).mean()
        return distance

    def _features(self, faces: Tensor) -> list[Tensor]:
        mean = torch.tensor(_MEAN, device=faces.device)[:, None, None] / 255
        out = F.relu(self._conv("conv32_down", faces - mean, 2, 0))
        out = F.max_pool2d(out, 3, 2)
        kept = []
        for stage in _BLOCKS:
            for block in stage:
                out = self._residual(block, out)
            kept.append(out.float())
        return [*kept, kept[-1].mean((2, 3)) @ self._weights["fc"]]

    def _residual(self, name: str, x: Tensor) -> Tensor:
        down = "down" in name
        out = F.relu(self._conv(f"{name}_conv1", x, 2 if down else 1, 0 if down else 1))
        out = self._conv(f"{name}_conv2", out, 1, 1)
        if down:
            x = F.avg_pool2d(x, 2)
            out = F.pad(out, (0, x.shape[-1] - out.shape[-1], 0, x.shape[-2] - out.shape[-2]))
            x = F.pad(x, (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
        return F.relu(out + x)

    def _conv(self, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(x, self._weights[f"{name}_weight"], self._weights[f"{name}_bias"], stride, padding)


def _read(folder: Path) -> dict[str, Tensor]:
    """Weights by name, every convolution with its scale folded in."""
    manifest, data = folder / f"{_NAME}-weights_manifest.json", folder / f"{_NAME}.bin"
    if not manifest.is_file() or not data.is_file() or data.stat().st_size > _LARGEST_FILE:
        raise UsageError(
            f"no face recognition weights in {folder}: expected {manifest.name} and {data.name}; "
            "`npm pack @vladmandic/face-api` holds both in its folder `model`"
        )
    raw, at, values = data.read_bytes(), 0, {}
    try:
        for entry in json.loads(manifest.read_text())[0]["weights"]:
            packed = entry.get("quantization")
            dtype = np.dtype(np.uint8 if packed else np.float32)
            count = int(np.prod(entry["shape"]))
            numbers = np.frombuffer(raw, dtype, count, at).astype(np.float32)
            at += count * dtype.itemsize
            if packed:
                numbers = numbers * packed["scale"] + packed["min"]
            values[entry["name"]] = torch.from_numpy(numbers.astype(np.float32).reshape(entry["shape"]))
        return _folded(values)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(f"{folder} does not hold the weights of {_NAME}: {error!r}") from error


def _folded(values: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {"fc": values["fc"]}
    for name in values:
        if name.endswith("/conv/filters"):
            layer = name.removesuffix("/conv/filters")
            scale = values[f"{layer}/scale/weights"]
            filters = values[name].permute(3, 2, 0, 1) * scale[:, None, None, None]
            key = layer.replace("/", "_")
            out[f"{key}_weight"] = filters.contiguous(memory_format=torch.channels_last)
            out[f"{key}_bias"] = values[f"{layer}/conv/bias"] * scale + values[f"{layer}/scale/biases"]
    return out


_EYES_Y, _EYES_APART = -0.33, 0.66
"""Where the aligned face has its eyes, in halves of its side: dlib's chip with a padding of a quarter."""


def _alignment(landmarks: Tensor) -> Tensor:
    """(B, 68, 2) -> (B, 2, 3): from the aligned face to the part, both in [-1, 1]; without shear."""
    left, right = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
    across = (right - left) / _EYES_APART
    x, y = across[:, 0], across[:, 1]
    middle = (left + right) / 2
    turn = torch.stack([torch.stack([x, -y], 1), torch.stack([y, x], 1)], 1)
    return torch.cat([turn, (middle - turn @ torch.tensor([0.0, _EYES_Y], device=turn.device))[:, :, None]], 2)
