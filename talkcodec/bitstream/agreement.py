"""What two Hellos must have in common, and one sentence when they have not."""

from talkcodec.bitstream.messages import Hello
from talkcodec.bitstream.tables import load_table
from talkcodec.errors import MismatchError

__all__ = ["agree"]


def agree(ours: Hello, theirs: Hello) -> None:
    """Compare our Hello with a peer's or a recording's. Raises MismatchError with what differs, and what to do.

    Version, model, picture size, keypoints and Jacobians must be equal. Steps, table and time base are the sending
    end's choice and reach the other end in its Hello; the table must exist here. Unknown features and extras are
    not looked at.
    """
    pairs = (
        ("protocol version", ours.protocol_version, theirs.protocol_version, "run the same version of talkcodec"),
        ("model", ours.model_hash.hex(), theirs.model_hash.hex(), "use the same model on both ends (--model)"),
        ("picture size", ours.picture_size, theirs.picture_size, "use the same model on both ends (--model)"),
        ("keypoints", ours.keypoints, theirs.keypoints, "use the same model on both ends (--model)"),
        ("Jacobians", ours.jacobians, theirs.jacobians, "use the same model on both ends (--model)"),
    )
    for name, mine, yours, advice in pairs:
        if mine != yours:
            raise MismatchError(f"{name} differs: here {mine}, there {yours}; {advice}")
    load_table(theirs.table_id, theirs.keypoints, theirs.jacobians)
