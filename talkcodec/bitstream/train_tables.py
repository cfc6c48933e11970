"""`python -m talkcodec.bitstream.train_tables TRACES -o FILE`: learn a motion table from a folder of traces.

A trace is an .npz file with `keypoints` (T, K, 2) and, for a first-order model, `jacobians` (T, K, 2, 2), float, one
clip at the frame rate of the call. The file that is written is read by tables.read_table; to ship it, put it into
talkcodec/bitstream/data with the entry for tables.json that the command prints. An id is never used twice.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from talkcodec.bitstream.states import MotionSteps
from talkcodec.bitstream.tables import manifest_entry, table_to_bytes
from talkcodec.bitstream.training import TrainingOptions, train_table
from talkcodec.errors import TalkcodecError, UsageError
from talkcodec.types import Motion

__all__ = ["main", "read_trace", "read_traces"]

log = logging.getLogger(__name__)


def read_trace(path: Path, jacobians: bool = True) -> list[Motion]:
    """The motions of one trace file; raises UsageError for a file that is none, or values that are not finite."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            keypoints = np.asarray(arrays["keypoints"], np.float32)
            entries = np.asarray(arrays["jacobians"], np.float32) if jacobians and "jacobians" in arrays else None
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UsageError(f"{path} is no trace: {error}; expected .npz with keypoints (T, K, 2)") from error
    if keypoints.ndim != 3 or keypoints.shape[2] != 2:
        raise UsageError(f"{path}: keypoints have shape {keypoints.shape}, expected (T, K, 2)")
    if entries is not None and entries.shape != (*keypoints.shape, 2):
        raise UsageError(f"{path}: jacobians have shape {entries.shape}, expected {(*keypoints.shape, 2)}")
    if not np.isfinite(keypoints).all() or (entries is not None and not np.isfinite(entries).all()):
        raise UsageError(f"{path} holds values that are not finite")
    if entries is None:
        return [Motion(frame) for frame in keypoints]
    return [Motion(frame, local) for frame, local in zip(keypoints, entries, strict=True)]


def read_traces(folder: Path, jacobians: bool = True) -> dict[str, list[Motion]]:
    """All traces of a folder by name, unreadable ones skipped with a warning; raises UsageError when none is left."""
    traces = {}
    for path in sorted(folder.glob("*.npz")):
        try:
            traces[path.stem] = read_trace(path, jacobians)
        except UsageError as error:
            log.warning("skipped: %s", error)
    if not traces:
        raise UsageError(f"no trace in {folder}; expected .npz files with keypoints (T, K, 2)")
    return traces


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m talkcodec.bitstream.train_tables", description=__doc__.split("\n")[0]
    )
    parser.add_argument("traces", type=Path, help="folder of .npz traces")
    parser.add_argument("-o", "--output", type=Path, required=True, help="table file to write")
    parser.add_argument(
        "--id", type=int, default=0xFFFF, help="table id, 1 to 65535 (default: %(default)s, for trials)"
    )
    parser.add_argument("--model", default="", help="name of the model whose motion this is")
    parser.add_argument("--keypoints-only", action="store_true", help="leave Jacobians out")
    parser.add_argument("--keypoint-step", type=int, default=MotionSteps().keypoint_step, help="in 1/4096")
    parser.add_argument("--jacobian-step", type=int, default=MotionSteps().jacobian_step, help="in 1/4096")
    options = parser.parse_args(arguments)
    try:
        if not 1 <= options.id <= 0xFFFF:
            raise UsageError(f"id is {options.id}, expected 1 to 65535")
        traces = read_traces(options.traces, not options.keypoints_only)
        training = TrainingOptions(
            table_id=options.id,
            name=options.output.stem,
            base_steps=MotionSteps(options.keypoint_step, options.jacobian_step),
        )
        frames = sum(len(trace) for trace in traces.values())
        metadata = {"model": options.model, "clips": str(len(traces)), "frames": str(frames)}
        table = train_table(list(traces.values()), training, metadata)
        data = table_to_bytes(table)
        options.output.write_bytes(data)
    except (TalkcodecError, OSError) as error:
        sys.stderr.write(f"train_tables: {error}\n")
        return 1
    entry = manifest_entry(table, options.output.name, data)
    sys.stdout.write(f"{frames} frames of {len(traces)} clips; {len(data)} bytes\n{json.dumps(entry, indent=1)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
