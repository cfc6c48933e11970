"""The call's state machines: handshake, keyframe fragments, packing, arrivals, jitter buffer, rate control.

No I/O and no clock: messages and times go in, messages and frames to show come out.
"""

from talkcodec.session.base_order import NumberedUnit
from talkcodec.session.handshake import (
    FEATURE_AUDIO,
    FEATURE_BASE,
    FEATURE_PEOPLE,
    FEATURE_READS_PADDING,
    FEATURE_SHORT_PIECES,
    bye_for,
)
from talkcodec.session.jitter_buffer import PlayedFrames, PlayoutConfig, Shown
from talkcodec.session.limits import Limits
from talkcodec.session.load import LoadControl
from talkcodec.session.outgoing import Outgoing
from talkcodec.session.rate import RateConfig, SendPlan
from talkcodec.session.receiver import Receiver, ReceiverConfig, ReceiverCounts
from talkcodec.session.sender import Sender, SenderConfig, SenderCounts

__all__ = [
    "FEATURE_AUDIO",
    "FEATURE_BASE",
    "FEATURE_PEOPLE",
    "FEATURE_READS_PADDING",
    "FEATURE_SHORT_PIECES",
    "Limits",
    "LoadControl",
    "NumberedUnit",
    "Outgoing",
    "PlayedFrames",
    "PlayoutConfig",
    "RateConfig",
    "Receiver",
    "ReceiverConfig",
    "ReceiverCounts",
    "SendPlan",
    "Sender",
    "SenderConfig",
    "SenderCounts",
    "Shown",
    "bye_for",
]
