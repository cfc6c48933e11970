"""What files say about their pictures beside the samples: turns, mirrors, wide pixels, colours, transparency, tiles."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from making import corners, film, greys, names

from talkcodec.errors import MediaError
from talkcodec.media import MediaReader, MediaWriter, read_picture
from talkcodec.media.heic import Grid, parse_grid, read_tiles
from talkcodec.media.icc import matrix_to_bt709
from talkcodec.media.pictures import to_picture

ORIENTATIONS = {
    1: ((1, 0, 0, 1), "RBGK"), 2: ((-1, 0, 0, 1), "BRKG"), 3: ((-1, 0, 0, -1), "KGBR"), 4: ((1, 0, 0, -1), "GKRB"),
    5: ((0, 1, 1, 0), "RGBK"), 6: ((0, 1, -1, 0), "GRKB"), 7: ((0, -1, -1, 0), "KBGR"), 8: ((0, -1, 1, 0), "BKRG"),
}  # fmt: skip
"""By EXIF's number: the display matrix, and what stands in the corners of an upright `corners()` afterwards."""


@pytest.mark.parametrize("number", ORIENTATIONS)
def test_every_orientation_of_a_film(tmp_path: Path, number: int) -> None:
    (a, b, c, d), expected = ORIENTATIONS[number]
    one = 1 << 16
    path = film(
        tmp_path / "turned.mp4", [corners()] * 2, pixels="yuv444p",
        set_up=lambda stream: stream.set_display_matrix([a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]),
    )  # fmt: skip
    picture = read_picture(path)
    assert picture.shape[:2] == ((96, 64) if number > 4 else (64, 96))
    assert names(picture) == expected


@pytest.mark.parametrize("number", ORIENTATIONS)
def test_every_orientation_of_a_photo(tmp_path: Path, number: int) -> None:
    coded = cv2.imencode(".jpg", cv2.cvtColor(corners(), cv2.COLOR_RGB2BGR))[1].tobytes()
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, number, 0) + bytes(4)
    exif = b"Exif\x00\x00" + tiff
    path = tmp_path / "photo.jpg"
    path.write_bytes(coded[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + coded[2:])
    assert names(read_picture(path)) == ORIENTATIONS[number][1]


@pytest.mark.parametrize(
    ("aspect", "width"), [((64, 45), 137), ((4, 3), 128), ((8, 9), 85), ((1, 1), 96), ((1, 90), 96)]
)
def test_pixels_become_square(tmp_path: Path, aspect: tuple[int, int], width: int) -> None:
    path = film(
        tmp_path / "wide.mp4", [corners()] * 2,
        set_up=lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(*aspect)),
    )  # fmt: skip
    picture = read_picture(path)
    assert picture.shape == (64, width, 3)
    assert names(picture) == "RBGK"


@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("full", [False, True])
def test_matrices_and_ranges(tmp_path: Path, matrix: Colorspace, full: bool) -> None:
    colour_range = ColorRange.JPEG if full else ColorRange.MPEG

    def tag(stream: Any) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, colour_range

    path = film(
        tmp_path / "colour.mp4", [np.full((64, 64, 3), (200, 60, 30), np.uint8)] * 2, options={"crf": "1"},
        set_up=tag, colour={"dst_colorspace": matrix, "dst_color_range": colour_range},
    )  # fmt: skip
    assert np.abs(read_picture(path)[32, 32].astype(int) - (200, 60, 30)).max() <= 4


def test_reserved_tags_are_no_tags() -> None:
    for tags in ((3, 2, 2), (2, 3, 2), (2, 2, 3), (3, 3, 3), (8, 2, 2)):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), (200, 60, 30), np.uint8), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.colorspace, frame.color_primaries, frame.color_trc = tags
        assert np.abs(to_picture(frame)[32, 32].astype(int) - (200, 60, 30)).max() <= 4, tags


def high_range(rgb: tuple[float, float, float], transfer: ColorTrc) -> av.VideoFrame:
    """A 16-bit frame of one colour of BT.709, given in linear light where 1 is the white of SDR."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    light = to_2020 @ np.array(rgb)
    if transfer == ColorTrc.ARIB_STD_B67:
        scene = light * 0.26496
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene),
                          0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073)  # fmt: skip
    else:
        power = (light * 203 / 10_000) ** (2610 / 16384)
        signal = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    samples = np.tile(np.rint(signal * 65535).astype(np.uint16), (16, 16, 1))
    frame = av.VideoFrame.from_ndarray(samples, format="rgb48le")
    frame.color_trc, frame.color_primaries = transfer, ColorPrimaries.BT2020
    return frame


@pytest.mark.parametrize("transfer", [ColorTrc.ARIB_STD_B67, ColorTrc.SMPTE2084])
def test_high_dynamic_range_is_mapped(transfer: ColorTrc) -> None:
    for rgb in ((0.3, 0.1, 0.08), (0.05, 0.05, 0.05), (0.6, 0.4, 0.3)):
        expected = 255 * (1.099 * np.array(rgb) ** 0.45 - 0.099)
        assert to_picture(high_range(rgb, transfer))[8, 8] == pytest.approx(expected, abs=2)
    white, brighter = (to_picture(high_range((level,) * 3, transfer))[8, 8] for level in (1.0, 3.0))
    assert 230 < white.min() <= white.max() < brighter.min()  # what is brighter than white is still to be seen


def test_wide_gamut_keeps_its_greys_and_strengthens_its_colours() -> None:
    for primaries in (ColorPrimaries.BT2020, ColorPrimaries.SMPTE432):
        shown = []
        for colour in ((128, 128, 128), (200, 60, 60)):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), colour, np.uint8), format="rgb24")
            frame.color_primaries = primaries
            shown.append(to_picture(frame)[8, 8].astype(int))
        assert shown[0] == pytest.approx([128] * 3, abs=1)
        assert shown[1][0] > 203
        assert shown[1][1:].max() < 60


def profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...]) -> bytes:
    """An ICC profile of three primaries, XYZ under D50."""
    tags = b"".join(
        struct.pack(">4sII", name, 128 + 4 + 36 + 20 * number, 20)
        for number, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    )
    values = b"".join(
        b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * v) for v in c)) for c in (red, green, blue)
    )
    head = bytearray(128)
    head[16:20], head[36:40] = b"RGB ", b"acsp"
    return bytes(head) + struct.pack(">I", 3) + tags + values


DISPLAY_P3 = profile((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = profile((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def test_a_photo_with_a_profile(tmp_path: Path) -> None:
    coded = cv2.imencode(
        ".jpg", cv2.cvtColor(np.full((64, 64, 3), (200, 60, 60), np.uint8), cv2.COLOR_RGB2BGR), [1, 98]
    )[1].tobytes()
    shown = {}
    for name, icc in (("P3", DISPLAY_P3), ("sRGB", SRGB), ("broken", DISPLAY_P3[:140])):
        segment = b"ICC_PROFILE\x00\x01\x01" + icc
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(coded[:2] + b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment + coded[2:])
        shown[name] = read_picture(path)[32, 32].astype(int)
    assert shown["sRGB"] == pytest.approx((200, 60, 60), abs=3)
    assert shown["broken"].tolist() == shown["sRGB"].tolist()
    assert shown["P3"][0] > 212  # (217, 40, 52) by the primaries of Display P3
    assert shown["P3"][1] < 50


def test_hostile_profiles_change_nothing_or_are_bounded() -> None:
    random = np.random.default_rng(3)
    for _ in range(2000):
        changed = bytearray(DISPLAY_P3)
        for place in random.integers(0, len(changed), 3):
            changed[place] = random.integers(256)
        matrix = matrix_to_bt709(bytes(changed))
        assert matrix is None or np.isfinite(matrix).all()
    for length in range(len(DISPLAY_P3)):
        assert matrix_to_bt709(DISPLAY_P3[:length]) is None


def test_transparent_parts_lie_on_white(tmp_path: Path) -> None:
    picture = np.dstack([corners(), np.full((64, 96), 255, np.uint8)])
    picture[:32, :48, 3], picture[32:, 48:, 3] = 0, 128
    path = tmp_path / "cut-out.png"
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))
    shown = read_picture(path)
    assert shown[10, 10].tolist() == [255, 255, 255]
    assert shown[10, 80].tolist() == [0, 0, 255]
    assert shown[50, 80].tolist() == [127, 127, 127]
    film(tmp_path / "alpha.mov", [picture] * 2, codec="prores_ks", pixels="yuva444p10le")
    assert read_picture(tmp_path / "alpha.mov")[10, 10].min() > 250


def test_a_photo_of_a_hundred_megapixels(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((300, 12_000), np.uint8))
    assert read_picture(path).shape == (205, 8192, 3)
    with MediaReader(path) as reader, pytest.raises(MediaError, match="12000x300 px, at most 8192"):
        list(reader)


@pytest.mark.parametrize(
    ("found", "expected"),
    [(b"irot\x01", "BKRG"), (b"irot\x03", "GRKB"), (b"imir\x00", "GKRB"), (b"imir\x01", "BRKG"), (b"free", "RBGK")],
)
def test_an_avif_that_is_turned_or_mirrored(tmp_path: Path, found: bytes, expected: str) -> None:
    plain = film(tmp_path / "plain.avif", [corners()], codec="libsvtav1", options={"crf": "10"})
    data = bytearray(plain.read_bytes())
    at = {kind: data.index(kind) - 4 for kind in (b"meta", b"iloc", b"iprp", b"ipco", b"ipma", b"mdat")}
    added = box(found[:4], found[4:])

    def grow(position: int, count: int) -> None:
        data[position : position + 4] = (int.from_bytes(data[position : position + 4]) + count).to_bytes(4)

    grow(data.index((at[b"mdat"] + 8).to_bytes(4), at[b"iloc"]), len(added) + 1)  # the picture lies further behind
    number = data[at[b"ipma"] + 18] = data[at[b"ipma"] + 18] + 1
    data.insert(at[b"mdat"], 0x80 | number)
    data[at[b"ipma"] : at[b"ipma"]] = added
    grow(at[b"ipma"] + len(added), 1)
    grow(at[b"ipco"], len(added))
    for kind in (b"iprp", b"meta"):
        grow(at[kind], len(added) + 1)
    path = tmp_path / "turned.avif"
    path.write_bytes(data)
    assert names(read_picture(path)) == expected


def test_interlaced_frames_have_no_comb(tmp_path: Path) -> None:
    def bar(x: int) -> np.ndarray:
        picture = np.full((64, 96, 3), 40, np.uint8)
        picture[:, x : x + 12] = 220
        return picture

    woven = []
    for index in range(12):
        frame = bar(4 + 6 * index)
        frame[1::2] = bar(7 + 6 * index)[1::2]  # the second field is half a frame later
        woven.append(frame)

    def comb(picture: np.ndarray) -> float:
        lines = picture[8:-8, :, 0].astype(int)
        return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())

    plain = film(tmp_path / "plain.mp4", woven, options={"crf": "1"})
    marked = film(tmp_path / "marked.mp4", woven, options={"crf": "1", "x264-params": "tff=1"})
    with MediaReader(plain) as reader:
        unmended = [frame.picture for frame in reader]
    with MediaReader(marked) as reader:
        frames = list(reader)
    assert [round(frame.time_s * 25) for frame in frames] == list(range(12))
    assert comb(unmended[6]) > 10
    assert max(comb(frame.picture) for frame in frames[1:-1]) < comb(unmended[6]) / 4


def test_the_writer_tags_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with MediaWriter(path, 64, 64) as writer:
        for index in range(3):
            writer.write(np.full((64, 64, 3), (200, 60, 30), np.uint8), index / 25)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        tags = frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range
    assert tags == (Colorspace.ITU709, ColorPrimaries.BT709, ColorTrc.BT709, ColorRange.MPEG)
    assert np.abs(read_picture(path)[32, 32].astype(int) - (200, 60, 30)).max() <= 4


def test_grey_and_deep_pictures(tmp_path: Path) -> None:
    grey = film(
        tmp_path / "grey.mp4", greys(3), pixels="gray", set_up=lambda s: setattr(s.codec_context, "color_range", 2)
    )
    deep = film(tmp_path / "deep.mkv", greys(3), codec="ffv1", pixels="gray16le")
    for path in (grey, deep):
        assert read_picture(path)[10, 10] == pytest.approx([10] * 3, abs=2)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def tiled_head(rows: int, columns: int, width: int, height: int, properties: bytes = b"", used: bytes = b"") -> bytes:
    """The beginning of an HEIF file whose item 9 is a grid of items 1, 2, ..."""
    count = rows * columns
    return box(b"ftyp", b"heic", bytes(4)) + box(
        b"meta", bytes(4),
        box(b"pitm", bytes(4), struct.pack(">H", 9)),
        box(b"iloc", bytes([1, 0, 0, 0, 0x44, 0]), struct.pack(">HHHHHII", 1, 9, 1, 0, 1, 0, 8)),
        box(b"idat", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)),
        box(b"iref", bytes(4), box(b"dimg", struct.pack(f">HH{count}H", 9, count, *range(1, count + 1)))),
        box(b"iprp", box(b"ipco", properties), box(b"ipma", bytes(4), struct.pack(">IHB", 1, 9, len(used)), used)),
    )  # fmt: skip


def test_the_boxes_of_a_tiled_photo() -> None:
    assert parse_grid(tiled_head(2, 3, 90, 60)) == Grid(2, 3, 90, 60, (1, 2, 3, 4, 5, 6))
    turned = tiled_head(1, 2, 64, 32, box(b"irot", b"\x03") + box(b"imir", b"\x01"), b"\x81\x82")
    assert parse_grid(turned) == Grid(1, 2, 64, 32, (1, 2), ((0, 1, -1, 0), (-1, 0, 0, 1)))


def test_hostile_boxes_are_no_grid() -> None:
    data = tiled_head(2, 3, 90, 60, box(b"irot", b"\x03"), b"\x81")
    for length in range(len(data)):
        assert parse_grid(data[:length]) in (None, parse_grid(data))
    random = np.random.default_rng(7)
    for _ in range(3000):
        changed = bytearray(data)
        for place in random.integers(0, len(data), 4):
            changed[place] = random.integers(256)
        grid = parse_grid(bytes(changed))
        assert grid is None or len(grid.tiles) == grid.rows * grid.columns <= 1024


def test_tiles_are_laid_out_and_turned(tmp_path: Path) -> None:
    class Tile:
        def __init__(self, number: int) -> None:
            self.id = number

    class Packet:
        def __init__(self, number: int) -> None:
            self.stream = Tile(number)

        def decode(self) -> list[av.VideoFrame]:
            return [av.VideoFrame.from_ndarray(np.full((16, 16, 3), 10 * self.stream.id, np.uint8), format="rgb24")]

    class Container:
        def __init__(self, numbers: tuple[int, ...]) -> None:
            self.numbers = numbers
            self.streams = type("Streams", (), {"video": []})

        def demux(self, streams: Any) -> list[Packet]:
            return [Packet(number) for number in self.numbers]

    path = tmp_path / "photo.heic"
    path.write_bytes(tiled_head(2, 2, 30, 24))
    picture = read_tiles(path, Container((3, 1, 2, 4)), 8192)  # type: ignore[arg-type]
    assert picture.shape == (24, 30, 3)
    assert [int(picture[y, x, 0]) for y, x in ((5, 5), (5, 20), (20, 5), (20, 20))] == [10, 20, 30, 40]
    with pytest.raises(MediaError, match="tile 4 of 4 is missing"):
        read_tiles(path, Container((1, 2, 3)), 8192)  # type: ignore[arg-type]
    path.write_bytes(tiled_head(2, 2, 30, 24, box(b"irot", b"\x01"), b"\x81"))
    picture = read_tiles(path, Container((1, 2, 3, 4)), 8192)  # type: ignore[arg-type]
    assert [int(picture[y, x, 0]) for y, x in ((5, 5), (25, 5), (5, 20), (25, 20))] == [20, 10, 40, 30]


def test_field_pictures(field: Path) -> None:
    with MediaReader(field / "sar.mp4") as reader:
        assert {frame.picture.shape for frame in reader} == {(720, 1280, 3)}
    photo = read_picture(field / "iphone.heic")
    assert photo.shape == (1024, 768, 3)
    rows = photo.mean(axis=(1, 2))
    assert np.abs(np.diff(rows)).max() < 25  # no tile is missing or in another's place
    red = read_picture(field / "col_hlg.mp4")[80:640, 360:920, 0].mean()
    assert red == pytest.approx(152, abs=4)
    mirrored = cv2.imdecode(
        np.frombuffer((field / "exif2.jpg").read_bytes(), np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    expected = cv2.cvtColor(mirrored, cv2.COLOR_BGR2RGB)[:, ::-1]
    assert np.abs(read_picture(field / "exif2.jpg").astype(int) - expected).mean() < 3
