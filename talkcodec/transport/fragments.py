"""Messages in the padding of packets: several in one, or one over several.

Each piece has a byte of kind (2 bits) and length (6 bits; 63: two more bytes count on), and, where a message is spread,
one of message number (5 bits) and place (3 bits). docs/network.md has the layout.
"""

from collections import OrderedDict, deque

__all__ = ["LARGEST_MESSAGE", "MessagePacker", "MessageUnpacker"]

LARGEST_MESSAGE = 1200
PIECES = 8
_WHOLE, _MORE, _LAST = 0, 1, 2
_SPREAD = 4
"""Spread messages that are put together at the same time; the oldest leaves."""


class MessagePacker:
    """Queue of messages -> what one packet carries. Drop policy: over `waiting_bytes` the oldest leaves."""

    def __init__(self, waiting_bytes: int = 4096) -> None:
        self._limit = waiting_bytes
        self._queue: deque[bytes] = deque()
        self._begun = b""  # the rest of a spread message
        self._number = self._place = 0
        self.dropped = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes that have not left."""
        return sum(map(len, self._queue)) + len(self._begun)

    def add(self, message: bytes) -> None:
        """A message of 1 to `LARGEST_MESSAGE` bytes; others are dropped."""
        if not 0 < len(message) <= LARGEST_MESSAGE:
            self.dropped += 1
            return
        self._queue.append(message)
        while self.waiting_bytes > self._limit and len(self._queue) > 1:
            self._queue.popleft()
            self.dropped += 1

    def take(self, room: int) -> bytes:
        """What fits `room` bytes, in order; empty when nothing waits. room: at least 160, so that
        the longest message takes `PIECES` packets."""
        out = b""
        while self._queue or self._begun:
            left = room - len(out)
            if self._begun:
                if left <= 4:
                    break
                piece = self._begun[: left - 4]
                self._begun = self._begun[len(piece) :]
                out += self._spread(piece, _MORE if self._begun else _LAST)
                continue
            message = self._queue[0]
            if len(message) + len(_header(_WHOLE, len(message))) <= left:
                out += _header(_WHOLE, len(message)) + message
                self._queue.popleft()
            elif not out:  # it fits no packet alone
                self._begun = self._queue.popleft()
                self._number, self._place = (self._number + 1) % 32, 0
            else:
                break
        return out

    def _spread(self, piece: bytes, kind: int) -> bytes:
        place = self._place
        self._place = min(place + 1, PIECES - 1)
        return _header(kind, len(piece)) + bytes([self._number << 3 | place]) + piece


class MessageUnpacker:
    """What packets carry -> messages. A lost piece loses its message alone; nothing here grows or raises."""

    def __init__(self) -> None:
        self._spread: OrderedDict[int, dict[int, bytes]] = OrderedDict()
        self._last: dict[int, int] = {}
        self.damaged = 0

    def add(self, data: bytes) -> list[bytes]:
        """The messages that are complete with this packet's."""
        out: list[bytes] = []
        at = 0
        while at < len(data):
            kind, size = data[at] >> 6, data[at] & 63
            at += 1
            if size == 63:
                size += int.from_bytes(data[at : at + 2], "big")
                at += 2
            number = None
            if kind != _WHOLE:
                number = data[at] if at < len(data) else None
                at += 1
            piece = data[at : at + size]
            at += size
            if at > len(data) or not piece or kind > _LAST or (kind != _WHOLE and number is None):
                self.damaged += 1
                return out
            message = piece if number is None else self._put(number >> 3, number & 7, piece, kind == _LAST)
            if message is not None:
                out.append(message)
        return out

    def _put(self, number: int, place: int, piece: bytes, last: bool) -> bytes | None:
        if place in self._spread.get(number, (place,)):  # the first of a message, or the number has come round
            self._spread[number] = {}
            self._spread.move_to_end(number)
            self._last.pop(number, None)
            while len(self._spread) > _SPREAD:
                old, _ = self._spread.popitem(last=False)
                self._last.pop(old, None)
                self.damaged += 1
        pieces = self._spread[number]
        pieces[place] = piece
        if last:
            self._last[number] = place
        end = self._last.get(number)
        if end is None or len(pieces) <= end or sum(map(len, pieces.values())) > LARGEST_MESSAGE:
            return None
        del self._spread[number], self._last[number]
        return b"".join(pieces[at] for at in range(end + 1)) if all(at in pieces for at in range(end + 1)) else None


def _header(kind: int, size: int) -> bytes:
    return bytes([kind << 6 | min(size, 63)]) + ((size - 63).to_bytes(2, "big") if size >= 63 else b"")
