"""The conventional codecs, each in the settings that a call uses: no look-ahead, no B-frames, one keyframe, one
thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from talkcodec.picture.stream_vp9 import low_delay

__all__ = ["ANCHORS", "Anchor"]


@dataclass(frozen=True)
class Anchor:
    """encoder, decoder: FFmpeg's names; options: quality (larger is coarser) and pixels of a
    picture to encoder options, the most effort that keeps up with a call on one core; coarsest: the last
    quality.

    target_bps: a rate that only serves to keep libvpx' quality mode from being capped; None leaves it out.
    """

    encoder: str
    decoder: str
    options: Callable[[int, int], Mapping[str, str]]
    coarsest: int
    target_bps: int | None = None


_SMALL, _OURS = 128 * 128, 256 * 256
"""Pixels up to which more effort keeps up with a call; the latter as our own base pictures have it."""


def _x264(quality: int, pixels: int) -> Mapping[str, str]:
    return {
        "preset": "slower" if pixels <= _SMALL else "slow",
        "tune": "zerolatency",
        "crf": str(quality),
        "x264-params": "keyint=infinite:scenecut=0:bframes=0",
    }


def _x265(quality: int, pixels: int) -> Mapping[str, str]:
    parameters = "keyint=-1:scenecut=0:bframes=0:rc-lookahead=0:info=0:log-level=none:pools=none:frame-threads=1"
    preset = "slow" if pixels <= _SMALL else "medium"
    return {"preset": preset, "tune": "zerolatency", "crf": str(quality), "x265-params": parameters}


def _vp8(quality: int, pixels: int) -> Mapping[str, str]:
    return {
        "deadline": "realtime",
        "cpu-used": "1" if pixels <= _SMALL else "4",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "qmin": str(quality),
        "qmax": str(quality),
    }


def _vp9(quality: int, pixels: int) -> Mapping[str, str]:
    return low_delay(quality, 1 if pixels <= _OURS else 4)


def _av1(quality: int, pixels: int) -> Mapping[str, str]:
    parameters = "pred-struct=1:lookahead=0:scd=0:keyint=-1:lp=1"  # pred-struct 1 is low delay
    return {"preset": "4" if pixels <= _SMALL else "6", "crf": str(quality), "svtav1-params": parameters}


ANCHORS: Mapping[str, Anchor] = {
    "x264": Anchor("libx264", "h264", _x264, coarsest=51),
    "x265": Anchor("libx265", "hevc", _x265, coarsest=51),
    "vp8": Anchor("libvpx", "vp8", _vp8, coarsest=63, target_bps=2_000_000),
    "vp9": Anchor("libvpx-vp9", "vp9", _vp9, coarsest=63, target_bps=0),
    "av1": Anchor("libsvtav1", "libdav1d", _av1, coarsest=63),
}
