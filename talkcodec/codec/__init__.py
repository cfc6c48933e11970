"""Encoder and Decoder: pictures to access units and back, without any input or output of their own.

    motion rung          picture -> motion, quantised               -> the reference picture moved
    hybrid, video rung   picture -> a coded base picture, now and then -> restored with the reference, or by itself

The layers of an access unit are those of docs/bitstream.md: keyframe (section 7), motion (6), base (6b). Both ends
agree on what was decoded; on what is made of it and shown they need not.
"""

from talkcodec.codec.base import BaseConfig
from talkcodec.codec.config import DecoderConfig, EncoderConfig, Rung
from talkcodec.codec.crop import CroppedPicture, CropperConfig, FaceCropper, paste_back
from talkcodec.codec.decoder import Decoder, Reference
from talkcodec.codec.encoder import Encoder
from talkcodec.codec.parameters import accept_hello, hello_for

__all__ = [
    "BaseConfig",
    "CroppedPicture",
    "CropperConfig",
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "FaceCropper",
    "Reference",
    "Rung",
    "accept_hello",
    "hello_for",
    "paste_back",
]
