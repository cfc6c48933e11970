"""One's own picture as the peer sees it, on a machine that has to leave out some of it."""

from dataclasses import replace

from fakes import FakeEngine, WholePicture, colour_at
from pair import CONFIG
from waiting import real_time

from talkcodec.bitstream import BundlePiece, KeyframeAck, KeyframePiece, MotionBundle
from talkcodec.codec import BaseConfig, Rung, hello_for
from talkcodec.peer.hello import with_extras
from talkcodec.peer.selfview import MirroredEnd
from talkcodec.types import PlayedPicture, WireCost

HYBRID = replace(CONFIG, encoder=replace(CONFIG.encoder, rung=Rung.HYBRID, base=BaseConfig(32, 10, 60)))
MOMENTS = 2000
"""Of 20 ms: after them it is over either way."""


class LosesOne:
    """A view that misses the first base pictures after it has shown some."""

    def __init__(self, end: MirroredEnd, seen: list[PlayedPicture]) -> None:
        self._receive, self._seen = end._view.receive, seen
        self.lost = 0

    def receive(self, message: KeyframePiece | MotionBundle | BundlePiece, now_ms: float) -> None:
        if isinstance(message, MotionBundle) and len(self._seen) > 5 and self.lost < 3:
            self.lost += 1
        else:
            self._receive(message, now_ms)


async def test_a_self_view_that_missed_base_pictures_goes_on_with_a_fresh_start() -> None:
    engine, seen = FakeEngine(), list[PlayedPicture]()
    hello = with_extras(hello_for(engine, HYBRID.encoder), 25.0)  # type: ignore[arg-type]
    end = MirroredEnd(engine, hello, HYBRID, WholePicture(), WireCost(), seen.append)  # type: ignore[arg-type]
    view = LosesOne(end, seen)
    end._view.receive = view.receive  # type: ignore[method-assign]
    end.looking = True
    end.start(lambda: None)
    after: set[int] = set()
    moment = 0
    try:
        async for now_s in real_time(50.0):
            end.push(colour_at(now_s), now_s)
            for out in end.poll(now_s * 1000, 0, 0):
                if isinstance(out.message, KeyframePiece):
                    end.receive(KeyframeAck(out.message.reference_id), now_s * 1000)
            if view.lost == 3:
                after.add(int(seen[-1].picture[0, 0, 0]))
            moment += 1
            if len(after) > 30 or moment > MOMENTS:
                break
    finally:
        end.close()
    assert len(after) > 30, "one's own picture stood still"
    assert end.session.counts.base_restarts >= 1
