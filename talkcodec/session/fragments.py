"""Keyframes on their way: cut into pieces, put together, acknowledged by id."""

from collections import OrderedDict, deque

from talkcodec.bitstream import BundlePiece, KeyframePiece, MotionBundle, parse, serialize
from talkcodec.bitstream.messages import MAX_PIECES
from talkcodec.errors import BitstreamError, UsageError
from talkcodec.session.limits import Limits

__all__ = ["BundleAssembler", "KeyframeAssembler", "KeyframeTransfer", "split_bundle"]


class KeyframeTransfer:
    """Sending side: one keyframe on its way at a time; a newer one replaces what is left of an older one.

    Pieces leave one by one, when the caller says that nothing waits to leave, so that motion goes between them.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pieces: deque[KeyframePiece] = deque()
        self._waiting: int | None = None
        self._left_ms = 0.0

    @property
    def outstanding(self) -> int | None:
        """Id of the keyframe that is not acknowledged yet, None when all are."""
        return self._waiting

    @property
    def pieces_left(self) -> int:
        """Pieces not handed to the transport yet."""
        return len(self._pieces)

    def age_ms(self, now_ms: float) -> float:
        """Time since the last piece of the outstanding keyframe left, or the latest yet; 0 when there is none."""
        return now_ms - self._left_ms if self._waiting is not None else 0.0

    def offer(self, reference_id: int, data: bytes, now_ms: float, piece_bytes: int | None = None) -> None:
        """Send this keyframe, in pieces of this length, None for the longest; pieces of an older one that have not left
        are dropped. Raises UsageError over the cap."""
        limit = self._limits.keyframe_bytes
        if not 0 < len(data) <= limit:
            raise UsageError(f"keyframe has {len(data)} bytes, expected 1 to {limit}; lower the keyframe quality")
        size = min(self._limits.piece_bytes, max(piece_bytes or self._limits.piece_bytes, -(-len(data) // MAX_PIECES)))
        count = -(-len(data) // size)
        self._pieces = deque(
            KeyframePiece(reference_id, i, count, data[i * size : (i + 1) * size]) for i in range(count)
        )
        self._waiting, self._left_ms = reference_id, now_ms

    def next_piece(self, now_ms: float) -> KeyframePiece | None:
        """The next piece to send, None when there is none."""
        if not self._pieces:
            return None
        self._left_ms = now_ms
        return self._pieces.popleft()

    def acknowledge(self, reference_id: int) -> bool:
        """The peer holds `reference_id`; True when that was the outstanding one."""
        if reference_id != self._waiting or self._pieces:
            return False
        self._waiting = None
        return True


class KeyframeAssembler:
    """Receiving side: pieces of at most `limits.assemblies` keyframes; the oldest unfinished one is dropped."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: OrderedDict[int, tuple[int, dict[int, bytes]]] = OrderedDict()

    @property
    def unfinished(self) -> tuple[int, ...]:
        """Ids of which some pieces have arrived."""
        return tuple(self._open)

    def add(self, piece: KeyframePiece) -> bytes | None:
        """Take a piece; the keyframe's bytes when it was the last one missing.

        A piece that disagrees with the others on the count starts the keyframe anew: its id was used again.
        Raises BitstreamError for a keyframe over the cap.
        """
        count, parts = self._open.pop(piece.reference_id, (piece.count, {}))
        if count != piece.count or parts.get(piece.index, piece.data) != piece.data:
            parts = {}
        parts[piece.index] = piece.data
        size = sum(map(len, parts.values()))
        if size > self._limits.keyframe_bytes:
            raise BitstreamError(
                f"keyframe {piece.reference_id} has {size} bytes in {len(parts)} of its {piece.count} pieces, "
                f"expected at most {self._limits.keyframe_bytes}"
            )
        if len(parts) == piece.count:
            return b"".join(parts[index] for index in range(piece.count))
        self._open[piece.reference_id] = (piece.count, parts)
        while len(self._open) > self._limits.assemblies:
            self._open.popitem(last=False)
        return None


_ENVELOPE_BYTES = 24
"""More than a BundlePiece has beside its data."""


def split_bundle(bundle: MotionBundle, limits: Limits) -> "list[MotionBundle | BundlePiece]":
    """The messages that carry a bundle: itself, or pieces of it when it is too long for one."""
    data = serialize(bundle)
    if len(data) <= limits.piece_bytes + _ENVELOPE_BYTES:
        return [bundle]
    size = limits.piece_bytes
    count = -(-len(data) // size)
    return [BundlePiece(bundle.sequence, i, count, data[i * size : (i + 1) * size]) for i in range(count)]


class BundleAssembler:
    """Receiving side: pieces of at most `limits.assemblies` bundles; the oldest unfinished one is dropped."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: OrderedDict[int, tuple[int, dict[int, bytes]]] = OrderedDict()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for others of their bundle."""
        return sum(len(data) for _, parts in self._open.values() for data in parts.values())

    def add(self, piece: BundlePiece) -> MotionBundle | None:
        """Take a piece; the bundle when it was the last one missing. Raises BitstreamError for what is none."""
        count, parts = self._open.pop(piece.sequence, (piece.count, {}))
        if count != piece.count or parts.get(piece.index, piece.data) != piece.data:
            parts = {}
        parts[piece.index] = piece.data
        if len(parts) < piece.count:
            self._open[piece.sequence] = (piece.count, parts)
            while len(self._open) > self._limits.assemblies:
                self._open.popitem(last=False)
            return None
        bundle = parse(b"".join(parts[index] for index in range(piece.count)))
        if not isinstance(bundle, MotionBundle) or bundle.sequence != piece.sequence:
            raise BitstreamError(f"pieces of bundle {piece.sequence} make a {type(bundle).__name__} of another number")
        return bundle
