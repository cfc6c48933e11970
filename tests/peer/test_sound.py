"""The peer's packets into samples on the frames' clock: whatever they are, and however long the call lasts."""

import random

import numpy as np

from talkcodec.bitstream import SoundClock
from talkcodec.media import OpusEncoder
from talkcodec.peer.sound import SoundReceiver
from talkcodec.types import PlayedSound

FRAME = 2880


def packets(count: int) -> list[bytes]:
    encoder, times = OpusEncoder(16_000, frame_ms=60), np.arange(FRAME * count) / 48_000
    sound = (8000 * np.sin(2 * np.pi * 200 * times)).astype(np.int16)
    return [packet.data for at in range(0, len(sound), FRAME) for packet in encoder.encode(sound[at : at + FRAME], at)]


async def test_sound_keeps_its_time_when_a_day_of_samples_has_passed() -> None:
    heard: list[PlayedSound] = []
    failures: list[Exception] = []
    receiver = SoundReceiver(heard.append, failures.append)
    receiver.set_clock(SoundClock(0, 0))
    coded, step = packets(6), 2**30
    for number in range(5):
        receiver.packet(coded[number], number, number * step & 0xFFFFFFFF)
    receiver.set_clock(SoundClock(5 * step & 0xFFFFFFFF, 123_000))
    heard.clear()
    receiver.packet(coded[5], 5, 5 * step & 0xFFFFFFFF)
    await receiver.close()
    assert [sound.timestamp for sound in heard] == [123_000, 124_800, 126_600]
    assert not failures


async def test_packets_of_any_bytes_are_bounded_and_the_sound_goes_on() -> None:
    rng = random.Random(3)
    heard: list[PlayedSound] = []
    failures: list[Exception] = []
    receiver = SoundReceiver(heard.append, failures.append)
    receiver.set_clock(SoundClock(0, 0))
    for number in range(500):
        data = rng.randbytes(rng.choice((1, 2, 3, 40, 400, 1200)))
        receiver.packet(data, number, (number * FRAME + rng.choice((0, 0, rng.getrandbits(32)))) & 0xFFFFFFFF)
    assert sum(len(sound.samples) for sound in heard) <= 500 * (120 + 240) * 48
    heard.clear()
    for number, data in enumerate(packets(8), 500):
        receiver.packet(data, number, number * FRAME)
    await receiver.close()
    assert sum(len(sound.samples) for sound in heard) >= 8 * FRAME
    assert not failures
