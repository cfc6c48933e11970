"""Photos of phones: an HEIF file whose picture is a grid of tiles, each a track of its own (ISO/IEC 23008-12).

FFmpeg decodes the tiles; where each belongs stands in boxes that PyAV does not show, so they are read here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from talkcodec.errors import MediaError
from talkcodec.media.pictures import to_picture, turned
from talkcodec.types import Picture

__all__ = ["Grid", "is_tiled", "parse_grid", "read_tiles"]

MAX_META_BYTES = 1 << 20
MAX_TILES = 1024

_Matrix = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """How tiles make a picture. tiles: item numbers, row by row; matrices: turns and mirrors, in their order."""

    rows: int
    columns: int
    width: int
    height: int
    tiles: tuple[int, ...]
    matrices: tuple[_Matrix, ...] = ()


def is_tiled(container: av.container.InputContainer) -> bool:
    """Whether the pictures of this file are only parts of one."""
    dependent = av.stream.Disposition.dependent
    return len(container.streams.video) > 1 and all(s.disposition & dependent for s in container.streams.video)


def read_tiles(path: Path, container: av.container.InputContainer, max_side_px: int) -> Picture:
    """The whole photo (H, W, 3). Raises MediaError."""
    with path.open("rb") as file:
        grid = parse_grid(file.read(MAX_META_BYTES))
    if grid is None:
        raise MediaError(f"{path} holds a picture of tiles whose order is not said")
    if max(grid.width, grid.height) > max_side_px:
        raise MediaError(f"{path} has {grid.width}x{grid.height} px, at most {max_side_px}")
    decoded = {}
    try:
        for packet in container.demux(container.streams.video):
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                decoded[packet.stream.id] = to_picture(frame)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"{path} is damaged: {error}") from error
    picture = np.zeros((grid.height, grid.width, 3), np.uint8)
    for number, tile in enumerate(grid.tiles):
        part = decoded.get(tile)
        if part is None:
            raise MediaError(f"{path} is damaged: tile {number + 1} of {len(grid.tiles)} is missing")
        top, left = number // grid.columns * part.shape[0], number % grid.columns * part.shape[1]
        place = picture[top : top + part.shape[0], left : left + part.shape[1]]
        place[...] = part[: place.shape[0], : place.shape[1]]
    for matrix in grid.matrices:
        picture = turned(picture, matrix)
    return picture


def parse_grid(data: bytes) -> Grid | None:
    """The grid of the primary item, from a file's beginning; None where there is none, or the boxes make no sense."""
    try:
        return _grid(data)
    except (IndexError, KeyError, ValueError):
        return None


def _grid(data: bytes) -> Grid | None:
    meta = next((body for kind, body in _boxes(data) if kind == b"meta"), None)
    if meta is None:
        return None
    boxes = dict(_boxes(meta[4:]))
    pitm = boxes[b"pitm"]
    primary = _int(pitm, 4, 4 if pitm[0] else 2)
    payload = _item(data, boxes, primary)
    wide = 4 if payload[1] & 1 else 2
    rows, columns = payload[2] + 1, payload[3] + 1
    width, height = _int(payload, 4, wide), _int(payload, 4 + wide, wide)
    tiles = _tiles(boxes[b"iref"], primary)
    if not tiles or len(tiles) != rows * columns or len(tiles) > MAX_TILES or not width or not height:
        return None
    return Grid(rows, columns, width, height, tiles, tuple(_matrices(boxes[b"iprp"], primary)))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of the boxes that follow each other."""
    offset = 0
    while offset + 8 <= len(data):
        size, kind, head = _int(data, offset, 4), data[offset + 4 : offset + 8], 8
        if size == 1:
            size, head = _int(data, offset + 8, 8), 16
        end = len(data) if size == 0 else offset + size
        if end < offset + head:
            raise ValueError("a box that is shorter than its head")
        yield kind, data[offset + head : end]
        offset = end


def _int(data: bytes, offset: int, size: int) -> int:
    if offset + size > len(data):
        raise IndexError(offset)
    return int.from_bytes(data[offset : offset + size], "big")


def _item(data: bytes, boxes: dict[bytes, bytes], wanted: int) -> bytes:
    """The bytes of an item, from the file or from the box of small items (box iloc, ISO/IEC 14496-12 8.11.3)."""
    iloc = boxes[b"iloc"]
    version = iloc[0]
    offset_size, length_size = iloc[4] >> 4, iloc[4] & 15
    base_size, index_size = iloc[5] >> 4, iloc[5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    count, at = _int(iloc, 6, id_size), 6 + id_size
    for _ in range(count):
        item, at = _int(iloc, at, id_size), at + id_size
        method = 0
        if version:
            method, at = _int(iloc, at, 2) & 15, at + 2
        base, extents, at = _int(iloc, at + 2, base_size), _int(iloc, at + 2 + base_size, 2), at + 4 + base_size
        found = b""
        for _ in range(extents):
            start = base + _int(iloc, at + index_size, offset_size)
            length = _int(iloc, at + index_size + offset_size, length_size)
            at += index_size + offset_size + length_size
            if item == wanted:
                found += (boxes[b"idat"] if method == 1 else data)[start : start + length]
        if item == wanted:
            return found
    raise KeyError(wanted)


def _tiles(iref: bytes, primary: int) -> tuple[int, ...]:
    size = 4 if iref[0] else 2
    for kind, body in _boxes(iref[4:]):
        if kind == b"dimg" and _int(body, 0, size) == primary:
            count = _int(body, size, 2)
            return tuple(_int(body, size + 2 + number * size, size) for number in range(count))
    return ()


def _matrices(iprp: bytes, primary: int) -> Iterator[_Matrix]:
    """Turns (irot, counter-clockwise) and mirrors (imir) of an item, in the order in which they are applied."""
    parts = dict(_boxes(iprp))
    properties = list(_boxes(parts[b"ipco"]))
    ipma = parts[b"ipma"]
    id_size, wide = (4 if ipma[0] else 2), bool(ipma[3] & 1)
    at = 8
    for _ in range(_int(ipma, 4, 4)):
        item, count, at = _int(ipma, at, id_size), _int(ipma, at + id_size, 1), at + id_size + 1
        for _ in range(count):
            index = _int(ipma, at, 2) & 0x7FFF if wide else _int(ipma, at, 1) & 0x7F
            at += 2 if wide else 1
            if item != primary or not index:
                continue
            kind, body = properties[index - 1]
            if kind == b"irot":
                yield ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[body[0] & 3]
            elif kind == b"imir":
                yield (-1, 0, 0, 1) if body[0] & 1 else (1, 0, 0, -1)
