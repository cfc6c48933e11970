"""Interlaced frames into whole ones: a face that moves has no comb at its edges."""

from collections.abc import Iterator
from fractions import Fraction

import av

__all__ = ["deinterlaced"]


def deinterlaced(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The same frames at the same times; from the first that says it is interlaced, all go through a filter that
    rebuilds the lines of the second field where the frame is marked so."""
    graph: _Deinterlacer | None = None
    for frame in frames:
        if graph is not None and not graph.fits(frame):
            yield from graph.rest()
            graph = None
        if graph is None:
            if not frame.interlaced_frame:
                yield frame
                continue
            graph = _Deinterlacer(frame)
        yield from graph.push(frame)
    if graph is not None:
        yield from graph.rest()


class _Deinterlacer:
    """FFmpeg's bwdif; frames come out one later than they go in."""

    def __init__(self, first: av.VideoFrame) -> None:
        self._shape = (first.width, first.height, first.format.name)
        self._graph = av.filter.Graph()
        self._source = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format,
            time_base=first.time_base or Fraction(1, 25),
        )  # fmt: skip
        bwdif = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        self._sink = self._graph.add("buffersink")
        self._source.link_to(bwdif)
        bwdif.link_to(self._sink)
        self._graph.configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        return self._shape == (frame.width, frame.height, frame.format.name)

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        self._source.push(frame)
        while True:
            try:
                done = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(done, av.VideoFrame)
            yield done

    def rest(self) -> Iterator[av.VideoFrame]:
        yield from self.push(None)
