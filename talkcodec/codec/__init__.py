"""Encoder and Decoder: pictures to access units and back, without any input or output of their own."""

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
