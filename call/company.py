"""The two people of a call: who is there, under what name, and what they write to each other."""

from collections import deque
from dataclasses import dataclass

from talkcodec.bitstream import MAX_CHAT, MAX_NAME, Chat, Presence

__all__ = ["ChatLine", "Company", "plain"]

_JOINER = "\u200d"
"""Holds the parts of some emoji together; the one invisible character that may stay."""


def plain(text: str, limit: int) -> str:
    """One line of what somebody typed, here or elsewhere: without control characters, at most `limit` long."""
    kept = "".join(c if c.isprintable() or c == _JOINER else " " for c in text)
    return " ".join(kept.split())[:limit].strip()


@dataclass(frozen=True, slots=True)
class ChatLine:
    """number: from 1, over the whole call; mine: written here."""

    number: int
    mine: bool
    text: str


class Company:
    """Drop policy: the last 200 lines are kept, in memory, for as long as one talks with the same person."""

    def __init__(self, name: str = "") -> None:
        self.name = plain(name, MAX_NAME)
        self.theirs: Presence | None = None
        self.lines: deque[ChatLine] = deque(maxlen=200)
        self.written = 0

    def begin(self) -> None:
        """Another call, perhaps with somebody else."""
        self.theirs = None
        self.lines.clear()

    def heard(self, message: Presence | Chat) -> None:
        """What the peer says of themselves, or writes."""
        if isinstance(message, Presence):
            self.theirs = message
        else:
            self._add(message.text, mine=False)

    def write(self, text: str) -> Chat | None:
        """A line of ours, to be sent; None where nothing stands in it."""
        line = self._add(text, mine=True)
        return None if line is None else Chat(line.text)

    def _add(self, text: str, mine: bool) -> ChatLine | None:
        text = plain(text, MAX_CHAT)
        if not text:
            return None
        self.written += 1
        line = ChatLine(self.written, mine, text)
        self.lines.append(line)
        return line

    @property
    def their_name(self) -> str:
        """As they typed it; "" when they did not."""
        return "" if self.theirs is None else plain(self.theirs.name, MAX_NAME)

    @property
    def who(self) -> str:
        """How the peer is called in a sentence's beginning."""
        return self.their_name or "Your peer"
