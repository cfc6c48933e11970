"""A recording at a rate: segment by segment, what shows it best with the bytes that it may have."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from math import exp, log, sqrt

from talkcodec.codec.choice import ReferenceChoice
from talkcodec.codec.config import EncoderConfig, Rung
from talkcodec.codec.ladder import cheaper, config_for_rate, faster, larger, slower
from talkcodec.codec.search import GROWTH_WITH_QUALITY, half
from talkcodec.codec.segment import Fitted, Segment, TimedPicture
from talkcodec.picture import DEFAULT_QUALITY
from talkcodec.types import Crop, FloatArray, Picture

__all__ = ["SEGMENT_S", "RateFitter", "Trial"]

SEGMENT_S = 60.0
"""So much is held in memory and searched at once: 300 MB at 25 pictures a second."""

_TRIED_S = 20.0
"""So much of the first segment is coded in one way after another."""

_END_BYTES = 60
"""Index and trailer."""

_OVER = 0.05
"""So much more than its share a segment may take; else the base layer steps down the ladder. Where the cheapest takes
over twice so much more, what takes less is chosen, however it looks."""

_GAIN_DB, _GAIN_FOR_KEYFRAMES_DB = 0.05, 0.3
"""What is not better by so much is not taken; the latter where keyframes are coarser or none, since dB say little of
how sharp they make a face: 0.1 dB by a keyframe of quality 20 instead of 25 cost 8 % more AED."""

_GAIN_FOR_MORE_DB, _LOSS_FOR_FEWER_DB, _LOSS_FOR_FEWER_WHOLE_DB = 0.5, 0.1, 0.3
"""More pictures a second must be so much better, fewer may be so much worse, the last in the video rung: each is finer,
and whose face it is shows in that. More that were 0.4 dB better had 23 % more AED (vox2-2_01 at 17 kbit/s); whole ones
that lost 0.25 to 0.4 dB had 6 to 24 % less, and 5 to 13 % more AKD. In the hybrid rung, whose keyframe says whose face
it is, it gave nothing: cvt-l645x52fr4a_01 at 17 kbit/s had 27 % more AKD, and 2 % more AED, for 0.3 dB."""

_LOSS_FOR_FACE_DB = 2.0
"""So much worse pictures with a keyframe may be than those of a video rung that is poor, whose bits go to whatever is
large and moves: cvt-l645x52fr4a_01 (a street behind him) has 1.4 dB less with it at 25 kbit/s, a clean face, 10 % less
AKD and 42 % less AED."""

_MUCH, _LITTLE = 0.2, 0.12
"""Shares of the bytes: of keyframes that take more a lower quality is tried, of those that take less a higher one."""

_STILLS = (60, 45, 30, 20)
"""Qualities of keyframes that are tried."""

_GROWTH_WITH_SIZE, _GROWTH_WITH_FPS = 1.0, 0.65
"""Bytes grow about so with the size and the frame rate: exponents. With the size 0.8 where little moves, 1.3 where
much does."""

_LIKELY = 1.3
"""Times what it may take: what is expected to take more at quality 0 is not tried."""

_SLOWEST = 5.0
"""Pictures a second at which the video rung may fit."""

_POOR = 5.0
"""Quality below which smaller base pictures are tried, and instead of those of the video rung the hybrid rung's."""

_BELOW = 5.0
"""As much below 0 the quality may be expected to be for a higher frame rate to be tried."""

Trial = Callable[[Segment, EncoderConfig, bool], FloatArray]
"""How well a segment would be shown, at some instants: dB, more is better; True: at many, not restored
(`trial.shown_psnr_db`)."""


class RateFitter:
    """Chooses how one segment after another is coded; what one missed, the next makes good.

    That is the quality of the base pictures, and a lower step of the ladder where quality 0 takes too much; where that
    is so in the video rung at its slowest, the hybrid rung. In the first segment other keyframes, larger and more base
    pictures and the video rung are tried too, one after another, and what shows it better is kept for all that follow.
    """

    def __init__(
        self,
        bitrate_bps: float,
        config: EncoderConfig,
        picture_size: int,
        rung: Rung | None = None,
        trial: Trial | None = None,
    ) -> None:
        """rung: None for any; trial: None to keep to the ladder. Raises ConfigError for a rate below 1 kbit/s."""
        self.config = config_for_rate(bitrate_bps, config, picture_size, rung, ahead=trial is not None)
        """The ladder's; in the motion rung there is nothing to fit."""
        self._bitrate_bps, self._size, self._any_rung, self._trial = bitrate_bps, picture_size, rung is None, trial
        self._own_still = config.still_quality != DEFAULT_QUALITY
        self._hybrid = config_for_rate(bitrate_bps, config, picture_size, Rung.HYBRID)
        self._last = self.config.base
        self._start_s: float | None = None
        self._crop: Crop | None = None

    def fit(
        self, frames: Sequence[TimedPicture], end_s: float, spent_bytes: int, choice: ReferenceChoice | None = None
    ) -> EncoderConfig:
        """The configuration for a segment that ends at `end_s`; `spent_bytes` were written before it.

        choice: what its keyframes show, None for the pictures at which they are made.
        """
        overhead = 0
        trial, self._trial = self._trial, None
        if self._start_s is None:
            self._start_s, overhead = frames[0][0], _END_BYTES
        allowed = max(1.0, (end_s - self._start_s) * self._bitrate_bps / 8 - spent_bytes - overhead)
        most = 1 + _OVER * (end_s - frames[0][0]) * self._bitrate_bps / 8 / allowed
        segment = Segment(frames, self._moved(frames, choice), choice, allowed, most, self._size)
        found: Fitted | None = None
        if trial is not None:
            part = segment.beginning(_TRIED_S)
            first = self._fitted(part)
            better = self._better(first, part, trial)
            if better is not first:  # else the ladder's stays: what follows may be easier
                self.config, self._last = better.config, better.config.base
            found = better if part is segment else None
        found = found or self._fitted(segment)
        self._last = found.config.base
        return found.config

    def _fitted(self, segment: Segment) -> Fitted:
        """At the configuration that is kept to, or below it."""
        found = segment.fit(self.config, self._last)
        if self._any_rung and found.config.rung is Rung.VIDEO and found.share > segment.most:
            first, choice = segment.frames[0][1].picture, segment.choice
            restored = replace(segment, moved=segment.moved or [choice.at(0) if choice else first])
            found = min(found, restored.fit(self._hybrid), key=lambda fitted: fitted.share)
        return found

    def _better(self, found: Fitted, segment: Segment, trial: Trial) -> Fitted:
        """What shows the segment best of what can be reached in steps that each show it better.

        Frame rates are compared without the restoration, which does as much for either, at more instants: coded
        pictures and those between differ by 3 dB, and with few of them so does the mean, by half a dB.
        """
        shown_db = cache(partial(trial, segment))
        seen = [found.config]
        for step in (
            self._finer_keyframes, self._coarser_keyframes, self._without_keyframes, self._smaller, self._larger,
            self._restored, self._faster, self._slower, self._slower,
        ):  # fmt: skip
            light = step in (self._faster, self._slower)
            for config in step(found):
                missed = found.share > 1 + 2 * (segment.most - 1)
                tried = segment.fit(config, fall=not light)
                if tried.config in seen or tried.share > (found.share if missed else segment.most):
                    continue
                seen.append(tried.config)
                least_db = _gain_db(found.config, tried.config)
                if missed or _enough(shown_db(tried.config, light) - shown_db(found.config, light), least_db):
                    found = tried
        return found

    def _finer_keyframes(self, found: Fitted) -> Iterator[EncoderConfig]:
        if found.config.rung is Rung.HYBRID and found.keyframes < _LITTLE and not self._own_still:
            finer = [quality for quality in _STILLS if quality > found.config.still_quality]
            for quality in finer[-1:]:  # as much longer as they are, they come as much more rarely
                interval_s = found.config.min_keyframe_interval_s * quality / max(found.config.still_quality, 10)
                yield replace(found.config, still_quality=quality, min_keyframe_interval_s=min(3600.0, interval_s))

    def _coarser_keyframes(self, found: Fitted) -> Iterator[EncoderConfig]:
        if found.config.rung is Rung.HYBRID and found.keyframes > _MUCH and not self._own_still:
            coarser = (quality for quality in _STILLS if quality < found.config.still_quality)
            yield from (replace(found.config, still_quality=quality) for quality in coarser)

    def _without_keyframes(self, found: Fitted) -> Iterator[EncoderConfig]:
        """In the video rung, with base pictures that are smaller than the picture."""
        if self._any_rung and found.config.rung is Rung.HYBRID and found.keyframes > _MUCH:
            yield replace(found.config, rung=Rung.VIDEO)

    def _smaller(self, found: Fitted) -> Iterator[EncoderConfig]:
        base = found.config.base
        if found.config.rung is Rung.HYBRID and base.quality < _POOR:
            yield from [step for step in cheaper(found.config, self._size) if step.base.size < base.size][:1]

    def _larger(self, found: Fitted) -> Iterator[EncoderConfig]:
        base = found.config.base
        for config in larger(found.config, self._size, self._any_rung):
            growth = (config.base.size / base.size) ** _GROWTH_WITH_SIZE
            least = (found.share - found.keyframes) * growth * exp(-GROWTH_WITH_QUALITY * base.quality)
            if config.rung is Rung.VIDEO:
                least *= (_SLOWEST / base.fps) ** _GROWTH_WITH_FPS
            if least < _LIKELY:
                yield _at_quality(config, base.quality - log(growth) / GROWTH_WITH_QUALITY)

    def _restored(self, found: Fitted) -> Iterator[EncoderConfig]:
        base = found.config.base
        whole = found.config.rung is Rung.VIDEO and base.size == self._size
        if self._any_rung and whole and base.quality < _POOR:
            yield from filter(None, (self._hybrid, slower(self._hybrid)))

    def _faster(self, found: Fitted) -> Iterator[EncoderConfig]:
        base = found.config.base
        for config in faster(found.config):
            cost = _GROWTH_WITH_FPS * log(config.base.fps / base.fps) / GROWTH_WITH_QUALITY
            if cost < base.quality + _BELOW:
                yield _at_quality(config, base.quality - cost)

    def _slower(self, found: Fitted) -> Iterator[EncoderConfig]:
        config = slower(found.config)
        if config is not None and found.config.base.quality < 100:
            saved = _GROWTH_WITH_FPS * log(found.config.base.fps / config.base.fps) / GROWTH_WITH_QUALITY
            yield _at_quality(config, config.base.quality + saved)

    def _moved(self, frames: Sequence[TimedPicture], choice: ReferenceChoice | None) -> list[Picture]:
        """What keyframes will show that are made at the first picture, and where the crop moves."""
        moved = []
        for number, (_, cut) in enumerate(frames):
            if cut.crop != self._crop:
                moved.append(choice.at(number) if choice else cut.picture)
                self._crop = cut.crop
        return moved


def _gain_db(config: EncoderConfig, other: EncoderConfig) -> float:
    """By how much the other must be better."""
    if other.still_quality > config.still_quality and other.rung is config.rung:
        return 0.0
    if other.base.size == config.base.size and other.base.fps != config.base.fps:
        if other.base.fps > config.base.fps:
            return _GAIN_FOR_MORE_DB
        return -(_LOSS_FOR_FEWER_WHOLE_DB if config.rung is Rung.VIDEO else _LOSS_FOR_FEWER_DB)
    if config.rung is Rung.VIDEO and other.rung is Rung.HYBRID and config.base.quality < _POOR:
        return -_LOSS_FOR_FACE_DB
    loses = other.still_quality < config.still_quality or (other.rung is Rung.VIDEO and config.rung is not Rung.VIDEO)
    return _GAIN_FOR_KEYFRAMES_DB if loses else _GAIN_DB


def _enough(gains_db: FloatArray, least_db: float) -> bool:
    """Whether they are so much: a gain surely, a loss that may be on the mean."""
    return (_surely(gains_db) if least_db >= 0 else float(gains_db.mean())) > least_db


def _surely(differences: FloatArray) -> float:
    """Their mean, less what it may be off, being one of a few instants (its standard error)."""
    return float(differences.mean() - differences.std() / sqrt(len(differences)))


def _at_quality(config: EncoderConfig, quality: float) -> EncoderConfig:
    return replace(config, base=replace(config.base, quality=half(quality)))
