"""Code a clip with a conventional codec and decode what was coded; the rate is counted on the packets that were
decoded.
"""

import os
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import numpy.typing as npt

from eval.anchors.settings import ANCHORS
from eval.clips import Clip
from eval.wire import Traffic, rtp_traffic
from talkcodec.errors import ConfigError, EngineError
from talkcodec.picture.av1 import keep_scheduling
from talkcodec.runtime.between import between_pictures

__all__ = ["code_anchor"]

Frames = npt.NDArray[np.uint8]

_H264_SEI, _HEVC_SEI = 6, (39, 40)
_AV1_TEMPORAL_DELIMITER = 2


def code_anchor(
    clip: Clip, name: str, quality: int, size: int | None = None, every: int = 1, fill: bool = False
) -> tuple[Frames, Traffic]:
    """Code and decode `clip` with the anchor `name`; the decoded clip, (T, H, W, 3) uint8, and its traffic over RTP.

    size: coded at size x size pixels and enlarged (bicubic) again, as a starved call does; every: only each n-th
    frame is coded and shown until the next; fill: frames between coded ones are made of both, as talkcodec's are.
    Raises ConfigError for an unknown anchor or quality, EngineError when the codec fails.
    """
    anchor = ANCHORS.get(name)
    if anchor is None or not 0 <= quality <= anchor.coarsest:
        raise ConfigError(f"no anchor {name!r} at quality {quality}; known: {', '.join(ANCHORS)}")
    height, width = clip.frames.shape[1:3]
    coded_size = (width, height) if size is None else (size, size)
    pictures = [_resized(frame, coded_size, cv2.INTER_AREA) for frame in clip.frames[::every]]
    try:
        packets = [_bare(name, packet) for packet in _encode(pictures, name, quality, clip.fps / every)]
        decoded = _decode(packets, anchor.decoder)
    except (av.error.FFmpegError, ValueError) as error:
        raise EngineError(f"{name} failed on {clip.name}: {error}") from error
    if len(decoded) != len(pictures):
        raise EngineError(f"{name} on {clip.name}: {len(pictures)} pictures in, {len(decoded)} out")
    shown = np.stack([_resized(picture, (width, height), cv2.INTER_CUBIC) for picture in decoded])
    shown = _filled(shown, every) if fill else np.repeat(shown, every, axis=0)
    return shown[: len(clip.frames)], rtp_traffic([len(packet) for packet in packets])


def _filled(pictures: Frames, every: int) -> Frames:
    """The frames between coded ones too, as talkcodec's receiver makes them; none beyond the last."""
    made = [
        between_pictures(a, b, step / every) if step else a for a, b in pairwise(pictures) for step in range(every)
    ]
    return np.stack([*made, *[pictures[-1]] * every])


@keep_scheduling()
def _encode(pictures: list[Frames], name: str, quality: int, fps: Fraction) -> list[bytes]:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its settings otherwise, and listens to nothing else
    anchor = ANCHORS[name]
    context = av.VideoCodecContext.create(anchor.encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = pictures[0].shape[:2]
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = fps, 1 / fps
    context.gop_size = 1 << 20
    context.thread_count = 1
    context.options = dict(anchor.options(quality, context.width * context.height))
    if anchor.target_bps is not None:
        context.bit_rate = anchor.target_bps
    packets: list[bytes] = []
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, 1 / fps
        made = context.encode(frame)
        if len(made) != 1:
            raise EngineError(f"{name} is not in low-delay mode: {len(made)} packets after picture {index}")
        packets += [bytes(packet) for packet in made]
    if context.encode(None):
        raise EngineError(f"{name} held pictures back")
    return packets


def _decode(packets: list[bytes], decoder: str) -> list[Frames]:
    context = av.VideoCodecContext.create(decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    frames = [frame for packet in packets for frame in context.decode(av.Packet(packet))]
    return [np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8) for frame in [*frames, *context.decode(None)]]


def _bare(name: str, packet: bytes) -> bytes:
    """The packet without what a call would not send: x264's and x265's notes about themselves, AV1's delimiters."""
    if name in ("x264", "x265"):
        return b"".join(unit for unit in _nal_units(packet) if not _is_sei(name, unit))
    if name == "av1" and (packet[0] >> 3) & 15 == _AV1_TEMPORAL_DELIMITER:
        return packet[2:]  # AV1 specification, section 5.3: header and an empty payload's length
    return packet


def _nal_units(packet: bytes) -> list[bytes]:
    """Split a byte stream (H.264, annex B) before each start code, which may have three or four bytes."""
    starts, position = [], packet.find(b"\0\0\1")
    while position >= 0:
        starts.append(position - 1 if position > 0 and packet[position - 1] == 0 else position)
        position = packet.find(b"\0\0\1", position + 3)
    return [packet[start:end] for start, end in zip(starts, [*starts[1:], len(packet)], strict=True)]


def _is_sei(name: str, unit: bytes) -> bool:
    header = unit[unit.index(b"\0\0\1") + 3]
    return header & 31 == _H264_SEI if name == "x264" else (header >> 1) & 63 in _HEVC_SEI


def _resized(picture: Frames, size: tuple[int, int], interpolation: int) -> Frames:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation), dtype=np.uint8)
