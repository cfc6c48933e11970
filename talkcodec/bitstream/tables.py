"""Static probability tables for motion, versioned: an id never changes its meaning (docs/bitstream.md, section 5).

Residuals are coded with one of SCALES zero-centred distributions, a quarter of an octave apart. A *profile* gives the
scale of every coefficient; the unit names the profile that fits it, and that index is the only adaptation there is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from talkcodec.bitstream.rangecoder import FREQUENCY_BITS
from talkcodec.bitstream.states import MAX_KEYPOINTS, MotionSteps, coefficient_count
from talkcodec.errors import ConfigError, MismatchError

__all__ = [
    "GENERIC_TABLE_ID",
    "MotionTable",
    "available_tables",
    "generic_table",
    "load_table",
    "read_table",
    "table_for_model",
]

GENERIC_TABLE_ID = 0

SHAPES = 24
"""Distributions with an own frequency table: standard deviations 0.1 * 2**(i/4) steps, i < 24."""

SCALES = 72
"""Scale s >= SHAPES is shape SHAPES - 4 + (s - SHAPES) % 4 with 1 + (s - SHAPES) // 4 low bits sent as they are."""

LARGEST = 14
"""A shape has symbols for -14..14, and an escape."""

SYMBOLS = 2 * LARGEST + 2
ESCAPE = SYMBOLS - 1

FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MotionTable:
    """Everything that both ends must share to code motion, apart from the steps.

    keypoints: K in [1, 64]; jacobians: whether the state holds them.
    base_steps: the steps for which the profiles were trained; other steps shift the scales.
    mean (n,), transform (n, n) orthonormal rows or None for the identity: float, used outside the coded integers only.
    shapes (SHAPES, SYMBOLS): frequencies that add up to 2**14 a row, none zero.
    profiles, intra_profiles (P, n): scale index of each coefficient, for predicted and for unpredicted states.
    profile_frequencies (P,): of the profile index of predicted states; add up to 2**14.
    """

    table_id: int
    name: str
    keypoints: int
    jacobians: bool
    base_steps: MotionSteps
    mean: FloatVector
    transform: FloatVector | None
    shapes: npt.NDArray[np.int64]
    profiles: npt.NDArray[np.int64]
    intra_profiles: npt.NDArray[np.int64]
    profile_frequencies: npt.NDArray[np.int64]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def coefficients(self) -> int:
        """n, the length of a state."""
        return coefficient_count(self.keypoints, self.jacobians)

    @cached_property
    def cumulative(self) -> tuple[tuple[int, ...], ...]:
        """Cumulative frequencies of each shape, (SHAPES, SYMBOLS + 1)."""
        return tuple(_cumulate(row) for row in self.shapes)

    @cached_property
    def profile_cumulative(self) -> tuple[int, ...]:
        """Cumulative frequencies of the profile index, (P + 1,)."""
        return _cumulate(self.profile_frequencies)

    @cached_property
    def costs(self) -> npt.NDArray[np.int64]:
        """Cost of each symbol of each shape in 1/256 bit, (SHAPES, SYMBOLS); the encoder's choices only."""
        return _costs(self.shapes)

    @cached_property
    def profile_costs(self) -> npt.NDArray[np.int64]:
        """Cost of naming each profile in 1/256 bit, (P,)."""
        return _costs(self.profile_frequencies)


def _costs(frequencies: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    costs: npt.NDArray[np.int64] = np.rint(256 * (FREQUENCY_BITS - np.log2(frequencies))).astype(np.int64)
    return costs


def _cumulate(frequencies: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return (0, *np.cumsum(frequencies).tolist())


def scale_shift(table: MotionTable, steps: MotionSteps) -> int:
    """Quarter octaves by which the steps differ from those of the table; subtract from a profile's scales.

    The largest j with base**2 * 2**j <= steps**2, where `steps` is keypoint step times Jacobian step (without
    Jacobians: the keypoint step squared) and `base` the same of the table. Integers throughout.
    """
    ours, base = steps.keypoint_step**2, table.base_steps.keypoint_step**2
    if table.jacobians:
        ours = steps.keypoint_step * steps.jacobian_step
        base = table.base_steps.keypoint_step * table.base_steps.jacobian_step
    shift = 0
    while base**2 << (shift + 1) <= ours**2:
        shift += 1
    while shift <= 0 and ours**2 << -shift < base**2:
        shift -= 1
    return shift


def split_scales(scales: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Shape index and count of low bits of each scale."""
    low_bits = np.where(scales < SHAPES, 0, 1 + (scales - SHAPES) // 4)
    return scales - 4 * low_bits, low_bits


def laplace_shapes() -> npt.NDArray[np.int64]:
    """Frequencies of the generic shapes: Laplace distributions integrated over each symbol, (SHAPES, SYMBOLS).

    Made once and shipped as numbers in `data/generic.json`: no machine computes them when it codes.
    """
    rows = []
    for index in range(SHAPES):
        rate = 2**0.5 / (0.1 * 2 ** (index / 4))
        edges = np.arange(LARGEST + 1) + 0.5
        tail = 0.5 * np.exp(-rate * edges)  # (15,): probability of more than edge
        sides = tail[:-1] - tail[1:]
        weights = np.concatenate([sides[::-1], [1 - 2 * tail[0]], sides, [2 * tail[-1]]])
        rows.append(integer_frequencies(weights))
    return np.array(rows)


def integer_frequencies(weights: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Positive integers that add up to 2**14, close in proportion to the weights (S,)."""
    weights = np.maximum(np.asarray(weights, np.float64), 0)
    total = 1 << FREQUENCY_BITS
    free = total - len(weights)
    exact = weights / weights.sum() * free
    counts: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: free - int(counts.sum())]] += 1
    counts += 1
    return counts


@lru_cache(maxsize=8)
def generic_table(keypoints: int, jacobians: bool) -> MotionTable:
    """The table that exists for every K in [1, 64]: identity transform, one scale for all coefficients of a unit."""
    if not 1 <= keypoints <= MAX_KEYPOINTS:
        raise ConfigError(f"keypoints is {keypoints}, expected 1 to {MAX_KEYPOINTS}")
    count = coefficient_count(keypoints, jacobians)
    mean = np.zeros(count)
    if jacobians:
        mean[2 * keypoints :] = np.tile([1.0, 0.0, 0.0, 1.0], keypoints)
    scales = np.arange(0, SCALES, 4)
    profiles = np.repeat(scales[:, None], count, axis=1)
    shapes = np.array(json.loads(_data("generic.json").decode())["shapes"], np.int64)
    frequencies = integer_frequencies(np.where(scales < 32, 3.0, 1.0))
    return MotionTable(
        GENERIC_TABLE_ID, "generic", keypoints, jacobians, MotionSteps(64, 64), mean, None, shapes, profiles, profiles,
        frequencies,
    )  # fmt: skip


def available_tables() -> dict[int, str]:
    """Ids and names of the trained tables in the package."""
    return {int(key): str(entry["name"]) for key, entry in _manifest().items()}


@lru_cache(maxsize=8)
def load_table(table_id: int, keypoints: int, jacobians: bool) -> MotionTable:
    """The table with this id, for this K.

    Raises MismatchError for an id that this version does not have, or a trained table made for another K.
    """
    if table_id == GENERIC_TABLE_ID:
        return generic_table(keypoints, jacobians)
    entry = _manifest().get(str(table_id))
    if entry is None:
        raise MismatchError(f"motion table {table_id} is not in this version of talkcodec; update it, or use table 0")
    data = _data(str(entry["file"]))
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise MismatchError(f"motion table {table_id} in this installation is damaged; install talkcodec again")
    table = table_from_bytes(data)
    if (table.keypoints, table.jacobians) != (keypoints, jacobians):
        raise MismatchError(
            f"motion table {table_id} is for {table.keypoints} keypoints, Jacobians {table.jacobians};"
            f" the stream has {keypoints}, {jacobians}"
        )
    return table


def table_for_model(name: str, keypoints: int, jacobians: bool) -> MotionTable:
    """The newest table trained for the model of this name, or the generic one."""
    fitting = [
        int(key)
        for key, entry in _manifest().items()
        if entry["model"] == name and entry["keypoints"] == keypoints and entry["jacobians"] == jacobians
    ]
    return load_table(max(fitting, default=GENERIC_TABLE_ID), keypoints, jacobians)


def _data(name: str) -> bytes:
    return resources.files("talkcodec.bitstream").joinpath("data", name).read_bytes()


@lru_cache(maxsize=1)
def _manifest() -> dict[str, dict[str, str | int | bool]]:
    manifest: dict[str, dict[str, str | int | bool]] = json.loads(_data("tables.json").decode())
    return manifest


def read_table(path: Path | str) -> MotionTable:
    """A table from a file that train_tables wrote; raises ConfigError when it is none."""
    try:
        return table_from_bytes(Path(path).read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no motion table: {error}") from error


def table_from_bytes(data: bytes) -> MotionTable:
    """Parse a table file (JSON, integers only; section 5.3); raises ValueError, KeyError or TypeError."""
    raw = json.loads(data)
    if raw["format"] != 1:
        raise ValueError(f"table format {raw['format']}, expected 1")
    transform = np.array(raw["transform"], np.float64) / 2**20
    return MotionTable(
        table_id=int(raw["id"]),
        name=str(raw["name"]),
        keypoints=int(raw["keypoints"]),
        jacobians=bool(raw["jacobians"]),
        base_steps=MotionSteps(*raw["base_steps"]),
        mean=np.array(raw["mean"], np.float64) / 2**16,
        transform=transform if transform.size else None,
        shapes=np.array(raw["shapes"], np.int64),
        profiles=np.array(raw["profiles"], np.int64),
        intra_profiles=np.array(raw["intra_profiles"], np.int64),
        profile_frequencies=np.array(raw["profile_frequencies"], np.int64),
        metadata={str(key): str(value) for key, value in raw["metadata"].items()},
    )


def table_to_bytes(table: MotionTable) -> bytes:
    """The inverse of table_from_bytes: mean in 1/2**16, transform in 1/2**20."""
    transform = [] if table.transform is None else np.rint(table.transform * 2**20).astype(np.int64).tolist()
    raw = {
        "format": 1,
        "id": table.table_id,
        "name": table.name,
        "keypoints": table.keypoints,
        "jacobians": table.jacobians,
        "base_steps": [table.base_steps.keypoint_step, table.base_steps.jacobian_step],
        "metadata": dict(table.metadata),
        "mean": np.rint(table.mean * 2**16).astype(np.int64).tolist(),
        "profile_frequencies": table.profile_frequencies.tolist(),
        "profiles": table.profiles.tolist(),
        "intra_profiles": table.intra_profiles.tolist(),
        "shapes": table.shapes.tolist(),
        "transform": transform,
    }
    # One key a line: a diff of two tables says which part differs.
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in raw.items())
    return f"{{{lines}}}\n".encode()


def manifest_entry(table: MotionTable, file: str, data: bytes) -> dict[str, dict[str, str | int | bool]]:
    """What tables.json says of a table file."""
    return {
        str(table.table_id): {
            "file": file,
            "sha256": hashlib.sha256(data).hexdigest(),
            "name": table.name,
            "model": table.metadata.get("model", ""),
            "keypoints": table.keypoints,
            "jacobians": table.jacobians,
        }
    }
