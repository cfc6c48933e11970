"""A machine that is slow at generating shows fewer frames in a clean cadence, and all of them again when it can."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from talkcodec.session import LoadControl, PlayoutConfig
from talkcodec.session.jitter_buffer import JitterBuffer, TimedUnit
from talkcodec.types import Drive, Kind, Motion

PERIOD = 3600
PERIOD_MS = 40.0
STILL = Motion(np.zeros((2, 2), np.float32))


@dataclass
class Machine:
    """Units of 25 a second into a jitter buffer, and a generator behind a place for one frame, in virtual time."""

    work_ms: Callable[[float], float]
    every_ms: int = 40
    buffer: JitterBuffer[int] = field(default_factory=lambda: JitterBuffer(PlayoutConfig()))
    load: LoadControl = field(default_factory=lambda: LoadControl(PERIOD))
    shown_ms: list[float] = field(default_factory=list)
    skipped_ms: list[float] = field(default_factory=list)
    latency_ms: list[tuple[float, float]] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    changes: list[tuple[float, int]] = field(default_factory=lambda: [(0, 1)])

    def run(self, seconds: float) -> "Machine":
        waiting: float | None = None  # when the frame that waits was due
        busy: tuple[float, float, float] | None = None  # began, ends, was due
        for now in range(round(1000 * seconds)):
            if now % self.every_ms == 0:
                index = now // self.every_ms
                stamp = now * 90
                self.buffer.push(TimedUnit(index & 0xFFFF, stamp, 0, Drive(STILL)), float(now))
            if busy is not None and now >= busy[1]:
                self.load.worked(busy[1] - busy[0], float(now))
                self.shown_ms.append(now)
                self.latency_ms.append((now, now - busy[2]))
                busy = None
            self.buffer.every = self.load.every
            if self.load.every != self.changes[-1][1]:
                self.changes.append((now, self.load.every))
            frame = self.buffer.due(float(now))
            if frame is not None:
                self.kinds.append(frame.kind)
                if waiting is not None:
                    self.skipped_ms.append(now)
                waiting = frame.deadline_ms
            if busy is None and waiting is not None:
                busy, waiting = (now, now + self.work_ms(now), waiting), None
        return self

    def fps(self, from_s: float, to_s: float) -> float:
        return sum(1000 * from_s <= shown < 1000 * to_s for shown in self.shown_ms) / (to_s - from_s)

    def skipped_after(self, from_s: float) -> int:
        return sum(at >= 1000 * from_s for at in self.skipped_ms)

    def worst_latency_ms(self, from_s: float) -> float:
        return max(latency for at, latency in self.latency_ms if at >= 1000 * from_s)


def test_a_generator_of_60_ms_shows_every_second_frame_and_skips_none_after_the_first_second() -> None:
    machine = Machine(lambda now: 60).run(60)
    assert machine.fps(1, 60) == pytest.approx(12.5, abs=0.05)
    assert machine.skipped_after(1) == 0
    assert machine.worst_latency_ms(1) <= 62
    assert set(np.diff([at for at in machine.shown_ms if at > 1000])) == {80}, "the cadence has no holes"
    assert set(machine.kinds) == {Kind.EXACT}
    assert machine.buffer.counts.late == 0, "units between two shown frames are not late"
    assert machine.buffer.counts.left_out == pytest.approx(59.2 * 12.5, abs=3)
    assert machine.buffer.counts.frozen == 0


@pytest.mark.parametrize(
    ("work_ms", "fps"), [(20, 25), (36, 25), (45, 12.5), (75, 25 / 3), (100, 25 / 3), (150, 5), (400, 25 / 12)]
)
def test_the_cadence_is_the_fastest_that_leaves_the_generator_some_room(work_ms: int, fps: float) -> None:
    machine = Machine(lambda now: work_ms).run(30)
    settled_s = 1 if work_ms <= 100 else 8
    assert machine.fps(settled_s, 30) == pytest.approx(fps, abs=0.2)
    assert machine.skipped_after(settled_s) == 0
    assert machine.worst_latency_ms(settled_s + 1) <= work_ms + 2


def test_two_frames_a_second_are_the_least_however_slow_it_is() -> None:
    machine = Machine(lambda now: 1000).run(30)
    assert machine.load.every == 12
    assert machine.fps(5, 30) == pytest.approx(1.0, abs=0.1)
    assert machine.worst_latency_ms(5) <= 2200, "one frame waits, and no more"


@pytest.mark.parametrize("spike_ms", [100, 300, 500])
def test_a_passing_spike_lowers_nothing(spike_ms: int) -> None:
    one_long = Machine(lambda now: spike_ms if 5000 <= now < 5040 else 20).run(15)
    assert one_long.changes == [(0, 1)]
    assert one_long.worst_latency_ms(5) >= spike_ms
    stalled = Machine(lambda now: 900 if 5000 <= now < 5040 else 20).run(15)
    assert {every for _, every in stalled.changes} <= {1, 2, 3}, "nor does one frame that hangs lower it far"
    many = Machine(lambda now: 60 if 5000 <= now < 5000 + spike_ms else 20).run(15)
    assert many.changes == [(0, 1)]


def test_it_shows_all_frames_again_when_the_machine_is_free_and_goes_up_in_steps() -> None:
    machine = Machine(lambda now: 100 if now < 10_000 else 20).run(30)
    assert machine.fps(3, 10) == pytest.approx(25 / 3, abs=0.2)
    assert machine.fps(20, 30) == pytest.approx(25, abs=0.1)
    assert [every for _, every in machine.changes] == [1, 3, 2, 1]
    assert 10_000 + 2 * LoadControl.CALM_MS <= machine.changes[-1][0] <= 20_000


def test_it_tries_more_and_more_seldom_when_the_faster_cadence_never_holds() -> None:
    """A generator that is quick while it rests between frames, and slow when it has to show them all."""
    machine = Machine(lambda now: 0)
    machine.work_ms = lambda now: 45 if machine.load.every == 1 else 25
    machine.run(300)
    raised_ms = [at for at, every in machine.changes[1:] if every == 1]
    gaps_s = np.diff(raised_ms) / 1000
    assert gaps_s == pytest.approx([9, 17, 33, 65, 65, 65], abs=1), "calm times of 8, 16, 32 and at most 64 s"
    assert machine.fps(100, 300) < 13


def test_between_two_paces_it_stays_below() -> None:
    """At 35 ms all frames could just be shown; a machine that was too slow before does not try."""
    machine = Machine(lambda now: 50 if now < 5000 else 35).run(60)
    assert machine.load.every == 2
    assert machine.skipped_after(1) == 0


def test_motion_at_half_the_rate_is_shown_exactly_in_any_cadence() -> None:
    machine = Machine(lambda now: 60, every_ms=80).run(20)
    assert machine.fps(2, 20) == pytest.approx(12.5, abs=0.1)
    assert set(machine.kinds[10:]) == {Kind.EXACT}
    assert machine.buffer.counts.late == 0


def test_without_frames_nothing_changes() -> None:
    load = LoadControl(PERIOD)
    ends_ms = [60.0 * index for index in range(1, 14)]
    assert [load.worked(60.0, end_ms) for end_ms in ends_ms][-2:] == [2, 2]
    load.worked(20.0, 100_000.0)
    assert load.every == 2, "a pause says nothing about the machine"


@dataclass
class TwoWays(Machine):
    """A machine that can make each frame in a cheaper way too: in `light_ms`."""

    light_ms: float = 10.0
    lights: list[tuple[float, bool]] = field(default_factory=lambda: [(0, False)])

    def __post_init__(self) -> None:
        dear, control = self.work_ms, self.load.worked
        self.work_ms = lambda now: self.light_ms if self.load.light else dear(now)

        def worked(work_ms: float, now_ms: float) -> int:
            every = control(work_ms, now_ms, cheaper=True)
            if self.load.light != self.lights[-1][1]:
                self.lights.append((now_ms, self.load.light))
            return every

        self.load.worked = worked  # type: ignore[method-assign, assignment]


def test_frames_that_take_far_too_long_are_made_the_cheaper_way_and_all_of_them() -> None:
    machine = TwoWays(lambda now: 140).run(8)
    assert machine.lights[1][0] < 1500
    assert machine.fps(2, 8) == pytest.approx(25, abs=0.2)
    assert machine.worst_latency_ms(3) <= 12


def test_where_fewer_frames_are_enough_none_is_made_the_cheaper_way() -> None:
    for work_ms in (30, 60, 95):
        machine = TwoWays(lambda now, work_ms=work_ms: work_ms).run(20)  # type: ignore[misc]
        assert machine.lights == [(0, False)]


def test_the_cheaper_way_is_left_when_the_machine_is_free_and_never_on_the_way_to_a_cadence() -> None:
    machine = TwoWays(lambda now: 140 if now < 10_000 else 20).run(40)
    assert not machine.load.light
    assert machine.fps(35, 40) == pytest.approx(25, abs=0.2)


def test_the_dear_way_is_tried_more_and_more_seldom() -> None:
    machine = TwoWays(lambda now: 140).run(200)
    tried = [at for at, light in machine.lights if not light][1:]
    assert len(tried) <= 6
    assert np.all(np.diff(np.diff(tried)) > -100), "never sooner than the time before"
    assert machine.fps(20, 200) > 23


def test_a_cheaper_way_that_is_too_slow_as_well_shows_fewer_frames() -> None:
    machine = TwoWays(lambda now: 300, light_ms=60.0).run(8)
    assert machine.load.light
    assert machine.fps(4, 8) == pytest.approx(12.5, abs=0.3)


def test_the_cheaper_way_ends_with_the_frames_that_have_one() -> None:
    load = LoadControl(PERIOD)
    for index in range(1, 14):
        load.worked(140.0, 140.0 * index, cheaper=True)
    assert load.light
    load.worked(20.0, 10_000.0, cheaper=False)
    assert not load.light
