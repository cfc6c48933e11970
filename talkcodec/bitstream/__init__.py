"""Bytes <-> values: quantiser, entropy coder, motion and keyframe units, messages, recordings.

docs/bitstream.md is normative. Needs numpy and msgpack only; reads no clock and opens nothing by itself.
"""

from talkcodec.bitstream.agreement import agree
from talkcodec.bitstream.base import BasePicture, BaseStart, parse_base, serialize_base
from talkcodec.bitstream.bundles import CodedUnit, units_of
from talkcodec.bitstream.keyframe import KeyframeUnit, parse_keyframe, serialize_keyframe
from talkcodec.bitstream.messages import (
    BaseRequest,
    BundledUnit,
    BundlePiece,
    Bye,
    Hello,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    Layer,
    Message,
    MotionBundle,
    ReceiverReport,
    SoundClock,
    parse,
    serialize,
)
from talkcodec.bitstream.motion import MotionUnit, StateLookup, parse_motion, serialize_motion
from talkcodec.bitstream.people import MAX_CHAT, MAX_NAME, Chat, Presence
from talkcodec.bitstream.recording import RecordingReader, RecordingWriter
from talkcodec.bitstream.records import AudioFormat, IndexEntry, RecordedAudio, RecordingHeader
from talkcodec.bitstream.states import MotionState, MotionSteps, dequantise, quantise
from talkcodec.bitstream.tables import MotionTable, generic_table, load_table, table_for_model
from talkcodec.bitstream.timebase import TimeBase

__all__ = [
    "MAX_CHAT",
    "MAX_NAME",
    "AudioFormat",
    "BasePicture",
    "BaseRequest",
    "BaseStart",
    "BundlePiece",
    "BundledUnit",
    "Bye",
    "Chat",
    "CodedUnit",
    "Hello",
    "IndexEntry",
    "KeyframeAck",
    "KeyframePiece",
    "KeyframeRequest",
    "KeyframeUnit",
    "Layer",
    "Message",
    "MotionBundle",
    "MotionState",
    "MotionSteps",
    "MotionTable",
    "MotionUnit",
    "Presence",
    "ReceiverReport",
    "RecordedAudio",
    "RecordingHeader",
    "RecordingReader",
    "RecordingWriter",
    "SoundClock",
    "StateLookup",
    "TimeBase",
    "agree",
    "dequantise",
    "generic_table",
    "load_table",
    "parse",
    "parse_base",
    "parse_keyframe",
    "parse_motion",
    "quantise",
    "serialize",
    "serialize_base",
    "serialize_keyframe",
    "serialize_motion",
    "table_for_model",
    "units_of",
]
