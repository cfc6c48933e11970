"""Where a call stands, and the sentence that tells a person so."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Phase", "Scene", "sentence"]


class Phase(Enum):
    """Where the call stands. ALONE: the two engines are connected, but nobody is at the other page."""

    WAITING = "waiting"
    CALLING = "calling"
    CONNECTING = "connecting"
    ALONE = "alone"
    TALKING = "talking"
    BAD_NETWORK = "bad-network"
    LOST = "lost"
    PEER_LEFT = "peer-left"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Scene:
    """name: the peer's, "" when they gave none. reason: of the phase. here: somebody is at this side's page. met: both
    were there before. camera_off: nothing comes, and nothing is to come. ringing: they call again. silent_s: for how
    long nothing was heard, None while that is usual."""

    name: str = ""
    reason: str = ""
    here: bool = True
    met: bool = False
    camera_off: bool = False
    ringing: bool = False
    silent_s: float | None = None


def sentence(phase: Phase, scene: Scene) -> str:
    """The state in words, for the person at this side."""
    reason, who = scene.reason, scene.name or "Your peer"
    if phase is Phase.BAD_NETWORK:
        if scene.silent_s is None:
            return "Bad network: a part of what is sent gets lost. The picture is held together."
        return f"Bad network: nothing heard from {scene.name or 'your peer'} for {scene.silent_s:.0f} s. Still trying."
    if phase is Phase.ALONE:
        if scene.met:
            return f"{who} has closed the page. The call goes on when they are back."
        return f"{who} is not at the page yet. Nothing is sent until they are."
    if phase is Phase.TALKING and not scene.here:
        return f"{who} is there and waits for you."
    if phase is Phase.TALKING and scene.camera_off:
        return f"You are connected. {who}'s camera is off."
    return {
        Phase.WAITING: "Waiting for your peer. Give them the link below.",
        Phase.CALLING: f"Calling your peer. {reason}".strip(),
        Phase.CONNECTING: "Your peer is here. Connecting.",
        Phase.TALKING: f"You are in a call with {scene.name}." if scene.name else "You are in a call.",
        Phase.LOST: f"The connection was lost. {reason}".strip(),
        Phase.PEER_LEFT: f"{who} left the call.",
        Phase.ENDED: f"{who} is calling you again." if scene.ringing else "You hung up.",
        Phase.FAILED: reason,
    }[phase]
