"""Operating points: which codec in which setting; named, parsed from the command line, and grouped into curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eval.anchors.settings import ANCHORS
from talkcodec.errors import ConfigError
from talkcodec.model.config import DEFAULT_MODEL

__all__ = ["DEFAULTS", "PRESETS", "Point", "make_point", "parse_points", "with_round_trip"]

DEFAULTS: Mapping[str, Mapping[str, int | float | str]] = {
    "copy": {"quality": 45},
    "talkcodec": {
        "model": DEFAULT_MODEL,  # a shipped model's name, or a file
        "quality": 45,  # of the keyframe, 0 to 100; -1 is the untouched picture, as in the papers
        "kp": 32,  # keypoint step and Jacobian step, units of 1/4096
        "jac": 128,
        "jacobians": 1,  # 0: keypoints only, Jacobians held at identity
        "interval": 0.0,  # seconds between keyframes, 0 for never
        "refresh": 0.0,  # error above which the encoder sends a keyframe on its own, 0 for never
        "every": 1,  # motion for each n-th frame, those between interpolated
        "bundle": 3,  # motion units a message
        "rung": "motion",  # or hybrid, video, auto
        "kbps": 0.0,  # rate of all that a recording holds, for which the ladder chooses the next three; 0 for none
        "base": 128,  # side of the base pictures
        "fps": 12.5,  # base pictures a second
        "level": 8.0,  # quality of the base pictures, 0 to 100
        "ahead": 1,  # 1: a recording's keyframe shows the picture most like those that it restores; 0: its first
        "rtt": -1,  # ms until an acknowledgement is back, as in a call; -1: all is held at once, as in a recording
    },
    **{name: {"crf": anchor.coarsest, "size": 0, "every": 1, "between": 0} for name, anchor in ANCHORS.items()},
}
"""Every codec's settings. `crf` is the anchor's quality, coarser is larger; `size` 0 is the clip's own; `between` 1
makes the frames between coded ones as talkcodec's receiver does, which no call does with these codecs."""


_WORDS: Mapping[tuple[str, int | float | str], str] = {
    ("size", 128): "128x128",
    ("size", 96): "96x96",
    ("every", 2): "half rate",
    ("every", 3): "third rate",
    ("between", 1): "filled in",
    ("jacobians", 0): "no Jacobians",
}


@dataclass(frozen=True)
class Point:
    """A codec and its settings, complete and sorted; two points are the same when their keys are."""

    codec: str
    settings: tuple[tuple[str, int | float | str], ...]

    @property
    def key(self) -> str:
        """Codec and every setting, as `parse_points` reads it."""
        return self.codec + ":" + ",".join(f"{name}={value}" for name, value in self.settings)

    @property
    def label(self) -> str:
        """Codec and the settings that are not the default, in words; the quality always."""
        return self._name(quality=True)

    @property
    def curve(self) -> str:
        """Points of one curve differ in quality alone: `crf` of an anchor, `quality` of talkcodec's keyframe."""
        return self._name(quality=False)

    def _name(self, quality: bool) -> str:
        words = [self.codec]
        for name, value in self.settings:
            if self.codec == "talkcodec" and name in ("base", "fps", "level"):
                if self["rung"] in ("hybrid", "video") and not self["kbps"] and (quality or name != "level"):
                    words.append({"base": f"{value} px", "fps": f"{value:g} fps", "level": f"level {value:g}"}[name])
            elif name == "kbps":
                if value and quality:
                    words.append(f"{value:g} kbit/s")
            elif name in ("crf", "quality"):
                if quality and not (self.codec == "talkcodec" and self["kbps"]):
                    words.append("true keyframe" if value == -1 else f"{name} {value}")
            elif name == "ahead":
                if not value:
                    words.append("no look ahead")
            elif name == "rtt" and value != -1:
                words.append(f"call, round trip {value} ms")
            elif value != DEFAULTS[self.codec][name]:
                words.append(_WORDS.get((name, value), f"{name} {value}"))
        return " ".join(words)

    def __getitem__(self, name: str) -> Any:
        return dict(self.settings)[name]


def make_point(codec: str, **settings: int | float | str) -> Point:
    """A point with these settings and defaults for the rest; raises ConfigError for unknown codecs or settings."""
    if codec not in DEFAULTS:
        raise ConfigError(f"unknown codec {codec!r}; known: {', '.join(DEFAULTS)}")
    defaults = DEFAULTS[codec]
    for name in settings:
        if name not in defaults:
            raise ConfigError(f"{codec} has no setting {name!r}; it has {', '.join(defaults)}")
    return Point(codec, tuple(sorted({**defaults, **settings}.items())))


def _anchor_points() -> list[Point]:
    """Each anchor at full size and enlarged from 128 and 96 px, at the full, half and third frame rate."""
    grid: dict[str, dict[tuple[int, int], tuple[int, ...]]] = {  # (size, every) to crf
        "x264": {(0, 1): (42, 48), (0, 2): (48,), (128, 2): (36, 42, 48), (96, 3): (32, 38, 44)},
        "x265": {(0, 1): (39, 45, 51), (0, 2): (48,), (128, 1): (40, 46), (128, 2): (36, 42, 48), (96, 3): (34, 44)},
        "vp8": {(0, 1): (63,), (0, 2): (50, 63), (128, 2): (38, 50, 63), (96, 3): (36, 48, 60)},
        "vp9": {(0, 1): (55, 63), (0, 2): (63,), (128, 1): (50, 63), (128, 2): (45, 55, 63), (96, 3): (52, 63)},
        "av1": {
            (0, 1): (46, 52, 57, 63), (0, 2): (46, 52, 57, 63), (0, 3): (46, 52, 57, 63), (128, 1): (50, 57, 63),
            (128, 2): (46, 52, 57, 63), (128, 3): (57, 63), (96, 2): (57, 63), (96, 3): (50, 57, 63),
        },
    }  # fmt: skip
    return [
        make_point(codec, crf=crf, size=size, every=every)
        for codec, curves in grid.items()
        for (size, every), crfs in curves.items()
        for crf in crfs
    ]


def _talkcodec_points() -> list[Point]:
    """The ladder at rates, its rungs one by one, the motion rung as in a call too, and the papers' condition;
    `eval ablation` has the rest."""
    return [
        *(make_point("talkcodec", rung="auto", kbps=kbps) for kbps in (3, 4, 5, 6, 8, 10, 13, 17, 25, 40, 60)),
        *(make_point("talkcodec", quality=quality) for quality in (10, 25, 45)),
        make_point("talkcodec", quality=25, every=2, bundle=2),
        make_point("talkcodec", quality=45, refresh=0.06),
        make_point("talkcodec", quality=45, refresh=0.06, rtt=100),
        make_point("talkcodec", quality=-1),
    ]


PRESETS: Mapping[str, list[Point]] = {
    "floor": [make_point("copy", quality=-1), make_point("copy", quality=45)],
    "anchors": _anchor_points(),
    "talkcodec": _talkcodec_points(),
    "quick": [
        make_point("copy"),
        make_point("talkcodec"),
        make_point("x265", crf=48),
        make_point("av1", crf=63),
    ],
}


def parse_points(texts: list[str]) -> list[Point]:
    """Points from names of presets and from `codec:setting=value,...`, without repetition.

    Raises ConfigError, saying what is known, for anything else.
    """
    points: dict[str, Point] = {}
    for text in texts:
        for point in PRESETS.get(text) or [_parse(text)]:
            points[point.key] = point
    return list(points.values())


def with_round_trip(points: list[Point], text: str) -> list[Point]:
    """Each talkcodec point also as in a call with this round trip, "100ms". Raises ConfigError."""
    digits = text.removesuffix("ms").strip()
    if not digits.isdecimal() or int(digits) > 10_000:
        raise ConfigError(f"--round-trip: got {text!r}, expected milliseconds up to 10000, such as 100ms")
    calls = [
        make_point(point.codec, **{**dict(point.settings), "rtt": int(digits)})
        for point in points
        if point.codec == "talkcodec" and point["quality"] >= 0
    ]
    return list({point.key: point for point in [*points, *calls]}.values())


def _parse(text: str) -> Point:
    codec, _, rest = text.partition(":")
    if codec not in DEFAULTS:
        known = f"presets {', '.join(PRESETS)}; codecs {', '.join(DEFAULTS)}"
        raise ConfigError(f"unknown point {text!r}; known are {known}")
    settings: dict[str, int | float | str] = {}
    for item in filter(None, rest.split(",")):
        name, equals, value = item.partition("=")
        default = DEFAULTS[codec].get(name)
        if not equals or default is None:
            raise ConfigError(f"{item!r} in {text!r}: expected setting=value with one of {', '.join(DEFAULTS[codec])}")
        try:
            settings[name] = type(default)(value)
        except ValueError as error:
            raise ConfigError(f"{item!r} in {text!r}: expected a number") from error
    return make_point(codec, **settings)
