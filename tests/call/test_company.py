"""Who is there, under what name, what they write: between two engines, and with what a hostile peer says."""

import asyncio
from pathlib import Path

import pytest
from callpair import Side, talk, two_sides
from waiting import eventually

from call.company import Company, plain
from call.words import Phase
from talkcodec.bitstream import Chat, Presence
from talkcodec.errors import UsageError


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


async def test_names_and_chat_cross_and_are_cut_to_one_plain_line(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        host.conversation.company.name = "Ann\u202e"
        host.conversation.look()
        await eventually(lambda: guest.conversation.company.theirs is not None)
        host.conversation.write("hello <b>\n\u0007you</b> \u202e" + "é" * 400)
        host.conversation.write(" \u200b ")  # nothing that could be seen
        await eventually(lambda: guest.conversation.company.lines)
        (line,) = guest.conversation.company.lines
        assert line.text.startswith("hello <b> you</b> é")
        assert len(line.text) == 256
        assert not line.mine
        assert [mine.text for mine in host.conversation.company.lines] == [line.text]


async def test_chat_with_nobody_is_an_error_of_ours(tmp_path: Path) -> None:
    side = Side(None, tmp_path)
    with pytest.raises(UsageError, match="nobody who could read"):
        side.conversation.write("hello")
    await side.conversation.close()


async def test_an_older_peer_counts_as_there_and_is_sent_nothing_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from talkcodec.peer import peer as module

    real = module.Peer.__init__

    def older(self: module.Peer, *arguments: object, **options: object) -> None:
        if older.next:
            options["on_person"] = None
        older.next = not older.next
        real(self, *arguments, **options)  # type: ignore[arg-type]

    older.next = True  # type: ignore[attr-defined]  # the guest is made first
    monkeypatch.setattr(module.Peer, "__init__", older)
    async with two_sides(tmp_path) as (host, guest):
        await talk(host, guest, until=lambda: host.seen.pictures and guest.seen.pictures)
        assert host.conversation.company.theirs is None
        await eventually(lambda: host.conversation.since_s is not None)
        for side in (host, guest):
            assert side.conversation.call.peer.link.malformed == 0  # type: ignore[union-attr]
        with pytest.raises(UsageError):
            host.conversation.write("hello")


def test_a_flood_of_lines_keeps_the_last_two_hundred() -> None:
    company = Company()
    for number in range(1000):
        company.heard(Chat(f"{number}"))
    assert [line.text for line in company.lines] == [str(number) for number in range(800, 1000)]
    assert company.written == 1000
    company.begin()
    assert not company.lines


def test_a_hostile_name_is_one_short_line_of_text() -> None:
    company = Company()
    company.heard(Presence(name="\u202e\x00<script>\n\n" + "x" * 30))
    assert company.their_name == "<script> " + "x" * 30
    assert plain("👩\u200d🚀 \u2028 ok", 40) == "👩\u200d🚀 ok"
    assert plain("\u200d", 40) in ("", "\u200d")


async def test_the_end_says_what_the_call_was_on_both_sides_and_a_recording_ends_with_it(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        await talk(host, guest, until=lambda: guest.seen.pictures)
        await eventually(lambda: host.conversation.since_s and guest.conversation.since_s)
        path = guest.stage.record(tmp_path, lambda: "call.mp4")
        guest.conversation.look()
        await eventually(lambda: host.conversation.company.theirs.recording)  # type: ignore[union-attr]
        shown = guest.stage.frames_shown
        await talk(host, guest, until=lambda: guest.stage.frames_shown > shown + 40)
        await host.conversation.hang_up()
        await eventually(lambda: guest.phase is Phase.PEER_LEFT and guest.stage.recorded)
        assert guest.stage.recorded == path
        for side in (host, guest):
            summary = side.conversation.summary
            assert summary is not None
            assert summary.seconds > 1
            assert summary.up_bytes > 500
            assert summary.down_bytes > 500


async def test_without_a_page_the_other_end_calls_again_after_it_was_hung_up_on(tmp_path: Path) -> None:
    host = Side(None, tmp_path)
    await host.conversation.start()
    guest = Side(host.conversation.invitation, tmp_path, page=False)
    guest.stage.viewer = None
    try:
        await guest.conversation.start()
        await eventually(lambda: host.phase is Phase.TALKING)
        await host.conversation.hang_up()
        await eventually(lambda: host.conversation.ringing)
        assert host.conversation.text == "Your peer is calling you again."
        await asyncio.sleep(0)
        await host.conversation.again()
        await eventually(lambda: host.conversation.calls == 2 and host.phase is Phase.TALKING)
    finally:
        await guest.conversation.close()
        await host.conversation.close()
