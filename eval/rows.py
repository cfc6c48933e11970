"""Results: one JSON line a clip, codec and operating point; written as they come, read back to resume and to report."""

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from talkcodec.errors import MediaError

__all__ = ["SCHEMA", "Row", "append_row", "load_rows"]

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One measurement.

    clip: file name without suffix; frames, fps, size: of it. point: Point.key; curve, label: its names for people.
    rates: bits a second (see eval.wire.Traffic). paper, strict: ModeScores as dictionaries; jitter, flicker: as
    ClipScores, None in rows from before they were measured. seconds: wall-clock time of coding and decoding on the
    machine that measured. model_sha256, restoration_sha256: weights of talkcodec, the latter joined by "+", and
    empty where none restore: in the motion rung, and at a picture size that has none. error: why there are no scores.
    """

    clip: str
    codec: str
    point: str
    curve: str
    label: str
    settings: Mapping[str, Any]
    frames: int = 0
    fps: float = 0.0
    size: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    paper: Mapping[str, Any] = field(default_factory=dict)
    strict: Mapping[str, Any] = field(default_factory=dict)
    jitter_px: float | None = None
    jitter_reference_px: float | None = None
    instruments: Mapping[str, str] = field(default_factory=dict)
    identity_every: int = 1
    model_sha256: str = ""
    version: str = ""
    seconds: float = 0.0
    error: str = ""
    schema: int = SCHEMA
    flicker: float | None = None
    flicker_reference: float | None = None
    restoration_sha256: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What was measured: clip and point."""
        return self.clip, self.point


def append_row(path: Path, row: Row) -> None:
    """Write a line at once, so that an interrupted run loses nothing."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row)) + "\n")


def load_rows(paths: Iterable[Path]) -> list[Row]:
    """Rows of result files, which a name in .gz says are compressed; of several with one clip and point the last one
    counts. A cut last line is left out.

    Raises MediaError for a missing file, or one that holds something else.
    """
    rows: dict[tuple[str, str], Row] = {}
    for path in paths:
        try:
            data = path.read_bytes()
            lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8").splitlines()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise MediaError(f"{path}: cannot be read: {error}") from error
        for number, line in enumerate(lines, start=1):
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                if number == len(lines):
                    continue  # the run that wrote it was cut off
                raise MediaError(f"{path}, line {number}: not JSON") from error
            try:
                row = Row(**value)
            except TypeError as error:
                raise MediaError(f"{path}, line {number}: not a result of `eval rd`") from error
            rows[row.identity] = row
    return list(rows.values())
