"""Whole files: video to recording, and recording to video."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from talkcodec import __version__
from talkcodec.bitstream import (
    AudioFormat,
    Layer,
    RecordedAudio,
    RecordingHeader,
    RecordingReader,
    RecordingWriter,
    TimeBase,
)
from talkcodec.clock import CLOCK_HZ
from talkcodec.codec import (
    Decoder,
    Encoder,
    EncoderConfig,
    FaceCropper,
    Rung,
    accept_hello,
    hello_for,
    paste_back,
)
from talkcodec.codec.choice import ReferenceChoice
from talkcodec.codec.crop import CroppedPicture, fit
from talkcodec.codec.fitting import SEGMENT_S, RateFitter
from talkcodec.codec.ladder import config_for_rung
from talkcodec.codec.segment import in_segments
from talkcodec.codec.timeline import TimedDrive, fill_in
from talkcodec.codec.trial import shown_psnr_db
from talkcodec.coding import UnitReader, UnitRecorder, UnitWriter
from talkcodec.errors import BitstreamError, MediaError, NoFaceError, StateError
from talkcodec.media import Frame, MediaReader, MediaWriter, SoundPacket, read_opus
from talkcodec.media.marks import GENERATED
from talkcodec.types import Crop, Picture

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["DecodeSummary", "EncodeSummary", "Report", "crop_frames", "decode_recording", "encode_video"]

logger = logging.getLogger(__name__)

TIME_BASE = TimeBase(ticks=30, bits=32)
"""A third of a millisecond: a frame of 24 to 60 fps takes one byte of time."""

FACE_SEARCH_S = 5.0
FACE_SEARCH_FRAMES = 1200
"""A video whose first seconds show no face is refused."""

MAX_PASTE_PX = 7680 * 4320
"""No larger captured frame is rebuilt: its size comes from the file."""

Report = Callable[[int], None]
"""Called with the number of frames done so far."""


@dataclass(frozen=True, slots=True)
class EncodeSummary:
    """What an encode wrote; bytes of the parts, and of the whole file with its envelope."""

    frames: int
    keyframes: int
    duration_s: float
    keyframe_bytes: int
    motion_bytes: int
    base_bytes: int
    audio_bytes: int
    file_bytes: int
    rung: Rung


@dataclass(frozen=True, slots=True)
class DecodeSummary:
    """What a decode wrote. concealed: frames whose unit was damaged."""

    frames: int
    concealed: int


def encode_video(
    source: Path,
    out: Path,
    engine: "Engine",
    config: EncoderConfig | None = None,
    *,
    crop: bool = True,
    audio_bps: int = 16_000,
    audio_track: int | None = None,
    bitrate_bps: float | None = None,
    rung: Rung | None = None,
    report: Report | None = None,
) -> EncodeSummary:
    """Encode a video file to a recording.

    bitrate_bps: of all but the sound; the ladder, or `rung`, then says how it is coded. In the hybrid and the video
    rung each minute is coded several times until it fits, and the beginning in several ways, of which the one is kept
    that shows it best (`codec.fitting`). Without, `config` says it all, but for the base pictures' size when a `rung`
    is given.
    crop: follow the face; else the middle square of each frame is coded. audio_bps: of the Opus track, 0 for none.
    audio_track: which sound track of the video, 1 for the first; None for its default one.
    Raises MediaError for a video that cannot be read: what was good before the damage is kept in `out`.
    Raises NoFaceError when the first seconds show no face.
    """
    config = config or EncoderConfig()
    fitter: RateFitter | None = None
    if bitrate_bps is not None:
        fitter = RateFitter(bitrate_bps, config, engine.config.picture_size, rung, partial(shown_psnr_db, engine))
        config = fitter.config
        fitter = None if config.rung is Rung.MOTION else fitter
    elif rung is not None:
        config = config_for_rung(rung, config, engine.config.picture_size)
    keyframes = audio_bytes = frames = 0
    time_s, new_face = 0.0, False  # the latter: since the last picture that was coded
    with MediaReader(source) as reader:
        cropped = crop_frames(reader, engine.config.picture_size, crop)
        try:
            first = next(cropped)  # before the file is made: most bad input shows here
        except NoFaceError as error:
            raise NoFaceError(f"{error}; --no-crop takes the middle square instead") from error
        sound: Iterator[SoundPacket] = iter(())
        if audio_bps and reader.info.has_audio:
            sound = read_opus(source, audio_bps, track=audio_track)
        packet = next(sound, None)
        header = RecordingHeader(
            hello=hello_for(engine, config, creator=f"talkcodec {__version__}", time_base=TIME_BASE),
            model_name=engine.name,
            frame_ticks=round(CLOCK_HZ / reader.info.fps) if reader.info.fps else 0,
            audio=AudioFormat() if audio_bps and reader.info.has_audio else None,
            layers=(Layer.MOTION if config.rung is Rung.MOTION else Layer.BASE,),
        )
        encoder = Encoder(engine, config)
        choice: ReferenceChoice | None = None
        with _file(out, "wb") as file:
            writer = RecordingWriter(file, header)
            recorder = UnitRecorder(writer, UnitWriter(header.hello, encoder.held))
            try:
                for segment, ends in in_segments(chain([first], cropped), SEGMENT_S if fitter else 0.0):
                    if fitter:
                        end_s = segment[-1][0] + 1 / (reader.info.fps or 25)
                        spent_bytes = writer.bytes_written - audio_bytes
                        choice = ReferenceChoice([picture for _, picture in segment])
                        fitted = fitter.fit(segment, end_s, spent_bytes, choice)
                        encoder.change(fitted)
                    for number, (time_s, picture) in enumerate(segment, 1):
                        while packet is not None and packet.time_s <= time_s:
                            audio_bytes += len(packet.data)
                            _record_sound(writer, packet)
                            packet = next(sound, None)
                        new_face |= picture.new_face
                        last = ends and number == len(segment)  # coded always, so that none after it is lacking
                        if last or encoder.wants(_ticks(time_s)):
                            unit = encoder.encode(
                                picture.picture, _ticks(time_s), crop=picture.crop,
                                captured_size=picture.captured_size, new_face=new_face,
                                reference=partial(choice.at, number - 1) if choice else None,
                            )  # fmt: skip
                            new_face = False
                            recorder.write(unit)
                            keyframes += unit.keyframe is not None
                        frames += 1
                        if report:
                            report(frames)
                while packet is not None:
                    audio_bytes += len(packet.data)
                    _record_sound(writer, packet)
                    packet = next(sound, None)
            finally:
                recorder.close()
                writer.close()
                encoder.close()
        duration_s = time_s + 1 / (reader.info.fps or 25)
        if reader.problem:
            raise MediaError(f"{reader.problem}; {frames} frames before it are in {out}")
    layers = recorder.layer_bytes
    return EncodeSummary(
        frames, keyframes, duration_s, recorder.keyframe_bytes, layers[Layer.MOTION], layers[Layer.BASE], audio_bytes,
        out.stat().st_size, encoder.config.rung,
    )  # fmt: skip


def decode_recording(
    source: Path,
    out: Path,
    open_engine: Callable[[RecordingHeader], "Engine"],
    *,
    beside: Path | None = None,
    paste: bool = False,
    report: Report | None = None,
) -> DecodeSummary:
    """Decode a recording to an mp4 file.

    open_engine: opens the engine for a recording's header. beside: the original video, shown to the left of the
    decoded pictures. paste: put the decoded face back into the captured frame's size (on the frames of `beside`
    when given, else on black). Raises MismatchError for another model, BitstreamError for no recording, PeerError for
    damage: the frames before it are kept in `out`.
    """
    with _file(source, "rb") as file:
        try:
            reader = RecordingReader(file)
        except BitstreamError as error:
            raise BitstreamError(f"{source}: {error}; expected a recording that talkcodec encode made") from error
        engine = open_engine(reader.header)
        decoder = Decoder(engine, accept_hello(engine, reader.header.hello))
        units = UnitReader(reader.header.hello, decoder.held)
        fps = CLOCK_HZ / reader.header.frame_ticks if reader.header.frame_ticks else 25.0
        writer: MediaWriter | None = None
        original = _Original(beside) if beside else None
        player = _Player(reader, units, decoder)
        frames = 0
        try:
            for each in fill_in(player.drives(), reader.header.frame_ticks if player.sparse else 0):
                time_s = each.timestamp / CLOCK_HZ
                picture = decoder.generate(each.reference, each.drive)
                shown = _compose(picture, decoder, original.at(time_s) if original else None, paste)
                if writer is None:
                    sound = reader.header.audio is not None
                    writer = MediaWriter(out, shown.shape[1], shown.shape[0], fps, sound=sound, comment=GENERATED)
                _write_sound(writer, player.sound)
                writer.write(shown, time_s)
                frames += 1
                if report:
                    report(frames)
            if writer is not None:
                _write_sound(writer, player.sound)
        finally:
            if writer:
                writer.close()
            if original:
                original.close()
    if reader.problem is not None:
        kept = f"{frames} frames before the damage are in {out}" if frames else "nothing could be decoded"
        raise BitstreamError(f"{source}: {reader.problem}; {kept}")
    if not frames:
        raise BitstreamError(f"{source} holds no frame that can be decoded")
    return DecodeSummary(frames, player.damaged)


class _Original:
    """The frames of a video by time, for looking at them beside the decoded ones."""

    def __init__(self, path: Path) -> None:
        self._reader = MediaReader(path)
        self._frames = iter(self._reader)
        self._shown = next(self._frames)
        self._next: Frame | None = next(self._frames, None)

    def at(self, time_s: float) -> Picture:
        """The frame that is on screen at a time; times must not fall."""
        while self._next is not None and self._next.time_s <= time_s + 0.002:
            self._shown, self._next = self._next, next(self._frames, None)
        return self._shown.picture

    def close(self) -> None:
        self._reader.close()
        if self._reader.problem is not None:
            logger.warning("%s", self._reader.problem)


def _compose(picture: Picture, decoder: Decoder, original: Picture | None, paste: bool) -> Picture:
    """Original | decoded, either as crops or as whole captured frames."""
    crop, captured_size = decoder.crop, decoder.captured_size
    assert crop is not None
    assert captured_size is not None
    if paste:
        width, height = captured_size
        if width * height > MAX_PASTE_PX:
            raise BitstreamError(
                f"the captured frame has {width}x{height} px, at most {MAX_PASTE_PX} can be pasted into"
            )
        fits = original is not None and original.shape[:2] == (height, width)
        canvas = original if fits and original is not None else np.zeros((height, width, 3), np.uint8)
        pasted = paste_back(picture, crop, canvas)
        return pasted if original is None else np.hstack([canvas, pasted])
    if original is None:
        return picture
    whole = Crop(0, 0, min(original.shape[:2]))
    inside = original.shape[1::-1] == captured_size
    return np.hstack([fit(original, crop if inside else whole, picture.shape[0]), picture])


def crop_frames(reader: MediaReader, size: int, follow: bool = True) -> Iterator[tuple[float, CroppedPicture]]:
    """Pictures of `size` px with their times, that follow the face, or the middle square of each frame.

    Frames before the face is first found are cut as at that moment, so that the crop need not jump. Raises NoFaceError
    before it yields anything when there is no face in the first seconds.
    """
    if not follow:
        for frame in reader:
            height, width = frame.picture.shape[:2]
            side = min(height, width)
            crop = Crop((width - side) // 2, (height - side) // 2, side)
            yield frame.time_s, CroppedPicture(fit(frame.picture, crop, size), crop, (width, height), False, 0.0)
        return
    first_crop = _first_face(reader.path, size)
    cropper = FaceCropper(size)
    found = False
    for frame in reader:
        result = cropper.crop(frame.picture, frame.time_s)
        found = found or result.face_found
        if not found:
            picture = fit(frame.picture, first_crop, size)
            result = CroppedPicture(picture, first_crop, result.captured_size, False, result.missing_s)
        yield frame.time_s, result


def _first_face(path: Path, size: int) -> Crop:
    """The crop of the moment in which a face is first found."""
    cropper = FaceCropper(size)
    time_s = 0.0
    with MediaReader(path) as reader:
        for number, (picture, time_s) in enumerate(reader):
            result = cropper.crop(picture, time_s)
            if result.face_found:
                return result.crop
            if time_s > FACE_SEARCH_S or number >= FACE_SEARCH_FRAMES:
                break
    raise NoFaceError(f"no face found in the first {time_s:.1f} s of {path}: the codec follows one face")


class _Player:
    """Reads a recording: what drives each of its units' pictures, and the sound that stands before it."""

    MOST_SOUND = 3000
    """Packets that wait for the first picture: a minute."""

    def __init__(self, recording: RecordingReader, units: UnitReader, decoder: Decoder) -> None:
        self._recording, self._units, self._decoder = recording, units, decoder
        self.sparse = Layer.BASE in recording.header.layers
        self.sound: list[SoundPacket] = []
        self.damaged = 0

    def drives(self) -> Iterator[TimedDrive]:
        """In order; where a unit is damaged, motion is extrapolated, and a base picture left to those around it."""
        for record in self._recording:
            if isinstance(record, RecordedAudio):
                self.sound = [*self.sound, *_sound(record)][-self.MOST_SOUND :]
                continue
            try:
                if record.keyframe is not None:
                    self._decoder.hold(self._units.keyframe(record.keyframe))
                yield TimedDrive(record.timestamp, *self._decoder.drive(self._units.unit(record)))
            except (BitstreamError, StateError):
                self.damaged += 1
                if not self.sparse and self._decoder.reference_shown is not None:
                    yield TimedDrive(record.timestamp, *self._decoder.conceal(record.timestamp))


def _sound(record: RecordedAudio) -> Iterator[SoundPacket]:
    for number, data in enumerate(record.packets):
        start = record.timestamp + number * record.duration
        yield SoundPacket(start / CLOCK_HZ, record.duration / CLOCK_HZ, data)


def _record_sound(writer: RecordingWriter, packet: SoundPacket) -> None:
    writer.write_audio(round(packet.time_s * CLOCK_HZ), round(packet.duration_s * CLOCK_HZ), packet.data)


def _write_sound(writer: MediaWriter, waiting: list[SoundPacket]) -> None:
    """Write and forget the packets that wait."""
    for packet in waiting:
        writer.write_sound(packet)
    waiting.clear()


def _ticks(seconds: float) -> int:
    """90 kHz ticks, a whole number of the file's time base, without wrap."""
    return round(Fraction(seconds) * CLOCK_HZ / TIME_BASE.ticks) * TIME_BASE.ticks


@contextmanager
def _file(path: Path, mode: Literal["rb", "wb"]) -> Iterator[BinaryIO]:
    try:
        with path.open(mode) as file:
            yield file
    except OSError as error:
        raise MediaError(f"cannot {'read' if mode == 'rb' else 'write'} {path}: {error.strerror or error}") from error
