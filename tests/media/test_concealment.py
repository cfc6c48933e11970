"""What is made up for a lost packet: no click at either end, the pitch goes on, silence after a while."""

import numpy as np
import pytest

from talkcodec.media import OpusDecoder, OpusEncoder
from talkcodec.media.concealment import Concealment


def voice(seconds: float, pitch_hz: float = 130.0) -> np.ndarray:
    times = np.arange(round(48_000 * seconds)) / 48_000
    parts = sum(np.sin(2 * np.pi * pitch_hz * k * times + k) * 6000 / k for k in range(1, 6))
    return np.asarray(parts, np.int16)


@pytest.mark.parametrize("frame", [960, 2880, 5760])
@pytest.mark.parametrize("pitch_hz", [90.0, 130.0, 241.0])
def test_lost_packets_leave_no_step(frame: int, pitch_hz: float) -> None:
    sound, concealment, heard = voice(2.0, pitch_hz), Concealment(), []
    for number, start in enumerate(range(0, len(sound) - frame, frame)):
        piece = sound[start : start + frame]
        heard.append(concealment.lost(frame) if number % 4 == 3 else concealment.received(piece))
    steps = np.abs(np.diff(np.concatenate(heard).astype(int)))
    assert steps.max() < 1.7 * np.abs(np.diff(sound.astype(int))).max()


@pytest.mark.parametrize("seed", range(20))
def test_what_has_no_pitch_is_left_and_joined_without_a_step(seed: int) -> None:
    """A hiss that swells, low-passed so that a step stands out."""
    noise = np.random.default_rng(seed).normal(0, 1, 12_000 + 47)
    sound = np.convolve(noise, np.hanning(48) / 24, "valid") * np.linspace(500, 20_000, 12_000)
    sound = np.clip(sound, -30_000, 30_000).astype(np.int16)
    concealment = Concealment()
    parts = [concealment.received(sound[:9600]), concealment.lost(960), concealment.received(sound[10_560:])]
    steps, own = np.abs(np.diff(np.concatenate(parts).astype(int))), np.abs(np.diff(sound.astype(int))).max()
    assert steps.max() < 1.4 * own


def test_what_is_made_up_is_like_what_was_said() -> None:
    sound, concealment = voice(0.5), Concealment()
    concealment.received(sound[:9600])
    made, truth = concealment.lost(960).astype(float), sound[9600:10560].astype(float)
    assert np.corrcoef(made, truth)[0, 1] > 0.9


def test_a_long_loss_becomes_silence_and_what_comes_after_is_untouched() -> None:
    sound, concealment = voice(1.0), Concealment()
    concealment.received(sound[:9600])
    made = np.concatenate([concealment.lost(960) for _ in range(10)])
    assert np.abs(made[:960]).max() > 3000
    assert np.abs(made[-2880:]).max() == 0
    back = concealment.received(sound[19_200:24_000])
    assert np.array_equal(back[480:], sound[19_680:24_000])


def test_nothing_heard_yet_is_silence() -> None:
    assert not Concealment().lost(960).any()
    assert Concealment().received(np.zeros(0, np.int16)).size == 0


def test_speech_that_changes_its_encoder_is_heard_through_the_seam() -> None:
    sound = voice(1.0)
    levels = []
    for follows in (False, True):
        decoder, first, second = OpusDecoder(), OpusEncoder(8_000, frame_ms=60), OpusEncoder(16_000, frame_ms=60)
        heard = [
            decoder.decode(p.data) for at in range(0, 24_000 - 2879, 2880) for p in first.encode(cut(sound, at), at)
        ]
        at = sum(map(len, heard))
        if follows:
            second.follow(sound[:at], at)
        seam = decoder.decode(second.encode(cut(sound, at), at)[0].data)[:312].astype(float)
        levels.append(float(np.sqrt(np.mean(seam**2)) / np.sqrt(np.mean(sound[at - 312 : at].astype(float) ** 2))))
    assert levels[1] > 0.4 > levels[0]


def cut(sound: np.ndarray, at: int) -> np.ndarray:
    return sound[at : at + 2880]
