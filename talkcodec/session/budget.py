"""What a call's budget buys: the voice first, then the picture, keyframes in what is left over.

All rates are on the wire, one way, with the headers of IP, UDP and RTP. A packet of sound costs `PACKET_BYTES` beside
the voice in it, so at low rates it holds more sound and comes later.
"""

from dataclasses import dataclass

from talkcodec.errors import ConfigError

__all__ = ["CallBudget", "CallPlan"]

PACKET_BYTES = 53
"""IP 20, UDP 8, RTP 12, the tag of SRTP 10, and the three bytes by which a packet of Opus grows that carries more."""

BESIDE_BPS = 650
"""ICE's consent checks (RFC 7675), a sender report every five seconds, and reports of what arrived."""

LEAST_PICTURE_BPS = 1_200

CODED_SHARE = 0.92
"""Of what the picture may take on the wire: the rest is what a carrier puts around its units."""

LOSSY, REPEAT_FROM_BPS, REPEATED_SHARE = 0.02, 4_000, 0.85
"""From which loss, and which rate, units are sent twice. Keyframes are not."""

LEAST_CODED_BPS = 1_000

KEYFRAME_PACE, LEAST_KEYFRAME_BPS = 0.4, 500.0
"""Of what the picture may take; keyframes come so seldom that it is 0.15 on average."""

PIECE_S, SHORTEST_PIECE, LONGEST_PIECE = 0.1, 150, 1100
"""How long a piece of a keyframe keeps a way of the call's rate busy; in bytes, each with a hundred around it."""

FREE_BYTES, LEAST_BASE_FPS = 6, 8.34
"""Around a message within CODED_SHARE; base pictures a second where they are fewest, each a message."""

SOUNDS = (
    (80_000, 24_000, 20),
    (56_000, 16_000, 20),
    (36_000, 12_000, 40),
    (24_000, 8_000, 60),
    (17_500, 6_000, 60),
    (0, 6_000, 120),
)
"""From which budget on the voice has how many bit/s, in packets of how many milliseconds."""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """sound_bps of the voice in packets of frame_ms; sound_wire_bps: what that is on the wire; picture_bps: for units
    and what is around them; coded_bps: what the encoder is to aim at, keyframes included; repeat: each unit is sent
    once more with the next; keyframe_bps: the pace of keyframes, beside units while they cross; piece_bytes: of their
    pieces, for which sound waits."""

    sound_bps: int
    frame_ms: int
    sound_wire_bps: float
    picture_bps: float
    coded_bps: float
    repeat: bool
    keyframe_bps: float
    piece_bytes: int


@dataclass(frozen=True, slots=True)
class CallBudget:
    """bps: all that this side sends, on the wire. sound: whether there is a track at all. voice_bps, frame_ms: of the
    sound, whatever the budget; None: as it says."""

    bps: float
    sound: bool = True
    voice_bps: int | None = None
    frame_ms: int | None = None

    def __post_init__(self) -> None:
        if not 8_000 <= self.bps <= 2_000_000:
            raise ConfigError(f"budget: got {self.bps / 1000:g} kbit/s, expected 8 to 2000 for a call in all")

    def plan(self, share: float = 1.0, loss: float = 0.0, message_bytes: float = 0.0) -> CallPlan:
        """What `share` of the budget buys, where the network does not carry all of it, and loses a share of it.
        message_bytes: what the carrier adds to a message, and what comes back for it."""
        bps = self.bps * min(1.0, max(0.0, share))
        voice_bps, frame_ms = next((voice, frame) for least, voice, frame in SOUNDS if bps >= least)
        voice_bps, frame_ms = self.voice_bps or voice_bps, self.frame_ms or frame_ms
        sound_bps = voice_bps + PACKET_BYTES * 8 * 1000 / frame_ms if self.sound else 0.0
        picture_bps = max(LEAST_PICTURE_BPS, bps - sound_bps - BESIDE_BPS)
        repeat = loss > LOSSY and picture_bps >= REPEAT_FROM_BPS
        headers_bps = max(0.0, message_bytes - FREE_BYTES) * 8 * LEAST_BASE_FPS
        coded_bps = CODED_SHARE * picture_bps / (1 + REPEATED_SHARE * repeat) - headers_bps
        coded_bps = max(LEAST_CODED_BPS, coded_bps)
        keyframe_bps = max(LEAST_KEYFRAME_BPS, KEYFRAME_PACE * picture_bps)
        piece_bytes = round(min(LONGEST_PIECE, max(SHORTEST_PIECE, PIECE_S * bps / 8)))
        return CallPlan(voice_bps, frame_ms, sound_bps, picture_bps, coded_bps, repeat, keyframe_bps, piece_bytes)
