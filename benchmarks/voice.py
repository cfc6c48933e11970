"""The voice of a call: python -m benchmarks.voice [CLIP]. Results stand in docs/network.md.

What Opus spends at each rate and frame, and how well speech is understood (STOI, needs the package pystoi) when one
packet in twenty is lost: made up by Concealment, or left silent. Losses and jitter are drawn from fixed seeds.
"""

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np

from talkcodec.media import OPUS_RATE_HZ, OpusDecoder, OpusEncoder
from talkcodec.media.concealment import Concealment
from talkcodec.media.opus import LOOK_AHEAD_SAMPLES
from talkcodec.media.sound import read_sound
from talkcodec.sample import sample_path
from talkcodec.session.voice_buffer import VoiceBuffer
from talkcodec.types import SoundArray

FRAMES_MS = (20, 40, 60)
RATES_BPS = (6_000, 8_000, 10_000, 16_000, 24_000)
LOSS, JITTER_MS, SEEDS = 0.05, 30.0, range(20)

Stoi = Callable[..., float]


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description="what the voice costs, and what losses leave of it")
    parser.add_argument("clip", nargs="?", type=Path, default=sample_path(), help="speech; the embedded sample")
    sound = np.concatenate([block.samples.reshape(-1) for block in read_sound(parser.parse_args().clip)])
    print(f"{len(sound) / OPUS_RATE_HZ:.1f} s of speech\n")
    print("| frame | " + " | ".join(f"{rate // 1000}k" for rate in RATES_BPS) + " |")
    print("|---|" + "---|" * len(RATES_BPS))
    for frame_ms in FRAMES_MS:
        print(f"| {frame_ms} ms | " + " | ".join(f"{_kbps(sound, rate, frame_ms):.1f}" for rate in RATES_BPS) + " |")
    stoi = _stoi()
    print("\n| frame | lost % | wait p50 / p95 ms | STOI whole | silence | concealed | step: silence, concealed |")
    print("|---|---|---|---|---|---|---|")
    for frame_ms in FRAMES_MS:
        print(_losses(sound, frame_ms, stoi))


def _stoi() -> Stoi | None:
    try:
        from pystoi import stoi  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return None
    found: Stoi = stoi
    return found


def packets_of(sound: SoundArray, bitrate_bps: int, frame_ms: int) -> list[bytes]:
    """Sound as a call codes it, without what rides in its packets."""
    encoder = OpusEncoder(bitrate_bps, frame_ms=frame_ms)
    size = encoder.frame_samples
    starts = range(0, len(sound) - size + 1, size)
    return [packet.data for at in starts for packet in encoder.encode(sound[at : at + size], at)]


def _kbps(sound: SoundArray, bitrate_bps: int, frame_ms: int) -> float:
    packets = packets_of(sound, bitrate_bps, frame_ms)
    return sum(map(len, packets)) * 8 / (len(packets) * frame_ms)


def _losses(sound: SoundArray, frame_ms: int, stoi: Stoi | None) -> str:
    """One row: the means over the seeds, at 16 kbit/s."""
    packets = packets_of(sound, 16_000, frame_ms)
    whole = _heard(packets, set(), frame_ms, conceal=False)
    truth = sound[: len(whole) - LOOK_AHEAD_SAMPLES]
    step = int(np.abs(np.diff(whole.astype(int))).max())
    scores: dict[bool, list[float]] = {False: [], True: []}
    steps = {False: 0.0, True: 0.0}
    shares, waits = [], []
    for seed in SEEDS:
        rng = random.Random(seed)
        lost = {n for n in range(1, len(packets)) if rng.random() < LOSS}
        shares.append(len(lost) / len(packets))
        waits += _waits_ms(len(packets), lost, frame_ms, rng)
        for conceal in (False, True):
            heard = _heard(packets, lost, frame_ms, conceal=conceal)
            steps[conceal] = max(steps[conceal], float(np.abs(np.diff(heard.astype(int))).max()) / step)
            if stoi is not None:
                scores[conceal].append(stoi(truth, heard[LOOK_AHEAD_SAMPLES:], OPUS_RATE_HZ))
    understood = [f"{mean(scores[conceal]):.3f}" if stoi else "-" for conceal in (False, True)]
    best = f"{stoi(truth, whole[LOOK_AHEAD_SAMPLES:], OPUS_RATE_HZ):.3f}" if stoi else "-"
    wait = " / ".join(f"{np.percentile(waits, p):.0f}" for p in (50, 95))
    return (
        f"| {frame_ms} ms | {100 * mean(shares):.1f} | {wait} | {best} | {' | '.join(understood)} | "
        f"{steps[False]:.2f}, {steps[True]:.2f} |"
    )


def _heard(packets: list[bytes], lost: set[int], frame_ms: int, *, conceal: bool) -> SoundArray:
    decoder, concealment, heard = OpusDecoder(), Concealment(), []
    size = frame_ms * OPUS_RATE_HZ // 1000
    for number, packet in enumerate(packets):
        if number not in lost:
            samples = decoder.decode(packet)
            heard.append(concealment.received(samples) if conceal else samples)
        else:
            heard.append(concealment.lost(size) if conceal else np.zeros(size, np.int16))
    return np.concatenate(heard)


def _waits_ms(count: int, lost: set[int], frame_ms: int, rng: random.Random) -> list[float]:
    """How long each packet that came waited in the buffer for one before it."""
    size = frame_ms * OPUS_RATE_HZ // 1000
    arrivals = sorted((frame_ms * n + rng.uniform(0, JITTER_MS), n) for n in range(count) if n not in lost)
    came = {n: at for at, n in arrivals}
    buffer, waits, now_ms = VoiceBuffer(), [], 0.0
    while arrivals:
        due_ms = buffer.next_due_ms()
        if due_ms is not None and due_ms < arrivals[0][0]:
            now_ms = max(now_ms, due_ms)
        else:
            now_ms, number = arrivals.pop(0)
            buffer.push(number, number * size, str(number).encode(), now_ms)
        while (piece := buffer.due(now_ms)) is not None:
            if piece.packet is not None:
                waits.append(now_ms - came[int(piece.packet)])
                buffer.decoded(size)
    return waits


if __name__ == "__main__":
    main()
