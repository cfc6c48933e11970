"""The colours of a photo by its ICC profile, where that is three primaries (ICC.1:2022 sections 7.2, 9.2 and 10)."""

from functools import lru_cache

import numpy as np

from talkcodec.types import FloatArray

__all__ = ["matrix_to_bt709"]

MAX_PROFILE_BYTES = 1 << 20
MAX_TAGS = 100

_BT709_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
"""The primaries of BT.709 and sRGB as such profiles state them, seen under D50; columns red, green, blue."""

_LIKE_BT709 = 0.01


@lru_cache(maxsize=8)
def matrix_to_bt709(profile: bytes) -> FloatArray | None:
    """(3, 3) from the profile's linear RGB to that of BT.709; None for its own colours, tables, or what makes no
    sense."""
    if not 132 <= len(profile) <= MAX_PROFILE_BYTES or profile[16:20] != b"RGB " or profile[36:40] != b"acsp":
        return None
    columns = [_colour(profile, name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    if any(column is None for column in columns):
        return None
    matrix = np.linalg.solve(_BT709_D50, np.array(columns, np.float64).T)
    white = matrix.sum(axis=1)
    if np.abs(white - 1).max() > 0.1 or np.abs(matrix).max() > 4:  # its white is not white
        return None
    matrix /= white[:, None]
    return None if np.abs(matrix - np.eye(3)).max() < _LIKE_BT709 else matrix.astype(np.float32)


def _colour(profile: bytes, name: bytes) -> list[float] | None:
    """The XYZ of a tag."""
    for number in range(min(int.from_bytes(profile[128:132], "big"), MAX_TAGS)):
        entry = profile[132 + 12 * number : 144 + 12 * number]
        offset = int.from_bytes(entry[4:8], "big")
        data = profile[offset : offset + 20]
        if entry[:4] == name and len(data) == 20 and data[:4] == b"XYZ ":
            return [int.from_bytes(data[at : at + 4], "big", signed=True) / 65536 for at in (8, 12, 16)]
    return None
