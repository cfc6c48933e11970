"""Units in a recording: it can be entered at each keyframe."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talkcodec.bitstream import (
    BaseStart,
    CodedUnit,
    Hello,
    Layer,
    RecordingHeader,
    RecordingReader,
    RecordingWriter,
)
from talkcodec.codec.base import BaseDecoder
from talkcodec.coding import (
    AccessUnit,
    HeldReferences,
    UnitReader,
    UnitRecorder,
    UnitWriter,
)
from talkcodec.types import Crop
from tests.coding.values import FRAME_TICKS, TIME_BASE, base, keyframe, layers_of, state


def recorded(units: list[AccessUnit], layers: tuple[Layer, ...] = (Layer.MOTION,)) -> bytes:
    hello = Hello(b"modelmod", 64, 2, True, 0, time_base=TIME_BASE)
    file = io.BytesIO()
    recording = RecordingWriter(file, RecordingHeader(hello, layers=layers))
    held: HeldReferences[None] = HeldReferences()
    recorder = UnitRecorder(recording, UnitWriter(hello, held))
    for unit in units:
        if unit.keyframe is not None:
            held.store(unit.keyframe.reference_id, unit.keyframe.state, None)
        recorder.write(unit)
    recorder.close()
    recording.close()
    assert recorder.keyframe_bytes > 0
    assert all(recorder.layer_bytes[layer] > 0 for layer in layers)
    return file.getvalue()


def values_in(data: bytes, from_timestamp: int | None = None) -> Iterator[AccessUnit]:
    recording = RecordingReader(io.BytesIO(data))
    if from_timestamp is not None:
        recording.seek(from_timestamp)
    reader = UnitReader(recording.header.hello, HeldReferences())
    for coded in recording:
        assert isinstance(coded, CodedUnit)
        parsed = None
        if coded.keyframe is not None:
            parsed = reader.keyframe(coded.keyframe)
            reader.held.store(parsed.reference_id, parsed.state, None)
        yield reader.unit(coded, parsed)
    assert recording.problem is None


def film(count: int = 130, keyframe_every: int = 40) -> list[AccessUnit]:
    units = []
    for number in range(count):
        reference_id = number // keyframe_every
        new = keyframe(reference_id, number) if number % keyframe_every == 0 else None
        units.append(AccessUnit(number * FRAME_TICKS, reference_id, state(number), new))
    return units


def test_a_recording_comes_back_and_can_be_entered_at_each_keyframe() -> None:
    units = film()
    data = recorded(units)
    assert list(values_in(data)) == units
    for start in (0, 40, 80, 120):
        assert list(values_in(data, start * FRAME_TICKS)) == units[start:]


@pytest.mark.parametrize("with_motion", [False, True])
def test_a_recording_with_a_base_comes_back_and_can_be_entered_at_each_keyframe(with_motion: bool) -> None:
    units = [
        replace(unit, motion=unit.motion if with_motion else None, base=base(n, start=unit.keyframe is not None))
        for n, unit in enumerate(film(150))
    ]
    data = recorded(units, (Layer.MOTION, Layer.BASE) if with_motion else (Layer.BASE,))
    for start in (0, 40, 80, 120):
        got = list(values_in(data, start * FRAME_TICKS))
        keyframes = [replace(unit, keyframe=None) for unit in got]
        assert keyframes == layers_of(units[start:])
        assert [unit.timestamp for unit in got if unit.keyframe] == [n * FRAME_TICKS for n in range(start, 150, 40)]
        first = next(unit.base for unit in got if unit.base is not None)
        assert first.start is not None


def test_a_recording_returns_to_an_older_reference() -> None:
    units = film(60, 20)
    units += [AccessUnit((60 + n) * FRAME_TICKS, 1, state(n)) for n in range(10)]
    assert list(values_in(recorded(units))) == units


def test_a_recording_of_an_earlier_version_reads_as_it_did() -> None:
    """Made at commit f50e946 from 15 frames of the embedded sample; the states are what its own reader said."""
    data = (Path(__file__).parents[1] / "vectors" / "recording-version-1.tkc").read_bytes()
    units = list(values_in(data))
    assert [unit.timestamp for unit in units] == [3600 * number for number in range(15)]
    assert [unit.keyframe is not None for unit in units] == [number in (0, 8) for number in range(15)]
    states = np.array([unit.motion.values for unit in units], np.int32)
    assert states.shape == (15, 60)
    expected = "47b7acb0511eb3c5cb8a839f6ba70dea8e083063b90d1e551bca58ec165ddc12"
    assert hashlib.sha256(states.tobytes()).hexdigest() == expected


def test_a_recording_of_the_second_version_reads_as_it_did() -> None:
    """Made from 26 frames of the embedded sample at 32 px and 12.5 pictures a second."""
    data = (Path(__file__).parents[1] / "vectors" / "recording-version-2.tkc").read_bytes()
    units = list(values_in(data))
    assert RecordingReader(io.BytesIO(data)).header.layers == (Layer.BASE,)
    assert [unit.timestamp for unit in units] == [7200 * number for number in range(13)]
    assert [unit.keyframe is not None for unit in units] == [number in (0, 8) for number in range(13)]
    pictures = [unit.base for unit in units if unit.base is not None]
    assert [picture.number for picture in pictures] == list(range(13))
    assert [picture.start for picture in pictures] == [
        BaseStart(1, Crop(0, 0, 64)) if number in (0, 8) else None for number in range(13)
    ]
    decoder = BaseDecoder(64)
    shown = np.stack([decoder.decode(picture) for picture in pictures])
    assert shown.shape == (13, 32, 32, 3)
    assert (
        hashlib.sha256(shown.tobytes()).hexdigest()
        == "02482fb15e014fd1004498790bed5bf97c5dac381c2605b598968dbbeedbb5a8"
    )
    again = BaseDecoder(64)
    assert np.array_equal(shown[8:], [again.decode(picture) for picture in pictures[8:]])
