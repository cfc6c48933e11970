"""The programs themselves, both in this process: calls, refusals, restarts, exit codes, files."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fakes import FakeEngine, colour_at
from pair import CONFIG
from waiting import eventually

from receiver.program import ReceiveOptions, ReceiveProgram
from sender.program import SendOptions, SendProgram
from talkcodec.command.exits import ExitCode, exit_code_of
from talkcodec.errors import BusyError, ClosedError, MediaError, MismatchError, RefusedError, UsageError
from talkcodec.media import Frame, MediaWriter, SoundBlock, read_opus
from talkcodec.media.sinks import GENERATED, FileSink, NullSink, open_sink
from talkcodec.media.sources import VideoFile, WithMicrophone, open_source
from talkcodec.peer.config import LinkConfig
from talkcodec.peer.signalling import WhipConfig
from talkcodec.peer.webrtc import WebRtcConnection
from talkcodec.sample import sample_path
from talkcodec.types import Kind


class Colours:
    """A live source whose colour tells the time, until `over` is set; with the sample's sound if asked."""

    def __init__(self, sound: bool = False) -> None:
        self.name, self.fps, self.has_sound, self.over = "colours", 20.0, sound, False
        self.live_sound = False

    def frames(self) -> Iterator[Frame]:
        index = 0
        while not self.over:
            yield Frame(colour_at(index / self.fps), index / self.fps)
            index += 1

    def sound(self, from_s: float) -> Iterator[SoundBlock]:
        return (packet for packet in VideoFile(sample_path(), loop=True).sound(from_s))


class CountingSink(NullSink):
    def __init__(self) -> None:
        self.pictures = self.sounds = 0

    def show(self, picture: Any) -> None:
        self.pictures += 1

    def play(self, sound: Any) -> None:
        self.sounds += 1


class CountingFile(FileSink):
    pictures = sounds = 0

    def show(self, picture: Any) -> None:
        super().show(picture)
        self.pictures += picture.kind is not Kind.FROZEN

    def play(self, sound: Any) -> None:
        super().play(sound)
        self.sounds += self.pictures > 0


@asynccontextmanager
async def receiving(
    sink: Any = None, *, once: bool = False, engine: Any = None, **options: Any
) -> AsyncIterator[tuple[ReceiveProgram, "asyncio.Task[ExitCode]"]]:
    whip = WhipConfig(port=0, key="k")
    app = ReceiveProgram(
        engine or FakeEngine(), sink or CountingSink(), ReceiveOptions(whip=whip, once=once, quiet=True, **options)
    )
    task = asyncio.create_task(app.run())
    await eventually(lambda: app.whip.url)
    try:
        yield app, task
    finally:
        app.stop()
        await asyncio.gather(task, return_exceptions=True)


def sender_for(app: ReceiveProgram, source: Any = None, engine: Any = None, **options: Any) -> SendProgram:
    given = {"key": "k", "peer": CONFIG, "quiet": True, "give_up_s": 0.0, **options}
    return SendProgram(engine or FakeEngine(), source or Colours(), SendOptions(url=app.whip.url, **given))


async def test_call_with_sound_ends_with_its_source_and_both_programs_say_done(tmp_path: Path) -> None:
    sink = CountingSink()
    stats = tmp_path / "stats.jsonl"
    source = Colours(sound=True)
    async with receiving(sink, once=True, stats=stats) as (app, task):
        running = asyncio.create_task(sender_for(app, source).run())
        await eventually(lambda: sink.pictures > 10 and sink.sounds > 10 and len(stats.read_text().splitlines()) > 3)
        source.over = True
        assert await running is ExitCode.DONE
        assert await task is ExitCode.DONE
    rows = [json.loads(line) for line in stats.read_text().splitlines()]
    assert rows[-1]["wire_kbps_down"] > rows[-1]["payload_kbps_down"] > 0
    assert rows[-1]["lip_sync_ms_p95"] is not None


async def test_call_with_a_microphone_keeps_sound_and_pictures_together() -> None:
    sink = CountingSink()
    source = WithMicrophone(Colours(), "lavfi:sine=frequency=440,arealtime")
    assert source.has_sound
    async with receiving(sink, once=True) as (app, task):
        running = asyncio.create_task(sender_for(app, source, seconds=3.0).run())
        assert await running is ExitCode.DONE
        assert await task is ExitCode.DONE
    assert sink.pictures > 10
    assert sink.sounds > 20


def test_a_camera_without_a_microphone_calls_without_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeCapture:
        def __init__(self, index: int) -> None: ...

        def isOpened(self) -> bool:  # noqa: N802 (OpenCV's)
            return True

        def set(self, *what: object) -> None: ...

        def get(self, what: int) -> float:
            return 30.0

    monkeypatch.setattr("cv2.VideoCapture", FakeCapture)
    monkeypatch.setattr("talkcodec.media.microphone._ALSA_CONFIGURATION", "/nowhere")
    assert not open_source("camera", loop=False, microphone="").has_sound
    with pytest.raises(MediaError, match="no microphone lavfi:nonsense"):
        open_source("camera", loop=False, microphone="lavfi:nonsense")
    assert open_source("camera", loop=False, microphone="lavfi:sine").has_sound


async def test_second_caller_is_refused_while_the_first_talks() -> None:
    async with receiving() as (app, _):
        first = sender_for(app)
        running = asyncio.create_task(first.run())
        await eventually(lambda: app.sink.pictures > 3)
        second = SendProgram(FakeEngine(), Colours(), replace(first._options, give_up_s=0.0))
        with pytest.raises(BusyError) as caught:
            await second.call(lambda text: None)
        assert exit_code_of(caught.value) is ExitCode.REFUSED
        before = app.sink.pictures
        await eventually(lambda: app.sink.pictures > before + 3)
        first.stop()
        assert await running is ExitCode.INTERRUPTED


async def test_wrong_key_is_refused_at_once() -> None:
    async with receiving() as (app, _):
        with pytest.raises(RefusedError):
            await sender_for(app, key="wrong", give_up_s=60.0).run()


async def test_mismatch_ends_both_with_their_code() -> None:
    async with receiving(once=True) as (app, task):
        with pytest.raises(MismatchError, match="model differs") as caught:
            await sender_for(app, engine=FakeEngine(b"other" * 7)).run()
        assert exit_code_of(caught.value) is ExitCode.MISMATCH
        assert await task is ExitCode.MISMATCH


async def test_sender_that_was_killed_may_call_again() -> None:
    async with receiving(takeover_s=0.3) as (app, _):
        first = asyncio.create_task(sender_for(app).call(lambda text: None))
        await eventually(lambda: app.sink.pictures > 3)
        call = app.peer
        assert call is not None
        # Killed, as far as the receiver can tell: nothing comes any more and no goodbye was said.
        connection = call.connection
        assert isinstance(connection, WebRtcConnection)
        connection.rtc.remove_all_listeners()
        call.link.transport.attach(lambda: None, lambda data: None, lambda reason: None)
        await eventually(lambda: call.silent_s > 0.4)
        second = asyncio.create_task(sender_for(app).run())
        await eventually(lambda: app.calls == 2)
        before = app.sink.pictures
        await eventually(lambda: app.sink.pictures > before + 3)
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


@pytest.mark.slow
async def test_receiver_that_comes_back_is_called_again() -> None:
    async with receiving() as (app, _):
        port = int(app.whip.url.rsplit(":", 1)[1].split("/")[0])
        sender = sender_for(app, give_up_s=60.0, peer=replace(CONFIG, link=LinkConfig(silence_timeout_s=1.0)))
        running = asyncio.create_task(sender.run())
        await eventually(lambda: app.sink.pictures > 3)
        call = app.peer
        assert call is not None
        await app.whip.close()
        await app.end_call()
    sink = CountingSink()
    again = ReceiveProgram(FakeEngine(), sink, ReceiveOptions(whip=WhipConfig(port=port, key="k"), quiet=True))
    task = asyncio.create_task(again.run())
    await eventually(lambda: sink.pictures > 3)
    sender.stop()
    assert await running is ExitCode.INTERRUPTED
    again.stop()
    await task


async def test_nobody_there_gives_up() -> None:
    options = SendOptions(url="http://127.0.0.1:9/whip", key="k", peer=CONFIG, give_up_s=0.0, quiet=True)
    with pytest.raises(ClosedError) as caught:
        await SendProgram(FakeEngine(), Colours(), options).run()
    assert exit_code_of(caught.value) is ExitCode.LOST


async def test_what_is_tried_again_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    url = "http://127.0.0.1:9/whip"
    options = SendOptions(url=url, key="k", peer=CONFIG, give_up_s=0.5, redial_s=0.1, quiet=True)
    with pytest.raises(ClosedError, match=r"gave up after 0 s|gave up after 1 s") as caught:
        await SendProgram(FakeEngine(), Colours(), options).run()
    assert url not in str(caught.value)
    assert sum(url in record.getMessage() for record in caplog.records) == 1


@pytest.mark.slow
async def test_file_has_pictures_sound_and_says_that_the_face_is_generated(tmp_path: Path) -> None:
    path = tmp_path / "call.mp4"
    sink, source = CountingFile(path, sound=True), Colours(sound=True)
    async with receiving(sink, once=True) as (app, task):
        running = asyncio.create_task(sender_for(app, source).run())
        await eventually(lambda: sink.pictures > 12 and sink.sounds > 20)
        source.over = True
        await running
        await task
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == GENERATED
        assert len(list(container.decode(video=0))) > 10
    assert len(list(read_opus(path))) > 10


def test_looped_file_goes_on_in_pictures_and_sound(tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    packets = list(read_opus(sample_path()))[:50]
    with MediaWriter(path, 64, 64, 25.0, sound=True) as writer:
        for index in range(25):
            writer.write(np.full((64, 64, 3), index * 10, np.uint8), index / 25)
        for packet in packets:
            writer.write_sound(packet)
    source = VideoFile(path, loop=True)
    frames = source.frames()
    times = [next(frames).time_s for _ in range(60)]
    assert times == pytest.approx([index / 25 for index in range(60)], abs=0.002)
    sound = source.sound(2.5)
    heard = [next(sound).time_s for _ in range(100)]
    assert heard == sorted(heard)
    assert 2.5 <= heard[0] < 2.7
    assert heard[-1] > 4


def test_sources_and_sinks_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        open_source(str(tmp_path / "nothing.mp4"), loop=False)
    with pytest.raises(UsageError, match="--sink"):
        open_sink("film.avi", True, 64)
    with pytest.raises(MediaError, match="folder"):
        open_sink(str(tmp_path / "no" / "film.mp4"), True, 64)
