"""What is replaced in aiortc's objects is still there, and does what it is for."""

import struct
from typing import Any

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtcpByePacket, RtpPacket
from pair import connected

from talkcodec.errors import ConfigError
from talkcodec.peer.rtp import prefer_short_tag, sparse_reports, take_packets, without_extensions
from talkcodec.peer.webrtc import WebRtcConnection


class End:
    """A sender or receiver of aiortc, as far as its reports go."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def _send_rtcp(self, packets: Any) -> None:
        if packets == "too large":
            raise struct.error("argument out of range")
        self.sent.append(packets)


async def test_aiortc_still_has_what_is_replaced() -> None:
    connection = RTCPeerConnection()
    medium = connection.addTransceiver("audio")
    take_packets(medium.receiver, lambda data, number, timestamp: None)
    sparse_reports(medium.sender)
    sparse_reports(medium.receiver)
    prefer_short_tag(medium.sender.transport)
    await connection.close()
    for replace in (sparse_reports, prefer_short_tag, lambda end: take_packets(end, lambda *packet: None)):
        with pytest.raises(ConfigError, match="aiortc"):
            replace(object())  # type: ignore[arg-type]


async def test_reports_are_seldom_and_a_goodbye_leaves_at_once() -> None:
    end, now_s = End(), 0.0
    sparse_reports(end, lambda: now_s)  # type: ignore[arg-type]
    for number in range(11):
        now_s = float(number)
        await end._send_rtcp([number])
    goodbye = [RtcpByePacket(sources=[1])]
    await end._send_rtcp(goodbye)
    assert end.sent == [[0], [5], [10], goodbye]


async def test_a_report_that_cannot_be_written_does_not_end_the_reports() -> None:
    end, now_s = End(), 0.0
    sparse_reports(end, lambda: now_s)  # type: ignore[arg-type]
    await end._send_rtcp("too large")
    now_s = 5.0
    await end._send_rtcp("next")
    assert end.sent == ["next"]


async def test_packets_are_taken_and_counted_for_at_most_four_streams() -> None:
    connection = RTCPeerConnection()
    receiver, taken = connection.addTransceiver("audio").receiver, []
    take_packets(receiver, lambda *packet: taken.append(packet))
    for ssrc in range(6):
        packet = RtpPacket(payload_type=96, sequence_number=65_535 + ssrc & 0xFFFF, timestamp=7)
        packet.ssrc, packet.payload = ssrc, b"opus" if ssrc else b""
        await receiver._handle_rtp_packet(packet, arrival_time_ms=0)
    assert taken == [(b"opus", ssrc - 1, 7) for ssrc in range(1, 6)]
    streams = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
    assert sorted(streams) == [0, 1, 2, 3]
    await connection.close()


async def test_no_header_extensions_are_offered_and_the_short_tag_is_agreed_on() -> None:
    connection = WebRtcConnection()
    offer = await connection.offer()
    assert "a=extmap" not in offer
    assert "a=rtpmap" in offer
    assert without_extensions(offer) == offer
    await connection.close()
    async with connected(both=True, sound=True) as pair:
        for peer in (pair.a, pair.b):
            transport: Any = peer.connection.rtc.sctp.transport  # type: ignore[attr-defined]
            assert transport._ssl.get_selected_srtp_profile() == b"SRTP_AES128_CM_SHA1_80"
