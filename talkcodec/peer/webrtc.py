"""The WebRTC connection of a call: ICE, DTLS, SDP and the sound's track. Its data channels are the transport."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aioice.ice
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError

from talkcodec.errors import ConfigError, OfferError
from talkcodec.peer.rtp import prefer_short_tag, sparse_reports, take_packets, without_extensions
from talkcodec.transport.datachannel import DataChannels
from talkcodec.transport.relay import IP_UDP_BYTES
from talkcodec.transport.with_sound import WithSound

__all__ = ["IceServer", "WebRtcConnection", "new_connection", "offer_loopback", "wait_for_consent"]

logger = logging.getLogger(__name__)

# aiortc has no error type of its own for SDP that it cannot follow.
_BAD_SDP = (ValueError, KeyError, IndexError, AttributeError, AssertionError, InvalidStateError)


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server: "stun:host:port", "turn:host:port?transport=udp", with credentials for TURN."""

    url: str
    username: str | None = None
    credential: str | None = None

    @classmethod
    def parse(cls, text: str) -> "IceServer":
        """From "URL" or "URL,USERNAME,CREDENTIAL". Raises ConfigError."""
        url, *rest = text.split(",", 2)
        if not url.startswith(("stun:", "stuns:", "turn:", "turns:")) or len(rest) == 1:
            raise ConfigError(f"--ice-server: got {url!r}, expected stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD")
        return cls(url, *rest)


def offer_loopback() -> None:
    """Let ICE offer 127.0.0.1 on a machine that has no other address, so that it can at least call itself.

    aioice never offers it and has no setting for that, so one function of it is replaced, once; where a later aioice
    has no such function, its own way stays.
    """
    original = getattr(aioice.ice, "get_host_addresses", None)
    if original is None or getattr(original, "offers_loopback", False):
        return

    def with_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        addresses: list[str] = original(use_ipv4, use_ipv6)
        return addresses or (["127.0.0.1"] if use_ipv4 else [])

    with_loopback.offers_loopback = True  # type: ignore[attr-defined]
    aioice.ice.get_host_addresses = with_loopback


CONSENT_RETRIES = 2


def wait_for_consent() -> None:
    """Let ICE wait for the answer to a consent check (RFC 7675) for longer than half a second.

    aioice waits for that long and not at all longer, so over a satellite, or a slow network with a long queue, every
    call ends after six checks. It has no setting for that; with retries it waits for 3.5 s.
    """
    protocol: Any = getattr(aioice.ice, "StunProtocol", None)
    original = getattr(protocol, "request", None)
    if original is None or getattr(original, "waits", False):
        return

    async def request(self: Any, *arguments: Any, retransmissions: int | None = None, **others: Any) -> Any:
        retransmissions = CONSENT_RETRIES if retransmissions == 0 else retransmissions
        return await original(self, *arguments, retransmissions=retransmissions, **others)

    request.waits = True  # type: ignore[attr-defined]
    protocol.request = request


def new_connection(ice_servers: tuple[IceServer, ...] = ()) -> RTCPeerConnection:
    """A peer connection with these servers and no others (aiortc would ask a public STUN server by default)."""
    offer_loopback()
    wait_for_consent()
    servers = [RTCIceServer(s.url, s.username, s.credential) for s in ice_servers]
    return RTCPeerConnection(RTCConfiguration(iceServers=servers))


class WebRtcConnection:
    """One connection, from the offer or the answer to the end."""

    def __init__(self, ice_servers: tuple[IceServer, ...] = ()) -> None:
        self.rtc = new_connection(ice_servers)
        self._channels = DataChannels(self.rtc)
        self.transport = WithSound(self._channels)
        self._sound: MediaStreamTrack | None = None
        self._arrived: Callable[[bytes, int, int], None] | None = None
        self.rtc.on("track", self._track)

    def carry_sound(self, sound: MediaStreamTrack | None, arrived: Callable[[bytes, int, int], None] | None) -> None:
        """Before the offer or the answer: our track, if we send sound, and who takes the peer's packets (payload,
        sequence number, timestamp), if we want them."""
        self._sound, self._arrived = sound, arrived

    async def offer(self) -> str:
        """The SDP offer to post."""
        if self._sound is not None:
            self.rtc.addTransceiver(self._sound, direction="sendonly" if self._arrived is None else "sendrecv")
        else:  # without any medium the connection would have no statistics
            self.rtc.addTransceiver("audio", direction="inactive" if self._arrived is None else "recvonly")
        self._channels.create()
        self._make_lean()
        await self.rtc.setLocalDescription(await self.rtc.createOffer())
        return without_extensions(self.rtc.localDescription.sdp)

    async def answer(self, offer: str) -> str:
        """The SDP answer to an offer. Raises OfferError; the connection is closed then."""
        try:
            await self.rtc.setRemoteDescription(RTCSessionDescription(without_extensions(offer), "offer"))
            if self._sound is not None and any(medium.kind == "audio" for medium in self.rtc.getTransceivers()):
                self.rtc.addTrack(self._sound)
            self._channels.create()
            self._make_lean()
            await self.rtc.setLocalDescription(await self.rtc.createAnswer())
        except _BAD_SDP as error:
            await self.rtc.close()
            raise OfferError(f"the SDP offer cannot be used: {error or type(error).__name__}") from error
        return without_extensions(self.rtc.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the answer to our offer. Raises OfferError."""
        try:
            await self.rtc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except _BAD_SDP as error:
            raise OfferError(f"the peer's SDP answer cannot be used: {error or type(error).__name__}") from error

    async def wire_bytes(self) -> tuple[int, int] | None:
        """Bytes on the wire (up, down) with sound, by the transport's own count; None when it has none; no STUN."""
        for stats in (await self.rtc.getStats()).values():
            if stats.type == "transport":
                return (
                    stats.bytesSent + IP_UDP_BYTES * stats.packetsSent,
                    stats.bytesReceived + IP_UDP_BYTES * stats.packetsReceived,
                )
        return None

    async def close(self) -> None:
        """End the connection, and our track."""
        if self._sound is not None:
            self._sound.stop()
        await self.rtc.close()

    def _make_lean(self) -> None:
        """Before any handshake of DTLS."""
        media, sctp = self.rtc.getTransceivers(), self.rtc.sctp
        for medium in media:
            sparse_reports(medium.sender)
            sparse_reports(medium.receiver)
            prefer_short_tag(medium.sender.transport)
        if sctp is not None:
            prefer_short_tag(sctp.transport)

    def _track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and self._arrived is not None:
            receiver = next(t.receiver for t in self.rtc.getTransceivers() if t.receiver.track is track)
            take_packets(receiver, self._packet)

    def _packet(self, data: bytes, number: int, timestamp: int) -> None:
        self.transport.undress(data)
        if self._arrived is not None:
            self._arrived(data, number, timestamp)
