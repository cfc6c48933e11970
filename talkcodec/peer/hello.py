"""What a peer says of itself beside the codec's parameters: extras of its Hello."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path

from talkcodec.bitstream import Hello
from talkcodec.clock import CLOCK_HZ
from talkcodec.session import FEATURE_BASE

__all__ = ["frame_period_ticks", "same_clock", "shows_base", "with_extras"]

_CLOCK = "clock"
"""Whose monotonic clock the timestamps come from."""

_PERIOD = "period"
"""Ticks (90 kHz) between captured frames; 3600 when it is not there."""


def with_extras(hello: Hello, fps: float) -> Hello:
    """The Hello of somebody who captures so many pictures a second on this machine."""
    return replace(hello, extras=((_CLOCK, _clock_id()), (_PERIOD, round(CLOCK_HZ / fps))))


def same_clock(hello: Hello) -> bool:
    """True when the peer's capture times are comparable with this machine's clock."""
    return _extra(hello, _CLOCK) == _clock_id()


def shows_base(hello: Hello) -> bool:
    """True when this peer decodes base pictures; an older one is sent motion."""
    return bool(hello.features & FEATURE_BASE)


def frame_period_ticks(hello: Hello) -> int:
    """How far apart the peer captures its frames, within 10 to 60 frames a second."""
    value = _extra(hello, _PERIOD)
    return min(9000, max(1500, value)) if isinstance(value, int) else 3600


def _extra(hello: Hello, name: str) -> int | str | bytes | None:
    return next((value for key, value in hello.extras if key == name), None)


def _clock_id() -> bytes:
    """Names this machine's monotonic clock: equal on both ends means that times can be compared."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = f"{time.time() - time.monotonic():.0f}".encode()
    return hashlib.sha256(boot).digest()[:8]
