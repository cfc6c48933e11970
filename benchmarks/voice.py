"""The voice of a call: python -m benchmarks.voice [CLIP]. Results stand in docs/network.md.

What Opus spends at each rate and frame, whether messages in its padding change the sound, and how well speech is
understood when one packet in twenty is lost: made up by Concealment, or left silent. Losses and jitter are drawn from
fixed seeds. STOI needs the package pystoi, PESQ the package pesq; what is not there is left out.
"""

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
from scipy.signal import resample_poly

from talkcodec.bitstream.opus_padding import add_padding
from talkcodec.media import OPUS_RATE_HZ, OpusDecoder, OpusEncoder
from talkcodec.media.concealment import Concealment
from talkcodec.media.opus import LOOK_AHEAD_SAMPLES
from talkcodec.media.sound import read_sound
from talkcodec.sample import sample_path
from talkcodec.session.voice_buffer import VoiceBuffer
from talkcodec.transport.with_sound import ROOM
from talkcodec.types import SoundArray

FRAMES_MS = (20, 40, 60)
RATES_BPS = (6_000, 8_000, 10_000, 16_000, 24_000)
LOSS, JITTER_MS, SEEDS = 0.05, 30.0, range(20)

CALL_SOUNDS = ((6_000, 120), (6_000, 60), (12_000, 40), (24_000, 20))
"""As the budgets 14, 20, 40 and 80 have it."""

PESQ_RATE_HZ = 16_000
"""Wide band (ITU-T P.862.2)."""

Stoi = Callable[..., float]
Pesq = Callable[[SoundArray, SoundArray], float]


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
    stoi, pesq = _stoi(), _pesq()
    print("\n| voice | beside it | equal samples | STOI without, with | PESQ without, with |\n|---|---|---|---|---|")
    for bitrate_bps, frame_ms in CALL_SOUNDS:
        print(_padded(sound, bitrate_bps, frame_ms, stoi, pesq))
    print("\n| frame | lost % | wait p50 / p95 ms | STOI whole | silence | concealed | step: silence, concealed |")
    print("|---|---|---|---|---|---|---|")
    for frame_ms in FRAMES_MS:
        print(_losses(sound, frame_ms, stoi))


def _stoi() -> Stoi | None:
    try:
        from pystoi import stoi  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        print("\nSTOI is not measured: pip install pystoi")
        return None
    found: Stoi = stoi
    return found


def _pesq() -> Pesq | None:
    try:
        from pesq import pesq  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        print("\nPESQ is not measured: pip install pesq (it builds with a C compiler)")
        return None

    def score(truth: SoundArray, heard: SoundArray) -> float:
        slow = [resample_poly(x[: len(truth)].astype(float), 1, OPUS_RATE_HZ // PESQ_RATE_HZ) for x in (truth, heard)]
        return float(pesq(PESQ_RATE_HZ, *slow, "wb"))

    return score


def _padded(sound: SoundArray, bitrate_bps: int, frame_ms: int, stoi: Stoi | None, pesq: Pesq | None) -> str:
    """One row: the same packets decoded as they are, and with as much beside them as a call's packets carry at most."""
    packets = packets_of(sound, bitrate_bps, frame_ms)
    rng = random.Random(1)
    dressed = [add_padding(packet, rng.randbytes(rng.randint(1, ROOM))) for packet in packets]
    bare, with_it = (_heard(some, set(), frame_ms, conceal=False) for some in (packets, dressed))
    truth = sound[: len(bare) - LOOK_AHEAD_SAMPLES]
    beside_kbps = sum(len(d) - len(p) for d, p in zip(dressed, packets, strict=True)) * 8 / len(packets) / frame_ms
    both = [heard[LOOK_AHEAD_SAMPLES:] for heard in (bare, with_it)]
    understood = ", ".join(f"{stoi(truth, heard, OPUS_RATE_HZ):.3f}" for heard in both) if stoi else "-"
    liked = ", ".join(f"{pesq(truth, heard):.2f}" for heard in both) if pesq else "-"
    equal = int(np.count_nonzero(bare == with_it)) if len(bare) == len(with_it) else 0
    return (
        f"| {bitrate_bps / 1000:g}k in {frame_ms} ms | 1 to {ROOM} B a packet, {beside_kbps:.1f} kbit/s | {equal} of "
        f"{len(bare)} | {understood} | {liked} |"
    )


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
