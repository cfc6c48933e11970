"""Video and sound in and out: files, cameras, microphones, Opus, and where a call's pictures go."""

from talkcodec.media.microphone import check_microphone, read_microphone
from talkcodec.media.opus import OPUS_RATE_HZ, OpusDecoder, OpusEncoder, OpusPacket
from talkcodec.media.reader import Frame, MediaInfo, MediaReader, read_picture
from talkcodec.media.sound import SoundBlock, SoundPacket, read_opus, read_sound
from talkcodec.media.writer import MediaWriter

__all__ = [
    "OPUS_RATE_HZ",
    "Frame",
    "MediaInfo",
    "MediaReader",
    "MediaWriter",
    "OpusDecoder",
    "OpusEncoder",
    "OpusPacket",
    "SoundBlock",
    "SoundPacket",
    "check_microphone",
    "read_microphone",
    "read_opus",
    "read_picture",
    "read_sound",
]
