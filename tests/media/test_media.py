"""Videos in and out: times, sound, odd sizes, and what is not a video."""

import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from talkcodec.errors import MediaError
from talkcodec.media import MediaReader, MediaWriter, check_microphone, read_microphone, read_opus, read_picture
from talkcodec.sample import sample_path


def test_the_sample_is_what_it_says() -> None:
    with MediaReader(sample_path()) as reader:
        frames = list(reader)
        assert (reader.info.width, reader.info.height, reader.info.fps) == (256, 256, 25)
    assert len(frames) == 150
    assert reader.problem is None
    assert frames[-1].time_s == pytest.approx(5.96)
    assert sample_path().stat().st_size < 400_000
    # Its end leads into its beginning, so that it can be looped.
    seam = np.abs(frames[-1].picture.astype(int) - frames[0].picture).mean()
    steps = [np.abs(a.picture.astype(int) - b.picture).mean() for a, b in zip(frames[1:], frames[:-1], strict=True)]
    assert seam < 1.3 * max(steps)


def test_sound_comes_as_20_ms_opus_packets_in_order() -> None:
    packets = list(read_opus(sample_path()))
    assert 295 <= len(packets) <= 301
    gaps = np.diff([packet.time_s for packet in packets])
    assert np.allclose(gaps, 0.02, atol=1e-6)
    assert 0 <= packets[0].time_s < 0.02
    assert sum(len(packet.data) for packet in packets) < 16_000 / 8 * 6 * 1.2


def test_odd_sizes_and_other_sizes_are_fitted(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with MediaWriter(path, 97, 65) as writer:
        writer.write(np.full((65, 97, 3), 80, np.uint8), 0)
        writer.write(np.full((130, 200, 3), 80, np.uint8), 0.04)
    with MediaReader(path) as reader:
        assert [frame.picture.shape for frame in reader] == [(66, 98, 3)] * 2


def test_frames_that_do_not_come_later_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "times.mp4"
    with MediaWriter(path, 64, 64) as writer:
        for time_s in (0, 0.5, 0.5, 0.2, 2.0):
            writer.write(np.zeros((64, 64, 3), np.uint8), time_s)
    with MediaReader(path) as reader:
        assert [round(frame.time_s, 2) for frame in reader] == [0, 0.5, 2.0]


def test_what_cannot_be_read_or_written_is_a_media_error(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for path in (tmp_path / "none.mp4", tmp_path / "text.mp4", tmp_path):
        with pytest.raises(MediaError):
            MediaReader(path)
        with pytest.raises(MediaError):
            read_picture(path)
        with pytest.raises(MediaError):
            list(read_opus(path))
    with pytest.raises(MediaError):
        MediaWriter(tmp_path / "none" / "out.mp4", 64, 64)


def test_a_live_sound_comes_on_the_monotonic_clock() -> None:
    before_s = time.monotonic()
    packets = read_microphone("lavfi:sine=frequency=440:sample_rate=44100,arealtime")
    some = list(islice(packets, 20))
    packets.close()  # type: ignore[attr-defined]
    times = [packet.time_s for packet in some]
    assert before_s - 0.2 < times[0] <= time.monotonic()
    assert np.median(np.diff(times)) == pytest.approx(0.02, abs=1e-6)


def test_a_missing_microphone_is_named() -> None:
    for device in ("lavfi:nonsense", "no such device"):
        with pytest.raises(MediaError, match=f"no microphone {device}"):
            check_microphone(device)
