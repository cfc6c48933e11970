"""talkcodec: one keyframe, then only what moves.

What most programs need can be taken from here; each part has more (`talkcodec.codec`, `talkcodec.runtime`, ...).
Importing this package does nothing but name things; torch, OpenVINO and the network stack are imported by the modules
that use them, and these by the first use of a name.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from talkcodec.codec import Decoder, Encoder, EncoderConfig, FaceCropper
    from talkcodec.coding import UnitReader, UnitWriter
    from talkcodec.runtime import open_engine

__all__ = [
    "Decoder",
    "Encoder",
    "EncoderConfig",
    "FaceCropper",
    "UnitReader",
    "UnitWriter",
    "__version__",
    "open_engine",
]

__version__ = "0.1.0"

_HOMES = {
    "Decoder": "talkcodec.codec",
    "Encoder": "talkcodec.codec",
    "EncoderConfig": "talkcodec.codec",
    "FaceCropper": "talkcodec.codec",
    "UnitReader": "talkcodec.coding",
    "UnitWriter": "talkcodec.coding",
    "open_engine": "talkcodec.runtime",
}


def __getattr__(name: str) -> object:
    """The module that has a public name is imported when the name is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'talkcodec' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _HOMES.keys())
