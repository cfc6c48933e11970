"""A portrait that moves as the face of a video does: the research line's own application."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talkcodec.codec import FaceCropper
from talkcodec.codec.transfer import relative_motion
from talkcodec.convert import Report, crop_frames
from talkcodec.errors import MediaError, NoFaceError
from talkcodec.media import MediaReader, MediaWriter, read_opus, read_picture
from talkcodec.media.marks import GENERATED
from talkcodec.types import Drive, Motion

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["animate_portrait"]


def animate_portrait(
    portrait: Path,
    driving: Path,
    out: Path,
    engine: "Engine",
    *,
    relative: bool = True,
    beside: bool = False,
    audio_track: int | None = None,
    report: Report | None = None,
) -> int:
    """Move the face of a picture as the face of a video moves, with its sound; returns the number of frames.

    relative: carry over the change since the first frame with a face (needs no like pose), else the pose itself.
    Until then the portrait rests. beside: show the driving video to the left. audio_track: 1 for the first sound
    track; None for the default one.
    """
    size = engine.config.picture_size
    still = FaceCropper(size).crop(read_picture(portrait), 0.0)
    if not still.face_found:
        raise NoFaceError(f"no face found in {portrait}: use a picture that shows one face from the front")
    source = engine.detect(still.picture)
    reference = engine.encode_reference(still.picture, source)
    frames = 0
    with MediaReader(driving) as reader:
        cropped = crop_frames(reader, size)
        first = next(cropped)
        second = next(cropped, None)
        if second is None:
            raise MediaError(f"{driving} holds one picture, no video; the order is PORTRAIT DRIVING OUT.mp4")
        start: Motion | None = None
        width = 2 * size if beside else size
        has_audio = reader.info.has_audio
        sound = read_opus(driving, track=audio_track) if has_audio else iter(())
        packet = next(sound, None)
        with MediaWriter(out, width, size, reader.info.fps or 25.0, sound=has_audio, comment=GENERATED) as writer:
            for time_s, frame in chain([first, second], cropped):
                while packet is not None and packet.time_s <= time_s:
                    writer.write_sound(packet)
                    packet = next(sound, None)
                motion = source
                if start is not None or frame.face_found:
                    detected = engine.detect(frame.picture)
                    start = start or detected
                    motion = relative_motion(source, detected, start) if relative else detected
                picture = engine.generate(reference, Drive(motion))
                writer.write(np.hstack([frame.picture, picture]) if beside else picture, time_s)
                frames += 1
                if report:
                    report(frames)
            while packet is not None:
                writer.write_sound(packet)
                packet = next(sound, None)
        if reader.problem:
            raise MediaError(f"{reader.problem}; {frames} frames before it are in {out}")
    return frames
