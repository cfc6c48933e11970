"""Who is there, under what name, what they write: between two engines, and with what a hostile peer says."""

from pathlib import Path

from callpair import Side, talk
from waiting import eventually

from call.words import Phase


async def test_nothing_is_sent_to_nobody_and_the_clock_starts_when_both_are_there(tmp_path: Path) -> None:
    host = Side(None, tmp_path, name="Ann")
    await host.conversation.start()
    guest = Side(host.conversation.invitation, tmp_path)
    guest.stage.viewer = None  # the guest's engine runs, nobody is at its page
    try:
        await guest.conversation.start()
        await eventually(lambda: host.phase is Phase.ALONE)
        assert host.conversation.text == "Your peer is not at the page yet. Nothing is sent until they are."
        await eventually(lambda: guest.conversation.text == "Ann is there and waits for you.")
        await talk(host, until=lambda: host.stage.frames_captured > 30)
        sender = host.conversation.call.peer.sending  # type: ignore[union-attr]
        assert sender.frames_captured == 0  # type: ignore[union-attr]
        assert host.conversation.since_s is None
        guest.stage.viewer = guest.seen
        guest.conversation.company.name = "Bob"
        guest.conversation.look()
        await talk(host, guest, until=lambda: guest.seen.pictures and host.seen.pictures)
        await eventually(lambda: host.conversation.since_s is not None)
        await eventually(lambda: host.conversation.text == "You are in a call with Bob.")
        guest.stage.viewer = None
        guest.conversation.look()
        await eventually(lambda: host.phase is Phase.ALONE)
        assert host.conversation.text.startswith("Bob has closed the page")
        before = sender.frames_captured  # type: ignore[union-attr]
        captured = host.stage.frames_captured
        await talk(host, until=lambda: host.stage.frames_captured > captured + 20)
        assert sender.frames_captured == before  # type: ignore[union-attr]
    finally:
        await guest.conversation.close()
        await host.conversation.close()
