"""Base pictures on their way out: each needs the one before it, so after a loss nothing leaves but a fresh start."""

from talkcodec.bitstream import BasePicture, Layer, MotionBundle
from talkcodec.bitstream.base import is_start
from talkcodec.clock import seq16_add, seq16_diff

__all__ = ["BaseChain"]


class BaseChain:
    """What the peer can decode, as far as this end knows; `broken` asks the encoder for a start.

    request_gap_ms: requests that come sooner after one another are not heard; the peer says it again.
    """

    def __init__(self, request_gap_ms: float) -> None:
        self.broken = False
        self.restarts = 0
        self._request_gap_ms = request_gap_ms
        self._heard_ms: float | None = None
        self._start: int | None = None  # sequence of the last start that left

    def admits(self, picture: BasePicture) -> bool:
        """False for a picture that the peer could not decode."""
        if picture.start is not None:
            self.broken = False
        return not self.broken

    def lost(self) -> None:
        """A picture was dropped on this side."""
        self.broken = True

    def request(self, sequence: int, next_sequence: int, now_ms: float) -> bool:
        """The peer, which has seen units up to `sequence`, misses a picture; False when no start is due for that."""
        if self.broken or not 1 <= seq16_diff(next_sequence, sequence) < 0x4000:
            return False
        if self._start is None or seq16_diff(sequence, self._start) < 0:
            return False
        if self._heard_ms is not None and now_ms - self._heard_ms < self._request_gap_ms:
            return False
        self._heard_ms, self.broken = now_ms, True
        self.restarts += 1
        return True

    def left(self, bundle: MotionBundle) -> None:
        """These units have left."""
        for number, unit in enumerate(bundle.units):
            if unit.layer is Layer.BASE and is_start(unit.payload):
                self._start = seq16_add(bundle.sequence, number)
