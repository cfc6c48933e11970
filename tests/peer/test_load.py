"""The receiving end shows at the cadence that its load control names, and tells it what each frame took."""

from itertools import pairwise

import pytest
from pair import connected
from waiting import eventually

from talkcodec.peer import receiving
from talkcodec.peer.report import CallMeter, status_line


class EverySecond:
    """As if generating were slow."""

    every = 2
    light = False

    def __init__(self, period_ticks: int) -> None:
        self.period_ticks = period_ticks
        self.works: list[tuple[float, float]] = []

    def worked(self, work_ms: float, now_ms: float, cheaper: bool = False) -> int:
        self.works.append((work_ms, now_ms))
        return self.every


async def test_a_slow_generator_is_given_every_second_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[EverySecond] = []

    def make(period_ticks: int) -> EverySecond:
        made.append(EverySecond(period_ticks))
        return made[-1]

    monkeypatch.setattr(receiving, "LoadControl", make)
    async with connected() as pair, pair.feeding():
        await pair.more_pictures(12)
        end = pair.b.receiving
        assert end is not None
        assert [load.period_ticks for load in made] == [90_000 // 20]
        times = [picture.timestamp for picture in pair.played["b"]]
        steps = {(later - earlier) % 2**32 for earlier, later in pairwise(times)}
        assert min(steps) >= 2 * 4500
        assert all(step % 9000 == 0 for step in steps)
        await eventually(lambda: len(made[0].works) >= 8)
        assert all(work_ms >= 0 for work_ms, _ in made[0].works)
        stats = await CallMeter().read(pair.b, "receiving")
        assert stats.shown_fps == 10
        assert stats.left_out >= 11
        assert "shows 10 frames a second" in status_line(stats)
