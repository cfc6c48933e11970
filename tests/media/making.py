"""Small films, photos and sounds for the tests, made through PyAV; and what is to be heard in packets."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from talkcodec.media import OPUS_RATE_HZ, SoundBlock, SoundPacket
from talkcodec.picture.av1 import keep_scheduling
from talkcodec.types import Picture

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


def corners(height: int = 64, width: int = 96) -> Picture:
    """Red and blue above, green and black below."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = RED
    picture[: height // 2, width // 2 :] = BLUE
    picture[height // 2 :, : width // 2] = GREEN
    return picture


def names(picture: Picture) -> str:
    """The colours of the four corners: "RBGK" is upright."""
    height, width = picture.shape[:2]
    letters = {RED: "R", GREEN: "G", BLUE: "B", BLACK: "K"}
    return "".join(
        letters[tuple(int(value > 128) * 255 for value in picture[y, x])]
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    )


def greys(count: int, height: int = 64, width: int = 96) -> list[Picture]:
    """Each frame a little brighter."""
    return [np.full((height, width, 3), 10 + 200 * index // max(1, count - 1), np.uint8) for index in range(count)]


def film(
    path: Path,
    pictures: Sequence[Picture],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    fps: int = 25,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    set_up: Callable[[Any], None] = lambda stream: None,
    colour: dict[str, Any] | None = None,
    more: Callable[[Any], Sequence[Callable[[], None]]] = lambda container: (),
) -> Path:
    """A video file. times: of the frames, in frame periods. colour: arguments of `reformat`; more: adds tracks, and
    returns what writes them."""
    with keep_scheduling(), av.open(str(path), "w", options=container or {}) as out:
        stream: Any = out.add_stream(codec, rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = pixels, options or {}
        set_up(stream)
        frames = []
        for index, picture in enumerate(pictures):
            kind = "rgb24" if picture.shape[2] == 3 else "rgba"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=kind)
            frame = frame.reformat(format=pixels, **(colour or {}))
            frame.pts, frame.time_base = times[index] if times else index, Fraction(1, fps)
            frames.append(frame)
        for write in more(out):
            write()
        for frame in frames:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def beeps(rate_hz: int, length_s: float, at_s: Iterable[float]) -> np.ndarray:
    """(n,) float32: 1 kHz for a tenth of a second at each time, silence between."""
    time_s = np.arange(round(rate_hz * length_s)) / rate_hz
    on = np.zeros(len(time_s), bool)
    for start_s in at_s:
        on |= (time_s >= start_s) & (time_s < start_s + 0.1)
    return np.where(on, 0.5 * np.sin(2 * np.pi * 1000 * time_s), 0).astype(np.float32)


def add_sound(
    out: Any,
    samples: np.ndarray,
    rate_hz: int,
    *,
    layout: str = "mono",
    codec: str = "pcm_s16le",
    start_s: float = 0.0,
    holes_s: Sequence[tuple[float, float]] = (),
    default: bool | None = None,
) -> list[Callable[[], None]]:
    """A sound track with every channel alike, and what writes it. holes_s: spans without packets."""
    stream = out.add_stream(codec, rate=rate_hz, layout=layout)
    if default is not None:
        stream.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)

    def write() -> None:
        size = rate_hz // 50
        channels = av.AudioLayout(layout).nb_channels
        for start in range(0, len(samples) - size + 1, size):
            if any(first <= start / rate_hz < last for first, last in holes_s):
                continue
            piece = np.repeat(np.int16(32767 * samples[None, start : start + size]), channels, axis=1)
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = start + round(start_s * rate_hz)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))

    return [write]


def heard_at(packets: Sequence[SoundPacket] | Sequence[SoundBlock]) -> list[float]:
    """The times at which beeps begin in Opus packets, or in blocks of samples."""
    decoder: Any = av.AudioCodecContext.create("libopus", "r")
    loud: list[tuple[float, bool]] = []
    for packet in packets:
        if isinstance(packet, SoundBlock):
            heard = [packet.samples.mean(axis=1) / 32768]
        else:
            frames = decoder.decode(av.Packet(packet.data))
            heard = [frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1) for frame in frames]
            heard = [h / (32768 if f.format.name.startswith("s16") else 1) for h, f in zip(heard, frames, strict=True)]
        for samples in heard:
            step = OPUS_RATE_HZ // 200
            for start in range(0, len(samples) - step + 1, step):
                level = float(np.sqrt(np.square(samples[start : start + step]).mean()))
                loud.append((packet.time_s + start / OPUS_RATE_HZ, level > 0.1))
    return [
        round(loud[index][0], 3)
        for index in range(len(loud))
        if loud[index][1] and not any(on for _, on in loud[max(0, index - 10) : index])
    ]


def opus_track(out: Any, samples: np.ndarray, holes_s: Sequence[tuple[float, float]]) -> list[Callable[[], None]]:
    """An Opus track with packets missing."""
    return add_sound(out, samples, OPUS_RATE_HZ, codec="libopus", holes_s=holes_s)


def damage(path: Path, *numbers: int, kind: str = "video") -> Path:
    """Overwrite these packets of an mp4's first track of a kind."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(entry.pos, entry.size) for entry in container.streams.get(**{kind: 0})[0].index_entries]
    for number in numbers:
        position, size = places[number]
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    return path
