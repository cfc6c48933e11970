"""Videos in and out through PyAV: pictures with their times, sound as Opus packets, errors as MediaError."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np

from talkcodec.errors import MediaError
from talkcodec.types import Picture

__all__ = [
    "OPUS_RATE_HZ",
    "Frame",
    "MediaReader",
    "MediaWriter",
    "SoundPacket",
    "check_microphone",
    "read_microphone",
    "read_opus",
    "read_picture",
]

logger = logging.getLogger(__name__)

OPUS_RATE_HZ = 48_000
MAX_SIDE_PX = 8192
_DRIFT_S = 0.1
_ALSA_CONFIGURATION = "/usr/share/alsa/alsa.conf"


class Frame(NamedTuple):
    """A captured instant: picture (H, W, 3) upright, time in seconds from the start of the file."""

    picture: Picture
    time_s: float


class SoundPacket(NamedTuple):
    """One Opus packet, 48 kHz; times in seconds."""

    time_s: float
    duration_s: float
    data: bytes


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What the container says: fps and frame_count may be estimates, 0 when unknown; sides before turning."""

    width: int
    height: int
    fps: float
    frame_count: int
    has_audio: bool


class MediaReader:
    """The frames of a video file, in order of time.

    After iteration `problem` says what cut the file short, None when it was read to its end.
    Raises MediaError for a file that is missing or no video.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.problem: str | None = None
        self._container = _open(self.path)
        if not self._container.streams.video:
            self._container.close()
            raise MediaError(f"{self.path} holds no video")
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        fps = float(rate) if rate else 0.0
        length_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        self.info = MediaInfo(
            width=stream.width,
            height=stream.height,
            fps=fps,
            frame_count=stream.frames or round(length_s * fps),
            has_audio=bool(self._container.streams.audio),
        )
        self._stream = stream

    def __iter__(self) -> Iterator[Frame]:
        first_s: float | None = None
        last_s, number = -1.0, -1
        try:
            for number, decoded in enumerate(self._container.decode(self._stream)):
                if max(decoded.width, decoded.height) > MAX_SIDE_PX:
                    raise MediaError(f"{self.path} has {decoded.width}x{decoded.height} px, at most {MAX_SIDE_PX}")
                time_s = decoded.time if decoded.time is not None else number / (self.info.fps or 25.0)
                first_s = time_s if first_s is None else first_s
                if time_s - first_s <= last_s:
                    continue  # two frames of one instant, or a clock that goes back: the earlier one stands
                last_s = time_s - first_s
                yield Frame(_upright(decoded), last_s)
        except (av.FFmpegError, ValueError) as error:
            self.problem = f"{self.path} is damaged: read up to {max(0.0, last_s):.2f} s ({error})"
        if self.problem is None and number + 1 < self._stream.frames:
            self.problem = f"{self.path} is cut: it announces {self._stream.frames} frames and holds {number + 1}"
        if first_s is None:
            raise MediaError(f"{self.path} holds no frame that can be decoded")

    def __enter__(self) -> "MediaReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._container.close()


def read_picture(path: Path | str) -> Picture:
    """The first picture of a photo or video file; raises MediaError."""
    with MediaReader(path) as reader:
        return next(iter(reader)).picture


def read_opus(path: Path | str, bitrate_bps: int = 16_000, channels: int = 1) -> Iterator[SoundPacket]:
    """The first sound track of a file as 20 ms Opus packets; nothing when it has none.

    Times count from the first frame of the file's video, so they fit those of MediaReader. What is damaged is left
    out with a warning. Raises MediaError when the file cannot be opened.
    """
    with _open(Path(path)) as container:
        if not container.streams.audio:
            return
        start_s = 0.0
        if container.streams.video:
            video = container.streams.video[0]
            start_s = float((video.start_time or 0) * (video.time_base or 0))
        encoder = _OpusEncoder(bitrate_bps, channels)
        offset_s: float | None = None
        try:
            for decoded in container.decode(container.streams.audio[0]):
                if offset_s is None:
                    offset_s = (decoded.time or 0.0) - start_s
                yield from encoder.encode(decoded, offset_s)
        except (av.FFmpegError, ValueError) as error:
            logger.warning("the sound of %s is damaged: read up to %.2f s (%s)", path, encoder.length_s, error)
        if offset_s is not None:
            with suppress(av.FFmpegError):
                yield from encoder.encode(None, offset_s)


def read_microphone(device: str = "default", bitrate_bps: int = 16_000) -> Iterator[SoundPacket]:
    """What a microphone hears as 20 ms Opus packets, until the iterator is closed; times on the monotonic clock.

    device: a name of the system's sound interface (ALSA, AVFoundation, DirectShow; "plughw:0" under ALSA), or
    INTERFACE:DEVICE with any input of FFmpeg. Raises MediaError when it cannot be opened, or breaks off.
    """
    encoder = _OpusEncoder(bitrate_bps, 1)
    offset_s: float | None = None
    with _open_microphone(device) as container:
        try:
            for decoded in container.decode(container.streams.audio[0]):
                heard_s = time.monotonic() - decoded.samples / decoded.sample_rate
                # The sound card's clock is not ours: start anew when they have drifted apart, or the machine slept.
                if offset_s is None or abs(heard_s - offset_s - encoder.length_s) > _DRIFT_S:
                    offset_s = heard_s - encoder.length_s
                yield from encoder.encode(decoded, offset_s)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"the microphone {device} broke off: {error}") from error
    raise MediaError(f"the microphone {device} delivers no more sound")


def check_microphone(device: str) -> None:
    """Raises MediaError when `read_microphone` could not open this device."""
    _open_microphone(device).close()


def _open_microphone(device: str) -> av.container.InputContainer:
    interface, known, name = device.partition(":")
    if not known or interface not in av.formats_available:
        interface, name = {"darwin": "avfoundation", "win32": "dshow"}.get(sys.platform, "alsa"), device
    name = {"avfoundation": f":{name}", "dshow": f"audio={name}"}.get(interface, name)
    if interface == "alsa" and Path(_ALSA_CONFIGURATION).exists():
        os.environ.setdefault("ALSA_CONFIG_PATH", _ALSA_CONFIGURATION)  # PyAV's own copy looks elsewhere
    try:
        container = av.open(name, format=interface)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"no microphone {device}: {error}") from error
    if not container.streams.audio:
        container.close()
        raise MediaError(f"{device} gives no sound")
    return container


class _OpusEncoder:
    """Decoded sound of any rate and layout into 20 ms packets of speech."""

    def __init__(self, bitrate_bps: int, channels: int) -> None:
        layout = "mono" if channels == 1 else "stereo"
        self._encoder = av.AudioCodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.layout, self._encoder.format = OPUS_RATE_HZ, layout, "s16"
        self._encoder.bit_rate = bitrate_bps
        self._encoder.options = {"application": "voip", "frame_duration": "20"}
        self._resampler = av.AudioResampler("s16", layout, OPUS_RATE_HZ, frame_size=OPUS_RATE_HZ // 50)
        self._samples = 0

    @property
    def length_s(self) -> float:
        """Sound taken so far."""
        return self._samples / OPUS_RATE_HZ

    def encode(self, decoded: "av.AudioFrame | None", offset_s: float) -> Iterator[SoundPacket]:
        """The packets that are complete with this frame, offset_s later than its place in all sound; None: the last."""
        if decoded is None:
            yield from self._packets(self._encoder.encode(None), offset_s)
            return
        decoded.pts = None
        for frame in self._resampler.resample(decoded):
            frame.pts, frame.time_base = self._samples, Fraction(1, OPUS_RATE_HZ)
            self._samples += frame.samples
            yield from self._packets(self._encoder.encode(frame), offset_s)

    @staticmethod
    def _packets(packets: "list[av.Packet[Any]]", offset_s: float) -> Iterator[SoundPacket]:
        for packet in packets:
            time_s = (packet.pts or 0) / OPUS_RATE_HZ + offset_s
            if time_s >= 0:  # the encoder's look-ahead lies before the start
                yield SoundPacket(time_s, 0.02, bytes(packet))


class MediaWriter:
    """An mp4 file: H.264 pictures at their times, and Opus packets as they are.

    comment: stands in the file's metadata, as "the face is generated".
    The file is playable up to the last frame however writing ends, as long as `close` is called (use `with`).
    Raises MediaError when the file cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        width: int,
        height: int,
        fps: float = 25.0,
        *,
        sound: bool = False,
        crf: int = 18,
        comment: str = "",
    ) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self._last_timestamp = -1
        if not self.path.parent.is_dir():  # PyAV would notice with the first packet only
            raise MediaError(f"cannot write {self.path}: its folder does not exist")
        try:
            self._container = av.open(str(self.path), "w", format="mp4", options={"movflags": "+faststart"})
            self._container.metadata["comment"] = comment
            rate = Fraction(fps).limit_denominator(1001)
            self._video = self._container.add_stream("libx264", rate=rate)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"cannot write {self.path}: {error}") from error
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = "yuv420p"
        self._video.time_base = Fraction(1, 90_000)
        self._video.codec_context.time_base = Fraction(1, 90_000)
        self._video.options = {"crf": str(crf), "preset": "veryfast"}
        self._sound = None
        if sound:
            self._sound = self._container.add_stream("libopus", rate=OPUS_RATE_HZ, layout="mono")
            self._sound.time_base = Fraction(1, OPUS_RATE_HZ)
        self._closed = False

    def write(self, picture: Picture, time_s: float) -> None:
        """Append a picture (H, W, 3), scaled where it has not the film's size; left out when its time is not later."""
        timestamp = round(time_s * 90_000)
        if timestamp <= self._last_timestamp:
            return
        self._last_timestamp = timestamp
        size = (self._video.width, self._video.height)
        if picture.shape[0] % 2 or picture.shape[1] % 2:  # H.264 in 4:2:0 has even sides
            picture = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), "edge")
        if picture.shape[1::-1] != size:
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = timestamp, Fraction(1, 90_000)
        try:
            self._mux(self._video.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"cannot write {self.path}: {error}") from error
        self.frames_written += 1

    def write_sound(self, packet: SoundPacket) -> None:
        """Append an Opus packet; needs sound=True."""
        assert self._sound is not None
        coded = av.Packet(packet.data)
        coded.stream = self._sound
        coded.time_base = Fraction(1, OPUS_RATE_HZ)
        coded.pts = coded.dts = round(packet.time_s * OPUS_RATE_HZ)
        coded.duration = round(packet.duration_s * OPUS_RATE_HZ)
        self._mux([coded])

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.frames_written:
                self._mux(self._video.encode(None))
        finally:
            try:
                self._container.close()
            except (av.FFmpegError, OSError) as error:
                raise MediaError(f"{self.path} cannot be finished: {error}") from error

    def __enter__(self) -> "MediaWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        try:
            self._container.mux(packets)
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"cannot write {self.path}: {error}") from error


def _open(path: Path) -> av.container.InputContainer:
    if not path.exists():
        raise MediaError(f"{path} does not exist")
    if path.is_dir():
        raise MediaError(f"{path} is a folder, expected a video file")
    try:
        return av.open(str(path), "r")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path} is no video that can be read: {error}") from error


def _upright(frame: av.VideoFrame) -> Picture:
    """RGB, turned by the rotation that phones write into the file (multiples of 90 degrees, counter-clockwise)."""
    picture = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
