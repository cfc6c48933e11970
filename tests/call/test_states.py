"""What the page says and does in each state, in real Chromium: before the call, alone, over, without an engine."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import pytest
from chrome import Chrome, Tab, browser, chromium
from engines import engine, until
from waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(chromium() is None, reason="needs Chromium (apt-get install chromium)"),
]

HOSTILE = "</li><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
LIVE = """['#own-camera', '#preview-video'].some((name) =>
  document.querySelector(name).srcObject?.getTracks().some((track) => track.readyState === 'live'))"""
NOT_COVERED = """(() => {
  const self = document.querySelector('#self').getBoundingClientRect();
  return ['#copy', '#link', '#invite-note', '#empty-title', '#empty-text'].every((name) => {
    const box = document.querySelector(name).getBoundingClientRect();
    return box.width > 0 && (box.right <= self.left || box.left >= self.right
      || box.bottom <= self.top || box.top >= self.bottom);
  });
})()"""


def phase(*names: str) -> str:
    return f"{json.dumps(names)}.includes(document.body.dataset.phase)"


def place(name: str) -> str:
    return f"document.body.dataset.place === '{name}'"


def text(selector: str) -> str:
    return f"document.querySelector('{selector}').textContent"


@asynccontextmanager
async def at(chrome: Chrome, address: str) -> AsyncIterator[Tab]:
    tab = await chrome.tab(address)
    await ready(tab)
    yield tab
    assert tab.errors == []


async def ready(tab: Tab) -> None:
    await until(tab, "document.querySelector('#lobby')?.open && document.querySelector('#join')?.disabled === false")


async def join(tab: Tab, name: str = "") -> None:
    await until(tab, "document.querySelector('#preview-video').srcObject")
    await tab.js(f"document.querySelector('#name').value = {json.dumps(name)}")
    await tab.click("#join")
    await until(tab, place("call"))


async def press_key(tab: Tab, key: str) -> None:
    code = {"Tab": 9, "Escape": 27, "Enter": 13, " ": 32}.get(key, ord(key.upper()[0]))
    typed = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
    await tab.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **typed)
    await tab.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)


async def test_before_joining_one_sees_oneself_chooses_and_starts_muted() -> None:
    with engine() as host:
        async with browser() as chrome, at(chrome, host["page"]) as tab:
            await until(tab, "document.querySelector('#preview-video').videoWidth > 0")
            assert await tab.js(text("#lobby-peer")) == "Nobody has called yet. You can join and wait."
            for kind in ("camera", "microphone", "speaker"):
                await until(tab, f"document.querySelector('#choose-{kind} option')?.textContent")
            await until(tab, "document.querySelector('#level').value > 0.05")  # the fake microphone beeps
            second = "document.querySelectorAll('#choose-microphone option')[1]"
            chosen = await tab.js(f"{second}.value")
            await tab.js(
                f"document.querySelector('#choose-microphone').value = {json.dumps(chosen)}, "
                "document.querySelector('#choose-microphone').dispatchEvent(new Event('change'))"
            )
            await until(tab, "document.querySelector('#preview-video').srcObject?.active")
            await tab.click("#start-microphone")
            assert await tab.js(text("#start-microphone")) == "Microphone off"
            await join(tab, "Ann")
            await until(tab, pressed("#mute", True))
            assert await tab.js("document.querySelector('#own-camera').srcObject.getAudioTracks()[0].enabled") is False
            await tab.js("sessionStorage.removeItem('joined')")
            await tab.send("Page.reload")  # kept for next time
            await ready(tab)
            assert await tab.js("document.querySelector('#name').value") == "Ann"
            await until(tab, f"document.querySelector('#choose-microphone').value === {json.dumps(chosen)}")


async def test_joining_without_devices_before_they_opened_leaves_them_off() -> None:
    with engine() as host:
        async with browser() as chrome, at(chrome, host["page"]) as tab:
            slow = "navigator.mediaDevices.getUserMedia"
            await tab.js(
                f"(() => {{ const real = {slow}.bind(navigator.mediaDevices); window.answer = null; window.given = [];"
                f"{slow} = (wish) => new Promise((done) => {{ window.answer = () => real(wish).then((stream) => "
                "{ window.given.push(stream); done(stream); }); }); })()"
            )
            await tab.js("document.querySelector('#choose-camera').dispatchEvent(new Event('change'))")
            await until(tab, "window.answer")
            await tab.click("#join-view")
            await until(tab, place("call"))
            await tab.js("window.answer()")
            await until(tab, "given.length && given[0].getTracks().every((track) => track.readyState === 'ended')")
            assert not await tab.js(LIVE)


async def test_a_refusal_that_comes_late_says_nothing_over_what_was_asked_since() -> None:
    """Regression: it stood over the buttons while they were off, and a click on them then did nothing."""
    with engine() as host:
        async with browser() as chrome, at(chrome, host["page"]) as tab:
            await tab.js(
                "navigator.mediaDevices.getUserMedia = () => new Promise((_, refuse) => { "
                "(window.refuse ??= []).push(() => refuse(new DOMException('no', 'NotAllowedError'))); })"
            )
            await tab.js("document.querySelector('#choose-camera').dispatchEvent(new Event('change'))")
            await until(tab, "window.refuse?.length === 1")
            await tab.click("#join")
            await until(tab, "refuse.length === 2")
            assert await tab.js("refuse[0](), new Promise((done) => setTimeout(() => done(problem.hidden), 0))")
            await tab.js("refuse[1]()")
            await until(tab, "!document.querySelector('#problem').hidden")
            assert not await tab.js("document.querySelector('#join-view').disabled")
            await tab.click("#join-view")
            await until(tab, place("call"))


async def test_an_answer_from_before_an_order_is_no_news() -> None:
    """Regression: with 'peer-left' from before 'call again' the page left the new call at once."""
    with engine() as host:
        async with browser() as chrome, at(chrome, host["page"]) as tab:
            await join(tab)
            await tab.click("#hang-up")
            await until(tab, phase("ended") + " && !document.querySelector('#again').disabled")
            await tab.js(
                "(() => { const real = window.fetch; window.late = null; window.fetch = async (path, given) => {"
                "const answer = await real(path, given);"
                "const held = String(path).includes('/api/status') && !window.late;"
                "if (held) await new Promise((go) => { window.late = go; });"
                "return answer; }; })()"
            )
            await until(tab, "window.late")
            await tab.click("#again")
            await until(tab, place("call"))
            await tab.js("window.late()")
            await until(tab, phase("waiting"))
            assert await tab.js("document.body.dataset.place") == "call"
            assert await tab.js(LIVE)


async def test_alone_then_together_then_one_end_screen_on_both_sides(tmp_path: Path) -> None:
    with (
        engine("--record-dir", str(tmp_path), "--name", "Ann") as host,
        engine(host["invitation"]) as guest,
    ):
        async with browser() as chrome, at(chrome, host["page"]) as ann, at(chrome, guest["page"]) as bob:
            await join(ann)
            await until(ann, phase("alone"))
            assert await ann.js(text("#empty-title")) == "Your peer is not at the page yet"
            assert await ann.js("document.querySelector('#clock').hidden")
            await until(bob, f"{text('#lobby-peer')} === 'Ann is there and waits for you.'")
            await join(bob, HOSTILE[:40])
            for tab in (ann, bob):
                await until(tab, "!document.querySelector('#peer').hidden && !document.querySelector('#clock').hidden")
                await until(tab, "Number(document.querySelector('#headline-number').textContent) > 0")
                await until(tab, "document.querySelector('#quality').dataset.bars > 0")
                await until(tab, "document.querySelector('#plot .mark')")  # the first keyframe's
            assert HOSTILE[:40].strip() in await ann.js(text("#state-text"))

            for tab in (ann, bob):
                await tab.click("#chat")
            for line in (HOSTILE, "x" * 300, "a\u202eb\u0007c"):
                await until(bob, "!document.querySelector('#line').disabled")
                await bob.js(f"document.querySelector('#line').value = {json.dumps(line)}")
                await bob.js("document.querySelector('#write').requestSubmit()")
                await until(bob, "document.querySelector('#line').value === ''")
            await until(ann, "document.querySelectorAll('#lines li').length === 3")
            said = await ann.js("[...document.querySelectorAll('#lines li span')].map((line) => line.textContent)")
            assert said == [HOSTILE, "x" * 256, "a b c"]
            for tab in (ann, bob):
                assert await tab.js("document.querySelectorAll('#lines img, #lines script').length") == 0
                assert await tab.js("document.title") != "owned"

            await ann.click("#record")
            await until(bob, "!document.querySelector('#recorded-by-peer').hidden")
            assert "Ann records this call" in await bob.js(text("#recorded-by-peer"))
            await until(ann, "Number(document.querySelector('#clock').textContent.split(':')[1]) > 4")

            await bob.click("#hang-up")
            for tab, why in ((bob, "You hung up."), (ann, "left the call.")):
                await until(tab, phase("ended", "peer-left"))
                await until(tab, f"{text('#empty-title')} === 'The call is over'")
                assert (await tab.js(text("#empty-text"))).endswith(why)
                assert (await tab.js("document.body.innerText")).count("You hung up") <= 1
                await until(tab, "!document.querySelector('#totals').hidden")
                assert float(await tab.js(text("#total-data"))) > 0
                assert re.fullmatch(r"\d+:\d\d", await tab.js(text("#total-time")))
                assert not await tab.js(LIVE), "the camera is still on"
                assert await tab.js("document.querySelector('#hang-up').disabled")
                assert await tab.js(text("#again")) == "Call again"
            (film,) = tmp_path.glob("talkcodec-*.mp4")
            await until(ann, "!document.querySelector('#saved').hidden")
            assert str(film) in await ann.js(text("#saved-text"))
            await ann.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "kept"))
            await ann.click("#save")
            kept = tmp_path / "kept" / film.name
            await eventually(lambda: kept.is_file() and kept.stat().st_size == film.stat().st_size)
            with av.open(str(kept)) as copy:
                assert "generated" in copy.metadata["comment"]
                assert sum(1 for _ in copy.decode(video=0)) > 1

            await bob.click("#again")
            await until(ann, f"{text('#again')} === 'Answer'")
            assert not await ann.js(LIVE), "a call from outside must not open the camera"
            await ann.click("#again")
            for tab in (ann, bob):
                await until(tab, "!document.querySelector('#peer').hidden")
                assert await tab.js("document.querySelectorAll('#lines li').length") == 0


UNSEEN = """
window.rung = [];
window.Notification = class {
  static permission = 'granted';
  constructor(text) { rung.push(text); }
};
Object.defineProperty(Document.prototype, 'hidden', { get: () => window.unseen ?? true });
"""


def pressed(button: str, on: bool) -> str:
    return f"document.querySelector('{button}').getAttribute('aria-pressed') === '{str(on).lower()}'"


async def test_full_screen_a_window_and_word_when_they_come() -> None:
    with engine() as host, engine(host["invitation"]) as guest:
        async with browser() as chrome:
            ann = await chrome.tab()
            await ann.send("Page.addScriptToEvaluateOnNewDocument", source=UNSEEN)
            await ann.goto(host["page"])
            await ready(ann)
            await join(ann)
            await until(ann, phase("alone"))
            assert await ann.js("rung") == []
            async with at(chrome, guest["page"]) as bob:
                await join(bob, "Bob")
                await until(ann, "rung.length > 0 && document.title.startsWith('● ')")
                assert await ann.js("rung") == ["Bob is here"]
                await until(ann, "!document.querySelector('#peer').hidden")
                await ann.click("#full")
                await until(ann, "document.fullscreenElement?.id === 'call'")
                await until(ann, pressed("#full", True))
                await ann.click("#full")
                await until(ann, "!document.fullscreenElement")
                await until(ann, pressed("#full", False))
                await ann.click("#pip")
                await until(ann, "document.pictureInPictureElement?.id === 'peer'")
                await until(ann, pressed("#pip", True))
                await ann.click("#pip")
                await until(ann, "!document.pictureInPictureElement")
                await until(ann, pressed("#pip", False))
                await ann.js(
                    "document.querySelector('#peer').requestPictureInPicture = "
                    "() => Promise.reject(new Error('none here'))"
                )
                await ann.click("#pip")
                said = "document.querySelector('#notice').textContent === 'The browser gives no window: none here'"
                await until(ann, said)
                now = await ann.js(text("#clock"))
                await until(ann, f"{text('#clock')} !== {json.dumps(now)}")
                assert await ann.js(said), "the next second's status wrote over what went wrong"
            assert ann.errors == []


async def test_a_newer_tab_takes_over_at_once_and_the_older_says_so() -> None:
    with engine() as host:
        async with browser() as chrome, at(chrome, host["page"]) as old:
            await join(old)
            async with at(chrome, host["page"]) as new:
                await join(new)
                await until(old, place("elsewhere"))
                assert await old.js(text("#empty-title")) == "The call is open in another tab"
                assert not await old.js(LIVE)
                assert await old.js("document.querySelector('#mute').disabled")
                await until(new, phase("waiting"))
                await old.click("#again")  # and back
                await until(old, place("call"))
                await until(new, place("elsewhere"))


async def test_an_engine_that_is_gone_is_told_in_the_page_and_nothing_old_stays() -> None:
    async with browser() as chrome:
        with engine() as host:
            tab = await chrome.tab(host["page"])
            await ready(tab)
            await join(tab)
            await until(tab, "!document.querySelector('#invite').hidden")
            waiting = await chrome.tab(host["page"])
            await ready(waiting)
        await until(tab, place("gone"))
        assert "Start it again" in await tab.js(text("#empty-text"))
        assert await tab.js("document.querySelector('#invite').hidden")
        assert await tab.js("[...document.querySelectorAll('#controls button:not(#chat)')].every((b) => b.disabled)")
        assert await tab.js(text("#headline-number")) == "–"
        assert not await tab.js(LIVE)
        await until(waiting, "document.querySelector('#lobby').classList.contains('lost')")
        assert "Start it again" in await waiting.js(text("#lobby-peer"))
        assert not await waiting.js("document.querySelector('#join').checkVisibility()")


async def test_a_wrong_link_is_explained_once() -> None:
    with engine() as host, engine(host["invitation"][:-3]) as guest:
        async with browser() as chrome, at(chrome, guest["page"]) as tab:
            await until(tab, f"{text('#lobby-peer')}.includes('Ask your peer for a new one')")
            await tab.click("#join-view")
            await until(tab, place("call") + " || " + place("away"))
            await until(tab, f"{text('#empty-text')}.includes('Ask your peer for a new one')")
            said = await tab.js("document.querySelector('main').innerText + document.querySelector('header').innerText")
            assert said.count("Ask your peer for a new one") == 1, said


async def test_at_a_phones_width_nothing_covers_the_invitation() -> None:
    with engine() as host:
        async with browser() as chrome, at(chrome, host["page"]) as tab:
            await tab.look_like(390, 844, mobile=True)
            assert await tab.js("document.documentElement.scrollWidth") <= 390
            await join(tab)
            await until(tab, "!document.querySelector('#invite').hidden && !document.querySelector('#self').hidden")
            await until(tab, NOT_COVERED)
            assert await tab.js("document.documentElement.scrollWidth") <= 390
            await tab.click("#chat")  # where one reads it without scrolling, and can be closed with a finger
            assert await tab.js(
                "(() => { const box = document.querySelector('#chat-panel').getBoundingClientRect();"
                "return box.top >= 0 && box.bottom <= innerHeight; })()"
            )
            await tab.click("#chat-close")
            assert await tab.js("document.querySelector('#chat-panel').hidden")
            await tab.look_like(1200, 780)
            await until(tab, f"innerWidth === 1200 && {NOT_COVERED}")


async def test_with_the_keyboard_alone_and_every_control_has_a_name() -> None:
    with engine() as host:
        async with browser() as chrome, at(chrome, host["page"]) as tab:
            await until(tab, "document.querySelector('#preview-video').srcObject")
            for _ in range(12):
                if await tab.js("document.activeElement.id") == "join":
                    break
                await press_key(tab, "Tab")
            assert await tab.js("document.activeElement.id") == "join"
            await press_key(tab, "Enter")
            await until(tab, place("call"))
            await press_key(tab, "m")
            await until(tab, pressed("#mute", True))
            await press_key(tab, "?")
            await until(tab, "document.querySelector('#keys').open")
            assert await tab.js("document.querySelectorAll('#key-list kbd').length") == 9
            await press_key(tab, "m")  # keys do nothing under a dialog
            await press_key(tab, "Escape")
            await until(tab, "!document.querySelector('#keys').open")
            assert await tab.js("document.querySelector('#mute').getAttribute('aria-pressed')") == "true"
            await press_key(tab, "c")
            await until(tab, "!document.querySelector('#chat-panel').hidden")
            tree = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
            wanted = ("button", "ToggleButton", "textbox", "combobox", "meter", "log", "toolbar", "image", "video")
            named = [
                (node["role"]["value"], node.get("name", {}).get("value", ""))
                for node in tree
                if not node["ignored"] and node.get("role", {}).get("value") in wanted
            ]
            assert all(name for _, name in named), named
            names = {name for _, name in named}
            assert {"Unmute", "Camera off", "Chat", "Record", "Full screen", "Hang up", "Messages"} <= names, names
