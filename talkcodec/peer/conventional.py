"""What the leanest conventional call would take: Opus as ours, and AV1 or VP9 with landmarks as true as ours."""

from talkcodec.transport.with_sound import SOUND_PACKET_BYTES

__all__ = ["leanest_conventional_kbps"]

PICTURES = (
    # kbit/s that ours takes, coded, with keyframes | kbit/s of theirs on the wire, 50 B of headers a packet
    (17.1, 35.1),
    (10.1, 27.8),
    (6.1, 17.4),
    (4.1, 13.0),
    (0.0, 10.9),
)
"""As docs/results.md says, of the run before its own, mean over 11 clips. First four rows: the rate of ours, and by
how much less (AKD, on the wire) it is than the best of all anchors'. Last row: AV1 at 128 px, CRF 57, 12.5 pictures a
second, AKD 2.88 px, as the motion rung has (2.89, docs/results-motion.md). A rate between two rows counts as the lower
one: a call cannot look ahead as a recording does, and is less true at the same rate."""


def leanest_conventional_kbps(coded_kbps: float, voice_kbps: float, frame_ms: int) -> float:
    """kbit/s on the wire, one way, without RTCP and ICE. coded_kbps: what our picture aims at; voice_kbps: our Opus at
    present, in packets of frame_ms."""
    picture_kbps = next(theirs for ours, theirs in PICTURES if coded_kbps >= ours)
    headers_kbps = SOUND_PACKET_BYTES * 8 / frame_ms if voice_kbps else 0.0
    return picture_kbps + voice_kbps + headers_kbps
