"""Screenshots of a real call, to look at: python tests/call/screenshots.py FOLDER [MODEL].

call.png, over.png and invitation.png go into docs/. The only face in them is the packaged sample's.
"""

import asyncio
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "peer"))  # where the waiting is

from chrome import Tab, browser

ROOT = Path(__file__).parent.parent.parent
READY = "document.body.dataset.phase === 'talking' && !document.querySelector('#peer').hidden"


async def main(folder: Path, model: str) -> None:
    """The lobby, then the demo call: light, dark, on a phone."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ("-m", "call", "--demo", "--model", model)
    engine = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert engine.stdout is not None
        line = (await engine.stdout.readline()).decode()
        page = re.search(r"http\S+", line)
        assert page is not None, line
        async with browser() as chrome:
            tab = await chrome.tab()
            await tab.look_like(1200, 780)
            await tab.goto(page[0])
            await tab.until("document.querySelector('#preview-video').videoWidth > 0")
            await tab.screenshot(folder / "lobby.png")
            await tab.click("#join-view")
            await tab.until(READY, 300)
            await tab.until("Number(document.querySelector('#clock').textContent.split(':')[1]) > 40", 300)
            await shoot(tab, folder / "call.png", 1200, 780, "light")
            await tab.click("#hang-up")
            await tab.until("!document.querySelector('#totals').hidden", 60)
            await tab.screenshot(folder / "over.png")
            await tab.click("#again")
            await tab.until(READY, 300)
            await tab.click("#keypoints")
            await tab.click("#view")  # generating oneself too is half as much work again
            await tab.until("!document.querySelector('#self').hidden", 120)
            await shoot(tab, folder / "dark.png", 1200, 780, "dark")
            await shoot(tab, folder / "phone.png", 390, 844, "light")
    finally:
        engine.terminate()
        await engine.wait()
    await invitation(folder)


async def invitation(folder: Path) -> None:
    """What whoever opens the link sees, while the other waits."""
    command = ("-m", "call", "--name", "Ann", "--model", "untrained:tiny")
    engine = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert engine.stdout is not None
        await engine.stdout.readline()
        found = re.search(r"http[^\s']+", (await engine.stdout.readline()).decode())
        assert found is not None
        async with browser() as chrome:
            tab = await chrome.tab()
            await tab.look_like(1200, 720)
            await tab.goto(found[0])
            await tab.until("document.body.dataset.state === 'valid'")
            await tab.screenshot(folder / "invitation.png")
    finally:
        engine.terminate()
        await engine.wait()


async def shoot(tab: Tab, path: Path, width: int, height: int, scheme: str) -> None:
    """One screenshot, after the next status has been drawn at the new size."""
    await tab.look_like(width, height, scheme, mobile=width < 600)
    clock = await tab.js("document.querySelector('#clock').textContent")
    await tab.until(f"document.querySelector('#clock').textContent !== '{clock}'")
    await tab.screenshot(path, full=width < 600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "lite-256"))
