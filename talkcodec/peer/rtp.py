"""What aiortc does with the sound's packets, and what a call wants of it instead.

aiortc's buffer for sound waits for sixteen packets when one is lost, its reports come every second where RFC 3550 asks
for five, and it offers header extensions and a longer authentication tag than the one that all must have. None of this
can be set, so the names below are replaced on one connection's objects; a test looks whether they are still there.
docs/network.md says what each saves, and what it costs.
"""

import logging
import re
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiortc import RTCDtlsTransport, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtcpByePacket

from talkcodec.errors import ConfigError
from talkcodec.media import OPUS_RATE_HZ

__all__ = ["prefer_short_tag", "sparse_reports", "take_packets", "without_extensions"]

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 4.5
"""With aiortc's own steps of 0.5 to 1.5 s that makes the 5 s that RFC 3550, section 6.2, recommends as the least."""

_SHORT_TAG = b"SRTP_AES128_CM_SHA1_80"
_EXTENSIONS = re.compile(r"^a=extmap:.*\r?\n", re.MULTILINE)
_STREAMS = 4
"""So many streams of one peer are reported on."""


def take_packets(receiver: RTCRtpReceiver, taken: Callable[[bytes, int, int], None]) -> None:
    """Hand every packet's payload, sequence number and timestamp to `taken`, instead of aiortc's buffer and decoder.
    They still count in its reports. Raises ConfigError when this aiortc has no such place.
    """
    _expect(receiver, "_handle_rtp_packet")
    _expect(receiver, "_RTCRtpReceiver__remote_streams")
    streams: dict[int, StreamStatistics] = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]

    async def handle(packet: Any, arrival_time_ms: int) -> None:
        if packet.ssrc not in streams and len(streams) < _STREAMS:
            streams[packet.ssrc] = StreamStatistics(OPUS_RATE_HZ)
        if packet.ssrc in streams:
            streams[packet.ssrc].add(packet)
        if packet.payload:
            taken(packet.payload, packet.sequence_number, packet.timestamp)

    receiver._handle_rtp_packet = handle  # type: ignore[method-assign]


def sparse_reports(end: RTCRtpSender | RTCRtpReceiver, clock: Callable[[], float] = time.monotonic) -> None:
    """A report every five seconds, the first at once; what ends the stream leaves too. Raises ConfigError as
    `take_packets`."""
    _expect(end, "_send_rtcp")
    original: Callable[[Any], Awaitable[None]] = end._send_rtcp
    last_s = float("-inf")

    async def send(packets: Any) -> None:
        nonlocal last_s
        ends = isinstance(packets, list) and any(isinstance(packet, RtcpByePacket) for packet in packets)
        now_s = clock()
        if ends or now_s - last_s >= REPORT_EVERY_S:
            last_s = now_s
            try:
                await original(packets)
            except struct.error as error:  # what a peer's packets say may not fit a report, and must not end the task
                logger.debug("no report: %s", error)

    end._send_rtcp = send  # type: ignore[method-assign]


def prefer_short_tag(transport: RTCDtlsTransport) -> None:
    """Before the handshake: prefer the SRTP profile that all must have (RFC 8827, section 6.5: AES-128, a tag of 80
    bits) to AES-GCM with 128 bits of tag, which stays for who insists. Raises ConfigError as `take_packets`."""
    _expect(transport, "_srtp_profiles")
    transport._srtp_profiles = sorted(transport._srtp_profiles, key=lambda p: p.openssl_profile != _SHORT_TAG)


def without_extensions(sdp: str) -> str:
    """A description that offers no RTP header extensions: twelve bytes a packet that nobody here reads."""
    return _EXTENSIONS.sub("", sdp)


def _expect(target: object, name: str) -> None:
    if not hasattr(target, name):
        raise ConfigError(f"this aiortc has no {type(target).__name__}.{name}: install aiortc 1.14 to 1.16")
