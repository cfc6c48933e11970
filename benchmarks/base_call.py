"""A hybrid call of a real clip over simulated networks, in virtual time: what is frozen, how soon a loss is mended.

python benchmarks/base_call.py CLIP [--bitrate KBPS] [--seconds S] [--rung hybrid]

Encoder, sender, receiver and decoder are the call's own; pictures are decoded and their flow found, but not restored.
"""

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from talkcodec.bitstream import BaseRequest, KeyframeUnit, MotionBundle, parse, serialize
from talkcodec.clock import ticks
from talkcodec.codec import CroppedPicture, Decoder, Encoder, EncoderConfig, Rung, accept_hello, hello_for
from talkcodec.convert import crop_frames
from talkcodec.errors import TalkcodecError
from talkcodec.media import MediaReader
from talkcodec.runtime import Engine, open_engine
from talkcodec.session import PlayoutConfig, Receiver, Sender, SenderConfig
from talkcodec.transport.impairment import Impairment
from talkcodec.transport.simulated import SimulatedNetwork
from talkcodec.types import Kind

NETWORKS = {
    "clean": Impairment(delay_ms=40),
    "loss 5 %": Impairment(loss=0.05, delay_ms=40),
    "bursts of 4, 5 %": Impairment(loss=0.05, burst_length=4, delay_ms=40),
    "jitter 30 ms, reordering": Impairment(delay_ms=40, jitter_ms=30, reorder=True),
    "RTT 600 ms, loss 2 %": Impairment(loss=0.02, delay_ms=300),
}
FPS = 25.0
TICK_MS = 5.0


@dataclass
class Call:
    """One network. recovery_ms: from a gap in the numbers to the next picture that decodes."""

    engine: Engine
    weather: Impairment
    config: EncoderConfig
    repeat: bool
    now_ms: float = 0.0
    recovery_ms: list[float] = field(default_factory=list)
    noticed_ms: float | None = None
    payload_bytes: int = 0
    kinds: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    requests: int = 0

    def __post_init__(self) -> None:
        hello = hello_for(self.engine, self.config)
        self.encoder = Encoder(self.engine, self.config)
        self.decoder = Decoder(self.engine, accept_hello(self.engine, hello))
        self.network = SimulatedNetwork(self.weather, seed=3)
        self.network.a.attach(lambda: None, self._to_sender, lambda why: None)
        self.network.b.attach(lambda: None, self._to_receiver, lambda why: None)
        self.sender = Sender(hello, self.encoder.held, SenderConfig(repeat=self.repeat))
        self.receiver: Receiver[Any] = Receiver(hello, self.decoder.held, PlayoutConfig())
        self._newest: int | None = None

    def _to_sender(self, data: bytes) -> None:
        message = parse(data)
        self.requests += isinstance(message, BaseRequest)
        self.sender.receive(message, self.now_ms)  # type: ignore[arg-type]

    def _to_receiver(self, data: bytes) -> None:
        message = parse(data)
        if isinstance(message, MotionBundle):
            newest = (message.sequence + len(message.units) - 1) & 0xFFFF
            gap = self._newest is not None and ((message.sequence - self._newest - 1) & 0xFFFF) < 0x8000
            if gap and message.sequence != ((self._newest or 0) + 1) & 0xFFFF and self.noticed_ms is None:
                self.noticed_ms = self.now_ms
            self._newest = newest
        self.receiver.receive(message, self.now_ms)  # type: ignore[arg-type]

    def capture(self, cut: CroppedPicture, time_s: float) -> None:
        timestamp = ticks(time_s)
        if self.sender.base_start_wanted:
            self.encoder.restart_base()
        wanted = self.sender.keyframe_wanted
        if wanted or self.encoder.wants(timestamp):
            unit = self.encoder.encode(cut.picture, timestamp, wanted, cut.crop, cut.captured_size, cut.new_face)
            self.sender.offer(unit, self.now_ms)

    def tick(self) -> None:
        for out in self.sender.poll(self.now_ms, 0, 0):
            data = serialize(out.message)
            self.payload_bytes += len(data)
            self.network.a.send(data, out.delivery)
        for out in self.receiver.poll(self.now_ms):
            self.network.b.send(serialize(out.message), out.delivery)
        self.network.advance(self.now_ms / 1000)
        while (keyframe := self.receiver.next_keyframe()) is not None:
            self._hold(keyframe)
        while (item := self.receiver.next_base()) is not None:
            if self.noticed_ms is not None:  # only what can be decoded comes out here
                self.recovery_ms.append(self.now_ms - self.noticed_ms)
                self.noticed_ms = None
            try:
                reference, drive = self.decoder.drive(item.unit)
            except TalkcodecError:
                self.receiver.base_failed(item, self.now_ms)
            else:
                self.receiver.base_ready(item, reference, drive, self.now_ms)
        shown = self.receiver.due(self.now_ms)
        if shown is not None:
            self.kinds[shown.kind] += 1
        self.now_ms += TICK_MS

    def _hold(self, keyframe: KeyframeUnit) -> None:
        self.receiver.reference_ready(keyframe, self.decoder.open_reference(keyframe))


def main(
    clip: Annotated[Path, typer.Argument(help="A talking head.")],
    bitrate: Annotated[float, typer.Option(help="Of the picture, kbit/s.")] = 8.0,
    seconds: Annotated[float, typer.Option(help="Of each call; the clip runs there and back.")] = 40.0,
    rung: Annotated[str, typer.Option(help="hybrid or video.")] = "hybrid",
) -> None:
    """Print a table."""
    engine = open_engine(threads=1)
    with MediaReader(clip) as reader:
        frames = [cut for _, cut in crop_frames(reader, engine.config.picture_size)]
    frames = [*frames, *frames[-2:0:-1]]
    typer.echo("| network | repeat | exact % | concealed % | frozen % | restarts | recovery ms, p50 / max | kbit/s |")
    typer.echo("|---|---|---|---|---|---|---|---|")
    for name, weather in NETWORKS.items():
        for repeat in (False, True):
            call = Call(engine, weather, EncoderConfig(acknowledged=True), repeat)
            call.encoder.aim(bitrate * 1000, Rung(rung))
            for number in range(round(seconds * FPS)):
                call.capture(frames[number % len(frames)], number / FPS)
                for _ in range(round(1000 / FPS / TICK_MS)):
                    call.tick()
            shown = max(1, sum(call.kinds.values()))
            share = [f"{100 * call.kinds[kind] / shown:.1f}" for kind in Kind]
            took = sorted(call.recovery_ms)
            recovery = f"{statistics.median(took):.0f} / {took[-1]:.0f}" if took else "-"
            kbps = call.payload_bytes * 8 / 1000 / seconds
            restarts = call.sender.counts.base_restarts
            cells = [name, "yes" if repeat else "no", *share, str(restarts), recovery, f"{kbps:.2f}"]
            typer.echo("| " + " | ".join(cells) + " |")
            call.encoder.close()


if __name__ == "__main__":
    typer.run(main)
