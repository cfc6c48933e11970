"""Sound where its time stamps say: gaps, changes, tracks, odd starts and layouts."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from making import add_sound, beeps, film, greys, heard_at, opus_track

from talkcodec.errors import ConfigError, MediaError
from talkcodec.media import OPUS_RATE_HZ, OpusEncoder, read_opus
from talkcodec.media.sound import SoundTimeline


def with_sound(path: Path, *arguments: Any, seconds: int = 3, **options: Any) -> Path:
    return film(path, greys(25 * seconds), more=lambda out: add_sound(out, *arguments, **options))


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    samples = beeps(OPUS_RATE_HZ, 3, (0.5, 1.5, 2.5))
    holes = ((0.7, 1.3), (1.8, 2.2))
    path = film(tmp_path / "gap.mkv", greys(75), more=lambda out: opus_track(out, samples, holes))
    packets = list(read_opus(path))
    assert heard_at(packets) == pytest.approx([0.5, 1.5, 2.5], abs=0.03)
    times = np.array([packet.time_s for packet in packets])
    assert [round(float(gap), 1) for gap in np.diff(times) if gap > 0.021] == [0.6, 0.4]
    assert np.diff(times).min() >= 0.0199


def test_many_short_losses_do_not_add_up(tmp_path: Path) -> None:
    samples = beeps(OPUS_RATE_HZ, 3, (0.5, 2.5))
    holes = [(second / 10, second / 10 + 0.019) for second in range(7, 24)]
    path = film(tmp_path / "loss.mkv", greys(75), more=lambda out: opus_track(out, samples, holes))
    assert heard_at(list(read_opus(path))) == pytest.approx([0.5, 2.5], abs=0.06)


def test_a_change_of_rate_and_layout_goes_on() -> None:
    timeline = SoundTimeline()
    packets = []
    for start_s, rate, layout in ((0.0, 44_100, "mono"), (1.0, 48_000, "stereo"), (2.0, 16_000, "5.1")):
        samples = beeps(rate, 1, (0.5,))
        for start in range(0, len(samples), rate // 50):
            piece = np.tile(samples[start : start + rate // 50], (av.AudioLayout(layout).nb_channels, 1))
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
            frame.sample_rate = rate
            packets += list(timeline.add(frame, start_s + start / rate))
    packets += list(timeline.finish())
    assert heard_at(packets) == pytest.approx([0.5, 1.5, 2.5], abs=0.03)
    assert np.diff([packet.time_s for packet in packets]) == pytest.approx(0.02, abs=1e-6)


def test_a_clock_that_begins_anew_goes_on_and_an_overlap_is_heard_once() -> None:
    def second(timeline: SoundTimeline, start_s: float) -> list[Any]:
        samples, packets = beeps(48_000, 1, (0.5,)), []
        for start in range(0, len(samples), 960):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], format="fltp", layout="mono")
            frame.sample_rate = 48_000
            packets += list(timeline.add(frame, start_s + start / 48_000))
        return packets

    anew = SoundTimeline()
    packets = second(anew, 100.0) + second(anew, 0.0) + second(anew, 1.0)
    assert heard_at(packets) == pytest.approx([100.5, 101.5, 102.5], abs=0.03)
    overlapping = SoundTimeline()
    packets = second(overlapping, 0.0) + second(overlapping, 0.7)
    assert heard_at(packets) == pytest.approx([0.5, 1.2], abs=0.03)
    assert np.diff([packet.time_s for packet in packets]).min() >= 0.0199


def test_the_default_track_is_taken_and_another_on_request(tmp_path: Path) -> None:
    def tracks(out: Any) -> Any:
        first = add_sound(out, beeps(48_000, 2, (0.5,)), 48_000, default=False)
        return first + add_sound(out, beeps(48_000, 2, (1.5,)), 48_000, default=True)

    path = film(tmp_path / "two.mkv", greys(50), more=tracks)
    assert heard_at(list(read_opus(path))) == pytest.approx([1.5], abs=0.03)
    assert heard_at(list(read_opus(path, track=1))) == pytest.approx([0.5], abs=0.03)
    assert heard_at(list(read_opus(path, track=2))) == pytest.approx([1.5], abs=0.03)
    with pytest.raises(MediaError, match="no sound track 3: expected a number from 1 to 2"):
        list(read_opus(path, track=3))


@pytest.mark.parametrize(
    ("rate_hz", "layout"), [(8_000, "mono"), (96_000, "stereo"), (48_000, "5.1"), (48_000, "7.1"), (44_100, "2.1"),
                            (192_000, "quad"), (22_050, "hexagonal")]
)  # fmt: skip
def test_every_rate_and_layout(tmp_path: Path, rate_hz: int, layout: str) -> None:
    path = with_sound(tmp_path / "layout.mkv", beeps(rate_hz, 3, (0.5, 2.5)), rate_hz, layout=layout)
    assert heard_at(list(read_opus(path))) == pytest.approx([0.5, 2.5], abs=0.03)
    assert heard_at(list(read_opus(path, channels=2))) == pytest.approx([0.5, 2.5], abs=0.03)


def test_sound_that_begins_before_or_after_the_pictures(tmp_path: Path) -> None:
    for start_s in (-0.4, 0.6):
        path = with_sound(tmp_path / f"start{start_s}.mov", beeps(48_000, 2, (0.5, 1.5)), 48_000, start_s=start_s)
        packets = list(read_opus(path))
        assert packets[0].time_s >= 0
        assert heard_at(packets) == pytest.approx([0.5 + start_s, 1.5 + start_s], abs=0.03)


def test_silence_is_sound_and_an_empty_track_is_none(tmp_path: Path) -> None:
    silent = with_sound(tmp_path / "silent.mkv", np.zeros(48_000, np.float32), 48_000)
    assert len(list(read_opus(silent))) == pytest.approx(50, abs=1)
    empty = with_sound(tmp_path / "empty.mkv", np.zeros(0, np.float32), 48_000)
    assert list(read_opus(empty)) == []


def test_the_encoder_takes_its_arguments() -> None:
    noise = np.random.default_rng(1).normal(0, 3000, (50, 960)).astype(np.int16)

    def coded(**options: Any) -> list[bytes]:
        encoder = OpusEncoder(**options)
        size = encoder.frame_samples
        pieces = noise.reshape(-1)[: 48_000 // size * size].reshape(-1, size)
        return [
            packet.data for index, piece in enumerate(pieces)
            for packet in encoder.encode(piece, index * encoder.frame_samples)
        ]  # fmt: skip

    assert sum(map(len, coded(bitrate_bps=48_000))) > 2 * sum(map(len, coded(bitrate_bps=16_000)))
    assert len(coded(frame_ms=60.0)) * 3 == pytest.approx(len(coded(frame_ms=20.0)), abs=3)
    assert coded(application="audio") != coded(application="voip")
    for wrong in ({"frame_ms": 30.0}, {"channels": 3}, {"application": "radio"}, {"bitrate_bps": 0}):
        with pytest.raises(ConfigError, match="Opus"):
            OpusEncoder(**wrong)


def test_field_gap_and_start(field: Path) -> None:
    packets = list(read_opus(field / "gap.mkv"))
    gaps = [b.time_s - a.time_s for a, b in pairwise(packets) if b.time_s - a.time_s > 0.021]
    assert gaps == pytest.approx([0.92, 0.42], abs=0.03)
    beeping = heard_at(packets)
    assert beeping[0] == pytest.approx(0.5, abs=0.05)
    assert [round(time_s % 1, 1) for time_s in beeping] == [0.5] * len(beeping)
