"""What aiortc does with the sound's packets, and what a call wants of it instead. Works on aiortc 1.14 to 1.16.

aiortc's buffer for sound waits for sixteen packets when one is lost, its reports come every second where RFC 3550 asks
for five, and it offers header extensions and a longer authentication tag than the standard's own default. None of this
can be set, so the names below are replaced on one connection's objects; a test looks whether they are still there.
"""

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import aiortc.rtcdtlstransport
from aiortc import RTCRtpReceiver, RTCRtpSender

from talkcodec.errors import ConfigError

__all__ = ["lean_profiles", "sparse_reports", "take_packets", "without_extensions"]

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 5.0
"""RFC 3550, 6.2: the least time between reports."""

_EXTENSIONS = re.compile(r"^a=extmap:.*\r?\n", re.MULTILINE)
_PREFERRED = b"SRTP_AES128_CM_SHA1_80"


def take_packets(receiver: RTCRtpReceiver, taken: Callable[[bytes, int, int], None]) -> None:
    """Hand every packet's payload, sequence number and timestamp to `taken`, instead of aiortc's buffer and decoder.

    Raises ConfigError when this aiortc has no such place.
    """
    _expect(receiver, "_handle_rtp_packet")

    async def handle(packet: Any, arrival_time_ms: int) -> None:
        if packet.payload:
            taken(packet.payload, packet.sequence_number, packet.timestamp)

    receiver._handle_rtp_packet = handle  # type: ignore[method-assign]


def sparse_reports(sender: RTCRtpSender) -> None:
    """A sender report every five seconds; what ends the stream leaves at once. Raises ConfigError as `take_packets`."""
    _expect(sender, "_send_rtcp")
    original, last_s = sender._send_rtcp, float("-inf")

    async def send(packets: list[Any]) -> None:
        nonlocal last_s
        ends = any(type(packet).__name__ == "RtcpByePacket" for packet in packets)
        if ends or time.monotonic() - last_s >= REPORT_EVERY_S:
            last_s = time.monotonic()
            await original(packets)

    sender._send_rtcp = send  # type: ignore[method-assign]


def without_extensions(sdp: str) -> str:
    """A description that offers no RTP header extensions: twelve bytes a packet that nobody here reads."""
    return _EXTENSIONS.sub("", sdp)


def lean_profiles() -> None:
    """Prefer the SRTP profile that all must have (RFC 5764: AES-128, 80 bits of tag) to AES-GCM's 128 bits of tag."""
    profiles = getattr(aiortc.rtcdtlstransport, "SRTP_PROFILES", None)
    if profiles is not None:
        profiles.sort(key=lambda profile: profile.openssl_profile != _PREFERRED)


def _expect(target: object, name: str) -> None:
    if not hasattr(target, name):
        raise ConfigError(f"this aiortc has no {type(target).__name__}.{name}: install aiortc 1.14 to 1.16")
