"""Bytes a frame for motion, talkcodec's way and the others', with the error that each causes.

    python benchmarks/motion_coding.py TRACES [--table FILE|ID] [--train TRACES] [--json FILE]

TRACES: folder of .npz files, keypoints (T, K, 2) and jacobians (T, K, 2, 2), one clip each at 25 frames a second; not
those that the table was trained on. Frame 0 of a clip is the keyframe and is not counted. Our bytes are parsed
again; the adaptive coders of others are counted by their exact code length in whole bytes. The error is that of the
decoded motion: root mean square over coordinates, keypoints in pixels of a 256-pixel picture,
Jacobians in units of their entries. Envelopes are left out, except for `msgpack float32`, which is one message.

`--train`: also compare raw Jacobians with the product J_keyframe J^-1 that generation consumes; a table for each is
trained on these traces first.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgpack
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from talkcodec.bitstream import (
    MotionState,
    MotionSteps,
    MotionTable,
    MotionUnit,
    dequantise,
    generic_table,
    load_table,
    parse_motion,
    quantise,
    serialize_motion,
)
from talkcodec.bitstream.tables import read_table
from talkcodec.bitstream.train_tables import read_traces
from talkcodec.bitstream.training import TrainingOptions, train_table
from talkcodec.coding import HeldReferences
from talkcodec.errors import TalkcodecError
from talkcodec.types import Motion

Clip = Sequence[Motion]
Coder = Callable[[Clip], tuple[list[int], list[Motion]]]
"""From a clip to the bytes of each frame and the decoded motions, frame 0 left out of both."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    median_bytes: float
    mean_bytes: float
    p95_bytes: float
    keypoint_rms_px: float
    jacobian_rms: float


def measure(name: str, clips: Sequence[Clip], coder: Coder) -> Row:
    """Code every clip and compare."""
    sizes: list[int] = []
    squares: list[tuple[float, float]] = []
    for clip in clips:
        coded, decoded = coder(clip)
        sizes += coded
        for got, wanted in zip(decoded, clip[1:], strict=True):
            squares.append(
                (_mean_square(got.keypoints, wanted.keypoints), _mean_square(got.jacobians, wanted.jacobians))
            )
    keypoints, jacobians = np.sqrt(np.mean(squares, axis=0))
    return Row(
        name,
        float(np.median(sizes)),
        float(np.mean(sizes)),
        float(np.percentile(sizes, 95)),
        float(keypoints * 128),
        float(jacobians),
    )


def _mean_square(got: npt.NDArray[np.float32] | None, wanted: npt.NDArray[np.float32] | None) -> float:
    return 0.0 if got is None or wanted is None else float(np.mean(np.square(got.astype(np.float64) - wanted)))


# ---- the others' ways


def msgpack_floats(clip: Clip) -> tuple[list[int], list[Motion]]:
    """One message a frame: sequence number and the raw float32 bytes."""
    messages = [
        msgpack.packb(
            [number, motion.keypoints.tobytes(), b"" if motion.jacobians is None else motion.jacobians.tobytes()]
        )
        for number, motion in enumerate(clip)
    ]
    return [len(message) for message in messages[1:]], list(clip[1:])


def fixed(clip: Clip) -> tuple[list[int], list[Motion]]:
    """Gemino's: two 16-bit indices, 10-bit positions, half-float Jacobians; 109 B for K = 10."""
    sizes, decoded = [], []
    for motion in clip[1:]:
        positions = np.clip(np.rint((motion.keypoints + 1) / 2 * 1023), 0, 1023)
        bits = 10 * positions.size
        halves = None if motion.jacobians is None else motion.jacobians.astype(np.float16)
        sizes.append(4 + -(-bits // 8) + (0 if halves is None else halves.nbytes))
        back = None if halves is None else halves.astype(np.float32)
        decoded.append(Motion((positions / 1023 * 2 - 1).astype(np.float32), back))
    return sizes, decoded


class AdaptiveCoder:
    """Arithmetic coding with exact integers under an order-0 model that counts; ends in the fewest whole bytes."""

    def __init__(self, symbols: int, escape: bool) -> None:
        # With escape, as in prediction by partial matching of order 0: unseen symbols are announced, then coded flat.
        self.counts = [0] * symbols if escape else [1] * symbols
        self.escape = escape
        if escape:
            self.counts[-1] = 1
        self.bits = 0.0

    def encode(self, symbol: int) -> None:
        """Account for a symbol, then learn it."""
        if self.escape and (self.counts[symbol] == 0 or symbol == len(self.counts) - 1):
            self.bits -= np.log2(self.counts[-1] / sum(self.counts)) - np.log2(len(self.counts))
        else:
            self.bits -= np.log2(self.counts[symbol] / sum(self.counts))
        self.counts[symbol] += 1

    def end_of_frame(self) -> int:
        """Bytes of the frame: one bit ends the coder, then whole bytes."""
        size = int(np.ceil((self.bits + 1) / 8))
        self.bits = 0.0
        return size


def gfvc(clip: Clip, step: float = 1 / 64) -> tuple[list[int], list[Motion]]:
    """GFVC's: difference to the decoded frame before, Exp-Golomb bits, adaptive bit coder restarted each frame."""
    sizes, decoded, held = [], [], _flat(clip[0])
    for motion in clip[1:]:
        residual = np.rint((_flat(motion) - held) / step).astype(int)
        held = held + residual * step
        coder = AdaptiveCoder(3, escape=True)
        coder.encode(1)  # the marker that its software puts first
        for value in residual.tolist():
            number = (-2 * value if value <= 0 else 2 * value - 1) + 1
            for bit in "0" * (number.bit_length() - 1) + f"{number:b}":
                coder.encode(int(bit))
        coder.encode(2)  # end of frame
        sizes.append(coder.end_of_frame())
        decoded.append(_unflat(held, motion))
    return sizes, decoded


def dac(clip: Clip, step: float = 1 / 64) -> tuple[list[int], list[Motion]]:
    """DAC's: the same difference as 8-bit symbols, adaptive coder that goes on through the clip."""
    sizes, decoded, held = [], [], _flat(clip[0])
    coder = AdaptiveCoder(257, escape=True)
    for motion in clip[1:]:
        residual = np.clip(np.rint((_flat(motion) - held) / step), -128, 127).astype(int)
        held = held + residual * step
        for value in residual.tolist():
            coder.encode(value + 128)
        sizes.append(coder.end_of_frame())
        decoded.append(_unflat(held, motion))
    return sizes, decoded


def _flat(motion: Motion) -> npt.NDArray[np.float64]:
    parts = [motion.keypoints.ravel()] + ([] if motion.jacobians is None else [motion.jacobians.ravel()])
    return np.concatenate(parts).astype(np.float64)


def _unflat(values: npt.NDArray[np.float64], like: Motion) -> Motion:
    split = like.keypoints.size
    jacobians = None if like.jacobians is None else values[split:].reshape(like.jacobians.shape).astype(np.float32)
    return Motion(values[:split].reshape(like.keypoints.shape).astype(np.float32), jacobians)


# ---- ours


def ours(
    table: MotionTable, steps: MotionSteps, distance: int = 1, dead_zone: bool = True, extrapolation: float = 0.0
) -> Coder:
    """Each frame predicted from the one `distance` before it, or from the keyframe (0); really parsed again.

    Not in the format, for comparison: plain rounding instead of the dead zone; adding a share of the motion between
    the predictor and its own predictor.
    """

    def coder(clip: Clip) -> tuple[list[int], list[Motion]]:
        sizes, decoded = [], []
        states = [quantise(clip[0], table, steps)]
        for sequence, motion in enumerate(clip[1:], 1):
            named = sequence - distance if 0 < distance <= sequence else 0
            held = states[named]
            if extrapolation and distance and named >= distance:
                before = states[named - distance].values
                held = MotionState(
                    tuple(a + round(extrapolation * (a - b)) for a, b in zip(held.values, before, strict=True))
                )
            sender: HeldReferences[None] = HeldReferences()
            receiver: HeldReferences[None] = HeldReferences()
            for store in (sender, receiver):
                store.store(0, held, None)
                store.add_unit(named, held)
            state = quantise(motion, table, steps, held if dead_zone else None)
            unit = MotionUnit(sequence, 0, 0, sequence - named if named else 0, state)
            data = serialize_motion(unit, sender, table, steps)
            back = parse_motion(
                data, sequence=sequence, timestamp=0, reference_id=0, lookup=receiver, table=table, steps=steps
            )
            states.append(back.state)
            sizes.append(len(data))
            decoded.append(dequantise(back.state, table, steps))
        return sizes, decoded

    return coder


def product_domain(clip: Clip) -> list[Motion]:
    """The clip with J replaced by J_keyframe J^-1, the local motion that generation consumes."""
    first = clip[0].jacobians
    assert first is not None
    return [
        Motion(motion.keypoints, (first.astype(np.float64) @ np.linalg.inv(motion.jacobians)).astype(np.float32))
        for motion in clip
        if motion.jacobians is not None
    ]


def compare_representations(training: Sequence[Clip], clips: Sequence[Clip], steps: MotionSteps) -> list[Row]:
    """Raw Jacobians against the product, each with its own table; the error of both is that of the product."""
    products = [product_domain(clip) for clip in clips]
    # The product is near the identity whatever the Jacobians' own size: a smaller step for about the same error.
    jacobians = [clip[0].jacobians for clip in training]
    size = float(np.mean([np.abs(np.linalg.det(first)) ** 0.5 for first in jacobians if first is not None]))
    product_steps = MotionSteps(steps.keypoint_step, max(1, round(steps.jacobian_step / size)))
    raw_table = train_table(training, TrainingOptions(base_steps=steps))
    product_table = train_table([product_domain(clip) for clip in training], TrainingOptions(base_steps=product_steps))
    coded = ours(raw_table, steps)

    def through_raw(clip: Clip) -> tuple[list[int], list[Motion]]:
        sizes, decoded = coded(clip)
        return sizes, product_domain([clip[0], *decoded])[1:]

    return [
        _against(f"raw Jacobians, steps {_steps(steps)}, error of the product", clips, products, through_raw),
        measure(f"product J_s J^-1, steps {_steps(product_steps)}", products, ours(product_table, product_steps)),
    ]


def _against(name: str, clips: Sequence[Clip], wanted: Sequence[Clip], coder: Coder) -> Row:
    results = {id(target): coder(clip) for clip, target in zip(clips, wanted, strict=True)}
    return measure(name, wanted, lambda clip: results[id(clip)])


def _steps(steps: MotionSteps) -> str:
    return f"{steps.keypoint_step}/{steps.jacobian_step}"


def all_rows(clips: Sequence[Clip], table: MotionTable, steps: MotionSteps) -> list[Row]:
    """The rows of the benchmark."""
    rows = [
        measure("msgpack float32", clips, msgpack_floats),
        measure("fixed width (Gemino)", clips, fixed),
        measure("GFVC, Q 64", clips, gfvc),
        measure("DAC, Q 64", clips, dac),
    ]
    generic = generic_table(table.keypoints, table.jacobians)
    rows.append(measure(f"ours, generic table, steps {_steps(steps)}", clips, ours(generic, steps)))
    for factor in (0.5, 0.75, 1, 1.25, 1.5, 2):
        scaled = MotionSteps(round(steps.keypoint_step * factor), round(steps.jacobian_step * factor))
        note = " (default)" if factor == 1 else ""
        rows.append(measure(f"ours, steps {_steps(scaled)}{note}", clips, ours(table, scaled)))
    for single in (56, 64):
        equal = MotionSteps(single, single)
        rows.append(measure(f"ours, steps {_steps(equal)}, about the error of GFVC", clips, ours(table, equal)))
    rows.append(measure("ours, default steps, plain rounding", clips, ours(table, steps, dead_zone=False)))
    for share in (0.25, 0.5):
        name = f"ours, default steps, extrapolated by {share}"
        rows.append(measure(name, clips, ours(table, steps, extrapolation=share)))
    for distance in (2, 4, 8, 0):
        where = f"{distance} before" if distance else "the keyframe"
        rows.append(measure(f"ours, default steps, from {where}", clips, ours(table, steps, distance)))
    one = table.profile_frequencies.argmax()
    alone = replace(table, profiles=table.profiles[one : one + 1], profile_frequencies=np.array([1 << 14]))
    rows.append(measure("ours, default steps, one profile only", clips, ours(alone, steps)))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("traces", type=Path)
    parser.add_argument("--table", default="2", help="table id in the package, or a table file (default: %(default)s)")
    parser.add_argument("--train", type=Path, help="traces to train on, to compare raw Jacobians with the product")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--max-frames", type=int, default=250, help="of each clip (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        clips = [trace[: options.max_frames] for trace in read_traces(options.traces).values()]
        shape = len(clips[0][0].keypoints), clips[0][0].jacobians is not None
        table = load_table(int(options.table), *shape) if options.table.isdigit() else read_table(options.table)
        rows = all_rows(clips, table, MotionSteps())
        if options.train:
            training = list(read_traces(options.train).values())
            rows += compare_representations(training, clips, MotionSteps())
    except TalkcodecError as error:
        sys.stderr.write(f"motion_coding: {error}\n")
        return 1
    frames = sum(len(clip) - 1 for clip in clips)
    shown = Table(title=f"Motion, bytes a frame: {frames} frames of {len(clips)} clips, table {table.name}")
    for name in ("coding", "median", "mean", "p95", "keypoints px rms", "Jacobians rms"):
        shown.add_column(name, justify="left" if name == "coding" else "right")
    for row in rows:
        shown.add_row(
            row.name, f"{row.median_bytes:.0f}", f"{row.mean_bytes:.1f}", f"{row.p95_bytes:.0f}",
            f"{row.keypoint_rms_px:.3f}", f"{row.jacobian_rms:.4f}",
        )  # fmt: skip
    Console(width=110).print(shown)
    if options.json:
        options.json.write_text(json.dumps({"frames": frames, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
