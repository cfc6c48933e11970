"""What the two people say of themselves beside picture and sound: presence, names, chat, a recording's sign."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from talkcodec.bitstream import Note, NoteKind
from talkcodec.errors import UsageError

__all__ = ["ChatLine", "People"]

LONGEST_NAME, LONGEST_LINE, LINES = 40, 500, 200


@dataclass(frozen=True, slots=True)
class ChatLine:
    """number rises by one with each line; time_s: of the wall clock."""

    number: int
    mine: bool
    text: str
    time_s: float


class People:
    """Both sides' presence and names, and the chat. It outlives calls: who comes back finds what was said.

    Drop policy: the oldest of 200 lines leaves. A peer that never says whether somebody is there has no page: it counts
    as there.
    """

    def __init__(self) -> None:
        self.name = ""
        self.here = False
        self.peer_name = ""
        self.peer_here = True
        self.peer_records = False
        self.lines: deque[ChatLine] = deque(maxlen=LINES)
        self._said = 0
        self._tell: Callable[[NoteKind, str], None] | None = None

    def met(self, tell: Callable[[NoteKind, str], None]) -> None:
        """A call has begun: the other side learns who is here."""
        self._tell, self.peer_here, self.peer_records = tell, True, False
        if self.name:
            tell(NoteKind.NAME, self.name)
        tell(NoteKind.PRESENCE, "1" if self.here else "")

    def parted(self) -> None:
        """The call is over."""
        self._tell, self.peer_records = None, False

    def come(self, here: bool) -> None:
        """Somebody is at our page, or nobody is any more."""
        if here != self.here:
            self.here = here
            self._say(NoteKind.PRESENCE, "1" if here else "")

    def call_me(self, name: str) -> None:
        """Our name, cut to 40 characters."""
        name = _plain(name)[:LONGEST_NAME]
        if name != self.name:
            self.name = name
            self._say(NoteKind.NAME, name)

    def records(self, on: bool) -> None:
        """We record, or no longer."""
        self._say(NoteKind.RECORDING, "1" if on else "")

    def write(self, text: str) -> None:
        """A line to the other side. Raises UsageError without a call, and for an empty line."""
        text = _plain(text)[:LONGEST_LINE]
        if self._tell is None:
            raise UsageError("there is nobody to write to: you are not in a call")
        if not text:
            raise UsageError("the message is empty")
        self._add(text, mine=True)
        self._tell(NoteKind.CHAT, text)

    def heard(self, note: Note) -> None:
        """What the other side says; unknown kinds are passed over."""
        if note.kind == NoteKind.PRESENCE:
            self.peer_here = bool(note.text)
        elif note.kind == NoteKind.NAME:
            self.peer_name = _plain(note.text)[:LONGEST_NAME]
        elif note.kind == NoteKind.RECORDING:
            self.peer_records = bool(note.text)
        elif note.kind == NoteKind.CHAT and (text := _plain(note.text)[:LONGEST_LINE]):
            self._add(text, mine=False)

    def _say(self, kind: NoteKind, text: str) -> None:
        if self._tell is not None:
            self._tell(kind, text)

    def _add(self, text: str, mine: bool) -> None:
        self._said += 1
        self.lines.append(ChatLine(self._said, mine, text, round(time.time(), 1)))


def _plain(text: str) -> str:
    """Without control characters, which could reorder or hide what is read."""
    return "".join(c for c in text if c.isprintable()).strip()
