"""Every error talkcodec raises on purpose.

    TalkcodecError
    ├── UsageError            what the caller or the user handed us is wrong
    │   ├── ConfigError       a configuration value or an unknown key
    │   ├── ModelError        a model that is missing, unknown, damaged or of another shape
    │   ├── MediaError        a video, picture or device that cannot be opened, read or written
    │   │   └── NoFaceError   nothing in the picture to follow
    │   └── EngineError       an execution engine that is missing or cannot run the model
    ├── StorageError          the disk takes no more of what we write
    └── PeerError             what the other end, or a file from elsewhere, sent us is wrong
        ├── BitstreamError    bytes that do not parse, or are out of bounds
        ├── StateError        well-formed, but it names a reference or state that is not held
        ├── OfferError        an SDP offer or answer that cannot be used
        ├── MismatchError     version, model or parameters differ from ours
        └── ClosedError       the peer left, or fell silent
            ├── BusyError     it is in a call with somebody else
            └── RefusedError  it did not accept the key, or the request

A message says what went wrong, what was got, what was expected and what to do.
Errors of dependencies are mapped onto these with ``raise ... from``.
"""

__all__ = [
    "BitstreamError",
    "BusyError",
    "ClosedError",
    "ConfigError",
    "EngineError",
    "MediaError",
    "MismatchError",
    "ModelError",
    "NoFaceError",
    "OfferError",
    "PeerError",
    "RefusedError",
    "StateError",
    "StorageError",
    "TalkcodecError",
    "UsageError",
]


class TalkcodecError(Exception):
    """Base of every error raised on purpose."""


class UsageError(TalkcodecError):
    """The caller or the user handed us something wrong."""


class ConfigError(UsageError):
    """A configuration value is out of range, or a key is unknown."""


class ModelError(UsageError):
    """A model is missing, unknown, damaged, or has other shapes than its configuration."""


class MediaError(UsageError):
    """A video, picture or device cannot be opened, read or written."""


class NoFaceError(MediaError):
    """No face was found where one is needed."""


class EngineError(UsageError):
    """An execution engine is missing or cannot run the model."""


class StorageError(TalkcodecError):
    """A disk is full, or gone, in the midst of writing."""


class PeerError(TalkcodecError):
    """What the other end, or a file from elsewhere, sent us is wrong."""


class BitstreamError(PeerError):
    """Bytes that do not parse or are out of bounds."""


class StateError(PeerError):
    """A well-formed unit names a reference or an earlier state that is not held."""


class MismatchError(PeerError):
    """Protocol version, model or parameters differ from ours."""


class OfferError(PeerError):
    """An SDP offer or answer cannot be used."""


class ClosedError(PeerError):
    """The peer left, or fell silent."""


class BusyError(ClosedError):
    """The peer is in a call with somebody else."""


class RefusedError(ClosedError):
    """The peer did not accept the key, or the request."""
