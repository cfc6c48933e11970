"""Ours beside conventional calls, in one run: python -m benchmarks.side_by_side [--help]. Results: docs/network.md.

The same clip and speech in each row, both ways, over a good network. Live calls go through the relay that counts every
datagram with its IP and UDP headers. AV1, which aiortc does not have, is coded as `eval rd` codes it and counted at its
packets and their headers, beside Opus as ours counted in the same way: no RTCP, no ICE, no keyframe, in its favour.
"""

import argparse
import asyncio
import sys
import threading
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console

from benchmarks.conventional import Conventional, hold_conventional_call
from benchmarks.network import machine, read_frames, read_speech, update
from benchmarks.voice import packets_of
from eval.anchors import code_anchor
from eval.clips import Clip, looped
from eval.instruments import Instruments, choose_instruments, open_instruments
from eval.metrics import score_clip
from eval.wire import MTU_PAYLOAD_BYTES, RTP_PACKET_BYTES
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.codec import EncoderConfig, Rung
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.experiment import Condition, TracedEngine, run_call
from talkcodec.peer.sound import SoundConfig
from talkcodec.runtime import open_engine
from talkcodec.sample import sample_path
from talkcodec.session.budget import CallBudget
from talkcodec.types import Drive, FloatArray, Kind, Picture, PlayedPicture, SoundArray

FPS, BUDGET_KBPS = 25.0, 20.0
COLUMNS = ("call", "picture's encoder", "sound", "up", "down", "L1", "AKD px", "shown a second")

ANCHORS = ((63, 1, None), (57, 2, None), (63, 2, None), (57, 2, 128), (63, 2, 128))
"""AV1: quality, each how manieth frame, side where it is coded smaller. 63 is the coarsest that there is."""

HELD_BPS, H264_FACE_BPS = 10_000, 30_000
"""Far below what the encoders can do at this size, so that they end at their coarsest; and, as H.264 falls to pieces
there, the least in steps of 10 kbit/s at which a face is left of it."""


class _Later(TracedEngine):
    """Flows are found at once; a picture to be shown is only noted, and made when the call is over."""

    def encode_reference(self, picture: Picture, motion: Any) -> Any:
        return self._engine.encode_reference(picture, motion)

    def find_flow(self, reference: Any, base: Picture) -> FloatArray:
        return self._engine.find_flow(reference, base)

    def generate(self, reference: Any, drive: Drive, *, light: bool = False) -> Picture:
        if self._really:
            return super().generate(reference, drive, light=light)
        noted: Any = np.empty(1, object)
        noted[0] = (reference, drive)
        return noted  # type: ignore[no-any-return]


class Bench:
    """What all rows share."""

    def __init__(self, arguments: argparse.Namespace, instruments: Instruments, console: Console) -> None:
        self._arguments, self._instruments, self._console = arguments, instruments, console
        self.engine = open_engine(arguments.model, threads=1)
        self._frames = read_frames(arguments.source, self.engine.config.picture_size, arguments.frames)
        self._speech: list[SoundArray] = read_speech(arguments.speech or arguments.source)
        plan = CallBudget(BUDGET_KBPS * 1000).plan()
        self.sound = SoundConfig(plan.sound_bps, plan.frame_ms)
        self.rows: list[list[str]] = []

    @property
    def our_sound(self) -> str:
        """In words."""
        return f"Opus as ours, {self.sound.bitrate_bps / 1000:g}k in {self.sound.frame_ms} ms"

    async def ours(self) -> None:
        """A call at the budget."""
        seconds, engine = self._arguments.seconds, _Later(self.engine, self._frames)
        shown: dict[int, deque[PlayedPicture]] = {}

        def note(picture: PlayedPicture) -> None:  # each side shows in a thread of its own
            shown.setdefault(threading.get_ident(), deque(maxlen=round(seconds * FPS))).append(picture)

        encoder = EncoderConfig(acknowledged=True, rung=Rung.MOTION)
        result = await run_call(
            engine, self._frames, Condition("clean"), speech=self._speech, both=True, fps=FPS, seconds=seconds,
            config=PeerConfig(encoder=encoder, carrier="sound", budget_kbps=BUDGET_KBPS),
            warm_up_s=self._arguments.warm_up, on_picture=note,
        )  # fmt: skip
        one_side = next(iter(shown.values()))
        pictures: list[tuple[int, Picture]] = []
        for played in one_side:
            made: Any = played.picture
            again = played.kind is Kind.FROZEN and pictures
            pictures.append((played.timestamp, pictures[-1][1] if again else self.engine.generate(*made[0])))
        alive = sum(played.kind is not Kind.FROZEN for played in one_side)
        wire = (result.wire_up_kbps, result.wire_down_kbps)
        self._add(f"talkcodec, budget {BUDGET_KBPS:g}", f"{result.rung} rung", self.our_sound, wire, pictures, alive)

    async def conventional(self, call: Conventional) -> None:
        """A call of aiortc's own."""
        seen = await hold_conventional_call(
            call, self._frames, self._speech, fps=FPS, warm_up_s=self._arguments.warm_up,
            seconds=self._arguments.seconds,
        )  # fmt: skip
        held = f"held to {call.held_bps / 1000:g} kbit/s" + (", aiortc's least" if call.bitrate_bps is None else "")
        sound = "Opus as aiortc's, 96k in 20 ms" if call.sound is None else self.our_sound
        wire = (seen.up_kbps, seen.down_kbps)
        self._add(f"aiortc {call.codec}", held, sound, wire, seen.pictures, len(seen.pictures))

    def counted(self, quality: int, every: int, size: int | None) -> None:
        """AV1 at its packets."""
        clip = Clip("clip", np.stack(self._frames), Fraction(FPS))
        clip = looped(clip, self._arguments.seconds)
        decoded, traffic = code_anchor(clip, "av1", quality, size, every)
        keyframe_packets = -(-traffic.keyframe_bytes // MTU_PAYLOAD_BYTES)
        picture_bytes = traffic.wire_up_bytes - traffic.keyframe_bytes - keyframe_packets * RTP_PACKET_BYTES
        sound = np.concatenate(self._speech)
        packets = packets_of(sound, self.sound.bitrate_bps, self.sound.frame_ms)
        sound_kbps = sum(len(packet) + RTP_PACKET_BYTES for packet in packets) * 8 / len(packets) / self.sound.frame_ms
        kbps = picture_bytes * 8 / 1000 / clip.duration_s + sound_kbps
        strict = score_clip(list(clip.frames), list(decoded), self._instruments).strict
        fps = FPS / every
        side = size or clip.frames.shape[2]
        self._row(
            "AV1, counted",
            f"{side} px, CRF {quality}, {fps:g} fps",
            self.our_sound,
            (kbps, kbps),
            strict.l1,
            strict.akd_px,
            fps,
        )

    def _add(
        self, call: str, encoder: str, sound: str, wire: tuple[float, float],
        pictures: list[tuple[int, Picture]], alive: int,
    ) -> None:  # fmt: skip
        """Each picture against the frame of its time; which frame was the first is where all fit best."""
        track = [*self._frames, *self._frames[-2:0:-1]]
        ticks = [time32_diff(at & 0xFFFFFFFF, pictures[0][0] & 0xFFFFFFFF) for at, _ in pictures]
        steps = np.array([round(tick * FPS / CLOCK_HZ) for tick in ticks])
        small = np.stack([_small(frame) for frame in track])
        seen = np.stack([_small(picture) for _, picture in pictures[::10]])
        error = [np.abs(small[(start + steps[::10]) % len(track)] - seen).mean() for start in range(len(track))]
        numbers = (int(np.argmin(error)) + steps) % len(track)
        truth = [track[number] for number in numbers]
        strict = score_clip(truth, [picture for _, picture in pictures], self._instruments).strict
        self._row(call, encoder, sound, wire, strict.l1, strict.akd_px, alive / self._arguments.seconds)

    def _row(
        self, call: str, encoder: str, sound: str, wire: tuple[float, float], l1: float, akd_px: float, fps: float
    ) -> None:
        akd = "-" if np.isnan(akd_px) else f"{akd_px:.2f}"
        self.rows.append([call, encoder, sound, f"{wire[0]:.1f}", f"{wire[1]:.1f}", f"{l1:.4f}", akd, f"{fps:.1f}"])
        self._console.print("  " + " | ".join(self.rows[-1]), highlight=False)


def _small(picture: Picture) -> FloatArray:
    return np.asarray(cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA), dtype=np.float32)


async def main_async(arguments: argparse.Namespace) -> int:
    console = Console(width=200)
    choice = choose_instruments(arguments.models, None, "none")
    for lack in choice.missing:
        console.print(lack)
    instruments = open_instruments(arguments.models, choice.landmarks, choice.identity)
    bench = Bench(arguments, instruments, console)
    await bench.ours()
    for codec in ("VP8", "H264"):
        await bench.conventional(Conventional(codec))
        await bench.conventional(Conventional(codec, HELD_BPS))
        await bench.conventional(Conventional(codec, HELD_BPS, bench.sound))
    await bench.conventional(Conventional("H264", H264_FACE_BPS, bench.sound))
    for quality, every, size in ANCHORS:
        bench.counted(quality, every, size)
    speech = arguments.speech or arguments.source
    text = f"{machine()}; {arguments.source.name} there and back; speech {speech.name}; {arguments.seconds:g} s a row, "
    text += f"wire in kbit/s; landmarks by {choice.landmarks}.\n\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
    text += "\n".join(f"| {' | '.join(row)} |" for row in bench.rows)
    if arguments.update:
        update(arguments.update, "side by side", text)
    else:
        console.print(text, highlight=False, soft_wrap=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--models", type=Path, help="folder of the measuring instruments, as in eval")
    parser.add_argument("--source", type=Path, default=sample_path(), help="a talking head")
    parser.add_argument("--speech", type=Path, help="a file with speech; else the source's own sound")
    parser.add_argument("--frames", type=int, default=300, help="of the source, played there and back")
    parser.add_argument("--seconds", type=float, default=25.0, help="measured a row")
    parser.add_argument("--warm-up", type=float, default=8.0)
    parser.add_argument("--update", type=Path, metavar="PAGE", help="put the table between the marks of this page")
    return asyncio.run(main_async(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
