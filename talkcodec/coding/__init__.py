"""Values <-> units: all prediction, numbering and packing, the same for a file, a call and the evaluation.

    AccessUnit -> UnitWriter -> MotionBundle, serialized keyframe -> UnitReader -> AccessUnit

Both look up in `HeldReferences` what the other end, or this one, holds. Motion is predicted from held states; a base
picture passes as it is, since its coder predicts: a gap in its numbers is the decoder's to see (docs/bitstream.md, 6b).
"""

from talkcodec.coding.held import HeldReferences, next_reference_id
from talkcodec.coding.motion_path import CONCEAL_MS, extrapolate_motion, mix_drive, mix_motion
from talkcodec.coding.reader import UnitReader
from talkcodec.coding.recorder import UnitRecorder
from talkcodec.coding.unit import AccessUnit
from talkcodec.coding.writer import UnitWriter

__all__ = [
    "CONCEAL_MS",
    "AccessUnit",
    "HeldReferences",
    "UnitReader",
    "UnitRecorder",
    "UnitWriter",
    "extrapolate_motion",
    "mix_drive",
    "mix_motion",
    "next_reference_id",
]
