"""What an end holds: references, offers, states of units."""

import pytest

from talkcodec.coding import (
    HeldReferences,
    next_reference_id,
)
from talkcodec.errors import StateError, UsageError
from tests.coding.values import state


def test_a_reference_in_use_outlives_newer_ones_that_are_not() -> None:
    held: HeldReferences[str] = HeldReferences(4)
    for reference_id in range(9):
        held.store(reference_id, state(0), f"picture {reference_id}")
        assert held.use(0) == "picture 0"
    assert set(held.ids) == {0, 6, 7, 8}
    with pytest.raises(StateError, match="keyframe must be requested"):
        held.use(1)


def test_an_offer_counts_once_it_is_held_and_overtaken_offers_are_forgotten() -> None:
    held: HeldReferences[str] = HeldReferences(4)
    held.offer(0, state(0), "lost")
    held.offer(1, state(1), "arrived")
    assert (held.ids, held.offered, held.newest) == ((), (0, 1), None)
    assert held.keyframe_state(1) is None
    assert held.hold(1)
    assert (held.ids, held.offered, held.newest) == ((1,), (), "arrived")
    assert held.keyframe_state(1) == state(1)
    assert not held.hold(0)
    assert not held.hold(77)
    held.offer(1, state(2), "the id again")
    assert 1 not in held
    held.clear()
    assert (len(held), held.offered, held.newest) == (0, (), None)


def test_offers_and_unit_states_are_bounded() -> None:
    held: HeldReferences[int] = HeldReferences(2, units=3)
    for number in range(50):
        held.offer(number, state(0), number)
        held.add_unit(number, state(number))
    assert held.offered == (48, 49)
    assert [held.unit_state(number) is not None for number in (46, 47, 49)] == [False, True, True]
    with pytest.raises(UsageError):
        HeldReferences(0)


def test_reference_ids_wrap() -> None:
    assert next_reference_id(255) == 0
