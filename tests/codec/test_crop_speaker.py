"""Which face the crop follows, and how soon, with the sample's face moved, enlarged, doubled and cut to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from talkcodec.codec import CroppedPicture, FaceCropper
from talkcodec.media import MediaReader
from talkcodec.sample import sample_path
from talkcodec.types import Crop, Picture

FIELD = Path(__file__).parents[2] / ".." / "shared" / "data" / "field"
SPEAKER, PASSER = (60, 180, 220), (330, 20, 300)  # x, y, size of the picture that holds the face

Scene = Callable[[float], Picture]


@pytest.fixture(scope="module")
def face() -> Picture:
    with av.open(str(sample_path())) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def other(face: Picture) -> Picture:
    """Somebody else: mirrored, of another colour, in another room."""
    return np.ascontiguousarray(face[:, ::-1, [1, 2, 0]])


def scene(*faces: tuple[Picture, tuple[int, int, int]], ground: int = 110) -> Picture:
    frame = np.full((480, 640, 3), ground, np.uint8)
    for picture, (x, y, size) in faces:
        frame[y : y + size, x : x + size] = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return frame


def follow(show: Scene, seconds: float, fps: float = 25.0) -> Iterator[tuple[float, CroppedPicture]]:
    cropper = FaceCropper(64)
    for number in range(round(seconds * fps)):
        yield number / fps, cropper.crop(show(number / fps), number / fps)


def holds(crop: Crop, place: tuple[int, int, int]) -> bool:
    """True when the crop's middle is the face's, within an eighth of it."""
    x, y, size = place
    return max(abs(crop.x + crop.size / 2 - x - size / 2), abs(crop.y + crop.size / 2 - y - size / 2)) < size / 8


@pytest.mark.parametrize("grey", [False, True])
def test_a_larger_second_face_does_not_take_the_crop(face: Picture, other: Picture, grey: bool) -> None:
    alone, both = scene((face, SPEAKER)), scene((face, SPEAKER), (other, PASSER))
    if grey:
        alone, both = (np.repeat(frame[..., 1:2], 3, axis=2) for frame in (alone, both))
    results = list(follow(lambda time_s: both if 0.8 <= time_s < 3.2 else alone, 5.0))
    assert len({result.crop for _, result in results}) == 1
    assert holds(results[0][1].crop, SPEAKER)
    assert all(result.face_found for _, result in results)
    assert [time_s for time_s, result in results if result.new_face] == [0.0]


def test_somebody_else_takes_over_when_the_speaker_is_gone_for_a_while(face: Picture, other: Picture) -> None:
    both, left = scene((face, SPEAKER), (other, PASSER)), scene((other, PASSER))
    alone = scene((face, SPEAKER))
    results = list(follow(lambda time_s: alone if time_s < 0.4 else both if time_s < 1.6 else left, 4.0))
    taken = [time_s for time_s, result in results if result.new_face]
    assert len(taken) == 2
    assert 2.0 < taken[1] < 2.8
    assert holds(results[-1][1].crop, PASSER)


def test_somebody_who_hides_the_speaker_for_a_moment_is_not_followed(face: Picture, other: Picture) -> None:
    alone = scene((face, SPEAKER))

    def walks_past(time_s: float) -> Picture:
        x = round(-260 + 900 * (time_s - 1.0))  # in front of the speaker, and on
        frame = alone.copy()
        left, right = max(0, x), min(640, x + 260)
        if right > left:
            passer = cv2.resize(other, (260, 260), interpolation=cv2.INTER_AREA)
            frame[160:420, left:right] = passer[:, left - x : right - x]
        return frame

    results = list(follow(walks_past, 3.0))
    assert len({result.crop for _, result in results}) == 1
    assert results[-1][1].face_found


@pytest.mark.parametrize("fps", [5, 12.5, 25, 60])
@pytest.mark.parametrize(("leap_px", "at_most_s"), [(110, 0.41), (340, 0.65)])
def test_a_face_that_leaps_is_followed_soon_at_every_frame_rate(
    face: Picture, fps: float, leap_px: int, at_most_s: float
) -> None:
    x, y, size = SPEAKER
    here, there = scene((face, SPEAKER)), scene((face, (x + leap_px, y, size)))
    results = list(follow(lambda time_s: here if time_s < 2 else there, 4.0, fps))
    late = next(time_s for time_s, result in results if holds(result.crop, (x + leap_px, y, size))) - 2
    assert 0 <= late <= at_most_s


@pytest.mark.parametrize("fps", [5, 25])
def test_after_a_hard_cut_the_new_scene_is_shown_with_its_first_frame(
    face: Picture, other: Picture, fps: float
) -> None:
    one, two = scene((face, SPEAKER), ground=40), scene((other, (300, 60, 320)), ground=220)
    results = list(follow(lambda time_s: one if time_s < 1.8 else two, 3.0, fps))
    first = next(result for time_s, result in results if time_s >= 1.8)
    assert first.face_found
    assert first.new_face
    assert holds(first.crop, (300, 60, 320))


def test_a_flash_does_not_hand_the_crop_to_the_larger_face(face: Picture, other: Picture) -> None:
    alone, both = scene((face, SPEAKER)), scene((face, SPEAKER), (other, PASSER))
    white = np.full_like(alone, 250)

    def show(time_s: float) -> Picture:
        return alone if time_s < 0.4 else white if 1.0 <= time_s < 1.08 else both

    results = list(follow(show, 2.0))
    assert len({result.crop for _, result in results}) == 1
    assert results[-1][1].face_found


def test_a_speaker_who_comes_back_is_the_same_and_the_crop_rested(face: Picture) -> None:
    there, empty = scene((face, SPEAKER)), scene()
    results = list(follow(lambda time_s: empty if 1 <= time_s < 2.6 else there, 4.0))
    assert len({result.crop for _, result in results}) == 1
    missing = {round(time_s, 2): result.missing_s for time_s, result in results}
    assert missing[1.0] <= 0.4
    assert 1.1 <= missing[2.52] <= 1.6  # since the last search that found it
    assert max(missing[time_s] for time_s in missing if time_s >= 2.8) == 0
    assert sum(result.new_face for _, result in results) == 1


def test_a_beginning_without_a_face_is_the_middle_and_the_face_is_shown_at_once(face: Picture) -> None:
    black, there = np.zeros((480, 640, 3), np.uint8), scene((face, SPEAKER))
    results = list(follow(lambda time_s: black if time_s < 2 else there, 3.0))
    before = [result for time_s, result in results if time_s < 2]
    assert {result.crop for result in before} == {Crop(80, 0, 480)}
    assert before[-1].missing_s == pytest.approx(1.96)
    first = results[len(before)][1]
    assert first.new_face
    assert holds(first.crop, SPEAKER)


def test_times_that_go_back_or_stand_still_do_no_harm(face: Picture) -> None:
    cropper, frame = FaceCropper(64), scene((face, SPEAKER))
    results = [cropper.crop(frame, time_s) for time_s in (5.0, 5.0, 9e9, 3.0, -1.0, 0.0)]
    assert all(result.face_found and result.missing_s == 0 for result in results)
    assert len({result.crop for result in results}) == 1


@pytest.mark.parametrize("every", [1, 5])
def test_the_passer_in_a_real_clip(every: int) -> None:
    clip = FIELD / "passer.mp4"
    if not clip.exists():
        pytest.skip("no clips in ../shared/data")
    cropper = FaceCropper(64)
    with MediaReader(clip) as reader:
        crops = {cropper.crop(f.picture, f.time_s).crop for n, f in enumerate(reader) if n % every == 0}
    assert crops == {Crop(18, 51, 549)}
