"""Sound between the page and the peer: the microphone's samples, the peer's samples to a track, both on one clock."""

import asyncio
import time
from collections import deque
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from talkcodec.media.opus import OPUS_RATE_HZ
from talkcodec.types import SoundArray

__all__ = ["FRAME_SAMPLES", "Microphone", "PageSound"]

FRAME_SAMPLES = OPUS_RATE_HZ // 50
MICROPHONE_DELAY_S = 0.06
"""aiortc hands a sound frame on when three more have come: what arrives is so much older than what is seen."""

_SILENT_PEAK = 64
"""Of 32768: -54 dB, below any room with a person in it."""
_HANG_OVER = 15
"""So many silent frames are still sent, so that no word is cut."""


class Microphone:
    """PCM frames of the page to blocks of 20 ms, mono; silence is left out."""

    def __init__(self) -> None:
        self._resampler = av.AudioResampler("s16", "mono", OPUS_RATE_HZ, frame_size=FRAME_SAMPLES)
        self._silent = 0

    def blocks(self, frame: AudioFrame, arrived_s: float) -> list[tuple[float, SoundArray]]:
        """(capture time on the monotonic clock, (960,) samples) of all that is complete; nothing for silence."""
        heard = []
        frame.pts = None
        for piece in self._resampler.resample(frame):
            samples = piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            self._silent = self._silent + 1 if np.abs(samples).max(initial=0) < _SILENT_PEAK else 0
            if self._silent <= _HANG_OVER:
                heard.append((arrived_s - MICROPHONE_DELAY_S, samples))
        return heard


class PageSound(MediaStreamTrack):
    """The track to the page: the peer's samples when they are due, silence between.

    Drop policy: two seconds wait at most; what is due more than 100 ms ago is skipped.
    """

    kind = "audio"
    LATE_S = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._ahead: deque[tuple[float, npt.NDArray[np.int16]]] = deque(maxlen=100)
        self._start_s: float | None = None
        self._frames = 0

    def play(self, samples: npt.NDArray[np.int16], due_s: float) -> None:
        """(n,) samples, mono, 48 kHz, and when the first is to be heard, monotonic clock."""
        self._ahead.append((due_s, samples))

    async def recv(self) -> AudioFrame:
        """The next 20 ms, in real time."""
        if self.readyState != "live":
            raise MediaStreamError
        now_s = time.monotonic()
        if self._start_s is None or now_s - self._start_s - self._frames * 0.02 > 1.0:  # the loop was held up
            self._start_s, self._frames = now_s, 0
        wait_s = self._start_s + self._frames * 0.02 - now_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        frame = AudioFrame.from_ndarray(self._take(time.monotonic()).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.time_base = OPUS_RATE_HZ, Fraction(1, OPUS_RATE_HZ)
        frame.pts = round(self._start_s * 50) * FRAME_SAMPLES + self._frames * FRAME_SAMPLES
        self._frames += 1
        return frame

    def _take(self, now_s: float) -> npt.NDArray[np.int16]:
        taken = np.zeros(FRAME_SAMPLES, np.int16)
        filled = 0
        while self._ahead and filled < FRAME_SAMPLES:
            due_s, samples = self._ahead[0]
            if due_s < now_s - self.LATE_S:
                self._ahead.popleft()
                continue
            if due_s > now_s + 0.02:
                break
            count = min(len(samples), FRAME_SAMPLES - filled)
            taken[filled : filled + count] = samples[:count]
            filled += count
            self._ahead.popleft()
            if count < len(samples):
                self._ahead.appendleft((due_s + count / OPUS_RATE_HZ, samples[count:]))
        return taken
