"""Video and sound in and out: files, cameras, microphones, Opus, and where a call's pictures go."""

from talkcodec.media.files import (
    OPUS_RATE_HZ,
    Frame,
    MediaReader,
    MediaWriter,
    SoundPacket,
    check_microphone,
    read_microphone,
    read_opus,
    read_picture,
)

__all__ = [
    "OPUS_RATE_HZ",
    "Frame",
    "MediaReader",
    "MediaWriter",
    "SoundPacket",
    "check_microphone",
    "read_microphone",
    "read_opus",
    "read_picture",
]
