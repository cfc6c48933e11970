"""How a motion table is learnt from traces of real clips (docs/bitstream.md, 5.4). Nothing that codes imports it.

The transform is the Karhunen-Loève transform of prediction residuals, each residual scaled to unit energy so that the
liveliest clip does not own it. Profiles are learnt as a codebook: every residual goes to the profile that codes it in
the fewest bits, every coefficient of a profile takes the scale that codes its members in the fewest bits (Lloyd's
algorithm with code length as the distance). Shapes are the symbols counted under each scale, then all is done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from talkcodec.bitstream.coefficients import vector_costs
from talkcodec.bitstream.rangecoder import FREQUENCY_BITS
from talkcodec.bitstream.states import MotionSteps, coefficient_count, coordinates, round_towards_zero, step_vector
from talkcodec.bitstream.tables import (
    LARGEST,
    SCALES,
    SHAPES,
    MotionTable,
    integer_frequencies,
    laplace_shapes,
    split_scales,
)
from talkcodec.errors import UsageError
from talkcodec.types import Motion

__all__ = ["TrainingOptions", "train_table"]

Matrix = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_REACH = 4096
"""Residuals are counted up to this magnitude."""

_PRIOR = 400.0
"""Weight of the Laplace shape against the counted symbols, in symbols."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """distances: how often each prediction distance is taken as an example (0: from the clip's first frame)."""

    table_id: int = 0xFFFF
    name: str = "unnamed"
    base_steps: MotionSteps = field(default_factory=MotionSteps)
    profiles: int = 16
    intra_profiles: int = 4
    distances: tuple[tuple[int, int], ...] = ((1, 4), (2, 2), (3, 1), (4, 1), (6, 1), (8, 1), (0, 1))
    rounds: int = 2
    largest_sample: int = 24_000
    seed: int = 0


def train_table(
    traces: Sequence[Sequence[Motion]], options: TrainingOptions, metadata: Mapping[str, str] | None = None
) -> MotionTable:
    """A table for the K and Jacobians of these traces, one sequence of motions a clip at the rate of the call.

    Raises UsageError when there are too few frames, or clips differ in K or Jacobians.
    """
    keypoints, jacobians = _common_shape(traces)
    table = _plain_table(keypoints, jacobians, options)
    plain = _coordinates(traces, table, options)  # each (T, n), in steps
    if sum(len(clip) for clip in plain) < 200:
        raise UsageError("traces hold fewer than 200 frames; give more or longer clips")
    mean = np.concatenate(plain).mean(axis=0) * step_vector(table, options.base_steps)
    transform = _transform(np.concatenate([_differences(clip, options) for clip in plain]))
    table = replace(
        table, mean=table.mean + np.rint(mean * 2**16) / 2**16, transform=np.rint(transform * 2**20) / 2**20
    )
    clips = _coordinates(traces, table, options)
    random = np.random.default_rng(options.seed)
    residuals = _sample(np.concatenate([_residuals(clip, options) for clip in clips]), options.largest_sample, random)
    intra = _sample(np.rint(np.concatenate(clips)).astype(np.int64), options.largest_sample // 4, random)
    for _ in range(options.rounds):
        profiles, members = _codebook(residuals, options.profiles, table)
        intra_profiles, intra_members = _codebook(intra, options.intra_profiles, table)
        shapes = _shapes([(residuals, profiles[members]), (intra, intra_profiles[intra_members])])
        counts = np.bincount(members, minlength=len(profiles)) + 0.001 * len(members)
        table = replace(
            table,
            shapes=shapes,
            profiles=profiles,
            intra_profiles=intra_profiles,
            profile_frequencies=integer_frequencies(counts),
        )
    return replace(_widen(table, residuals), metadata=dict(metadata or {}))


def _common_shape(traces: Sequence[Sequence[Motion]]) -> tuple[int, bool]:
    shapes = {(len(motion.keypoints), motion.jacobians is not None) for trace in traces for motion in trace}
    if len(shapes) != 1:
        raise UsageError(f"traces hold motions of {len(shapes)} kinds (K, Jacobians): {sorted(shapes)}; expected one")
    return shapes.pop()


def _plain_table(keypoints: int, jacobians: bool, options: TrainingOptions) -> MotionTable:
    count = coefficient_count(keypoints, jacobians)
    flat = np.repeat(np.arange(0, SCALES, 4)[:, None], count, axis=1)
    return MotionTable(
        options.table_id, options.name, keypoints, jacobians, options.base_steps, np.zeros(count), None,
        laplace_shapes(), flat, flat, integer_frequencies(np.ones(len(flat))),
    )  # fmt: skip


def _coordinates(traces: Sequence[Sequence[Motion]], table: MotionTable, options: TrainingOptions) -> list[Matrix]:
    return [np.array([coordinates(motion, table, options.base_steps) for motion in trace]) for trace in traces]


def _differences(clip: Matrix, options: TrainingOptions) -> Matrix:
    """Frame minus the frame before it by each distance, (N, n)."""
    parts = [clip[8::8] - clip[0]]
    parts += [clip[distance:] - clip[:-distance] for distance, _ in options.distances if 0 < distance < len(clip)]
    return np.concatenate(parts)


def _residuals(clip: Matrix, options: TrainingOptions) -> Integers:
    """What the encoder codes for a clip (T, n) at each distance, its dead zone in the loop, (N, n)."""
    parts = []
    for distance, repeat in options.distances:
        if distance == 0:
            parts.append(round_towards_zero(clip[8::8] - np.rint(clip[0])))
            continue
        held = np.rint(clip[:distance]).astype(np.int64)  # the latest `distance` states, oldest first
        for start in range(distance, len(clip), distance):
            frames = clip[start : start + distance]
            held = held[: len(frames)]
            residual = round_towards_zero(frames - held)
            held = held + residual
            parts += [residual] * repeat
    return np.concatenate(parts)


def _transform(residuals: Matrix) -> Matrix:
    """Orthonormal rows, the strongest component first, (n, n)."""
    energy = np.maximum((residuals**2).sum(axis=1), 1.0)
    covariance = (residuals / energy[:, None]).T @ residuals  # (n, n)
    _, vectors = np.linalg.eigh(covariance)
    rows: Matrix = vectors.T[::-1]
    return rows


def _sample(rows: Integers, largest: int, random: np.random.Generator) -> Integers:
    if len(rows) <= largest:
        return rows
    chosen: Integers = rows[np.sort(random.choice(len(rows), largest, replace=False))]
    return chosen


def _codebook(vectors: Integers, count: int, table: MotionTable) -> tuple[Integers, Integers]:
    """Profiles (P, n), and the profile of each vector (N,)."""
    clipped = np.clip(vectors, -_REACH, _REACH)
    reach = np.arange(-_REACH, _REACH + 1)
    costs = vector_costs(reach[None, :, None], np.arange(SCALES)[:, None, None], table)  # (SCALES, values)
    order = np.argsort(np.abs(clipped).sum(axis=1), kind="stable")
    members = np.empty(len(clipped), np.int64)
    members[order] = np.arange(len(clipped)) * count // len(clipped)
    profiles = np.zeros((count, clipped.shape[1]), np.int64)
    for _ in range(10):
        for index in range(count):
            group = clipped[members == index]
            if len(group):
                profiles[index] = _best_scales(group, costs)
        frequencies = np.bincount(members, minlength=count) + 1.0
        naming = -256 * np.log2(frequencies / frequencies.sum())
        lengths = np.stack(
            [costs[profile[None, :], clipped + _REACH].sum(axis=1) for profile in profiles], axis=1
        )  # (N, P)
        members = np.argmin(lengths + naming, axis=1)
    return profiles, members


def _widen(table: MotionTable, residuals: Integers) -> MotionTable:
    """Add the profiles one and a half and three octaves up, and flat ones: for livelier faces and longer distances.

    They are named rarely, so they cost the others little; on clips that were not trained on they save a tenth of the
    long units.
    """
    flat = np.repeat(np.arange(8, 48, 6)[:, None], table.coefficients, axis=1)
    shifted = [np.clip(table.profiles + shift, 0, SCALES - 1) for shift in (0, 6, 12)]
    profiles = np.concatenate([*shifted, flat])
    lengths = np.stack([vector_costs(residuals, profile[None, :], table) for profile in profiles], axis=1)  # (N, P)
    frequencies = integer_frequencies(np.ones(len(profiles)))
    for _ in range(3):
        members = np.argmin(lengths - 256 * np.log2(frequencies), axis=1)
        frequencies = integer_frequencies(np.bincount(members, minlength=len(profiles)) + 0.002 * len(members))
    return replace(table, profiles=profiles, profile_frequencies=frequencies)


def _best_scales(group: Integers, costs: Integers) -> Integers:
    best = np.empty(group.shape[1], np.int64)
    for column in range(group.shape[1]):
        values, counts = np.unique(group[:, column], return_counts=True)
        # A little of everything, so that a profile with few members stays able to say more than they did.
        best[column] = np.argmin(costs[:, values + _REACH] @ counts + 0.02 * costs[:, [_REACH - 2, _REACH + 2]].sum(1))
    return best


def _shapes(examples: list[tuple[Integers, Integers]]) -> Integers:
    """Counted symbols of each shape, made symmetric and mixed with the Laplace shape, (SHAPES, SYMBOLS)."""
    prior = laplace_shapes() / (1 << FREQUENCY_BITS)
    counts = _PRIOR * prior
    for vectors, scales in examples:
        shapes, low_bits = split_scales(scales)
        high = vectors >> low_bits
        symbols = np.where(np.abs(high) <= LARGEST, high + LARGEST, prior.shape[1] - 1)
        np.add.at(counts, (shapes.ravel(), symbols.ravel()), 1)
    counts[:, :-1] = (counts[:, :-1] + counts[:, -2::-1]) / 2
    return np.array([integer_frequencies(row) for row in counts[:SHAPES]])
