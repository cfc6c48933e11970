"""Handshake: what must be the same on both ends, and one sentence when it is not."""

from talkcodec.bitstream import Bye, Hello, MotionTable, load_table
from talkcodec.errors import MismatchError

__all__ = ["FEATURE_AUDIO", "agree", "bye_for", "decoding_table"]

FEATURE_AUDIO = 1
"""Bit of Hello.features: the sender of this Hello also sends an Opus track."""

BYE_MISMATCH = 1
_TEXT_LIMIT = 64


def agree(ours: Hello, theirs: Hello) -> None:
    """Compare two Hellos. Raises MismatchError with what differs, ours, theirs, and what to do.

    Version, model, picture size, keypoints and Jacobians must be equal. Steps, table and time base are the sending
    end's choice and reach the other end in its Hello; the table must exist here. Unknown features and extras are
    not looked at.
    """
    pairs = (
        ("protocol version", ours.protocol_version, theirs.protocol_version, "run the same version of talkcodec"),
        ("model", ours.model_hash.hex(), theirs.model_hash.hex(), "start both ends with the same --model"),
        ("picture size", ours.picture_size, theirs.picture_size, "start both ends with the same --model"),
        ("keypoints", ours.keypoints, theirs.keypoints, "start both ends with the same --model"),
        ("Jacobians", ours.jacobians, theirs.jacobians, "start both ends with the same --model"),
    )
    for name, mine, yours, advice in pairs:
        if mine != yours:
            raise MismatchError(f"{name} differs: here {mine}, peer {yours}; {advice}")
    decoding_table(theirs)


def decoding_table(hello: Hello) -> MotionTable:
    """The table with which the sender of `hello` codes its motion. Raises MismatchError when it is not here."""
    return load_table(hello.table_id, hello.keypoints, hello.jacobians)


def bye_for(error: MismatchError) -> Bye:
    """The Bye that tells the peer of a mismatch, cut to what fits."""
    return Bye(BYE_MISMATCH, str(error)[:_TEXT_LIMIT])
