"""How much this machine can do: fewer motion frames and a smaller camera picture before anything piles up."""

from dataclasses import dataclass

from call.options import CALL_FPS

__all__ = ["PACES", "Load", "Pace", "PaceControl"]


@dataclass(frozen=True, slots=True)
class Pace:
    """every: of so many captured frames one is sent. capture_width_px: what the page's camera is asked
    for at most, of its longer side."""

    every: int
    capture_width_px: int

    @property
    def motion_fps(self) -> float:
        """Motion frames a second."""
        return CALL_FPS / self.every


PACES = (Pace(1, 640), Pace(2, 480), Pace(3, 320))


@dataclass(frozen=True, slots=True)
class Load:
    """One second of work. encode_ms: median time to code a frame, None before the first; encode_dropped, drawn,
    draw_dropped: frames in this second that were not coded in time, drawn, and not drawn in time."""

    encode_ms: float | None
    encode_dropped: int
    drawn: int
    draw_dropped: int


class PaceControl:
    """Goes one pace down after `patience` bad seconds in a row, and one up after `calm` good ones.

    A second is bad when a tenth of the frames were not coded in time, when coding takes more than 80 % of its thread,
    or when more than half of the peer's frames could not be drawn while coding takes more than a quarter. It is good
    when none of that would hold at the next better pace either.
    """

    def __init__(self, patience: int = 3, calm: int = 12) -> None:
        self._patience, self._calm = patience, calm
        self._level = self._bad = self._good = 0

    @property
    def pace(self) -> Pace:
        """The present pace."""
        return PACES[self._level]

    @property
    def text(self) -> str:
        """What to tell the person; empty at full pace."""
        if self._level == 0:
            return ""
        return (
            f"This machine is busy: {self.pace.motion_fps:.0f} motion frames a second are sent instead of "
            f"{CALL_FPS:.0f}, and the camera runs at {self.pace.capture_width_px} px at most."
        )

    def update(self, load: Load) -> Pace:
        """Take a second's load; returns the pace from now on."""
        bad = self._is_bad(load, self.pace)
        better = PACES[max(0, self._level - 1)]
        good = not bad and not self._is_bad(load, better, margin=1.3)
        self._bad = self._bad + 1 if bad else 0
        self._good = self._good + 1 if good else 0
        if self._bad >= self._patience and self._level < len(PACES) - 1:
            self._level += 1
            self._bad = self._good = 0
        elif self._good >= self._calm and self._level > 0:
            self._level -= 1
            self._good = 0
        return self.pace

    @staticmethod
    def _is_bad(load: Load, pace: Pace, margin: float = 1.0) -> bool:
        if load.encode_ms is None:
            return False
        share = margin * load.encode_ms * pace.motion_fps / 1000
        drawing = load.drawn + load.draw_dropped
        starved = drawing > 5 and load.draw_dropped > 0.5 * drawing and share > 0.25
        return share > 0.8 or load.encode_dropped > 0.1 * pace.motion_fps + 1 or starved
