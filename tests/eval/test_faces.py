"""Landmark and identity metrics against numbers worked out by hand, and both modes of the score."""

import math

import numpy as np
import pytest

from eval.instruments import Instruments
from eval.metrics import faces, observe, score_clip
from talkcodec.errors import UsageError


class PaintedLandmarks:
    """Reads the 68 landmarks from the picture's red value: a picture of 0 has no face."""

    name, sha256 = "painted", "00"

    def detect(self, picture):
        value = float(picture[0, 0, 0])
        if value == 0:
            return None
        grid = np.stack([np.arange(68), np.arange(68) % 7], axis=1).astype(np.float32)
        return grid + np.float32([value, 0])


class PaintedIdentity:
    """A unit vector whose angle is the picture's green value in degrees; the aligned face is turned by 90 more."""

    name, sha256 = "angle", "11"

    def embed(self, picture, landmarks):
        angle = math.radians(float(picture[0, 0, 1]) + (90 if landmarks is not None else 0))
        return np.float32([math.cos(angle), math.sin(angle)])


INSTRUMENTS = Instruments(PaintedLandmarks(), PaintedIdentity())


def pictures(reds, greens=None):
    frames = np.zeros((len(reds), 16, 16, 3), np.uint8)
    frames[..., 0] = np.array(reds)[:, None, None]
    frames[..., 1] = np.array(greens or [0] * len(reds))[:, None, None]
    return frames


def test_akd_paper_averages_both_coordinates_and_strict_takes_the_distance():
    reference = np.zeros((1, 2, 2), np.float32)
    generated = np.array([[[3, 4], [0, 0]]], np.float32)
    assert faces.akd_paper(reference, generated) == pytest.approx([7 / 4])
    assert faces.akd_strict(reference, generated) == pytest.approx([5 / 2])


def test_aed_is_the_squared_distance_and_at_most_four():
    a, b = np.float32([[1, 0]]), np.float32([[-1, 0]])
    assert faces.aed(a, b) == pytest.approx(4)
    assert faces.aed(a, a) == 0
    cos = 0.93
    c = np.float32([[cos, math.sqrt(1 - cos**2)]])
    assert faces.aed(a, c) == pytest.approx(0.14, abs=1e-6)  # as the field notes work out for the published figure


def test_jitter_is_blind_to_rest_and_to_even_motion():
    still = np.ones((5, 68, 2), np.float32)
    even = still + np.arange(5, dtype=np.float32)[:, None, None]
    shaking = still.copy()
    shaking[1::2, :, 0] += 1  # second difference alternates between -2 and 2
    assert faces.jitter_px(still) == 0
    assert faces.jitter_px(even) == pytest.approx(0)
    assert faces.jitter_px(shaking) == pytest.approx(2)
    assert math.isnan(faces.jitter_px(still[:2]))


def test_a_shifted_face_scores_its_shift():
    scores = score_clip(pictures([10, 10, 10]), pictures([10, 13, 13]), INSTRUMENTS)
    assert scores.strict.akd_px == pytest.approx(3)
    assert scores.paper.akd_px == pytest.approx((0 + 1.5 + 1.5) / 3)
    ocular = math.hypot(45 - 36, 45 % 7 - 36 % 7)
    assert scores.strict.akd_ocular == pytest.approx(3 / ocular)


def test_lost_faces_are_counted_and_frame_zero_is_left_out_of_the_strict_mode():
    scores = score_clip(pictures([5, 5, 5, 0, 5]), pictures([0, 5, 0, 5, 6]), INSTRUMENTS)
    assert (scores.paper.faces, scores.paper.lost_faces, scores.paper.frames) == (4, 2, 5)
    assert (scores.strict.faces, scores.strict.lost_faces, scores.strict.frames) == (3, 1, 4)
    assert scores.strict.mkr == pytest.approx(1 / 3)
    assert scores.strict.akd_px == pytest.approx((0 + 1) / 2)


def test_identity_compares_whole_pictures_or_aligned_faces():
    truth, made = pictures([5, 5, 5], [0, 0, 0]), pictures([5, 5, 5], [0, 60, 60])
    scores = score_clip(truth, made, INSTRUMENTS)
    assert scores.strict.aed == pytest.approx(2 * (1 - 0.5), abs=1e-5)
    assert scores.paper.aed == pytest.approx(2 / 3, abs=1e-5)
    sparse = score_clip(truth, made, INSTRUMENTS, identity_every=2)  # frames 0 and 2
    assert sparse.paper.aed == pytest.approx(1 / 2, abs=1e-5)


def test_identical_clips_score_nothing():
    frames = pictures([5, 6, 7], [10, 20, 30])
    scores = score_clip(frames, frames, INSTRUMENTS)
    for mode in (scores.paper, scores.strict):
        assert (mode.l1, mode.akd_px, mode.aed, mode.mkr) == (0, 0, 0, 0)
        assert mode.ssim == pytest.approx(1)
    assert scores.instruments == {"painted": "00", "angle": "11"}


def test_what_cannot_be_measured_is_none_in_json_not_a_number():
    scores = score_clip(pictures([0, 0]), pictures([0, 0]), INSTRUMENTS).to_dict()
    assert scores["strict"]["akd_px"] is None
    assert scores["strict"]["mkr"] is None
    assert scores["jitter_px"] is None


def test_an_earlier_observation_gives_the_same_scores():
    truth, made = pictures([5, 6, 7]), pictures([5, 5, 5])
    seen = observe(truth, INSTRUMENTS)
    again = score_clip(truth, made, INSTRUMENTS, reference=seen)
    assert again.to_dict() == score_clip(truth, made, INSTRUMENTS).to_dict()


def test_clips_of_other_length_or_size_are_refused():
    with pytest.raises(UsageError, match="3 and 2 frames"):
        score_clip(pictures([1, 1, 1]), pictures([1, 1]), INSTRUMENTS)
    with pytest.raises(UsageError, match="cannot be compared"):
        score_clip(pictures([1]), pictures([1])[:, :8], INSTRUMENTS)
