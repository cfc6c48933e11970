"""A call on this machine: two processes, real ICE, DTLS and SCTP, the embedded sample with sound.

python -m sender.demo [--out DIR] [--seconds S] [--model NAME]

Writes DIR/received.mp4 (what the receiver played, with sound), DIR/side-by-side.mp4 (captured left, received right) and
DIR/call.json (the figures), and prints what the call cost and how it went.
"""

import json
import secrets
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.command.apps import new_app
from talkcodec.command.exits import run_app, tell
from talkcodec.command.options import (
    DEFAULT_MODEL,
    BitrateOption,
    CarrierOption,
    ModelOption,
    RungOption,
    ThreadsOption,
)
from talkcodec.errors import TalkcodecError
from talkcodec.media import MediaReader, MediaWriter, read_opus
from talkcodec.media.sources import VideoFile
from talkcodec.sample import sample_path
from talkcodec.types import Picture

__all__ = ["app", "figures_of", "main"]

app = new_app()


@app.command()
def main(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path("demo-out"),
    video: Annotated[Path | None, typer.Argument(help="Your own talking head; else the embedded sample.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the call.")] = 12.0,
    rung: RungOption = None,
    bitrate: BitrateOption = None,
    model: ModelOption = DEFAULT_MODEL,
    threads: ThreadsOption = None,
    carrier: CarrierOption = "auto",
) -> None:
    """Hold a call between two processes on this machine, and show both sides of it."""
    out.mkdir(parents=True, exist_ok=True)
    source = video or sample_path()
    files = {name: out / f"call-{name}.json" for name in ("sender", "receiver")}
    received = out / "received.mp4"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = secrets.token_urlsafe(12)
    common = ["--model", model, "--carrier", carrier, *(["--threads", str(threads)] if threads else [])]
    receiver = _start(
        "receiver", ["--port", str(port), "--key", key, "--sink", str(received), "--once", *common], files["receiver"]
    )
    try:
        _wait_until_listening(receiver)
        url = f"http://127.0.0.1:{port}/whip"
        typer.echo(f"calling {url} with {source.name} for {seconds:g} s")
        arguments = [url, "--key", key, "--source", str(source), "--loop", "--seconds", str(seconds), *common]
        arguments += ["--rung", rung.value] if rung else []
        arguments += ["--bitrate", str(bitrate)] if bitrate else []
        code = _start("sender", arguments, files["sender"]).wait(seconds + 120)
        receiver_code = receiver.wait(60)
    except subprocess.TimeoutExpired:
        code = receiver_code = 4
    finally:
        receiver.terminate()
    if code or receiver_code:
        typer.echo(f"talkcodec: the call failed (sender {code}, receiver {receiver_code})", err=True)
        raise typer.Exit(code or receiver_code)
    try:
        rows = {name: [json.loads(line) for line in path.read_text().splitlines()] for name, path in files.items()}
        if not rows["sender"] or not rows["receiver"]:
            raise TalkcodecError("the call was too short to be measured")
        figures = figures_of(rows["sender"], rows["receiver"])
        (out / "call.json").write_text(json.dumps(figures, indent=2) + "\n")
        _print_table(figures, rows["sender"][-1], rows["receiver"][-1])
        side = _side_by_side(source, received, rows, out / "side-by-side.mp4")
    except (TalkcodecError, OSError) as error:
        raise typer.Exit(tell(error)) from None
    typer.echo(f"\nCaptured left, received right: {side.resolve()}")
    typer.echo(f"What the receiver played:      {received.resolve()}")


def _start(program: str, arguments: list[str], stats: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", program, *arguments, "--stats", str(stats), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.PIPE if program == "receiver" else None, text=True)


def _wait_until_listening(receiver: "subprocess.Popen[str]") -> None:
    assert receiver.stdout is not None
    line = receiver.stdout.readline()
    if not line.startswith("waiting at"):
        raise typer.Exit(receiver.wait(10) or 1)
    threading.Thread(target=receiver.stdout.read, daemon=True).start()  # nobody reads on: do not let the pipe fill


def figures_of(sent: list[dict[str, Any]], got: list[dict[str, Any]]) -> dict[str, Any]:
    """The call as a whole: rates are means after the first two seconds of pictures."""
    last = got[-1]
    steady = [row for row in sent if row["units"]][2:] or sent[-1:]
    shown = max(1, last["exact"] + last["concealed"] + last["frozen"])

    def mean(name: str) -> float:
        return round(sum(float(row[name] or 0.0) for row in steady) / len(steady), 2)

    def percent(name: str) -> float:
        return float(round(100 * float(last[name]) / shown, 2))

    return {
        "wire_up_kbps": mean("wire_kbps_up"),
        "wire_down_kbps": mean("wire_kbps_down"),
        "sound_kbps": mean("sound_kbps_up"),
        "picture_kbps": mean("payload_kbps_up"),
        "conventional_kbps": mean("conventional_kbps"),
        "exact_percent": percent("exact"),
        "concealed_percent": percent("concealed"),
        "frozen_percent": percent("frozen"),
        "latency_p50_ms": last["latency_ms_p50"],
        "latency_p95_ms": last["latency_ms_p95"],
        "lip_sync_p95_ms": last["lip_sync_ms_p95"],
        "rung": sent[-1]["rung"],
        "carrier": sent[-1]["carrier"],
        "sound_frame_ms": sent[-1]["sound_frame_ms"],
        "frames_shown": shown,
    }


def _print_table(figures: dict[str, Any], sent: dict[str, Any], got: dict[str, Any]) -> None:
    table = Table(title="the call", title_justify="left", show_header=False)
    for name, text in (
        ("on the wire, all of it, up and down", f"{figures['wire_up_kbps']:.1f} and {figures['wire_down_kbps']:.1f} "
         f"kbit/s"),
        ("of that the picture's bytes", f"{figures['picture_kbps']:.1f} kbit/s, {figures['rung']} rung, keyframes "
         f"{got['keyframe_bytes']} bytes in all"),
        ("of that the voice's", f"{figures['sound_kbps']:.1f} kbit/s in packets of {figures['sound_frame_ms']} ms"),
        ("the leanest conventional call would need", f"{figures['conventional_kbps']:.1f} kbit/s up"),
        ("frames shown", f"{figures['frames_shown']}: {figures['exact_percent']:.1f} % exact, "
         f"{figures['concealed_percent']:.1f} % concealed, {figures['frozen_percent']:.1f} % frozen"),
        ("frames the generator was too slow for", f"{got['dropped_frames']} dropped"),
        ("left out for a cadence that it holds", f"{got['left_out']}; at the end {got['shown_fps']:.3g} "
         "frames a second were shown"),
        ("round trip, with the wait for a packet", _milliseconds(sent["rtt_ms"])),
        ("encode, generate (median)", f"{_milliseconds(sent['encode_ms'])}, {_milliseconds(got['generate_ms'])}"),
        ("latency, capture to picture (p50, p95)", f"{_milliseconds(figures['latency_p50_ms'])}, "
         f"{_milliseconds(figures['latency_p95_ms'])}"),
        ("lip sync error (p95)", _milliseconds(figures["lip_sync_p95_ms"])),
    ):  # fmt: skip
        table.add_row(name, text)
    Console().print(table)


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _side_by_side(source: Path, received: Path, rows: dict[str, list[dict[str, Any]]], out: Path) -> Path:
    """Each received frame beside the frame that was captured at its media time."""
    started, first = rows["sender"][-1]["first_timestamp"], rows["receiver"][-1]["first_timestamp"]
    if started is None or first is None:
        raise TalkcodecError("no picture was shown")
    offset_s = time32_diff(first, started) / CLOCK_HZ
    captured = VideoFile(source, loop=True).frames()
    frame = next(captured)
    following = next(captured)
    with MediaReader(received) as reader:
        has_sound = reader.info.has_audio
        writer: MediaWriter | None = None
        for shown in reader:
            while following.time_s <= shown.time_s + offset_s + 0.001:
                frame, following = following, next(captured)
            height, width = shown.picture.shape[:2]
            pair = np.concatenate([_square(frame.picture, height), shown.picture], axis=1)
            if writer is None:
                comment = "left: captured, right: generated by talkcodec"
                writer = MediaWriter(out, 2 * width, height, sound=has_sound, comment=comment)
            writer.write(np.ascontiguousarray(pair), shown.time_s)
    assert writer is not None
    if has_sound:
        for packet in read_opus(received):
            writer.write_sound(packet)
    writer.close()
    return out


def _square(picture: Picture, side: int) -> Picture:
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    cut = picture[top : top + edge, left : left + edge]
    return np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


if __name__ == "__main__":
    run_app(app)
