"""The call's state machines: handshake, keyframe fragments, packing, arrivals, jitter buffer, rate control.

No I/O and no clock: messages and times go in, messages and frames to show come out.
"""

from talkcodec.session.handshake import FEATURE_AUDIO, agree, bye_for
from talkcodec.session.jitter_buffer import PlayedFrames, PlayoutConfig, Shown
from talkcodec.session.limits import Limits
from talkcodec.session.outgoing import Channel, Outgoing
from talkcodec.session.rate import RateConfig, SendPlan
from talkcodec.session.receiver import ReceiverConfig, ReceiverCounts, ReceiverSession
from talkcodec.session.sender import SenderConfig, SenderCounts, SenderSession

__all__ = [
    "FEATURE_AUDIO",
    "Channel",
    "Limits",
    "Outgoing",
    "PlayedFrames",
    "PlayoutConfig",
    "RateConfig",
    "ReceiverConfig",
    "ReceiverCounts",
    "ReceiverSession",
    "SendPlan",
    "SenderConfig",
    "SenderCounts",
    "SenderSession",
    "Shown",
    "agree",
    "bye_for",
]
