"""Two conversations in one process, over real ICE, DTLS and SCTP on loopback, with the engine of the rtc tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakeEngine, colour_at
from pair import CONFIG
from waiting import eventually, real_time

from call.conversation import Conversation
from call.options import CallOptions, Invitation
from call.stage import Stage
from call.words import Phase
from talkcodec.peer.signalling import WhipConfig
from talkcodec.types import Picture


@dataclass
class Watcher:
    """A viewer that remembers."""

    pictures: list[Picture] = field(default_factory=list)
    own: list[Picture] = field(default_factory=list)
    sound: list[tuple[Any, float]] = field(default_factory=list)

    def show(self, picture: Picture) -> None:
        self.pictures.append(picture)

    def show_self(self, picture: Picture) -> None:
        self.own.append(picture)

    def play(self, samples: Any, due_s: float) -> None:
        self.sound.append((samples, due_s))


class Side:
    """One engine: conversation, stage, and what its page would show."""

    def __init__(self, invitation: Invitation | None, folder: Path, **options: Any) -> None:
        self.stage, self.seen = Stage(), Watcher()
        self.stage.viewer = self.seen
        self.engine = FakeEngine()
        options = {"whip": WhipConfig(port=0)} | options
        settings = CallOptions(invitation=invitation, peer=CONFIG, record_dir=folder, redial_s=0.1, **options)
        self.conversation = Conversation(self.engine, settings, self.stage)  # type: ignore[arg-type]

    @property
    def phase(self) -> Phase:
        return self.conversation.phase


async def talk(*sides: Side, until: Callable[[], Any], timeout_s: float = 120.0, fps: float = 25.0) -> None:
    """Capture frames on these sides in real time until the condition holds."""

    async def capture() -> None:
        async for now_s in real_time(fps):
            for side in sides:
                side.stage.capture(colour_at(now_s), now_s)

    task = asyncio.create_task(capture())
    try:
        await eventually(until, timeout_s)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def mean_of(picture: Picture) -> float:
    """Channel 0 of the upper half, which no mark covers."""
    return float(np.mean(picture[: picture.shape[0] // 2, :, 0]))


@asynccontextmanager
async def two_sides(folder: Path) -> AsyncIterator[tuple[Side, Side]]:
    host = Side(None, folder)
    await host.conversation.start()
    assert host.conversation.invitation is not None
    guest = Side(host.conversation.invitation, folder)
    try:
        await guest.conversation.start()
        await eventually(lambda: host.phase is Phase.TALKING and guest.phase is Phase.TALKING)
        yield host, guest
    finally:
        for side in (guest, host):
            await side.conversation.close()
            side.stage.close()
