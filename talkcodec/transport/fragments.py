"""Messages in the room that packets leave: several in one, or one over several.

A message begins with a byte of kind (2 bits) and length (6 bits; 63: two more bytes count on). Where it is spread over
packets, each part has one more byte: number of the message (5 bits) and place of the part (3 bits). docs/network.md has
the layout.
"""

from collections import deque

__all__ = ["LARGEST_MESSAGE", "LEAST_ROOM", "MessagePacker", "MessageUnpacker"]

LARGEST_MESSAGE = 1200
PARTS = 8
LEAST_ROOM = 160
"""With less a longest message would take more than `PARTS` packets."""

_WHOLE, _PART, _LAST = 0, 1, 2
_NUMBERS = 32
_OPEN = 4
"""So many spread messages are put together at a time: of the latest numbers."""


class MessagePacker:
    """Queue of messages -> what one packet carries. Drop policy: over `largest_queue` the oldest leaves."""

    def __init__(self, largest_queue: int = 4096) -> None:
        self._limit = largest_queue
        self._queue: deque[bytes] = deque()
        self._rest = b""  # of a message that is being spread
        self._number = self._place = 0
        self.waiting_bytes = 0
        self.dropped = 0

    def add(self, message: bytes) -> None:
        """A message of 1 to `LARGEST_MESSAGE` bytes; others are dropped."""
        if not 0 < len(message) <= LARGEST_MESSAGE:
            self.dropped += 1
            return
        self._queue.append(message)
        self.waiting_bytes += len(message)
        while self.waiting_bytes > self._limit and len(self._queue) > 1:
            self.waiting_bytes -= len(self._queue.popleft())
            self.dropped += 1

    def take(self, room_bytes: int) -> bytes:
        """What fits, in order; empty when nothing waits. room_bytes: at least `LEAST_ROOM`."""
        out = b""
        while self._rest or self._queue:
            left = room_bytes - len(out)
            if not self._rest:
                whole = _header(_WHOLE, len(self._queue[0])) + self._queue[0]
                if len(whole) <= left:
                    self.waiting_bytes -= len(self._queue.popleft())
                    out += whole
                    continue
                if out:  # it has the next packet to itself: a message in one packet is lost less often
                    break
                self._rest, self._place = self._queue.popleft(), 0
                self._number = (self._number + 1) % _NUMBERS
            part = self._part(left)
            if not part:
                break
            out += part
        return out

    def _part(self, room_bytes: int) -> bytes:
        size = min(len(self._rest), room_bytes - 4)  # the longest header of a part
        if size <= 0:
            return b""
        data, self._rest = self._rest[:size], self._rest[size:]
        self.waiting_bytes -= size
        place, self._place = self._place, self._place + 1
        return _header(_PART if self._rest else _LAST, size) + bytes([self._number << 3 | place]) + data


class _Spread:
    """The parts of one message, as they come."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.last: int | None = None

    def whole(self) -> bytes | None:
        """The message, if all of it is there."""
        if self.last is None or any(place not in self.parts for place in range(self.last + 1)):
            return None
        return b"".join(self.parts[place] for place in range(self.last + 1))


class MessageUnpacker:
    """What packets carry -> messages. A lost part loses its message and no other; nothing here grows, or raises."""

    def __init__(self) -> None:
        self._open: dict[int, _Spread] = {}
        self._newest = 0
        self.damaged = 0

    def add(self, data: bytes) -> list[bytes]:
        """The messages that are complete with this packet. What stands behind something damaged is not read."""
        out, at = [], 0
        while at < len(data):
            kind, size = data[at] >> 6, data[at] & 63
            at += 1
            if size == 63:
                size += int.from_bytes(data[at : at + 2], "big")
                at += 2
            start = at if kind == _WHOLE else at + 1
            end = start + size
            if kind > _LAST or not 0 < size <= LARGEST_MESSAGE or end > len(data):
                self.damaged += 1
                break
            message: bytes | None = data[start:end]
            if kind != _WHOLE:
                message = self._put(data[at] >> 3, data[at] & 7, data[start:end], kind == _LAST)
            if message is not None:
                out.append(message)
            at = end
        return out

    def _put(self, number: int, place: int, part: bytes, last: bool) -> bytes | None:
        ahead = (number - self._newest) % _NUMBERS
        if 0 < ahead < _NUMBERS // 2:
            self._newest = number
            for old in [other for other in self._open if (number - other) % _NUMBERS >= _OPEN]:
                del self._open[old]
                self.damaged += 1
        elif (self._newest - number) % _NUMBERS >= _OPEN:  # of a message that was given up
            return None
        spread = self._open.setdefault(number, _Spread())
        spread.parts[place] = part
        spread.last = place if last else spread.last
        message = spread.whole()
        if sum(map(len, spread.parts.values())) > LARGEST_MESSAGE:
            message = None
        elif message is None:
            return None
        del self._open[number]
        return message


def _header(kind: int, size: int) -> bytes:
    return bytes([kind << 6 | min(size, 63)]) + ((size - 63).to_bytes(2, "big") if size >= 63 else b"")
