"""When a keyframe is due: the policy alone, then inside an encoder, then on real clips."""

from pathlib import Path

import numpy as np
import pytest

from talkcodec.codec import Decoder, Encoder, EncoderConfig
from talkcodec.codec.base import BaseConfig
from talkcodec.codec.change import change, thumbnail
from talkcodec.codec.config import Rung
from talkcodec.codec.refresh import RefreshPolicy
from talkcodec.types import Crop, Picture
from tests.codec.fake_engine import SIZE, FakeEngine, FakeReference, blob_picture

FIELD = Path(__file__).parents[2] / ".." / "shared" / "data" / "field"
GREY, WHITE = (np.full((16, 16, 3), level, np.float32) for level in (0.4, 0.9))
STILL = np.zeros((4, 2), np.float32)
FPS = 25


class Watch:
    """A policy that is shown one frame after another; `error` is what a check would find."""

    def __init__(self, **config: float) -> None:
        self.policy = RefreshPolicy(EncoderConfig(**config))
        self.frames = self.checks = 0
        self.keyframes_s: list[float] = []
        self.reference = GREY
        self.policy.keyframe_sent(0.0)

    def show(self, cells=GREY, keypoints=STILL, error=0.0, new_face=False, on_their_way=0, mends=True) -> None:
        """One frame; a keyframe mends the error when asked to."""
        self.frames += 1
        time_s = self.frames / FPS
        self.policy.look(cells, self.reference, keypoints, time_s, new_face)
        if not self.policy.check_due(on_their_way):
            return
        self.checks += 1
        if self.policy.keyframe_due(error):
            self.keyframes_s.append(time_s)
            self.policy.keyframe_sent(time_s)
            self.reference = cells if mends else self.reference


def test_quiet_frames_are_checked_at_the_interval_alone() -> None:
    watch = Watch(check_interval_s=1.0)
    for _ in range(10 * FPS):
        watch.show(error=0.05)
    assert watch.checks == 10
    assert watch.keyframes_s == []


def test_an_error_a_little_over_the_limit_waits_for_its_interval() -> None:
    watch = Watch(refresh_l1=0.06, min_keyframe_interval_s=3.0)
    for _ in range(10 * FPS):
        watch.show(error=0.07)
    assert watch.keyframes_s == [3.0, 6.0, 9.0]


@pytest.mark.parametrize("seconds", [0.2, 0.52, 2.6, 5.0])
def test_a_cut_is_a_keyframe_with_its_first_frame(seconds: float) -> None:
    watch = Watch()
    for number in range(8 * FPS):
        after = number / FPS >= seconds
        watch.show(WHITE if after else GREY, error=0.2 if after and not watch.keyframes_s else 0.0)
    assert watch.keyframes_s == [pytest.approx(seconds + 1 / FPS)]


def test_a_jump_of_the_keypoints_and_a_new_face_alarm_too() -> None:
    for change_ in ({"keypoints": STILL + 0.4}, {"new_face": True}):
        watch = Watch()
        for _ in range(6):
            watch.show()
        watch.show(error=0.2, **change_)
        assert len(watch.keyframes_s) == 1


def test_a_new_face_needs_half_the_error_and_no_more() -> None:
    for error, keyframes in ((0.04, 1), (0.02, 0)):
        watch = Watch(refresh_l1=0.06)
        for number in range(20):
            watch.show(error=error, new_face=number == 6)
        assert len(watch.keyframes_s) == keyframes


def test_a_slow_change_alarms_a_few_times_and_not_with_every_frame() -> None:
    watch = Watch(check_interval_s=3600.0)
    for step in range(3 * FPS):
        watch.show(GREY + np.float32(min(0.5, step * 0.01)))
    assert 2 <= watch.checks <= 5


def test_cut_after_cut_is_bounded_in_rate_and_ends_well() -> None:
    watch = Watch(urgent_keyframes=3, urgent_interval_s=1.5)
    seconds = 20
    for number in range(seconds * FPS):
        watch.show(WHITE if number % 2 else GREY, error=0.3)
    assert len([time_s for time_s in watch.keyframes_s if time_s <= 1.0]) == 2, "the first picture took one of three"
    assert len(watch.keyframes_s) <= 3 + seconds / 1.5
    assert watch.checks < seconds * 12, "a strobe light is not checked with every frame"
    for _ in range(2 * FPS):  # the last cut was refused: made up for as soon as the bucket has one
        watch.show(WHITE, error=0.3 if watch.keyframes_s[-1] <= seconds else 0.0)
    assert seconds < watch.keyframes_s[-1] <= seconds + 1.5 + 1 / FPS


def test_a_keyframe_on_its_way_is_replaced_once_by_a_cut_and_not_by_drift() -> None:
    watch = Watch(check_interval_s=0.2)
    for _ in range(20):
        watch.show(error=0.2, on_their_way=1)
    assert watch.keyframes_s == []
    watch.show(WHITE, error=0.2, on_their_way=1)
    assert len(watch.keyframes_s) == 1
    for number in range(20):
        watch.show(WHITE if number % 2 else GREY, error=0.2, on_their_way=2)
    assert len(watch.keyframes_s) == 1
    watch.show(WHITE, error=0.2)
    assert len(watch.keyframes_s) == 2, "the cut is not forgotten"


def test_without_a_limit_nothing_is_checked() -> None:
    watch = Watch(refresh_l1=None)
    for number in range(5 * FPS):
        watch.show(WHITE if number > 20 else GREY, error=0.5, new_face=True)
    assert watch.checks == 0


def test_times_that_go_back_or_leap_give_no_more_keyframes_than_the_bucket_holds() -> None:
    policy = RefreshPolicy(EncoderConfig(urgent_keyframes=3))
    made = 0
    for time_s in (0.0, 5.0, 1.0, -3.0, 5.0, 0.0, 4.9, 5.0):
        policy.look(GREY, WHITE, STILL, time_s)
        if policy.urgent_allowed(time_s):
            made += 1
            policy.keyframe_sent(time_s)
    assert made == 1 + 3, "one at first, and what the bucket holds when it is full again"


def test_the_change_of_a_picture_is_its_share_and_mean() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    half = picture.copy()
    half[:, :32] = 255
    assert change(thumbnail(picture), thumbnail(picture)).mean == 0
    assert change(thumbnail(half), thumbnail(picture)).share == pytest.approx(0.5)
    assert change(thumbnail(half), thumbnail(picture)).mean == pytest.approx(0.5)


def keyframes_of(pictures: list[Picture], fps: float = FPS, **config: float) -> list[float]:
    """Times of the keyframes that an encoder makes of pictures, the first left out."""
    encoder = Encoder(FakeEngine(), EncoderConfig(**config))
    units = [encoder.encode(picture, round(number / fps * 90_000)) for number, picture in enumerate(pictures)]
    assert units[0].keyframe is not None
    return [number / fps for number, unit in enumerate(units) if unit.keyframe is not None][1:]


@pytest.mark.parametrize("fps", [5, 25, 60])
def test_a_face_after_a_black_beginning_is_sent_at_once(fps: float) -> None:
    black, face = np.zeros((SIZE, SIZE, 3), np.uint8), blob_picture(30, 30, 90)
    count = round(2 * fps)
    assert keyframes_of([black] * count + [face] * count, fps) == [2.0]


@pytest.mark.parametrize("fps", [5, 25])
def test_cuts_there_and_back_use_the_held_reference(fps: float) -> None:
    one, two = blob_picture(30, 30, 40), blob_picture(20, 36, 150)
    count = round(1.2 * fps)
    assert keyframes_of([one] * count + [two] * count + [one] * count, fps) == [1.2]


def test_a_fade_in_ends_with_the_bright_picture_as_the_reference() -> None:
    face = blob_picture(30, 30, 90)
    fade = [(face * min(1.0, number / 50)).astype(np.uint8) for number in range(200)]
    times = keyframes_of(fade)
    assert 1 <= len(times) <= 5
    assert 1.2 < times[-1] < 5.0


def test_a_flash_costs_one_keyframe_and_the_old_reference_goes_on() -> None:
    face, white = blob_picture(30, 30, 60), np.full((SIZE, SIZE, 3), 250, np.uint8)
    encoder = Encoder(FakeEngine())
    pictures = [face] * 20 + [white] + [face] * 20
    units = [encoder.encode(picture, number * 3600) for number, picture in enumerate(pictures)]
    assert [number for number, unit in enumerate(units) if unit.keyframe is not None] == [0, 20]
    assert {unit.reference_id for unit in units[24:]} == {0}


@pytest.mark.parametrize(("frames", "soon", "later"), [(5, 0.02, 0.02), (25, 0.12, 0.06), (60, 0.12, 0.06)])
def test_a_dissolve_ends_with_the_new_picture_as_the_reference(frames: int, soon: float, later: float) -> None:
    """soon: largest error a second after it. later: after min_keyframe_interval_s."""
    one, two = blob_picture(30, 30, 40), blob_picture(24, 34, 150)
    mix = [(one + (two.astype(float) - one) * number / frames).astype(np.uint8) for number in range(frames)]
    encoder, shown = Encoder(FakeEngine()), FakeEngine()
    decoder = Decoder(shown)
    made, errors = 0, []
    for number, picture in enumerate([one] * 20 + mix + [two] * 105):
        unit = encoder.encode(picture, number * 3600)
        made += unit.keyframe is not None
        errors.append(float(np.abs(decoder.decode(unit).astype(int) - picture).mean() / 255))
    assert errors[20 + frames + FPS] <= soon
    assert errors[-1] <= later
    assert 2 <= made <= 5


class Restoring(FakeEngine):
    """Shows its reference, whatever the base picture: a restorer that trusts its keyframe."""

    def __init__(self) -> None:
        super().__init__()
        self.restored = 0

    def find_flow(self, reference: FakeReference, base: Picture) -> None:
        """None is needed."""

    def generate(self, reference: FakeReference, drive: object) -> Picture:
        self.restored += 1
        return reference.picture


def test_a_cut_in_base_pictures_is_a_keyframe_with_its_first_one() -> None:
    encoder = Encoder(Restoring(), EncoderConfig(rung=Rung.HYBRID, base=BaseConfig(size=32, fps=25)))
    pictures = [blob_picture(30, 30, 40)] * 30 + [blob_picture(20, 36, 150)] * 30
    units = [encoder.encode(picture, number * 3600) for number, picture in enumerate(pictures)]
    encoder.close()
    assert [number for number, unit in enumerate(units) if unit.keyframe is not None] == [0, 30]


@pytest.mark.parametrize("looks_back", [True, False])
def test_in_a_call_a_base_picture_leaves_before_it_is_looked_at_and_the_keyframe_comes_with_the_next(
    looks_back: bool,
) -> None:
    engine = Restoring()
    encoder = Encoder(engine, EncoderConfig(acknowledged=True, rung=Rung.HYBRID, base=BaseConfig(size=32, fps=25)))
    made, restored = [], 0
    for number in range(60):
        picture = blob_picture(30, 30, 40) if number < 30 else blob_picture(20, 36, 150)
        before = engine.restored
        unit = encoder.encode(picture, number * 3600)
        restored += engine.restored - before
        if unit.keyframe is not None:
            made.append(number)
            encoder.held.hold(unit.keyframe.reference_id)
        if looks_back:
            encoder.look_back()
    encoder.close()
    assert made == [0, 31]
    assert (restored == 0) == looks_back


@pytest.mark.parametrize("rung", [Rung.MOTION, Rung.VIDEO])
def test_a_crop_that_moves_with_every_frame_is_bounded_in_rate(rung: Rung) -> None:
    config = EncoderConfig(refresh_l1=None, rung=rung, base=BaseConfig(size=SIZE, fps=25))
    encoder = Encoder(FakeEngine(), config)
    picture = blob_picture(30, 30)
    units = [
        encoder.encode(picture, number * 3600, crop=Crop(number, 0, SIZE), captured_size=(640, 480))
        for number in range(250)
    ]
    made = [number for number, unit in enumerate(units) if unit.keyframe is not None]
    assert made[:3] == [0, 1, 2]
    assert 8 <= len(made) <= 3 + 10 / EncoderConfig().urgent_interval_s


def test_a_cut_while_a_keyframe_is_on_its_way_is_sent_and_the_newer_one_is_shown() -> None:
    encoder = Encoder(FakeEngine(), EncoderConfig(acknowledged=True))
    first = encoder.encode(blob_picture(30, 30, 40), 0)
    assert first.keyframe is not None
    encoder.held.hold(first.keyframe.reference_id)
    made = []
    for number in range(1, 50):
        level = 40 if number < 10 else 110 if number < 14 else 180
        unit = encoder.encode(blob_picture(30, 30, level), number * 3600)
        if unit.keyframe is not None:
            made.append((number, unit.keyframe.reference_id))
    assert [number for number, _ in made] == [10, 14]
    encoder.held.hold(made[-1][1])
    assert encoder.encode(blob_picture(30, 30, 180), 50 * 3600).reference_id == made[-1][1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "second"), [("cut2", 1.2), ("black2", 2.0)])
def test_real_clips_are_refreshed_within_a_fifth_of_a_second(name: str, second: float) -> None:
    from talkcodec.convert import crop_frames
    from talkcodec.media import MediaReader
    from talkcodec.runtime import open_engine

    clip = FIELD / f"{name}.mp4"
    if not clip.exists():
        pytest.skip("no clips in ../shared/data")
    engine = open_engine("lite-256")
    encoder = Encoder(engine)
    times = []
    with MediaReader(clip) as reader:
        for time_s, cut in crop_frames(reader, engine.config.picture_size):
            unit = encoder.encode(cut.picture, round(time_s * 90_000), False, cut.crop, cut.captured_size, cut.new_face)
            if unit.keyframe is not None:
                times.append(time_s)
            if time_s > second + 1:
                break
    assert times[0] == 0
    assert any(second - 0.001 <= time_s <= second + 0.2 for time_s in times)
    assert len(times) <= 3
