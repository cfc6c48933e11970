"""The call's state machines: handshake, references, keyframe transfer, motion, jitter buffer, rate control.

No I/O and no clock: messages and times go in, messages and frames to show come out.
"""

from talkcodec.session.handshake import FEATURE_AUDIO, agree, bye_for
from talkcodec.session.jitter_buffer import PlayedFrames, PlayoutConfig, Shown
from talkcodec.session.limits import Limits
from talkcodec.session.outgoing import Channel, Outgoing
from talkcodec.session.rate import RateConfig, SendPlan
from talkcodec.session.receiver import ReceivedKeyframe, ReceiverConfig, ReceiverCounts, ReceiverSession
from talkcodec.session.references import ReferenceStore, next_reference_id
from talkcodec.session.sender import SenderConfig, SenderCounts, SenderSession

__all__ = [
    "FEATURE_AUDIO",
    "Channel",
    "Limits",
    "Outgoing",
    "PlayedFrames",
    "PlayoutConfig",
    "RateConfig",
    "ReceivedKeyframe",
    "ReceiverConfig",
    "ReceiverCounts",
    "ReceiverSession",
    "ReferenceStore",
    "SendPlan",
    "SenderConfig",
    "SenderCounts",
    "SenderSession",
    "Shown",
    "agree",
    "bye_for",
    "next_reference_id",
]
