"""Which of the faces in sight is the speaker's: the one whose place, size and colours go on. Time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from talkcodec.codec.face import FaceBox, colour_distance
from talkcodec.errors import ConfigError
from talkcodec.types import FloatArray

__all__ = ["Face", "FollowerConfig", "SpeakerFollower"]


class Face(NamedTuple):
    """A face that was found: its place, and the histogram of its colours."""

    box: FaceBox
    colours: FloatArray


@dataclass(frozen=True, slots=True)
class FollowerConfig:
    """When a face is the one before, and when another takes its place.

    reach, speed_hz: a face is the same up to this many widths away, and so many more for each second unseen.
    size_ratio: and up to this ratio of sizes, or size_ratio_near within a third of a width, since the detector takes
    a part for the whole now and then. colour_limit: and up to this distance of colours, 0 to 1.
    stay_s: another face takes over when the speaker was out of sight for so long, and it stayed all the time; with the
    speaker's colours, a quarter of it: the speaker leapt. forget_s: or at once after so long without the speaker.
    challenge_s, challenge_ratio: a face so much larger takes over beside a speaker in sight when it stayed so long.
    """

    reach: float = 0.6
    speed_hz: float = 2.0
    size_ratio: float = 1.6
    size_ratio_near: float = 2.5
    colour_limit: float = 0.45
    stay_s: float = 0.8
    forget_s: float = 3.0
    challenge_s: float = 5.0
    challenge_ratio: float = 1.5

    def __post_init__(self) -> None:
        if not (self.reach > 0 and self.size_ratio >= 1 and self.challenge_ratio >= 1):
            raise ConfigError("reach must be above 0, size_ratio and challenge_ratio be at least 1")
        if not 0 <= self.stay_s <= self.forget_s <= 3600 or self.challenge_s < 0:
            raise ConfigError("stay_s, forget_s, challenge_s: expected 0 or more, and stay_s at most forget_s")


@dataclass(frozen=True, slots=True)
class _Challenger:
    face: Face
    since_s: float
    seen_s: float


class SpeakerFollower:
    """Told what a search found, it says which face is the speaker's.

    The colours of the speaker are learned slowly, so that light may change. A face that hides the speaker is not
    taken for the speaker, even at the same place, when its colours are others.
    """

    def __init__(self, config: FollowerConfig | None = None) -> None:
        self.config = config or FollowerConfig()
        self.speakers = 0
        """How often a new speaker was chosen; grows with each change."""
        self._speaker: Face | None = None
        self._seen_s = 0.0
        self._challenger: _Challenger | None = None

    @property
    def place(self) -> FaceBox | None:
        """Where the speaker was last."""
        return self._speaker.box if self._speaker else None

    def follow(self, faces: Sequence[Face], time_s: float, cut: bool = False) -> FaceBox | None:
        """The speaker among the faces of a search, None when not in sight.

        cut: the whole picture has become another; who is not at the same place in it is forgotten at once.
        """
        speaker, elapsed_s = self._speaker, time_s - self._seen_s
        if speaker is None:
            return self._choose(_largest(faces), time_s)
        over = cut or not 0 <= elapsed_s < self.config.forget_s
        same = [face for face in faces if self._is_same(face, speaker, 0.0 if over else elapsed_s)]
        if same:
            found = min(same, key=lambda face: _cost(face, speaker))
            self._speaker = Face(found.box, speaker.colours + (found.colours - speaker.colours) * 0.2)
            self._seen_s = time_s
            larger = [face for face in faces if face.box.width >= found.box.width * self.config.challenge_ratio]
            stayed_s = self._watch(larger, time_s)
            if stayed_s is not None and stayed_s >= self.config.challenge_s:
                return self._choose(_largest(larger), time_s)
            return found.box
        if over:
            return self._choose(_largest(faces), time_s)
        stayed_s = self._watch(faces, time_s)
        if stayed_s is None or self._challenger is None:
            return None
        alike = colour_distance(self._challenger.face.colours, speaker.colours) <= self.config.colour_limit
        if min(stayed_s, elapsed_s) < self.config.stay_s * (0.25 if alike else 1.0):
            return None
        return self._choose(self._challenger.face, time_s)

    def _choose(self, face: Face | None, time_s: float) -> FaceBox | None:
        self._challenger = None
        if face is None:
            return None
        self._speaker, self._seen_s = face, time_s
        self.speakers += 1
        return face.box

    def _is_same(self, face: Face, before: Face, elapsed_s: float) -> bool:
        limits, distance = self.config, face.box.distance(before.box)
        return (
            distance <= limits.reach + limits.speed_hz * elapsed_s
            and face.box.ratio(before.box) <= (limits.size_ratio_near if distance < 1 / 3 else limits.size_ratio)
            and colour_distance(face.colours, before.colours) <= limits.colour_limit
        )

    def _watch(self, candidates: Sequence[Face], time_s: float) -> float | None:
        """How long the challenger among the candidates has stayed, None without one."""
        known = self._challenger
        if known is not None:
            again = [face for face in candidates if self._is_same(face, known.face, time_s - known.seen_s)]
            if again:
                face = min(again, key=lambda face: _cost(face, known.face))
                self._challenger = _Challenger(face, known.since_s, time_s)
                return time_s - known.since_s
            if time_s - known.seen_s < self.config.stay_s / 2:
                return None  # a detector misses a face now and then
        largest = _largest(candidates)
        self._challenger = _Challenger(largest, time_s, time_s) if largest else None
        return 0.0 if largest else None


def _largest(faces: Sequence[Face]) -> Face | None:
    return max(faces, key=lambda face: face.box.width, default=None)


def _cost(face: Face, before: Face) -> float:
    return face.box.distance(before.box) + face.box.ratio(before.box) + colour_distance(face.colours, before.colours)
