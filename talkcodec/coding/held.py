"""What one end of a stream holds: references with their own motion, and the states of recent units.

The sending end keeps one of these for what the *other* end is known to hold, the receiving end for what it holds.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from talkcodec.bitstream import MotionState
from talkcodec.bitstream.motion import MAX_DISTANCE
from talkcodec.errors import StateError, UsageError

__all__ = ["REFERENCE_IDS", "HeldReferences", "next_reference_id"]

REFERENCE_IDS = 256

T = TypeVar("T")


def next_reference_id(reference_id: int) -> int:
    """The id after `reference_id`; ids wrap at one byte."""
    return (reference_id + 1) % REFERENCE_IDS


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    state: MotionState
    value: T
    held: bool


class HeldReferences(Generic[T]):
    """References by the id under which the wire names them, each with its motion state and what its owner keeps (T).

    A reference is offered, then held once the receiving end said so. Drop policy: at most `capacity` are held and as
    many offered; of each the one unused for longest leaves first. A reference is used when it comes to be held and
    whenever a unit names it, so the one that a call stands on never leaves because of newer ones. Of units the last
    `units` states are kept. References may be touched from two threads: the one that makes or decodes
    them, and the event loop; unit states belong to one.
    """

    def __init__(self, capacity: int = 8, units: int = MAX_DISTANCE + 1) -> None:
        if capacity < 1 or units < 1:
            raise UsageError(f"held references: got capacity {capacity} and {units} units, expected at least 1")
        self._capacity, self._unit_limit = capacity, units
        self._entries: OrderedDict[int, _Entry[T]] = OrderedDict()  # the one unused for longest first
        self._units: OrderedDict[int, MotionState] = OrderedDict()
        self._newest: T | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, reference_id: int) -> bool:
        with self._lock:
            entry = self._entries.get(reference_id)
            return entry is not None and entry.held

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids held, the one unused for longest first."""
        with self._lock:
            return tuple(number for number, entry in self._entries.items() if entry.held)

    @property
    def offered(self) -> tuple[int, ...]:
        """Ids on their way, oldest first."""
        with self._lock:
            return tuple(number for number, entry in self._entries.items() if not entry.held)

    @property
    def newest(self) -> T | None:
        """What is kept of the reference that came to be held last; None before the first."""
        return self._newest

    def offer(self, reference_id: int, state: MotionState, value: T) -> None:
        """A reference is on its way; an id that is used again forgets what it named."""
        self._insert(reference_id, _Entry(state, value, held=False))

    def hold(self, reference_id: int) -> bool:
        """The receiving end has this reference; False when it was never offered, or left meanwhile.

        What was offered before it and did not arrive was given up, and is forgotten.
        """
        with self._lock:
            entry = self._entries.get(reference_id)
            if entry is None:
                return False
            if entry.held:
                return True
            for number, other in list(self._entries.items()):
                if number == reference_id:
                    break
                if not other.held:
                    del self._entries[number]
        self._insert(reference_id, replace(entry, held=True))
        return True

    def store(self, reference_id: int, state: MotionState, value: T) -> None:
        """Offer and hold in one, at an end that keeps what it has decoded, or writes a file."""
        self._insert(reference_id, _Entry(state, value, held=True))

    def use(self, reference_id: int) -> T:
        """What the owner keeps of a held reference. Raises StateError when it is not held."""
        with self._lock:
            entry = self._entries.get(reference_id)
            if entry is not None and entry.held:
                self._entries.move_to_end(reference_id)
                return entry.value
        raise StateError(f"reference {reference_id} is not held (held: {list(self.ids)}); a keyframe must be requested")

    def values(self) -> tuple[T, ...]:
        """What is kept of all held references, the one unused for longest first."""
        with self._lock:
            return tuple(entry.value for entry in self._entries.values() if entry.held)

    def clear(self) -> None:
        """Forget everything, as when the other end starts again."""
        with self._lock:
            self._entries.clear()
            self._newest = None
        self._units.clear()

    def keyframe_state(self, reference_id: int) -> MotionState | None:
        """The motion of a held reference itself, None when it is not held (bitstream.StateLookup)."""
        with self._lock:
            entry = self._entries.get(reference_id)
            return entry.state if entry is not None and entry.held else None

    def unit_state(self, sequence: int) -> MotionState | None:
        """The state of a recent unit, None when it is not kept (bitstream.StateLookup)."""
        return self._units.get(sequence)

    def add_unit(self, sequence: int, state: MotionState) -> None:
        """Keep the state of a unit; the oldest leaves."""
        self._units.pop(sequence, None)
        self._units[sequence] = state
        while len(self._units) > self._unit_limit:
            self._units.popitem(last=False)

    def forget_unit(self, sequence: int) -> None:
        """This number means a unit without a state from now on; of motion it was before the wrap."""
        self._units.pop(sequence, None)

    def forget_units(self) -> None:
        """No later unit is predicted from an earlier one, as after a keyframe in a file."""
        self._units.clear()

    def _insert(self, reference_id: int, entry: _Entry[T]) -> None:
        with self._lock:
            self._entries[reference_id] = entry
            self._entries.move_to_end(reference_id)
            if entry.held:
                self._newest = entry.value
            same = [number for number, other in self._entries.items() if other.held == entry.held]
            for number in same[: max(0, len(same) - self._capacity)]:
                del self._entries[number]
