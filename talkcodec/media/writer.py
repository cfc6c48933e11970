"""Films out: an mp4 that plays up to its last second however the writing ends."""

import contextlib
import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from talkcodec.errors import MediaError, StorageError
from talkcodec.media.opus import OPUS_RATE_HZ
from talkcodec.media.sound import SoundPacket
from talkcodec.types import Picture

__all__ = ["MediaWriter"]

_CLOCK_HZ = 90_000
_OPTIONS = {
    # Pieces that play by themselves, each with its own times, behind a head that waits for nothing.
    "movflags": "empty_moov+default_base_moof+frag_discont+cmaf",
    "frag_duration": "1000000",  # a piece a second, in us
    "max_interleave_delta": "500000",  # wait no longer for sound that does not come, in us
    "fflags": "+flush_packets",
}


class _Disk:
    """A file for PyAV. After the first error nothing is written any more, so that what stands there stays playable."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """All of it, or nothing from now on."""
        if self.error is None:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._file.write(rest) or 0 :]
            except OSError as error:
                self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of files."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of files."""
        return self._file.tell()

    def close(self) -> None:
        """Some file systems say only here that they are full."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error


class MediaWriter:
    """An mp4 file: H.264 pictures at their times in BT.709, and Opus packets as they are.

    comment: stands in the file's metadata, as "the face is generated".
    The file plays up to the last frame when `close` is called (use `with`), and up to its last second or two when the
    program is killed. Raises MediaError when the file cannot be begun, StorageError when the disk takes no more: what
    was written before stays playable.
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
        self._closed = False
        if not self.path.parent.is_dir():
            raise MediaError(f"cannot write {self.path}: its folder does not exist")
        try:
            self._disk = _Disk(self.path)
        except OSError as error:
            raise MediaError(f"cannot write {self.path}: {error.strerror or error}") from error
        try:
            self._container = av.open(self._disk, "w", format="mp4", options=_OPTIONS)
            self._container.metadata["comment"] = comment
            self._video = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        except (av.FFmpegError, OSError, ValueError) as error:
            self._disk.close()
            raise MediaError(f"cannot write {self.path}: {error}") from error
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = "yuv420p"
        self._video.time_base = Fraction(1, _CLOCK_HZ)
        self._video.options = {"crf": str(crf), "preset": "veryfast", "bf": "0"}
        codec = self._video.codec_context
        codec.time_base = Fraction(1, _CLOCK_HZ)
        codec.color_range, codec.colorspace = ColorRange.MPEG, Colorspace.ITU709
        codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._sound = None
        if sound:
            self._sound = self._container.add_stream("libopus", rate=OPUS_RATE_HZ, layout="mono")
            self._sound.time_base = Fraction(1, OPUS_RATE_HZ)

    def write(self, picture: Picture, time_s: float) -> None:
        """Append a picture (H, W, 3), RGB, 0 to 255, scaled to the film's size; left out when its time is not later."""
        timestamp = round(time_s * _CLOCK_HZ)
        if timestamp <= self._last_timestamp:
            return
        self._last_timestamp = timestamp
        size = (self._video.width, self._video.height)
        if picture.shape[0] % 2 or picture.shape[1] % 2:  # H.264 in 4:2:0 has even sides
            picture = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), "edge")
        if picture.shape[1::-1] != size:
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            dst_color_primaries=ColorPrimaries.BT709,
            dst_color_trc=ColorTrc.BT709,
        )
        frame.pts, frame.time_base = timestamp, Fraction(1, _CLOCK_HZ)
        try:
            packets = self._video.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"cannot write {self.path}: {error}") from error
        self._mux(packets)
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
            if self.frames_written and self._disk.error is None:
                self._mux(self._video.encode(None))
        finally:
            self._end()

    def _end(self) -> None:
        failed_before = self._disk.error is not None
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            if not failed_before:
                raise MediaError(f"{self.path} cannot be finished: {error}") from error
        finally:
            self._disk.close()
        if not failed_before:
            self._check_disk()

    def __enter__(self) -> "MediaWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An error that is on its way is the one to tell, not what follows from it.
        with contextlib.suppress(MediaError, StorageError) if kind else contextlib.nullcontext():
            self.close()

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        try:
            self._container.mux(packets)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"cannot write {self.path}: {error}") from error
        self._check_disk()

    def _check_disk(self) -> None:
        error = self._disk.error
        if error is None:
            return
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise StorageError(f"cannot go on writing {self.path}: {why}; the film up to there is kept") from error
