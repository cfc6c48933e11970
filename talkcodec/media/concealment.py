"""Speech that a lost packet leaves out: the last pitch period goes on and fades, without a step at either end."""

import numpy as np
import numpy.typing as npt

from talkcodec.media.opus import OPUS_RATE_HZ
from talkcodec.types import SoundArray

__all__ = ["Concealment"]

HISTORY_MS, SHORTEST_MS, LONGEST_MS = 50.0, 2.5, 16.0
FADE_MS, JOIN_MS, STEP_MS = 120.0, 6.0, 3.0
_THIN = 6
"""The pitch is looked for at 8 kHz."""


class Concealment:
    """Give it all that is heard, in order, and ask it for what is missing between."""

    def __init__(self) -> None:
        self._heard = np.zeros(_samples(HISTORY_MS), np.float64)
        self._period: npt.NDArray[np.float64] | None = None
        self._step = 0.0  # by how much the period begins too low
        self._missing = 0  # samples since the last that was received

    def lost(self, count: int) -> SoundArray:
        """The next `count` samples, made up."""
        made = self._continued(count)
        self._missing += count
        return np.asarray(made, np.int16)

    def received(self, samples: SoundArray) -> SoundArray:
        """The next samples as they came, blended in where something was made up before them."""
        out = samples
        if self._missing and len(samples):
            join = min(_samples(JOIN_MS), len(samples))
            share = np.linspace(0, 1, join, endpoint=False)
            made = self._continued(join)
            out = samples.copy()
            out[:join] = np.rint(share * samples[:join] + (1 - share) * made)
        self._period, self._missing = None, 0
        self._heard = np.concatenate([self._heard, out])[-len(self._heard) :]
        return out

    def _continued(self, count: int) -> npt.NDArray[np.float64]:
        if self._period is None:
            self._period = self._last_period()
            self._step = self._heard[-1] - self._period[-1]  # what has no pitch does not go on where it stopped
        at = np.arange(self._missing, self._missing + count)
        made = self._period[at % len(self._period)] + self._step * np.clip(1 - at / _samples(STEP_MS), 0, 1)
        return np.clip(np.rint(made * np.clip(1 - at / _samples(FADE_MS), 0, 1)), -32768, 32767)

    def _last_period(self) -> npt.NDArray[np.float64]:
        """The stretch whose repetition follows the last samples best; its own ends meet."""
        shortest, longest = (_samples(ms) // _THIN for ms in (SHORTEST_MS, LONGEST_MS))
        thin = self._heard.reshape(-1, _THIN).mean(1)
        about = _THIN * _best_lag(thin, range(shortest, longest + 1), len(thin) - longest)
        near = range(about - _THIN, about + _THIN + 1)
        length = _best_lag(self._heard, near, _samples(LONGEST_MS))
        cycle = self._heard[-length:].copy()
        join = min(_samples(JOIN_MS) // 2, length // 4)  # the end of a cycle leads into its beginning
        share = np.linspace(0, 1, join)
        cycle[-join:] = (1 - share) * cycle[-join:] + share * self._heard[-length - join : -length]
        return cycle


def _best_lag(sound: npt.NDArray[np.float64], lags: range, window: int) -> int:
    """The lag at which what was before is most like the last `window` samples."""
    last, end = sound[-window:], len(sound)
    befores = [sound[end - window - lag : end - lag] for lag in lags]
    alike = [float(last @ before) / (float(before @ before) + 1e-6) ** 0.5 for before in befores]
    return lags[int(np.argmax(alike))] if max(alike) > 0 else lags[-1]


def _samples(milliseconds: float) -> int:
    return round(OPUS_RATE_HZ * milliseconds / 1000)
