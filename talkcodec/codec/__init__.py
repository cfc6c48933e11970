"""Encoder and Decoder: pictures to access units and back, without any input or output of their own."""

from talkcodec.codec.config import DecoderConfig, EncoderConfig
from talkcodec.codec.crop import CroppedPicture, CropperConfig, FaceCropper, paste_back
from talkcodec.codec.decoder import Decoder
from talkcodec.codec.encoder import Encoder
from talkcodec.codec.parameters import accept_hello, hello_for
from talkcodec.codec.unit import AccessUnit

__all__ = [
    "AccessUnit",
    "CroppedPicture",
    "CropperConfig",
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "FaceCropper",
    "accept_hello",
    "hello_for",
    "paste_back",
]
