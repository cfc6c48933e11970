"""Files as they are, not as their headers say: lengths, starts, damage, cuts, odd names."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from making import add_sound, beeps, damage, film, greys, heard_at

from talkcodec.errors import MediaError
from talkcodec.media import MediaReader, MediaWriter, SoundPacket, read_opus, read_picture
from talkcodec.media.sources import VideoFile, open_source
from talkcodec.sample import sample_path


def levels(path: Path) -> list[int]:
    with MediaReader(path) as reader:
        return [int(frame.picture[5, 5, 0]) for frame in reader]


def test_an_edit_list_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = film(tmp_path / "whole.mp4", greys(75), options={"g": "10", "bf": "0"})
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as out:
        stream = source.streams.video[0]
        copied = out.add_stream_from_template(stream)
        start = round(13 / 25 / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts >= round(10 / 25 / stream.time_base):
                packet.pts -= start  # as `-ss -c copy` does: an edit list leaves out what lies before 0
                packet.dts -= start
                packet.stream = copied
                out.mux(packet)
    with av.open(str(trimmed)) as container:
        assert container.streams.video[0].frames == 65
    with MediaReader(trimmed) as reader:
        frames = list(reader)
    assert len(frames) == 62
    assert reader.problem is None
    assert reader.info.frame_count == 62
    assert caplog.records == []


@pytest.mark.parametrize("number", [7, 28, 29])
def test_one_damaged_packet_costs_one_frame(tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int) -> None:
    path = film(tmp_path / "film.mp4", greys(30), options={"bf": "0"})
    with MediaReader(damage(path, number)) as reader:
        frames = list(reader)
        assert (len(frames), reader.damaged_packets, reader.problem) == (29, 1, None)
    assert frames[-1].time_s == pytest.approx((28 if number == 29 else 29) / 25)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "1 damaged packet was left out" in caplog.text


def test_a_film_that_is_damaged_throughout_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = film(tmp_path / "film.mp4", greys(160), options={"bf": "0", "g": "1"})
    with MediaReader(damage(path, *range(10, 120))) as reader:
        assert len(list(reader)) == 10
        assert reader.problem is not None
        assert "read up to 0.36 s" in reader.problem
    nothing = film(tmp_path / "nothing.mp4", greys(9), options={"bf": "0", "g": "1"})
    with MediaReader(damage(nothing, *range(9))) as reader, pytest.raises(MediaError, match="holds no frame"):
        list(reader)


def test_damaged_sound_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = film(
        tmp_path / "sound.mp4", greys(50),
        more=lambda out: add_sound(out, beeps(48_000, 2, (0.5, 1.5)), 48_000, codec="libopus"),
    )  # fmt: skip
    assert heard_at(list(read_opus(damage(path, 50, kind="audio")))) == pytest.approx([0.5, 1.5], abs=0.03)
    assert len(caplog.records) <= 1


def test_a_cut_file_says_so(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", greys(50), container={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[:-200])
    with MediaReader(path) as reader:
        assert 0 < len(list(reader)) < 50
        assert reader.problem is not None
        assert "is cut" in reader.problem


def test_every_iteration_begins_at_the_beginning(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", greys(10))
    with MediaReader(path) as reader:
        assert [frame.time_s for frame in islice(reader, 3)] == pytest.approx([0, 0.04, 0.08])
        assert len(list(reader)) == len(list(reader)) == 10


def test_every_iteration_says_what_failed_in_it(tmp_path: Path) -> None:
    """Regression: the next iteration went on where the one before had failed, and found nothing."""
    path = film(tmp_path / "film.mp4", greys(160), options={"bf": "0", "g": "1"})
    with MediaReader(damage(path, *range(10, 120))) as reader:
        for _ in range(2):
            assert len(list(reader)) == 10
            assert "read up to 0.36 s" in str(reader.problem)
    nothing = film(tmp_path / "nothing.mp4", greys(9), options={"bf": "0", "g": "1"})
    with MediaReader(damage(nothing, *range(9))) as reader:
        for _ in range(2):
            with pytest.raises(MediaError, match="holds no frame"):
                list(reader)


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "http:x.mp4", "p%03d.mp4", "-.mp4", "x y#?&.mp4", "grüße 谈话.mp4", os.fsdecode(b"caf\xe9.mp4")]
)
def test_any_name_is_a_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system has no such names")
    with MediaWriter(path, 96, 64) as writer:
        for index, picture in enumerate(greys(5)):
            writer.write(picture, index / 25)
    assert len(levels(path)) == 5
    assert len(list(tmp_path.iterdir())) == 1


def test_a_picture_with_a_number_in_its_name_is_no_series(tmp_path: Path) -> None:
    path = tmp_path / "me%d.png"
    film(tmp_path / "me.png", greys(1), codec="png", pixels="rgb24").rename(path)
    assert read_picture(path).shape == (64, 96, 3)


def test_a_pipe_and_a_folder_are_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    kinds = ((tmp_path / "pipe.mp4", "is a pipe"), (tmp_path, "is a folder"), (Path("/dev/null"), "or a device"))
    for path, said in kinds:
        with pytest.raises(MediaError, match=said):
            open_source(str(path), loop=False)


def test_an_address_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is an address, expected a file"):
        open_source("https://example.org/talk.mp4", loop=False)


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def stream_of(tmp_path: Path, name: str, count: int = 50) -> Path:
    return film(
        tmp_path / name, greys(count), options={"g": "25", "bf": "0"},
        more=lambda out: add_sound(out, beeps(48_000, count / 25, (0.5, 1.5)), 48_000, codec="libopus"),
    )  # fmt: skip


def test_a_transport_stream_that_begins_inside_a_gop(tmp_path: Path) -> None:
    data = stream_of(tmp_path, "whole.ts").read_bytes()
    packets = [data[start : start + 188] for start in range(0, len(data), 188)]
    with av.open(str(tmp_path / "whole.ts")) as container:
        video_pid, start = container.streams.video[0].id, container.streams.video[0].start_time
    first = next(
        number for number, packet in enumerate(packets)
        if (packet[1] & 31) << 8 | packet[2] == video_pid and packet[1] & 0x40 and number > len(packets) // 8
    )  # fmt: skip
    mid = tmp_path / "mid.ts"
    mid.write_bytes(b"".join(packets[:3] + packets[first:]))  # its tables, then from the middle of the first GOP
    with av.open(str(mid)) as container:
        assert container.streams.video[0].start_time < start + 0.9 * 90_000
    with MediaReader(mid) as reader:
        frames = list(reader)
    missing_s = 2 - len(frames) / 25
    assert missing_s == pytest.approx(1.0)  # the second GOP is the first that can be decoded
    assert heard_at(list(read_opus(mid))) == pytest.approx([1.5 - missing_s], abs=0.04)


def test_joined_transport_streams_go_on(tmp_path: Path) -> None:
    both = joined(tmp_path / "both.ts", stream_of(tmp_path, "one.ts"), stream_of(tmp_path, "two.ts"))
    with MediaReader(both) as reader:
        times = [frame.time_s for frame in reader]
    assert len(times) == 100
    assert np.diff(times) == pytest.approx(0.04, abs=0.001)
    assert heard_at(list(read_opus(both))) == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.06)


def test_the_film_is_taken_not_its_cover(tmp_path: Path) -> None:
    path = tmp_path / "covered.mp4"
    with av.open(str(path), "w") as out:
        cover, video = out.add_stream("mjpeg", rate=1), out.add_stream("libx264", rate=25)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for stream, pictures, fps in ((cover, greys(1, 32, 32), 1), (video, greys(10), 25)):
            for index, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, fps)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    with MediaReader(path) as reader:
        assert [frame.picture.shape for frame in reader] == [(64, 96, 3)] * 10


def test_a_matroska_without_a_length_as_source_with_and_without_loop(tmp_path: Path) -> None:
    path = film(
        tmp_path / "live.webm", greys(50), codec="libvpx", container={"live": "1"},
        more=lambda out: add_sound(out, beeps(48_000, 2, (0.5, 1.5)), 48_000, codec="libopus"),
    )  # fmt: skip
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    once = VideoFile(path)
    assert len(list(once.frames())) == 50
    assert heard_at(list(once.sound(0.0))) == pytest.approx([0.5, 1.5], abs=0.03)
    again = VideoFile(path, loop=True)
    times = [frame.time_s for frame in islice(again.frames(), 120)]
    assert times == pytest.approx([index / 25 for index in range(120)], abs=0.002)
    assert heard_at(list(islice(again.sound(0.0), 240))) == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5], abs=0.03)
    assert heard_at(list(islice(again.sound(2.2), 60))) == pytest.approx([2.5], abs=0.03)


@pytest.mark.parametrize(("fps", "count"), [(0.5, 3), (120.0, 240)])
def test_a_source_is_brought_to_the_rates_of_a_call(tmp_path: Path, fps: float, count: int) -> None:
    path = tmp_path / "rate.mp4"
    with MediaWriter(path, 96, 64, fps) as writer:
        for index, picture in enumerate(greys(count)):
            writer.write(picture, index / fps)
    source = VideoFile(path)
    frames = list(source.frames())
    assert 5 <= source.fps <= 60
    gaps = np.diff([frame.time_s for frame in frames])
    assert 0.9 / 60 <= gaps.min() <= gaps.max() <= 1.5 / 5
    shown = {int(frame.picture[5, 5, 0]) // 4 for frame in frames}
    assert len(shown) >= min(count, 50)


def test_a_coding_that_nobody_knows(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", greys(5))
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_NOBODY/KNOWS!"))
    with pytest.raises(MediaError, match="holds no video whose coding is known here"):
        MediaReader(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"), ("b.mkv", "libx264", "yuv420p"), ("c.webm", "libvpx", "yuv420p"),
        ("d.ts", "libx264", "yuv420p"), ("e.png", "png", "rgb24"), ("f.gif", "gif", "rgb8"),
        ("g.avi", "mjpeg", "yuvj420p"), ("h.mov", "prores_ks", "yuv422p10le"),
    ],
)  # fmt: skip
def test_mutated_files_give_pictures_or_a_media_error(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    def sound(out: object) -> list[Callable[[], None]]:
        return add_sound(out, beeps(48_000, 0.4, (0.1,)), 48_000, codec="libopus")

    heard = name.endswith((".mp4", ".mkv", ".webm", ".ts"))
    still = name.endswith(".png")
    whole = film(
        tmp_path / name, greys(1 if still else 8), codec=codec, pixels=pixels, more=sound if heard else lambda out: ()
    ).read_bytes()
    random = np.random.default_rng(len(name) + len(whole))
    path = tmp_path / f"mutant-{name}"
    for _ in range(150):
        mutant = bytearray(whole)
        for place in random.integers(0, min(len(whole), 3000), random.integers(1, 12)):
            mutant[place] = random.integers(256)
        path.write_bytes(mutant[: random.integers(len(whole)) if random.random() < 0.2 else len(whole)])
        with suppress(MediaError), MediaReader(path) as reader:
            for _ in islice(reader, 100):
                pass
        with suppress(MediaError):
            for _ in islice(read_opus(path), 1000):
                pass


def test_field_files(field: Path, caplog: pytest.LogCaptureFixture) -> None:
    with MediaReader(field / "editlist.mp4") as reader:
        assert (len(list(reader)), reader.problem) == (42, None)
    assert caplog.records == []
    with MediaReader(field / "corrupt1.mp4") as reader:
        assert (len(list(reader)), reader.problem, reader.damaged_packets) == (74, None, 1)
    assert "1 damaged packet" in caplog.text
    with av.open(str(field / "mid.ts")) as container:
        first_s = next(container.decode(video=0)).time
        decoded = [(frame.time - first_s, np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0)]
    loud = [time_s for time_s, level in decoded if level > 0.1 and time_s > 0]
    assert heard_at(list(read_opus(field / "mid.ts")))[0] == pytest.approx(loud[0], abs=0.05)
    source = VideoFile(field / "c8.mkv", loop=True)
    packets: list[SoundPacket] = list(islice(source.sound(0.0), 500))
    assert packets[-1].time_s == pytest.approx(10, abs=0.1)
    halved = VideoFile(field / "halffps.mp4")
    assert halved.fps >= 5
    assert len(list(halved.frames())) >= 5 * 6


def test_the_sample_has_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert len(levels(sample_path())) == 150
    assert len(list(read_opus(sample_path()))) > 290
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
