"""The ends of a handshake: what a Hello announces beside the parameters, and the Bye after a mismatch."""

from talkcodec.bitstream import Bye
from talkcodec.errors import MismatchError

__all__ = [
    "FEATURE_AUDIO",
    "FEATURE_BASE",
    "FEATURE_PEOPLE",
    "FEATURE_READS_PADDING",
    "FEATURE_SHORT_PIECES",
    "bye_for",
]

FEATURE_AUDIO = 1
"""Bit of Hello.features: the sender of this Hello also sends an Opus track."""

FEATURE_BASE = 2
"""Bit of Hello.features: the sender of this Hello shows base pictures; without it, it is sent motion alone."""

FEATURE_READS_PADDING = 4
"""Bit of Hello.features: its sender reads messages in the padding of the sound's packets."""

FEATURE_PEOPLE = 8
"""Bit of Hello.features: its sender reads Presence and Chat."""

FEATURE_SHORT_PIECES = 16
"""Bit of Hello.features: its sender takes keyframes in pieces of any length; the others of 1100 B alone."""

BYE_MISMATCH = 1
_TEXT_LIMIT = 64


def bye_for(error: MismatchError) -> Bye:
    """The Bye that tells the peer of a mismatch, cut to what fits."""
    return Bye(BYE_MISMATCH, str(error)[:_TEXT_LIMIT])
