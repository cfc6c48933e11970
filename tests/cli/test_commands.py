"""The command line from outside: what it writes, what it says, how it ends."""

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from talkcodec.bitstream import CodedUnit, RecordedAudio, RecordingReader
from talkcodec.cli import main
from talkcodec.codec import Encoder
from talkcodec.media import MediaReader, MediaWriter, read_opus
from talkcodec.sample import sample_path

MODEL = "untrained:tiny"


def run(*arguments: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the talkcodec script."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr("sys.argv", ["talkcodec", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def fails(*arguments: object) -> str:
    """The one line that a failing command says."""
    code, _, said = run(*arguments)
    assert code in (1, 2, 5), said
    assert "Traceback" not in said
    assert said.startswith("talkcodec: ")
    assert len(said.strip().splitlines()) == 1
    return said


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of the sample, with its sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with MediaReader(sample_path()) as reader, MediaWriter(path, 256, 256, sound=True) as writer:
        for packet in read_opus(sample_path()):
            if packet.time_s < 1:
                writer.write_sound(packet)
        for frame in reader:
            if frame.time_s < 1:
                writer.write(frame.picture, frame.time_s)
    return path


@pytest.fixture(scope="module")
def recording(clip: Path) -> Path:
    out = clip.with_name("clip.tkc")
    code, said, errors = run("encode", clip, out, "--model", MODEL)
    assert code == 0, errors
    assert "25 frames, 1.00 s" in said
    return out


def test_encode_keeps_every_frame_and_the_sound(recording: Path) -> None:
    with recording.open("rb") as file:
        reader = RecordingReader(file)
        records = list(reader)
    assert reader.problem is None
    units = [record for record in records if isinstance(record, CodedUnit)]
    assert [round(unit.timestamp / 3600, 2) for unit in units] == list(range(25))
    assert units[0].keyframe is not None
    assert 45 <= sum(len(record.packets) for record in records if isinstance(record, RecordedAudio)) <= 51
    assert recording.stat().st_size < 6000


def test_decode_writes_pictures_and_sound_in_step(clip: Path, recording: Path) -> None:
    out = recording.with_name("decoded.mp4")
    assert run("decode", recording, out)[0] == 0
    with MediaReader(out) as reader:
        frames = list(reader)
    assert len(frames) == 25
    assert frames[0].picture.shape == (64, 64, 3)
    assert [round(frame.time_s, 2) for frame in frames[:3]] == [0, 0.04, 0.08]
    with av.open(str(out)) as container:
        assert "generated" in container.metadata["comment"]
    sounds = [loudness(path) for path in (clip, out)]
    assert np.corrcoef(*sounds)[0, 1] > 0.8


def loudness(path: Path) -> np.ndarray:
    """Root mean square of the sound in 20 ms steps, (48,)."""
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return np.sqrt(np.square(sound[: 48 * 960].reshape(48, 960)).mean(axis=1))


def test_decode_beside_the_original(clip: Path, recording: Path) -> None:
    out = recording.with_name("beside.mp4")
    assert run("decode", recording, out, "--side-by-side", clip)[0] == 0
    with MediaReader(out) as reader, MediaReader(clip) as original:
        shown = list(reader)
        expected = cv2.resize(list(original)[20].picture, (64, 64), interpolation=cv2.INTER_AREA)
    assert shown[20].picture.shape == (64, 128, 3)
    assert np.abs(shown[20].picture[:, :64].astype(int) - expected).mean() < 6


def test_info_counts_what_the_file_holds(recording: Path) -> None:
    code, said, _ = run("info", recording)
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line and line.split()[0] in
            ("keyframes", "motion", "sound", "envelope", "all")}  # fmt: skip
    assert rows["motion"][0] == "25"
    parts = int(rows["keyframes"][1]) + int(rows["motion"][1]) + int(rows["sound"][1]) + int(rows["envelope"][0])
    assert parts == int(rows["all"][0]) == recording.stat().st_size
    assert "untrained:tiny" in said


def test_landscape_video_is_cropped_and_pasted_back(tmp_path: Path) -> None:
    wide, coded, out = tmp_path / "wide.mp4", tmp_path / "wide.tkc", tmp_path / "out.mp4"
    with MediaReader(sample_path()) as reader, MediaWriter(wide, 480, 320) as writer:
        for frame in reader:
            if frame.time_s >= 0.2:
                break
            scene = np.full((320, 480, 3), 120, np.uint8)
            scene[40:296, 150:406] = frame.picture
            writer.write(scene, frame.time_s)
    assert run("encode", wide, coded, "--model", MODEL)[0] == 0
    assert run("decode", coded, out, "--paste", "--side-by-side", wide)[0] == 0
    with MediaReader(out) as reader:
        picture = next(iter(reader)).picture
    assert picture.shape == (320, 960, 3)
    assert np.abs(picture[:20, 480:].astype(int) - 120).max() < 12  # the surroundings come from the original
    assert picture[100:250, 680:860].std() > 20  # and the face is back in its place


def test_animate_moves_the_portrait_with_the_sound_of_the_driving_video(clip: Path, tmp_path: Path) -> None:
    portrait, out = tmp_path / "portrait.png", tmp_path / "animated.mp4"
    with MediaReader(sample_path()) as reader:
        cv2.imwrite(str(portrait), cv2.cvtColor(next(iter(reader)).picture, cv2.COLOR_RGB2BGR))
    assert run("animate", portrait, clip, out, "--model", MODEL)[0] == 0
    with MediaReader(out) as reader:
        assert reader.info.has_audio
        assert len(list(reader)) == 25
    swapped = fails("animate", clip, portrait, tmp_path / "swapped.mp4", "--model", MODEL)
    assert "the order is PORTRAIT DRIVING" in swapped
    assert not (tmp_path / "swapped.mp4").exists()


def test_one_damaged_packet_is_a_warning(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged, out = tmp_path / "damaged.mp4", tmp_path / "damaged.tkc"
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        place = [(entry.pos, entry.size) for entry in container.streams.video[0].index_entries][12]
    data[place[0] : sum(place)] = b"\xff" * place[1]
    damaged.write_bytes(data)
    code, said, _ = run("encode", damaged, out, "--model", MODEL)
    assert code == 0
    assert "24 frames" in said
    assert [record.getMessage() for record in caplog.records if "1 damaged packet was left out" in record.getMessage()]


def test_names_that_look_like_protocols(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:b.mp4").write_bytes(clip.read_bytes())
    assert run("encode", "a:b.mp4", "c:d.tkc", "--model", MODEL)[0] == 0
    assert run("decode", "c:d.tkc", "e:f.mp4", "--side-by-side", "a:b.mp4")[0] == 0
    with MediaReader("e:f.mp4") as reader:
        assert len(list(reader)) == 25


def test_another_sound_track_is_taken_on_request(clip: Path, tmp_path: Path) -> None:
    assert "no sound track 2" in fails("encode", clip, tmp_path / "o.tkc", "--model", MODEL, "--audio-track", 2)
    assert not (tmp_path / "o.tkc").exists()
    assert run("encode", clip, tmp_path / "o.tkc", "--model", MODEL, "--audio-track", 1)[0] == 0


def test_an_interrupted_encode_says_what_is_kept(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coded = []

    def interrupted(self: Encoder, *arguments: Any, **options: Any) -> Any:
        coded.append(1)
        if len(coded) > 5:
            raise KeyboardInterrupt
        return encode(self, *arguments, **options)

    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", interrupted)
    out = tmp_path / "o.tkc"
    code, _, said = run("encode", clip, out, "--model", MODEL)
    assert code == 130
    assert f"5 frames are in {out}" in said
    with out.open("rb") as file:
        assert sum(isinstance(record, CodedUnit) for record in RecordingReader(file)) == 5


def test_help_teaches_and_wrong_use_ends_with_2() -> None:
    code, said, _ = run("encode", "--help")
    assert code == 0
    assert "Examples:\n  talkcodec encode" in said
    assert run("encode")[0] == 2
    assert run("--version")[1].startswith("talkcodec ")


def test_model_info() -> None:
    code, said, _ = run("model", "info", MODEL)
    assert code == 0
    assert "licence" in said


def test_missing_file_wrong_suffix_missing_folder(clip: Path, tmp_path: Path) -> None:
    assert "does not exist" in fails("encode", tmp_path / "no.mp4", tmp_path / "o.tkc", "--model", MODEL)
    assert "should end in .tkc" in fails("encode", clip, tmp_path / "o.mp4", "--model", MODEL)
    assert "folder" in fails("encode", clip, tmp_path / "none" / "o.tkc", "--model", MODEL)
    assert "cannot read" in fails("decode", tmp_path / "no.tkc", tmp_path / "o.mp4")
    assert "cannot read" in fails("info", tmp_path / "no.tkc")
    code, _, said = run("encode", clip, tmp_path / "o.tkc", "--quality", 101)
    assert code == 2
    assert "Invalid value for '--quality'" in said
    assert "no model" in fails("encode", clip, tmp_path / "o.tkc", "--model", "nosuch")
    for kbps in ("nan", -5):
        assert "--audio-kbps" in fails("encode", clip, tmp_path / "o.tkc", "--audio-kbps", kbps)


@pytest.mark.parametrize("command", ["encode", "decode", "animate"])
def test_nothing_is_overwritten_unless_it_is_said(
    clip: Path, recording: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / ("o.tkc" if command == "encode" else "o.mp4")
    out.write_bytes(b"mine")
    inputs = {"encode": [clip], "decode": [recording], "animate": [clip, clip]}[command]
    code, _, said = run(command, *inputs, out)
    assert (code, said) == (2, f"talkcodec: {out} is there already: --force overwrites it\n")
    monkeypatch.setattr("talkcodec.cli.common.at_terminal", lambda: True)
    for answer in (False, True):
        monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
        monkeypatch.setattr("talkcodec.cli." + command + ".open_model", _asked_for)
        if command == "decode":
            monkeypatch.setattr("talkcodec.convert.decode_recording", _asked_for)
        assert run(command, *inputs, out)[0] == (7 if answer else 1)
    assert out.read_bytes() == b"mine"


def _asked_for(*_: object, **__: object) -> None:
    """In the place of the work itself: it would begin now."""
    raise SystemExit(7)


def test_force_overwrites_and_json_says_what_came_out(clip: Path, tmp_path: Path) -> None:
    coded, film = tmp_path / "o.tkc", tmp_path / "o.mp4"
    for path in (coded, film):
        path.write_bytes(b"old")
    done = json.loads(run("encode", clip, coded, "--model", MODEL, "--force", "--json")[1])
    assert done["frames"] == 25
    assert done["rung"] == "motion"
    assert done["file_bytes"] == coded.stat().st_size
    assert done["picture_kbps"] == pytest.approx(8e-3 * (done["file_bytes"] - done["audio_bytes"]), rel=0.01)
    assert json.loads(run("decode", coded, film, "--force", "--json")[1])["frames"] == 25
    shown = json.loads(run("info", coded, "--json")[1])
    assert shown["classes"]["motion"]["units"] == 25
    assert shown["classes"]["motion"]["bytes"] == done["motion_bytes"]
    assert sum(shown["picture_bytes_each_second"]) == done["motion_bytes"] + done["keyframe_bytes"]
    parts = [row["bytes"] for name, row in shown["classes"].items() if name != "all"]
    assert sum(parts) == shown["bytes"] == done["file_bytes"]
    coded.write_bytes(coded.read_bytes()[:-20])
    code, said, _ = run("info", coded, "--json")
    assert code == 1
    assert json.loads(said)["problem"]


def test_models_as_json() -> None:
    listed = json.loads(run("model", "list", "--json")[1])
    assert [model["name"] for model in listed if model["default"]] == ["lite-256"]
    assert all(len(model["hash"]) == 64 and model["bytes"] > 100_000 for model in listed)
    tiny = json.loads(run("model", "info", MODEL, "--json")[1])
    assert tiny["config"]["picture_size"] == 64
    assert tiny["file"] is None


def test_columns_and_axis_of_info_name_their_units(recording: Path) -> None:
    said = run("info", recording)[1]
    assert "class       units     bytes   share    kbit/s  median B   max B" in said
    assert re.search(r"picture: a bar a second from 0 to 1 s, as high as 0 to \d+\.\d kbit/s\n\|█\|\n$", said)


def test_every_command_of_the_list_fits_its_line() -> None:
    for group in ([], ["model"], ["eval"]):
        said = run(*group, "--help")[1]
        assert not [line for line in said.splitlines() if line.endswith("...") and not line.startswith("Usage")]


def test_output_that_is_the_input_is_refused(clip: Path) -> None:
    before = clip.read_bytes()
    assert "is the input itself" in fails("animate", clip, clip, clip)
    assert clip.read_bytes() == before


def test_no_face_is_said_and_can_be_overridden(tmp_path: Path) -> None:
    plain = tmp_path / "plain.mp4"
    with MediaWriter(plain, 128, 96) as writer:
        for number in range(8):
            writer.write(np.full((96, 128, 3), 10 * number, np.uint8), number / 25)
    assert "--no-crop" in fails("encode", plain, tmp_path / "o.tkc", "--model", MODEL)
    portrait = tmp_path / "portrait.png"
    with MediaReader(sample_path()) as reader:
        cv2.imwrite(str(portrait), cv2.cvtColor(next(iter(reader)).picture, cv2.COLOR_RGB2BGR))
    said = fails("animate", portrait, plain, tmp_path / "o.mp4", "--model", MODEL)
    assert "no face found" in said
    assert "--no-crop" not in said
    assert not (tmp_path / "o.tkc").exists()
    assert run("encode", plain, tmp_path / "o.tkc", "--model", MODEL, "--no-crop")[0] == 0


def test_garbage_and_sound_alone_are_no_videos(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(bytes(range(256)) * 40)
    assert "no video" in fails("encode", garbage, tmp_path / "o.tkc", "--model", MODEL)
    said = fails("decode", garbage.rename(tmp_path / "g.tkc"), tmp_path / "o.mp4")
    assert "no talkcodec recording" in said
    assert "g.tkc" in said
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "holds no video" in fails("encode", sound, tmp_path / "o.tkc", "--model", MODEL)


def test_a_cut_video_keeps_what_was_good(tmp_path: Path) -> None:
    cut, out = tmp_path / "cut.mp4", tmp_path / "cut.tkc"
    whole = tmp_path / "whole.mp4"
    with MediaReader(sample_path()) as reader, MediaWriter(whole, 256, 256) as writer:
        for frame in reader:
            if frame.time_s < 1:
                writer.write(frame.picture, frame.time_s)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    said = fails("encode", cut, out, "--model", MODEL)
    assert "frames before it are in" in said
    code, shown, _ = run("info", out)
    assert code == 0
    assert "frames" in shown


def test_a_cut_recording_is_decoded_up_to_the_cut(recording: Path, tmp_path: Path) -> None:
    data = recording.read_bytes()
    cut, out = tmp_path / "cut.tkc", tmp_path / "cut.mp4"
    cut.write_bytes(data[:-20])
    assert "frames before the damage are in" in fails("decode", cut, out)
    with MediaReader(out) as reader:
        assert len(list(reader)) >= 20
    assert "shown is what stands before" in run("info", cut)[2]
    for keep in (0, 5, 30, 100, 400):
        cut.write_bytes(data[:keep])
        fails("decode", cut, tmp_path / "none.mp4")


def test_another_model_and_another_version_are_said(recording: Path, tmp_path: Path) -> None:
    said = fails("decode", recording, tmp_path / "o.mp4", "--model", "untrained:lite-256")
    assert "model differs" in said
    data = bytearray(recording.read_bytes())
    data[9] = 99  # the version follows the eight bytes of magic
    newer = tmp_path / "newer.tkc"
    newer.write_bytes(data)
    assert "version 99" in fails("decode", newer, tmp_path / "o.mp4")
