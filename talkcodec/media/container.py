"""Opening files through PyAV, choosing their tracks, and decoding past damage."""

import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import av

from talkcodec.errors import MediaError

__all__ = [
    "Damage",
    "decoded_frames",
    "decoded_length_s",
    "first_frame_s",
    "is_cut",
    "open_input",
    "picture_stream",
    "sound_stream",
]

MAX_DAMAGED_IN_A_ROW = 100
"""So many damaged packets without one good between them, and the rest of the file is given up."""

_Stream = TypeVar("_Stream", av.VideoStream, av.AudioStream)

_ONE_THREAD_PX = 1920 * 1088
"""Up to this size a picture is decoded whole before the next: frame threads lose good frames beside a damaged one."""


class Damage:
    """What of a track could not be decoded. packets: how many; last: the newest error; given_up: too many in a row."""

    def __init__(self) -> None:
        self.packets = 0
        self.last = ""
        self.given_up = False
        self._in_a_row = 0

    def add(self, error: Exception) -> None:
        """One packet more."""
        self.packets += 1
        self._in_a_row += 1
        self.last = _reason(error)
        self.given_up = self._in_a_row >= MAX_DAMAGED_IN_A_ROW

    def good(self) -> None:
        """A packet was decoded."""
        self._in_a_row = 0

    @property
    def summary(self) -> str:
        """In words, for a warning."""
        return f"{self.packets} damaged packet{'s were' if self.packets != 1 else ' was'} left out ({self.last})"


def _reason(error: Exception) -> str:
    """What an error says, without number and name of the file."""
    return getattr(error, "strerror", None) or str(error)


def open_input(path: Path) -> av.container.InputContainer:
    """Open a media file, whatever its name looks like. Raises MediaError."""
    try:
        kind = path.stat().st_mode
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        if missing and re.match(r"[a-z]{2,}:/", str(path)):
            raise MediaError(f"{path} is an address, expected a file: save it first") from error
        raise MediaError(f"{path} does not exist" if missing else f"{path} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(kind):
        raise MediaError(f"{path} is a folder, expected a video file")
    if not stat.S_ISREG(kind):
        raise MediaError(f"{path} is a pipe or a device, expected a file: what is read twice must be saved first")
    try:
        # A protocol of its own, so that "a:b.mp4" is a file; and "p%d.jpg" is one picture, no numbered series.
        return av.open(f"file:{path}", options={"pattern_type": "none"}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path} is no video that can be read: {_reason(error)}") from error


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The track to look at: the default one, else the first; a cover picture only when there is nothing else."""
    cover = av.stream.Disposition.attached_pic
    known = [stream for stream in container.streams.video if stream.codec_context is not None]
    chosen = _default([stream for stream in known if not stream.disposition & cover] or known)
    if chosen is not None:
        chosen.thread_type = "SLICE" if chosen.width * chosen.height <= _ONE_THREAD_PX else "AUTO"
    return chosen


def sound_stream(container: av.container.InputContainer, track: int | None = None) -> av.AudioStream | None:
    """The sound track to hear, None when there is none.

    track: its number, 1 for the first; None for the default one. Raises MediaError for a number that is not there.
    """
    tracks = list(container.streams.audio)
    if track is None:
        return _default([stream for stream in tracks if stream.codec_context is not None])
    if not 1 <= track <= len(tracks):
        name = container.name.removeprefix("file:")
        raise MediaError(f"{name} has no sound track {track}: expected a number from 1 to {len(tracks)}")
    return tracks[track - 1]


def _default(streams: "list[_Stream]") -> "_Stream | None":
    marked = [stream for stream in streams if stream.disposition & av.stream.Disposition.default]
    return next(iter(marked or streams), None)


def decoded_frames(container: av.container.InputContainer, stream: Any, damage: Damage) -> Iterator[Any]:
    """The frames of one track; damaged packets are left out and counted, up to a limit."""
    packets = container.demux(stream)
    while not damage.given_up:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            return
        except av.EOFError:
            return
        except (av.FFmpegError, ValueError) as error:
            damage.add(error)
            packets = container.demux(stream)  # one that has raised an error is at its end
            continue
        if frames:
            damage.good()
        yield from frames


def first_frame_s(path: Path) -> float:
    """Time of the first picture that can be decoded, on the file's own clock; 0 without one. Raises MediaError."""
    with open_input(path) as container:
        stream = picture_stream(container)
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            return 0.0
        first = next(decoded_frames(container, stream, Damage()), None)
        return 0.0 if first is None or first.time is None else float(first.time)


def decoded_length_s(path: Path) -> float:
    """From the first picture that can be decoded to the time of the last, by their own time stamps, without decoding
    all of them; 0 for one picture. Raises MediaError."""
    zero_s = first_frame_s(path)
    last_s = 0.0
    with open_input(path) as container:
        stream = picture_stream(container)
        with suppress(av.FFmpegError):
            for packet in container.demux(stream) if stream is not None else ():
                if packet.pts is not None and packet.time_base and not packet.is_discard:
                    last_s = max(last_s, float(packet.pts * packet.time_base) - zero_s)
    return last_s


def is_cut(container: av.container.InputContainer, stream: Any) -> bool:
    """Whether the file's own index names bytes behind its end."""
    return any(entry.pos + entry.size > container.size for entry in stream.index_entries) and container.size > 0
