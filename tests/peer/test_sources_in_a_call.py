"""Awkward files as a sender's source, through a whole call."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakeEngine, colour_at
from pair import CONFIG

from receiver.program import ReceiveOptions, ReceiveProgram
from sender.program import SendOptions, SendProgram
from talkcodec.command.exits import ExitCode
from talkcodec.media import Frame, MediaWriter
from talkcodec.media.sinks import NullSink
from talkcodec.media.sources import Capture, VideoFile
from talkcodec.peer.signalling import WhipConfig


class CountingSink(NullSink):
    pictures = 0

    def show(self, picture: Any) -> None:
        self.pictures += 1


async def test_a_film_of_half_a_frame_a_second_makes_a_call(tmp_path: Path) -> None:
    path = tmp_path / "slow.mp4"
    with MediaWriter(path, 64, 64, 0.5) as writer:
        for index in range(3):
            writer.write(colour_at(index), 2.0 * index)
    sink = CountingSink()
    app = ReceiveProgram(FakeEngine(), sink, ReceiveOptions(whip=WhipConfig(port=0, key="k"), once=True, quiet=True))
    listening = asyncio.Event()
    receiving = asyncio.create_task(app.run(lambda whip: listening.set()))
    await listening.wait()
    options = SendOptions(url=app.whip.url, key="k", peer=CONFIG, quiet=True, give_up_s=0.0)
    assert await SendProgram(FakeEngine(), VideoFile(path), options).run() is ExitCode.DONE
    assert await receiving is ExitCode.DONE
    assert sink.pictures >= 5


def test_what_goes_wrong_in_the_capture_thread_is_told() -> None:
    class Broken:
        name, fps, has_sound, live_sound = "broken", 25.0, False, False

        def frames(self) -> Any:
            yield Frame(np.zeros((64, 64, 3), np.uint8), 0.0)
            raise ZeroDivisionError("division by zero")

        def sound(self, from_s: float) -> Any:
            return iter(())

    capture = Capture(Broken())
    capture.start()
    assert capture.ended.wait(30)
    assert str(capture.error) == "broken cannot be read on: division by zero"
