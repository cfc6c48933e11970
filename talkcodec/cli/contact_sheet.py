"""Some moments of a side-by-side film as one picture: originals above, decoded below."""

from pathlib import Path

import cv2
import numpy as np

from talkcodec.errors import MediaError
from talkcodec.media import MediaReader
from talkcodec.types import Picture

__all__ = ["contact_sheet", "write_contact_sheet"]


def contact_sheet(frames: list[Picture], columns: int = 6) -> Picture:
    """Evenly spaced frames (H, 2 W, 3) of a side-by-side film: left halves above, right halves below."""
    chosen = [frames[round(at)] for at in np.linspace(0, len(frames) - 1, min(columns, len(frames)))]
    middle = chosen[0].shape[1] // 2
    return np.vstack([np.hstack([frame[:, :middle] for frame in chosen]), np.hstack([f[:, middle:] for f in chosen])])


def write_contact_sheet(film: Path, out: Path, columns: int = 6) -> None:
    """Write the sheet of a side-by-side film as PNG; raises MediaError."""
    with MediaReader(film) as reader:
        sheet = contact_sheet([frame.picture for frame in reader], columns)
    if not cv2.imwrite(str(out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise MediaError(f"cannot write {out}")
