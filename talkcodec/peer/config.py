"""What may be set on a peer: one place for both directions; what belongs to an absent direction is not looked at."""

from dataclasses import dataclass, field

from talkcodec.codec import EncoderConfig, Rung
from talkcodec.peer.sound import SoundConfig
from talkcodec.session import Limits, PlayoutConfig, RateConfig, ReceiverConfig, SenderConfig
from talkcodec.session.budget import CallBudget
from talkcodec.types import Carrier

__all__ = ["LinkConfig", "PeerConfig"]


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """open_timeout_s: until the transport is open; handshake_timeout_s: for the peer's Hello after that;
    silence_timeout_s: without a message from the peer before it counts as gone (a network down for ten seconds must
    not end the call)."""

    open_timeout_s: float = 20.0
    handshake_timeout_s: float = 10.0
    silence_timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """The settings of all parts of a peer, each with its own docstring.

    carrier: what motion and reports ride on; "sound" says a word where that cannot be, and goes on without.
    budget_kbps: all that this side sends, on the wire; `sound` and the budget of `rate` then follow from it. None: no
    bound but theirs. voice_bps, sound_frame_ms: of the sound, whatever the budget says; None: as it says.
    lost_face_s: time without a face after which the last picture is kept alive, and a keyframe is sent when the face
    is back. bitrate_bps: of the picture, keyframes and all included; at most, where there is a
    budget too; None: as the budget, or `encoder`, says. rung: in which it is met, None for the ladder's.
    """

    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(acknowledged=True))
    sender: SenderConfig = field(default_factory=SenderConfig)
    rate: RateConfig = field(default_factory=RateConfig)
    receiver: ReceiverConfig = field(default_factory=ReceiverConfig)
    playout: PlayoutConfig = field(default_factory=PlayoutConfig)
    limits: Limits = field(default_factory=Limits)
    link: LinkConfig = field(default_factory=LinkConfig)
    sound: SoundConfig = field(default_factory=SoundConfig)
    budget_kbps: float | None = None
    voice_bps: int | None = None
    sound_frame_ms: int | None = None
    carrier: Carrier = "auto"
    lost_face_s: float = 1.0
    bitrate_bps: float | None = None
    rung: Rung | None = None

    def __post_init__(self) -> None:
        if self.budget_kbps is not None:
            CallBudget(self.budget_kbps * 1000)  # says what it should be
