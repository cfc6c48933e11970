"""How the call goes, as bars and a word; the figures stand behind it."""

from dataclasses import dataclass

__all__ = ["Quality", "judge"]

_LOSS = 0.03
_RTT_MS = 400.0
_SHOWN = 0.6
_HARDLY_SHOWN = 0.3


@dataclass(frozen=True, slots=True)
class Quality:
    """bars: 1 to 3. word: good, slow network, slow machine."""

    bars: int
    word: str


def judge(*, bad_network: bool, loss: float | None, rtt_ms: float | None, slowed: bool, shown: float | None) -> Quality:
    """bad_network: much is lost, or nothing is heard. loss: share of units, the worse direction. slowed: this machine
    codes fewer frames than it should. shown: share of the peer's frames that this machine can draw."""
    if bad_network:
        return Quality(1, "slow network")
    if shown is not None and shown < _HARDLY_SHOWN:
        return Quality(1, "slow machine")
    if (loss or 0.0) > _LOSS or (rtt_ms or 0.0) > _RTT_MS:
        return Quality(2, "slow network")
    if slowed or (shown is not None and shown < _SHOWN):
        return Quality(2, "slow machine")
    return Quality(3, "good")
