"""What the leanest conventional call would take: Opus as ours, and AV1 or VP9 with landmarks as true as ours."""

from talkcodec.transport.with_sound import SOUND_PACKET_BYTES

__all__ = ["leanest_conventional_kbps"]

PICTURES = (
    # kbit/s that ours takes, coded, with keyframes | kbit/s of theirs on the wire, 50 B of headers a packet
    (17.0, 32.9),
    (10.0, 20.8),
    (6.0, 13.7),
    (0.0, 10.5),
)
"""As docs/results.md says, mean over 34 clips. First three rows: the rate of ours, without a look ahead, and that at
which the best of all anchors has landmarks as true (AKD, on the wire). Last row: that of AKD 2.88 px, as the motion
rung has (2.89, docs/results-motion.md) and the hybrid rung at 4 kbit/s (2.89). Between two rows the lower one counts.
"""


def leanest_conventional_kbps(coded_kbps: float, voice_kbps: float, frame_ms: int) -> float:
    """kbit/s on the wire, one way, without RTCP and ICE. coded_kbps: what our picture aims at; voice_kbps: our Opus at
    present, in packets of frame_ms."""
    picture_kbps = next(theirs for ours, theirs in PICTURES if coded_kbps >= ours)
    headers_kbps = SOUND_PACKET_BYTES * 8 / frame_ms if voice_kbps else 0.0
    return picture_kbps + voice_kbps + headers_kbps
