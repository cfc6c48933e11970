"""What H.264 would need for the same pictures: measured by coding them, beside the call.

x264 codes the very squares that talkcodec codes, as a call would (no look-ahead, no B-frames, one keyframe), at
CRF 42. On talking heads of 256x256 at 25 fps that setting takes 27 kbit/s for a mean error of 0.023 and CRF 51 takes
16 for 0.037 (docs/results.md has the curves), so either is truer to the camera, pixel by pixel, than a generated
picture. Each picture costs 50 B of RTP, UDP and IP headers on the wire (40, and 10 of SRTP).
"""

from fractions import Fraction
from typing import Any

import av

from talkcodec.codec import CroppedPicture
from talkcodec.peer.sending import Cropper
from talkcodec.types import Picture

__all__ = ["H264_CRF", "H264Cost", "WatchedCropper"]

H264_CRF = 42
RTP_OVERHEAD_BYTES = 50
MAX_RTP_PAYLOAD_BYTES = 1200


class H264Cost:
    """Codes pictures of one size and counts what they would cost; the coded bytes are thrown away."""

    def __init__(self, size: int, fps: float) -> None:
        codec: Any = av.VideoCodecContext.create("libx264", "w")
        codec.width = codec.height = size
        codec.pix_fmt = "yuv420p"
        codec.framerate = Fraction(fps).limit_denominator(1001)
        codec.time_base = Fraction(1, 90_000)
        codec.gop_size = 1_000_000
        codec.thread_count = 1
        codec.options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(H264_CRF), "scenecut": "0"}
        self._codec = codec
        self._pictures = 0
        self.wire_bytes = 0

    def add(self, picture: Picture) -> int:
        """Code the next picture (S, S, 3); returns its bytes on the wire."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._pictures * 3600, Fraction(1, 90_000)
        self._pictures += 1
        payload = sum(packet.size for packet in self._codec.encode(frame))
        cost = int(payload) + RTP_OVERHEAD_BYTES * -(-int(payload) // MAX_RTP_PAYLOAD_BYTES)
        self.wire_bytes += cost
        return cost


class WatchedCropper:
    """A cropper whose squares are also shown to an H264Cost, if there is one. Runs in the encoder's thread."""

    def __init__(self, cropper: Cropper, cost: H264Cost | None) -> None:
        self._cropper, self._cost = cropper, cost

    def crop(self, frame: Picture, time_s: float) -> CroppedPicture:
        """The square of the next captured frame."""
        cropped = self._cropper.crop(frame, time_s)
        if self._cost is not None:
            self._cost.add(cropped.picture)
        return cropped
