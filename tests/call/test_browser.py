"""The call in real headless Chromium: fake devices fed with the sample clip, two pages, two engine processes.

Nothing here is timed: each step waits for its effect, for minutes if the machine is busy.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from chrome import Chrome, Tab, browser, chromium
from engines import PATIENCE_S, engine, until
from skimage.metrics import structural_similarity
from waiting import eventually

from talkcodec.codec import FaceCropper
from talkcodec.media import MediaReader
from talkcodec.sample import sample_path
from talkcodec.types import Picture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(chromium() is None, reason="needs Chromium (apt-get install chromium)"),
]

REMEMBER_CONNECTIONS = """
const Native = RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = function (...given) {
  const made = new Native(...given);
  window.connections.push(made);
  return made;
};
"""
GRAB = """(() => {
  const video = document.querySelector('%s');
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  return canvas.toDataURL('image/png');
})()"""
HEARD = """connections.at(-1).getStats().then((report) =>
  [...report.values()].some((row) => row.type === 'inbound-rtp' && row.kind === 'audio' && row.totalAudioEnergy > 0))"""

BUDGET = """fetch('/api/status', { headers: { Authorization: `Bearer ${sessionStorage.getItem('key')}` } })
  .then((response) => response.json()).then((status) => status.budget_kbps)"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as motion JPEG, which Chromium's fake camera plays in a loop."""
    path = tmp_path_factory.mktemp("clip") / "camera.mjpeg"
    with av.open(str(path), "w", format="mjpeg") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.qmin = stream.codec_context.qmax = 4
        for frame in MediaReader(sample_path()):
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame.picture, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


@asynccontextmanager
async def page(chrome: Chrome, address: str) -> AsyncIterator[Tab]:
    tab = await chrome.tab()
    await tab.send("Page.addScriptToEvaluateOnNewDocument", source=REMEMBER_CONNECTIONS)
    await tab.goto(address)
    yield tab


async def grab(tab: Tab, selector: str = "#peer") -> Picture:
    """What is shown there; (0, 0, 3) as long as there is nothing."""
    data = base64.b64decode((await tab.js(GRAB % selector)).split(",")[1])
    if not data:
        return np.zeros((0, 0, 3), np.uint8)
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1])


async def wait_for_change(tab: Tab, first: Picture) -> Picture:
    async def changed() -> list[Picture]:
        picture = await grab(tab)
        return [picture] if picture.shape == first.shape and np.abs(picture.astype(int) - first).mean() > 1.0 else []

    (picture,) = await eventually(changed, PATIENCE_S, "a change of the picture")
    return np.asarray(picture)


def likeness(shown: Picture, sent: list[Picture]) -> float:
    """SSIM with the frame of the clip that fits best; the lower quarter, where the mark stands, is left out."""
    height = shown.shape[0] * 3 // 4
    return max(structural_similarity(shown[:height], frame[:height], channel_axis=2) for frame in sent)


async def wait_for_likeness(tab: Tab, selector: str, sent: list[Picture]) -> Picture:
    """A picture that resembles the clip; the very first ones may come from a camera that has not opened its eyes."""

    async def resembles() -> list[Picture]:
        picture = await grab(tab, selector)
        return [picture] if picture.shape == sent[0].shape and likeness(picture, sent) > 0.6 else []

    (picture,) = await eventually(resembles, PATIENCE_S, "a picture that resembles the sent ones")
    return np.asarray(picture)


async def test_two_people_call_each_other(clip: Path) -> None:
    cropper = FaceCropper(64)
    sent = [cropper.crop(frame.picture, frame.time_s).picture for frame in MediaReader(sample_path())]
    with engine() as host, engine(host["invitation"]) as guest:
        async with browser(clip) as chrome, page(chrome, host["page"]) as ann, page(chrome, guest["page"]) as bob:
            tabs = (ann, bob)
            for tab in tabs:
                assert "#" not in await tab.js("location.href"), "the key stays in the address line"
                await until(tab, "document.querySelector('#lobby').open")
                await until(tab, "!document.querySelector('#join').disabled")
                await tab.click("#join")
            for tab in tabs:
                await until(
                    tab, "document.querySelector('#peer').videoWidth > 0 && !document.querySelector('#peer').hidden"
                )
                assert await tab.js("document.querySelector('#state-text').textContent")

            for tab in tabs:  # pictures change, and show what the other's camera sees
                shown = await wait_for_likeness(tab, "#peer", sent)
                assert likeness(shown, sent) > likeness(np.ascontiguousarray(shown[::-1]), sent) + 0.2
                await wait_for_change(tab, shown)

            for tab in tabs:  # rate and sound arrive
                await until(tab, "Number(document.querySelector('#up').textContent) > 0")
                await until(tab, "Number(document.querySelector('#down').textContent) > 0")
                await until(tab, "Number(document.querySelector('#conventional').textContent) > 8")  # 9.0 at least
                for line in ("up", "down"):
                    await until(tab, f"document.querySelector('#plot polyline.{line}')")
                await until(tab, HEARD)

            await ann.click("#view")  # oneself, as the peer sees it
            await until(ann, "document.querySelector('#self-caption').textContent === 'As your peer sees you'")
            await wait_for_likeness(ann, "#own-generated", sent)

            await ann.click("#mute")
            await until(ann, "document.querySelector('#mute').getAttribute('aria-pressed') === 'true'")
            assert await ann.js("document.querySelector('#own-camera').srcObject.getAudioTracks()[0].enabled") is False
            await ann.click("#mute")
            await until(ann, "document.querySelector('#mute').getAttribute('aria-pressed') === 'false'")

            assert await ann.js("document.querySelector('#limit').value") == "20", "as the command line says"
            assert await ann.js("document.querySelector('#limit').labels[0].textContent") == "You send at most"
            await ann.js("document.querySelector('#limit').focus()")
            for _ in range(2):  # from 20 over 40 to 80
                await ann.send("Input.dispatchKeyEvent", type="rawKeyDown", key="ArrowDown", windowsVirtualKeyCode=40)
                await ann.send("Input.dispatchKeyEvent", type="keyUp", key="ArrowDown", windowsVirtualKeyCode=40)
            await until(ann, f"Promise.resolve({BUDGET}).then((kbps) => kbps === 80)")  # the engine took it
            await until(ann, "Number(document.querySelector('#conventional').textContent) > 0")
            assert await bob.js(BUDGET) == 20, "each side sets its own"

            await ann.send("Page.reload")  # the page comes back by itself, the call goes on
            await until(ann, "window.connections?.length > 0 && document.querySelector('#peer').videoWidth > 0")
            await wait_for_change(ann, await grab(ann))
            await wait_for_change(bob, await grab(bob))

            await bob.click("#hang-up")
            await until(bob, "document.body.dataset.phase === 'ended'")
            await until(ann, "document.body.dataset.phase === 'peer-left'")
            assert await ann.js("document.querySelector('#empty-text').textContent") == "Your peer left the call."
            assert await ann.js("document.querySelector('#peer').hidden") is True

            for tab in (bob, ann):  # and the same link serves again
                await until(tab, "!document.querySelector('#again').disabled")
                await tab.click("#again")
            for tab in tabs:
                await until(tab, "['talking', 'bad-network'].includes(document.body.dataset.phase)")
                assert await tab.js("document.body.dataset.place") == "call"
            assert ann.errors == bob.errors == []


async def test_a_busy_machines_smaller_camera_picture_shows_all_that_the_camera_shows(clip: Path) -> None:
    """Regression: every size was asked for in 4:3, and the browser cut the sides off a camera of another shape."""
    with engine() as host:
        async with browser(clip) as chrome, page(chrome, host["page"]) as tab:
            await until(tab, "document.querySelector('#lobby').open && !document.querySelector('#join').disabled")
            await tab.js(
                "import('/devices.js').then(({ Devices }) => (window.devices = new Devices()).open())"
            )
            size = "(({ width, height }) => `${width} x ${height}`)(devices.stream.getVideoTracks()[0].getSettings())"
            await until(tab, f"{size} === '256 x 256'")
            for asked, shown in ((640, 256), (320, 256), (128, 128), (640, 256)):
                await until(tab, f"devices.adapt({asked}).then(() => {size} === '{shown} x {shown}')")


async def test_a_refused_camera_is_explained_and_one_can_still_join(clip: Path) -> None:
    with engine() as host:
        async with browser(clip, allow=False) as chrome, page(chrome, host["page"]) as tab:
            await until(tab, "document.querySelector('#lobby').open && !document.querySelector('#join').disabled")
            await tab.click("#join")
            await until(tab, "!document.querySelector('#problem').hidden")
            said = await tab.js("document.querySelector('#problem').innerText")
            assert "does not give out the camera" in said
            assert "address line" in said
            assert await tab.js("document.querySelector('#problem').getAttribute('role')") == "alert"
            await tab.click("#join-view")
            await until(tab, "!document.querySelector('#lobby').open")
            await until(tab, "document.body.dataset.phase === 'waiting'")
            assert host["invitation"] in await tab.js("document.querySelector('#link').value")


async def test_without_the_key_the_page_says_what_to_do() -> None:
    with engine() as host:
        async with browser() as chrome, page(chrome, host["page"].split("#")[0]) as tab:
            await until(tab, "document.body.dataset.phase === 'no-engine'")
            assert "Open the address" in await tab.js("document.querySelector('#lobby-peer').innerText")


async def test_every_control_has_a_name_and_can_be_reached_with_the_keyboard() -> None:
    with engine() as host:
        async with browser() as chrome, page(chrome, host["page"]) as tab:
            await until(tab, "document.querySelector('#lobby').open && !document.querySelector('#join').disabled")
            await tab.click("#join-view")
            await until(tab, "!document.querySelector('#lobby').open && document.body.dataset.phase === 'waiting'")
            tree = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
            names = [
                node["name"]["value"]
                for node in tree
                if node.get("role", {}).get("value") in ("button", "ToggleButton")
            ]
            for name in ("Mute", "Camera off", "As seen", "Keypoints", "New keyframe", "Record", "Hang up"):
                assert name in names, names
            assert all(names)
            reached = set()
            for _ in range(24):
                press = {"type": "rawKeyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
                await tab.send("Input.dispatchKeyEvent", **press)
                reached.add(await tab.js("document.activeElement.id"))
            assert {"mute", "camera", "view", "keypoints", "hang-up", "link", "copy"} <= reached
            width = await tab.js("document.documentElement.scrollWidth")
            await tab.look_like(390, 844, "dark", True)
            await until(tab, "innerWidth === 390")
            assert await tab.js("document.documentElement.scrollWidth") <= 390 < width
