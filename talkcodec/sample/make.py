"""Make the embedded sample: a portrait that talks, by a procedural 2.5-D warp.

    python -m talkcodec.sample.make OUT.mp4        (needs scikit-image, which bundles the portrait)

The portrait is scikit-image's `astronaut`: Eileen Collins, photographed by NASA, public domain. The head is
an ellipsoid with a nose on it; turning it moves every point by its depth, while background and shoulders stay.
Lids close by stretching the skin above them, the mouth opens by moving the lower lip and the chin. The voice
is a row of harmonics under two moving formants, with the envelope that moves the mouth.
Every movement is periodic, so that the clip can be looped.
"""

import math
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.types import Picture

__all__ = ["make_sample", "sample_frame"]

FPS = 25
SECONDS = 6
SIZE_PX = 256
SAMPLE_RATE_HZ = 48_000

Plane = npt.NDArray[np.float32]

# Places in the portrait, in units of 1/1024 of its face crop (x right, y down).
_CROP_X_PX, _CROP_Y_PX, _CROP_SIZE_PX = 118, 14, 208
_HEAD, _HEAD_RADII, _HEAD_DEPTH = (540.0, 450.0), (390.0, 480.0), 330.0
_NOSE, _NECK = (525.0, 560.0), (530.0, 860.0)
_EYES = ((417.0, 407.0, 449.0, 62.0), (640.0, 415.0, 459.0, 74.0))  # x, upper lid y, lower lid y, half width
_MOUTH_X, _MOUTH_HALF_WIDTH, _MOUTH_CORNER_Y, _MOUTH_MIDDLE_Y = 530.0, 112.0, 624.0, 668.0
_MOUTH_INSIDE = np.array([58, 22, 24], np.float32)


def sample_frame(portrait: Picture, time_s: float) -> Picture:
    """The talking head at a time, 256x256; `portrait` is skimage.data.astronaut()."""
    scale = 1024 / SIZE_PX
    grid = (np.arange(SIZE_PX, dtype=np.float32) + 0.5) * scale
    x, y = (plane.astype(np.float32) for plane in np.meshgrid(grid, grid))
    x, y = _unturn(x, y, time_s)
    x, y, inside = _unspeak(x, y, time_s)
    y = _unblink(x, y, time_s)
    to_px = _CROP_SIZE_PX / 1024
    picture = cv2.remap(
        portrait.astype(np.float32),
        (_CROP_X_PX - 0.5 + x * to_px).astype(np.float32),
        (_CROP_Y_PX - 0.5 + y * to_px).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    dark = np.asarray(cv2.GaussianBlur(inside, (0, 0), 0.8))[..., None]
    return np.asarray(np.clip(picture * (1 - dark) + _MOUTH_INSIDE * dark + 0.5, 0, 255), dtype=np.uint8)


def _unturn(x: Plane, y: Plane, time_s: float) -> tuple[Plane, Plane]:
    """Where each output point lay before the head turned: the forward displacement, inverted by iteration."""
    yaw = np.deg2rad(13 * _wave(time_s, 1) + 4 * _wave(time_s, 3))
    pitch = np.deg2rad(5 * _wave(time_s, 2) + 2.5 * _wave(time_s, 5))
    roll = np.deg2rad(2.5 * _wave(time_s, 2) - 1.2 * _wave(time_s, 1))
    from_x, from_y = x, y
    for _ in range(12):
        across, down = (from_x - _HEAD[0]) / _HEAD_RADII[0], (from_y - _HEAD[1]) / _HEAD_RADII[1]
        radius2 = across**2 + down**2
        depth = _HEAD_DEPTH * np.clip(1 - radius2, 0, 1) + 70 * _bump(from_x, from_y, _NOSE, 45, 70)
        moves = 1 - _smoothstep(np.sqrt(radius2), 0.95, 1.35)  # 1 on the head, 0 on background and shoulders
        turned_x = depth * np.sin(yaw) + (from_x - _HEAD[0]) * (np.cos(yaw) - 1) * moves
        turned_y = depth * np.sin(pitch) + (from_y - _HEAD[1]) * (np.cos(pitch) - 1) * moves
        tilted_x = -(from_y - _NECK[1]) * np.sin(roll) * moves
        tilted_y = (from_x - _NECK[0]) * np.sin(roll) * moves
        from_x, from_y = x - turned_x - tilted_x, y - turned_y - tilted_y
    return from_x, from_y


def _unspeak(x: Plane, y: Plane, time_s: float) -> tuple[Plane, Plane, Plane]:
    """Undo the mouth's movement; also returns the share (0 to 1) of each point that shows the mouth's inside."""
    level = speech_level(np.array([time_s]))[0]
    opening = np.float32(58 * level - 26 * (1 - level) * _closing(time_s))  # negative: the lip covers the teeth
    narrowing = np.float32(0.16 * level * (0.5 - 0.5 * np.cos(2 * np.pi * 7 * time_s / SECONDS)))
    near_mouth = _bump(x, y, (_MOUTH_X, 650), 150, 90)
    brows = _bump(x, y, (_MOUTH_X, 375), 220, 40)
    x = np.asarray(_MOUTH_X + (x - _MOUTH_X) * (1 + narrowing * near_mouth), dtype=np.float32)
    y = np.asarray(y + 10 * level * brows, dtype=np.float32)  # they rise with the voice
    across = np.clip(np.abs(x - _MOUTH_X) / _MOUTH_HALF_WIDTH, 0, 1)
    line = _MOUTH_MIDDLE_Y - (_MOUTH_MIDDLE_Y - _MOUTH_CORNER_Y) * across**2
    lip = opening * np.sqrt(1 - across**2)  # how far the lower lip moves down here
    jaw = opening * (1 - _smoothstep(np.abs(x - _MOUTH_X), 60, 230))
    # From the lip to the chin the movement of the lip passes into the jaw's, and fades out on the neck.
    below = np.clip((y - line - lip) / 130, 0, 1)
    shift = (lip * (1 - below) + jaw * below) * (1 - _smoothstep(y, 760, 900))
    under_lip = y >= line + lip
    inside = ((y > line) & ~under_lip).astype(np.float32)
    return x, np.where(under_lip, y - shift, np.minimum(y, line)).astype(np.float32), inside


def _unblink(x: Plane, y: Plane, time_s: float) -> Plane:
    """Undo the lids: the strip of skin above the lid edge is stretched down over the eye."""
    closed = max(np.exp(-(((time_s - at) / 0.07) ** 4)) for at in (1.2, 3.1, 3.5, 5.2))
    for eye_x, upper, lower, half_width in _EYES:
        across = np.clip(np.abs(x - eye_x) / half_width, 0, 1)
        lid = upper + 6 * across**2
        edge = lid + (lower - lid) * closed * (1 - across**2) ** 0.5
        brow = lid - 15
        stretched = brow + (y - brow) * (lid - brow) / (edge - brow)
        y = np.where((y > brow) & (y < edge), stretched, y).astype(np.float32)
    return y


def speech_level(time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How loud, and how wide the mouth is open, 0 to 1: syllables in two phrases with pauses, period 6 s."""
    level = np.zeros_like(time_s)
    starts = [0.35, 0.55, 0.82, 1.02, 1.30, 1.48, 1.75, 2.02, 2.25, 3.15, 3.38, 3.56, 3.86, 4.05, 4.32, 4.58, 4.8, 5.1]
    for number, start in enumerate(starts):
        height = 0.55 + 0.45 * np.sin(2.4 * number + 0.7)
        width = 0.09 + 0.03 * np.sin(1.7 * number)
        level = np.maximum(level, height * np.exp(-(((time_s - start - 0.1) / width) ** 2)))
    return level


def _closing(time_s: float) -> float:
    """1 while a phrase lasts, when lips close between syllables; 0 in pauses, when the portrait smiles."""
    phrases = ((0.3, 2.6), (3.1, 5.5))
    return float(max(_smoothstep(time_s, a, a + 0.2) * (1 - _smoothstep(time_s, b - 0.3, b)) for a, b in phrases))


def _voice() -> npt.NDArray[np.float32]:
    """(1, samples) mono in [-1, 1]: harmonics of a falling pitch under two formants that change with the syllable."""
    time_s = np.arange(SECONDS * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pitch_hz = 190 - 8 * (time_s % 3) + 12 * np.sin(2 * np.pi * 1.5 * time_s) + 2 * np.sin(2 * np.pi * 5.5 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    formants_hz = (550 + 230 * np.sin(2 * np.pi * 2.3 * time_s), 1500 + 550 * np.sin(2 * np.pi * 1.7 * time_s + 1))
    voice = np.zeros_like(time_s)
    for harmonic in range(1, 20):
        gain = sum(np.exp(-(((harmonic * pitch_hz - formant) / 170) ** 2)) for formant in formants_hz)
        voice += (gain + 0.03) / harmonic**0.5 * np.sin(harmonic * phase)
    voice *= speech_level(time_s)
    return np.asarray(0.5 * voice / np.abs(voice).max(), dtype=np.float32)[None]


def _wave(time_s: float, cycles: int) -> float:
    """Sine with a whole number of cycles in the clip, 0 at its start."""
    return math.sin(2 * np.pi * cycles * time_s / SECONDS)


def _bump(x: Plane, y: Plane, middle: tuple[float, float], width: float, height: float) -> Plane:
    return np.asarray(np.exp(-(((x - middle[0]) / width) ** 2) - ((y - middle[1]) / height) ** 2), dtype=np.float32)


def _smoothstep(value: npt.ArrayLike, start: float, end: float) -> npt.NDArray[np.float32]:
    t = np.clip((np.asarray(value, dtype=np.float32) - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def make_sample(path: Path) -> None:
    """Write the clip to `path` (mp4)."""
    from skimage.data import astronaut

    portrait = np.asarray(astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call, unused-ignore]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width = video.height = SIZE_PX
        video.pix_fmt = "yuv420p"
        video.options = {"crf": "19", "preset": "veryslow", "threads": "1"}
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        audio.bit_rate = 48_000
        for number in range(FPS * SECONDS):
            frame = av.VideoFrame.from_ndarray(sample_frame(portrait, number / FPS), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        voice = _voice()
        for start in range(0, voice.shape[1], 1024):
            sound = av.AudioFrame.from_ndarray(voice[:, start : start + 1024], format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE_HZ, start, Fraction(1, SAMPLE_RATE_HZ)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


if __name__ == "__main__":
    make_sample(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("astronaut.mp4"))
