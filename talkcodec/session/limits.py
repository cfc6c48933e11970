"""Hard caps on everything that a peer, or a slow machine, can make grow. One table, nothing unbounded elsewhere."""

from dataclasses import dataclass, fields

from talkcodec.errors import ConfigError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one session; docs/network.md says what is dropped when one is reached.

    keyframe_bytes: largest keyframe that is sent or put together.
    piece_bytes: picture bytes in one piece; fewer where the transport takes no message as long.
    assemblies: keyframes put together at the same time.
    base_units: base pictures that wait to be decoded.
    references: references held by each end.
    states: earlier motion states held for prediction, as a distance in sequence numbers (at most 255 on the wire).
    message_bytes: longest message that is looked at.
    malformed: messages that do not parse before the peer is given up.
    """

    keyframe_bytes: int = 64 * 1024
    piece_bytes: int = 1100
    assemblies: int = 2
    base_units: int = 16
    references: int = 8
    states: int = 255
    message_bytes: int = 1200
    malformed: int = 10_000

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{item.name}: got {value!r}, expected a whole number of at least 1")
        if self.states > 255:
            raise ConfigError(f"states: got {self.states}, expected at most 255, the largest distance on the wire")
        if self.references < 2:
            raise ConfigError(f"references: got {self.references}, expected at least 2, an old one and its successor")
