"""Anchors: what is counted is what was decoded, in low delay, without self-advertisement."""

import os

import numpy as np
import pytest

from eval.anchors import ANCHORS, code_anchor, code_copy
from eval.anchors.coding import _bare, _encode
from eval.wire import Traffic, data_channel_traffic, rtp_traffic
from talkcodec.errors import ConfigError

COARSE = {"x264": 40, "x265": 40, "vp8": 50, "vp9": 50, "av1": 50}


@pytest.mark.parametrize("name", list(ANCHORS))
def test_an_anchor_resembles_its_input_and_a_finer_one_more_so(name, clip):
    coarse, cheap = code_anchor(clip, name, COARSE[name])
    fine, dear = code_anchor(clip, name, COARSE[name] - 25)
    assert coarse.shape == clip.frames.shape
    errors = [np.abs(frames.astype(float) - clip.frames).mean() for frames in (coarse, fine)]
    assert errors[1] < errors[0] < 20
    assert cheap.payload_bytes < dear.payload_bytes
    assert 0 < cheap.keyframe_bytes < cheap.payload_bytes


@pytest.mark.parametrize("name", ["x264", "x265", "av1"])
def test_notes_and_delimiters_are_not_counted(name, clip):
    packets = _encode(list(clip.frames), name, COARSE[name], clip.fps)
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER  # SVT-AV1 would leave real-time priority behind
    bare = [_bare(name, packet) for packet in packets]
    assert b"x264 - core" not in b"".join(bare)
    if name == "x264":
        assert len(packets[0]) - len(bare[0]) > 300  # the encoder's letter about its settings
    if name == "av1":
        assert {len(a) - len(b) for a, b in zip(packets, bare, strict=True)} == {2}


def test_half_rate_holds_each_picture_for_two_frames_and_costs_less(clip):
    full, traffic = code_anchor(clip, "x264", 30)
    half, cheaper = code_anchor(clip, "x264", 30, every=2)
    assert len(half) == len(full)
    assert np.array_equal(half[0], half[1])
    assert not np.array_equal(half[1], half[2])
    assert cheaper.wire_up_bytes < traffic.wire_up_bytes


def test_what_lies_between_coded_frames_can_be_made_of_both(clip):
    held, traffic = code_anchor(clip, "x264", 30, every=2)
    filled, same = code_anchor(clip, "x264", 30, every=2, fill=True)
    assert same == traffic
    assert len(filled) == len(held)
    assert np.array_equal(filled[::2], held[::2])
    last = (len(clip.frames) - 1) // 2 * 2  # nothing comes after the last coded one
    errors = [np.abs(shown[1:last:2].astype(float) - clip.frames[1:last:2]).mean() for shown in (filled, held)]
    assert errors[0] < errors[1]


def test_coded_small_comes_back_at_full_size_and_costs_less(clip):
    small, traffic = code_anchor(clip, "vp9", 50, size=32)
    assert small.shape == clip.frames.shape
    assert traffic.payload_bytes < code_anchor(clip, "vp9", 50)[1].payload_bytes


def test_unknown_anchors_and_qualities_are_refused(clip):
    with pytest.raises(ConfigError, match="x264, x265, vp8, vp9, av1"):
        code_anchor(clip, "h261", 10)
    with pytest.raises(ConfigError, match="quality 64"):
        code_anchor(clip, "av1", 64)


def test_copying_repeats_the_decoded_keyframe(clip):
    frames, traffic = code_copy(clip, 45)
    assert (frames == frames[0]).all()
    assert not np.array_equal(frames[0], clip.frames[0])
    assert traffic.payload_bytes == traffic.keyframe_bytes > 0
    untouched, nothing = code_copy(clip, None)
    assert np.array_equal(untouched[-1], clip.frames[0])
    assert nothing == Traffic(0, 0, 0, 0, 0)


def test_rtp_counts_fifty_bytes_for_each_packet_of_at_most_1200():
    traffic = rtp_traffic([2500, 10, 1200])
    assert traffic.payload_bytes == 3710
    assert traffic.wire_up_bytes == 3710 + 50 * (3 + 1 + 1)
    assert traffic.wire_down_bytes == 0


def test_data_channels_cost_93_bytes_a_message_and_an_acknowledgement_for_two():
    traffic = data_channel_traffic(60, 0, [40, 40, 40], [30])
    assert traffic.wire_up_bytes == 120 + 3 * 93 + 93
    assert traffic.wire_down_bytes == 30 + 93 + 2 * 93
    rates = traffic.bitrates_bps(2.0)
    assert rates["payload_bps"] == 240
    assert rates["wire_bps"] == 4 * (492 + 309)
