"""Marks, pace, the H.264 count, and sound, each by itself."""

import asyncio
import time
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest
from av import AudioFrame

from call.browser import in_one_size
from call.options import CALL_FPS
from call.pace import PACES, Load, PaceControl
from call.quality import Quality, judge
from call.sound import FRAME_SAMPLES, Microphone, PageSound
from call.summary import Summary, Tally
from talkcodec.bitstream import SoundClock
from talkcodec.bitstream.opus_padding import EMPTY_PACKET
from talkcodec.media import OpusDecoder, read_sound
from talkcodec.media.marks import draw_keypoints, mark_generated
from talkcodec.peer.conventional import leanest_conventional_kbps
from talkcodec.peer.sound import OutgoingSound, SoundConfig
from talkcodec.sample import sample_path
from talkcodec.types import Motion


@pytest.mark.parametrize("size", [16, 64, 256, 512])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_the_mark_stands_in_the_corner_and_can_be_read_on_any_ground(size: int, level: int) -> None:
    picture = np.full((size, size, 3), level, np.uint8)
    marked = mark_generated(picture)
    assert (picture == level).all(), "the picture itself must stay as it is"
    changed = np.argwhere((marked != picture).any(axis=2))
    assert changed[:, 0].min() >= size // 3
    mark = marked[changed[:, 0].min() : changed[:, 0].max() + 1, changed[:, 1].min() : changed[:, 1].max() + 1]
    assert int(mark.max()) - int(mark.min()) > 90


@pytest.mark.parametrize("width", [160, 320, 480, 640, 1280])
def test_a_camera_has_one_size_for_the_codec_however_large_the_browser_sends_it(width: int) -> None:
    """Regression: with each size that the browser tried, the face was looked for afresh and a keyframe sent."""
    picture = np.zeros((width * 3 // 4, width, 3), np.uint8)
    picture[:, width // 2 :] = 200
    shown = in_one_size(picture)
    assert shown.shape == (480, 640, 3)
    assert shown[:, :310].max() == 0
    assert shown[:, 330:].min() == 200
    assert in_one_size(picture.transpose(1, 0, 2)).shape == (640, 480, 3)


def test_keypoints_are_drawn_where_they_are_and_strange_ones_are_left_out() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    keypoints = np.array([[0, 0], [0.5, -0.5], [np.nan, 0], [900, 900]], np.float32)
    jacobians = np.tile(np.eye(2, dtype=np.float32), (4, 1, 1))
    jacobians[1] = np.inf
    drawn = draw_keypoints(picture, Motion(keypoints, jacobians))
    assert drawn[64, 64].max() > 150
    assert drawn[32, 95].max() > 150
    assert drawn[64, 70].max() > 0, "the axis of the first Jacobian"
    assert drawn[100:, :30].max() == 0
    assert picture.max() == 0


def work(encode_ms: float | None, dropped: int = 0, drawn: int = 25, draw_dropped: int = 0) -> Load:
    return Load(encode_ms, dropped, drawn, draw_dropped)


def test_a_fast_machine_stays_at_full_pace() -> None:
    control = PaceControl()
    for _ in range(60):
        assert control.update(work(12)) == PACES[0]
    assert control.text == ""


def test_a_slow_machine_goes_down_says_so_and_comes_back_when_it_can() -> None:
    control = PaceControl(patience=3, calm=5)
    for second in range(3):
        pace = control.update(work(60))
        assert (pace == PACES[0]) is (second < 2)
    assert pace.motion_fps == CALL_FPS / 2
    assert "12 motion frames" in control.text
    assert "480 px" in control.text
    for _ in range(60):
        pace = control.update(work(60))
    assert pace == PACES[1], "60 ms fit 12.5 frames a second, and would not fit 25"
    for _ in range(6):
        pace = control.update(work(10))
    assert pace == PACES[0]


def test_coding_gives_way_when_the_peer_cannot_be_drawn() -> None:
    control = PaceControl(patience=2)
    for _ in range(2):
        pace = control.update(work(20, drawn=8, draw_dropped=17))
    assert pace == PACES[1]


def test_one_bad_second_changes_nothing_and_the_worst_pace_is_the_last() -> None:
    control = PaceControl(patience=2)
    for _ in range(10):
        control.update(work(90))
        assert control.update(work(5)) == PACES[0]
    for _ in range(20):
        pace = control.update(work(900, dropped=20))
    assert pace == PACES[-1]


def test_the_leanest_conventional_call_has_the_same_voice_and_a_picture_as_true() -> None:
    assert leanest_conventional_kbps(5.8, 6.0, 60) == pytest.approx(10.5 + 6.0 + 50 * 8 / 60)
    assert leanest_conventional_kbps(6.0, 6.0, 60) == pytest.approx(13.7 + 6.0 + 50 * 8 / 60), "from a row on"
    assert leanest_conventional_kbps(3.0, 6.0, 120) == pytest.approx(10.5 + 6.0 + 50 * 8 / 120)
    assert leanest_conventional_kbps(500.0, 24.0, 20) == pytest.approx(32.9 + 24.0 + 20.0), "nothing is extrapolated"
    assert leanest_conventional_kbps(5.8, 0.0, 60) == 10.5, "nobody speaks: no packets"


def tone(number: int, level: float = 8000.0) -> AudioFrame:
    times = (np.arange(FRAME_SAMPLES) + FRAME_SAMPLES * number) / 48_000
    samples = (level * np.sin(2 * np.pi * 300 * times)).astype(np.int16)
    frame = AudioFrame.from_ndarray(np.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, number * FRAME_SAMPLES, Fraction(1, 48_000)
    return frame


def test_the_microphone_is_mixed_down_and_silence_is_left_out() -> None:
    microphone = Microphone()
    spoken = [block for number in range(100) for block in microphone.blocks(tone(number), number * 0.02)]
    assert 95 <= len(spoken) <= 100
    assert all(samples.shape == (FRAME_SAMPLES,) and samples.dtype == np.int16 for _, samples in spoken)
    assert np.abs(spoken[50][1]).max() == pytest.approx(8000, rel=0.02)
    microphone = Microphone()
    silent = [block for number in range(200) for block in microphone.blocks(tone(number, 0.0), number * 0.02)]
    assert len(silent) <= 16
    assert microphone.blocks(tone(1), 9.0), "speech after silence is sent at once"


def block(number: int) -> np.ndarray:
    return tone(number).to_ndarray().reshape(-1)[::2].copy()


async def test_packets_keep_their_place_in_time_over_a_pause_and_the_clock_is_told() -> None:
    track, told = OutgoingSound(), []
    track.push(block(0), 1.0)
    track.start(told.append)
    for number in range(3):
        track.push(block(number), 5.0 + 0.02 * number)
    track.push(block(3), 9.0)
    packets = [await track.recv() for _ in range(4)]
    assert [packet.pts for packet in packets] == [0, 960, 1920, 4 * 48_000]
    assert all(len(bytes(packet)) > 8 for packet in packets)
    assert told == [SoundClock(312, 450_000), SoundClock(4 * 48_000 + 312, 810_000)]
    track.keep_alive()
    assert len(told) == 2, "said less than five seconds ago"
    track.stop()


async def test_a_microphone_with_a_fast_clock_is_told_anew_and_nothing_is_filled_up() -> None:
    track, told = OutgoingSound(SoundConfig(6_000, 60)), []
    track.start(told.append)
    count, sent = 100 * 3, []
    for number in range(count):
        track.push(block(number % 50), 5.0 + 0.019 * number)
        while track._packets:
            sent.append((await track.recv()).pts)
    assert sent == [2880 * number for number in range(count // 3)], "one packet for 60 ms, and no place left out"
    assert 2 <= len(told) <= 3, "told when it is 0.2 s off, not with every block"
    last = told[-1]
    number = (last.position - 312) // 960
    assert last.timestamp == round((5.0 + 0.019 * number) * 90_000)
    track.stop()


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


async def test_the_voice_changes_its_rate_and_frame_without_a_click() -> None:
    track = OutgoingSound(SoundConfig(24_000, 20))
    track.start(lambda clock: None)
    spoken = [block.samples.reshape(-1) for block in islice(read_sound(sample_path()), 50, 194)]
    packets, heard, decoder = [], [], OpusDecoder()
    configs = (SoundConfig(24_000, 20), SoundConfig(6_000, 60), SoundConfig(6_000, 120), SoundConfig(16_000, 40))
    for number, samples in enumerate(spoken):
        track.code(configs[number // 36])
        track.push(samples, number * 0.02)
        while track._packets:
            packet = await track.recv()
            packets.append((track.config.frame_ms, len(bytes(packet)), packet.pts))
            heard.append(decoder.decode(bytes(packet)))
    assert [pts for _, _, pts in packets] == sorted({pts for _, _, pts in packets})
    assert sum(size for frame, size, _ in packets if frame == 60) < 0.5 * sum(s for f, s, _ in packets if f == 20)
    out, truth = np.concatenate(heard).astype(int), np.concatenate(spoken).astype(int)
    assert len(out) == len(truth)
    for switch in (36, 72, 108):
        seam, before = slice(switch * 960, switch * 960 + 312), slice(switch * 960 - 312, switch * 960)
        assert level(out[seam]) > 0.3 * level(truth[before]), "a new encoder's look-ahead is not heard as silence"
        near = slice(switch * 960 - 480, switch * 960 + 1440)
        assert np.abs(np.diff(out[near])).max() < 2 * np.abs(np.diff(truth[near])).max() + 100, "a click is a step"
    track.stop()


async def test_messages_find_a_packet_when_nobody_speaks() -> None:
    dressed = []

    def dress(packet: bytes) -> bytes:
        dressed.append(packet)
        return packet

    track = OutgoingSound(SoundConfig(6_000, 20), dress)
    track.start(lambda clock: None)
    track.push(block(0), 5.0)
    first = await track.recv()
    track.carry()
    empty = await asyncio.wait_for(track.recv(), 2.0)
    assert dressed[1] == bytes(empty) == EMPTY_PACKET
    assert empty.pts > first.pts
    track.push(block(1), 5.1)
    assert (await track.recv()).pts > empty.pts
    track.stop()


async def test_a_muted_side_still_says_that_it_is_there() -> None:
    track, told = OutgoingSound(), []
    track.start(told.append)
    track.keep_alive()
    assert len(told) == 1
    track.stop()


async def test_sound_for_the_page_comes_at_its_time_and_old_sound_is_dropped() -> None:
    track = PageSound()
    now_s = time.monotonic()
    old, new = np.full(960, 5, np.int16), np.full(960, 7000, np.int16)
    track.play(old, now_s - 3.0)
    track.play(new, now_s + 0.08)
    heard = []
    for _ in range(8):
        heard.append(int((await track.recv()).to_ndarray().max()))
    assert heard[0] == 0
    assert 7000 in heard
    assert 5 not in heard


async def test_a_stopped_track_wakes_its_reader() -> None:
    from aiortc.mediastreams import MediaStreamError

    track = OutgoingSound()
    reading = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await reading


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, (3, "good")),
        ({"bad_network": True}, (1, "slow network")),
        ({"loss": 0.05}, (2, "slow network")),
        ({"rtt_ms": 500.0}, (2, "slow network")),
        ({"slowed": True}, (2, "slow machine")),
        ({"shown": 0.5}, (2, "slow machine")),
        ({"shown": 0.2, "loss": 0.05}, (1, "slow machine")),
        ({"loss": 0.05, "slowed": True}, (2, "slow network")),
    ],
)
def test_quality_is_three_bars_and_a_word(seen: dict[str, Any], expected: tuple[int, str]) -> None:
    usual = {"bad_network": False, "loss": 0.0, "rtt_ms": 40.0, "slowed": False, "shown": 1.0}
    assert judge(**(usual | seen)) == Quality(*expected)


def test_a_summary_counts_from_its_first_reading() -> None:
    tally = Tally(10.0, 1000, 2000)
    tally.read(20.0, 6000, 4500)
    summary = tally.summary(20.5)
    assert summary == Summary(10.5, 5000, 2500)
    assert summary.kbps == (40.0 / 10.5, 20.0 / 10.5)
    assert Tally(1.0, 0, 0).summary(1.0).kbps == (0.0, 0.0)
