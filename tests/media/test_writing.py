"""Films that were not finished, disks that are full, callers that follow each other."""

import errno
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcodec.errors import MediaError, StorageError, UsageError
from talkcodec.media import MediaReader, MediaWriter, read_opus
from talkcodec.media.sinks import FileSink
from talkcodec.media.writer import _Disk
from talkcodec.sample import sample_path
from talkcodec.types import Kind, PlayedPicture, PlayedSound

WRITING = """
import numpy as np, os, signal, sys
from pathlib import Path
from talkcodec.media import MediaWriter, read_opus
from talkcodec.sample import sample_path
random = np.random.default_rng(1)
with MediaWriter(Path(sys.argv[1]), 96, 64, sound={sound}) as writer:
    packets = read_opus(sample_path())
    packet = next(packets)
    for index in range(125):
        writer.write(random.integers(0, 255, (64, 96, 3), np.uint8), index / 25)
        while packet.time_s < index / 25:
            if {speaking}:
                writer.write_sound(packet)
            packet = next(packets)
    if signal.{signal} is not signal.SIGKILL:
        signal.signal(signal.{signal}, signal.SIG_DFL)  # under nohup it would be ignored
    os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.parametrize(
    ("signal", "sound", "speaking"), [("SIGKILL", True, True), ("SIGHUP", True, True), ("SIGKILL", True, False),
                                      ("SIGKILL", False, False)]
)  # fmt: skip
def test_a_film_whose_writer_was_killed_plays(tmp_path: Path, signal: str, sound: bool, speaking: bool) -> None:
    path = tmp_path / "film.mp4"
    program = textwrap.dedent(WRITING).format(signal=signal, sound=sound, speaking=speaking)
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=120, check=False, capture_output=True)
    assert done.returncode < 0, done.stderr
    with MediaReader(path) as reader:
        times = [frame.time_s for frame in reader]
    assert 2.5 < times[-1] < 5  # of 5 s
    assert np.diff(times) == pytest.approx(0.04, abs=0.001)
    if speaking:
        assert len(list(read_opus(path))) > 100


class Full(_Disk):
    """A disk with room for 60,000 bytes."""

    ROOM = 60_000

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        real, left = self._file, [self.ROOM]

        class File:
            def write(self, data: memoryview) -> int:
                if not left[0]:
                    raise OSError(errno.ENOSPC, "No space left on device")
                written = real.write(data[: left[0]]) or 0
                left[0] -= written
                return written

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        self._file = File()  # type: ignore[assignment]


def noise(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8)


def test_a_full_disk_is_one_sentence_and_the_film_up_to_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkcodec.media.writer._Disk", Full)
    path = tmp_path / "film.mp4"

    def write_on() -> None:
        with MediaWriter(path, 96, 64) as writer:
            for index in range(400):
                writer.write(noise(index), index / 25)

    with pytest.raises(StorageError, match="the disk is full; the film up to there is kept") as caught:
        write_on()
    assert not isinstance(caught.value, UsageError)  # it ends with 1, not with 2
    assert path.stat().st_size == Full.ROOM
    with MediaReader(path) as reader:
        assert 10 < len(list(reader)) < 200


def write_all(writer: MediaWriter) -> None:
    with writer:
        for index in range(60):
            writer.write(noise(index), index / 25)


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no disk that is always full")
    writer = MediaWriter(full, 96, 64)
    with pytest.raises(StorageError, match="the disk is full"):
        write_all(writer)
    with pytest.raises(MediaError, match="cannot write"):
        MediaWriter(tmp_path, 96, 64)


def played(colour: int, ticks: int, here_s: float) -> PlayedPicture:
    return PlayedPicture(np.full((64, 64, 3), colour, np.uint8), ticks & 0xFFFFFFFF, Kind.EXACT, here_s, None)


@pytest.mark.parametrize("other", [-7_200, 7_200, 40_000])
def test_a_second_caller_follows_the_first_whatever_its_clock_says(tmp_path: Path, other: int) -> None:
    path = tmp_path / "calls.mp4"
    sink = FileSink(path, sound=True)
    tone = (8000 * np.sin(np.arange(960) * 0.13)).astype(np.int16)
    for call, (offset_s, here_s) in enumerate(((1000.0, 50.0), (1000.0 + other, 60.0))):
        for index in range(25):
            ticks = round((offset_s + index / 25) * 90_000)
            for half in (0, 1800):
                sink.play(PlayedSound(tone, (ticks + half) & 0xFFFFFFFF, here_s + index / 25 - 0.1))
            sink.show(played(60 + 100 * call, ticks, here_s + index / 25))
    sink.close()
    assert sink.error is None
    with MediaReader(path) as reader:
        frames = list(reader)
    assert len(frames) == 50
    assert [round(frame.time_s, 2) for frame in frames[::25]] == pytest.approx([0, 10], abs=0.11)
    assert np.diff([frame.time_s for frame in frames[25:]]) == pytest.approx(0.04, abs=0.001)
    assert abs(int(frames[30].picture[5, 5, 0]) - 160) < 6
    heard = [packet.time_s for packet in read_opus(path)]
    assert sum(time_s < 1.1 for time_s in heard) > 40
    assert sum(9.8 < time_s < 11.1 for time_s in heard) > 40


def test_a_sink_on_a_full_disk_says_it_when_it_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkcodec.media.writer._Disk", Full)
    sink = FileSink(tmp_path / "film.mp4", sound=False)
    for index in range(300):
        sink.show(PlayedPicture(noise(index), 3600 * index, Kind.EXACT, index / 25, None))
    with pytest.raises(StorageError, match="the disk is full"):
        sink.close()
    with MediaReader(tmp_path / "film.mp4") as reader:
        assert len(list(reader)) > 10


def test_gaps_in_sound_survive_the_film(tmp_path: Path) -> None:
    path = tmp_path / "gap.mp4"
    with MediaWriter(path, 96, 64, sound=True) as writer:
        for packet in read_opus(sample_path()):
            if not 1 <= packet.time_s < 2 and packet.time_s < 3:
                writer.write_sound(packet)
        for index in range(75):
            writer.write(noise(index), index / 25)
    times = [packet.time_s for packet in read_opus(path)]
    assert not [time_s for time_s in times if 1.1 < time_s < 1.9]
    assert times[-1] == pytest.approx(3, abs=0.05)
