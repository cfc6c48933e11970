"""Waiting, calling, talking, ending: two engines in one process."""

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest
from callpair import Side, mean_of, talk, two_sides
from waiting import eventually

from call.options import Invitation
from call.words import Phase
from talkcodec.errors import ConfigError
from talkcodec.peer.signalling import WhipConfig, WhipServer


async def test_both_see_each_other_and_one_can_see_itself(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        await talk(host, guest, until=lambda: len(host.seen.pictures) > 5 and len(guest.seen.pictures) > 5)
        levels = {round(mean_of(picture)) for picture in guest.seen.pictures}
        assert len(levels) > 1, "the picture never changed"
        assert not host.seen.own, "nobody looked at it, and it was generated all the same"
        host.stage.switches.self_view = True
        host.conversation.look()
        await talk(host, guest, until=lambda: len(host.seen.own) > 5)
        assert not guest.seen.own


async def test_every_picture_of_the_page_is_marked_as_generated(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        await talk(host, guest, until=lambda: guest.seen.pictures)
        picture = guest.seen.pictures[-1]
        plain = picture[0, 0]
        assert (picture[: picture.shape[0] // 2] == plain).all()
        corner = picture[-8:, : picture.shape[1] // 2].astype(int)
        assert np.abs(corner - plain.astype(int)).max() > 40


async def test_camera_off_sends_nothing_and_the_peer_is_told(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        await talk(host, until=lambda: guest.seen.pictures)
        host.stage.switches.camera = False
        sender = host.conversation.call.peer.sending  # type: ignore[union-attr]
        before = sender.frames_captured  # type: ignore[union-attr]
        await talk(host, until=lambda: guest.conversation.text.endswith("camera is off."))
        assert sender.frames_captured == before  # type: ignore[union-attr]
        assert guest.phase is Phase.TALKING
        host.stage.switches.camera = True
        await talk(host, until=lambda: guest.conversation.text == "You are in a call.")


async def test_another_budget_holds_at_once_and_in_the_next_call(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        host.conversation.spend(80.0)
        await talk(host, until=lambda: guest.seen.pictures)
        call = host.conversation.call
        assert call is not None
        assert call.peer.sending is not None
        assert call.peer.sound_sent == (0, 40), "as 48 kbit/s has it, with which a budget of 80 begins"
        most_bps = call.peer.aimed_bps
        host.conversation.spend(14.0)
        assert call.peer.sound_sent == (0, 120)
        assert most_bps is not None
        assert call.peer.aimed_bps is not None
        assert most_bps > 5 * call.peer.aimed_bps
        host.conversation.spend(80.0)
        with pytest.raises(ConfigError, match="8 to 2000"):
            host.conversation.spend(5.0)
        assert call.peer.config.budget_kbps == host.conversation.options.peer.budget_kbps == 80.0
        await guest.conversation.hang_up()
        await eventually(lambda: host.phase is Phase.PEER_LEFT)
        await guest.conversation.again()
        await eventually(lambda: host.phase is Phase.TALKING)
        assert host.conversation.call is not None
        assert host.conversation.call.peer.config.budget_kbps == 80.0


async def test_a_person_can_ask_for_a_new_keyframe(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        await talk(host, until=lambda: guest.seen.pictures)
        call = guest.conversation.call
        assert call is not None
        receiver = call.peer.receiving
        assert receiver is not None
        before = receiver.session.counts.keyframes
        call.peer.request_keyframe()
        await talk(host, until=lambda: receiver.session.counts.keyframes > before)


@pytest.mark.parametrize("who", ["host", "guest"])
async def test_hanging_up_ends_both_and_the_same_link_serves_again(tmp_path: Path, who: str) -> None:
    async with two_sides(tmp_path) as (host, guest):
        first, other = (host, guest) if who == "host" else (guest, host)
        await first.conversation.hang_up()
        assert first.phase is Phase.ENDED
        await eventually(lambda: other.phase is Phase.PEER_LEFT)
        assert other.conversation.text == "Your peer left the call."
        assert other.conversation.call is None
        await host.conversation.again()
        await guest.conversation.again()
        await eventually(lambda: host.conversation.calls == 2 and guest.conversation.calls == 2)


async def test_after_hanging_up_callers_are_told_that_nobody_is_there(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        await host.conversation.hang_up()
        await eventually(lambda: guest.phase is Phase.PEER_LEFT)
        await guest.conversation.again()
        await eventually(lambda: "busy" in guest.conversation.text)
        assert guest.phase is Phase.CALLING
        await host.conversation.again()
        await eventually(lambda: guest.conversation.calls == 2)


async def test_a_peer_that_vanishes_without_a_word_is_lost_and_may_come_back(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        assert guest.conversation.call is not None
        await guest.conversation.call.connection.close()
        await eventually(lambda: host.conversation.calls == 2 and guest.conversation.calls == 2)
        await talk(host, until=lambda: guest.phase is Phase.TALKING)


async def test_a_wrong_key_is_explained_and_a_third_caller_is_busy(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, _):
        assert host.conversation.invitation is not None
        stranger = Side(Invitation(host.conversation.invitation.url, "wrong"), tmp_path)
        third = Side(host.conversation.invitation, tmp_path)
        try:
            await stranger.conversation.start()
            await eventually(lambda: stranger.phase is Phase.FAILED)
            assert "refused" in stranger.conversation.text
            await third.conversation.start()
            await eventually(lambda: "busy" in third.conversation.text)
            assert host.conversation.call is not None
        finally:
            for side in (stranger, third):
                await side.conversation.close()


async def test_another_model_is_explained_on_both_sides(tmp_path: Path) -> None:
    host = Side(None, tmp_path)
    await host.conversation.start()
    guest = Side(host.conversation.invitation, tmp_path)
    guest.engine.model_hash = b"g" * 32
    try:
        await guest.conversation.start()
        await eventually(lambda: guest.phase is Phase.FAILED and host.phase is Phase.FAILED)
        for side in (host, guest):
            assert "do not fit together" in side.conversation.text
    finally:
        await guest.conversation.close()
        await host.conversation.close()


async def test_the_caller_waits_for_a_peer_that_is_not_there_yet(tmp_path: Path, unused_tcp_port: int) -> None:
    guest = Side(Invitation(f"http://127.0.0.1:{unused_tcp_port}/whip", "key"), tmp_path)
    try:
        await guest.conversation.start()
        await eventually(lambda: "Nobody answers yet" in guest.conversation.text)
        assert guest.phase is Phase.CALLING
    finally:
        await guest.conversation.close()


async def test_a_recording_says_that_the_face_is_generated_and_nothing_else_is_kept(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (host, guest):
        await talk(host, until=lambda: guest.seen.pictures)
        assert list(tmp_path.iterdir()) == []
        path = guest.stage.record(tmp_path, lambda: "call.mp4")
        seen = len(guest.seen.pictures)
        await talk(host, until=lambda: len(guest.seen.pictures) > seen + 10)
        assert await asyncio.to_thread(guest.stage.stop_recording) == path
        with av.open(str(path)) as film:
            assert "generated" in film.metadata["comment"]
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(frames) >= 5
        corner = frames[0][-8:, : frames[0].shape[1] // 2].astype(int)
        assert corner.max() - corner.min() > 60, "the mark is not in the picture"
        assert [entry.name for entry in tmp_path.iterdir()] == ["call.mp4"]


def test_a_link_keeps_its_key_in_the_fragment() -> None:
    link = "https://example.org:8443/whip#a-key_1"
    invitation = Invitation.parse(f" {link} ")
    assert invitation == Invitation("https://example.org:8443/whip", "a-key_1")
    assert str(invitation) == link
    for bad in ("", "example.org", "ftp://x/whip#k", "http://x/whip", "http://x/whip#", "http:///whip#k"):
        with pytest.raises(ConfigError, match="copy all of it"):
            Invitation.parse(bad)


async def test_an_invitation_of_all_addresses_names_one(tmp_path: Path) -> None:
    side = Side(None, tmp_path, whip=WhipConfig(host="0.0.0.0", port=0))
    await side.conversation.start()
    try:
        assert side.conversation.invitation is not None
        assert "//0.0.0.0" not in side.conversation.invitation.url
        assert side.conversation.reachable
    finally:
        await side.conversation.close()


def test_invitations_carry_keys_that_cannot_be_guessed(tmp_path: Path) -> None:
    async def nothing(*_: object) -> str:
        return ""

    keys = {WhipServer(WhipConfig(port=0), nothing, nothing).key for _ in range(20)}  # type: ignore[arg-type]
    assert len(keys) == 20
    assert all(len(key) >= 20 for key in keys)
