"""The references that one end holds, by the id under which the wire names them."""

from collections import OrderedDict
from typing import Generic, TypeVar

from talkcodec.errors import StateError

__all__ = ["REFERENCE_IDS", "ReferenceStore", "next_reference_id"]

REFERENCE_IDS = 256
T = TypeVar("T")


def next_reference_id(reference_id: int) -> int:
    """The id after `reference_id`; ids wrap at one byte."""
    return (reference_id + 1) % REFERENCE_IDS


class ReferenceStore(Generic[T]):
    """At most `capacity` references; the one unused for longest leaves first.

    A reference is used when it is stored or looked up, so the one that the call stands on never leaves
    because of a newer one that the sender has not switched to yet.
    """

    def __init__(self, capacity: int) -> None:
        assert capacity >= 2
        self._capacity = capacity
        self._held: OrderedDict[int, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, reference_id: int) -> bool:
        return reference_id in self._held

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids held, the one unused for longest first."""
        return tuple(self._held)

    def store(self, reference_id: int, value: T) -> tuple[int, ...]:
        """Hold `value`; return the ids that had to leave. A reused id replaces what it named."""
        self._held[reference_id] = value
        self._held.move_to_end(reference_id)
        evicted = []
        while len(self._held) > self._capacity:
            evicted.append(self._held.popitem(last=False)[0])
        return tuple(evicted)

    def get(self, reference_id: int) -> T:
        """The reference named `reference_id`. Raises StateError when it is not held."""
        try:
            value = self._held[reference_id]
        except KeyError:
            raise StateError(
                f"reference {reference_id} is not held (held: {sorted(self._held)}); a keyframe must be requested"
            ) from None
        self._held.move_to_end(reference_id)
        return value

    def clear(self) -> None:
        """Forget every reference, as when a call ends."""
        self._held.clear()
