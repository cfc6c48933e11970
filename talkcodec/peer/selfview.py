"""The self view: our own picture as the peer sees it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from talkcodec.bitstream import BaseRequest, BundlePiece, Hello, KeyframePiece, KeyframeRequest, MotionBundle
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.receiving import ReceivingEnd
from talkcodec.peer.sending import Cropper, SendingEnd
from talkcodec.session import Outgoing
from talkcodec.types import PlayedPicture, WireCost

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["MirroredEnd"]


class MirroredEnd(SendingEnd):
    """A sending end that can show what it sends: its own messages also go to a receiving end of this machine.

    While nobody looks, messages are parsed and keyframes held, but no picture is generated. What a slow machine had to
    leave out here is asked for as the peer would: else one's own picture stood still until the peer asks.
    """

    def __init__(
        self,
        engine: "Engine",
        hello: Hello,
        config: PeerConfig,
        cropper: Cropper | None,
        cost: WireCost,
        on_picture: Callable[[PlayedPicture], None],
        shows_base: bool = True,
    ) -> None:
        super().__init__(engine, hello, config, cropper, cost, shows_base)
        self.looking = False
        self._view = ReceivingEnd(engine, hello, config, on_picture, same_clock=True)

    def start(self, wake: Callable[[], None]) -> None:
        """The handshake is done."""
        super().start(wake)
        self._view.start(wake)

    def close(self) -> None:
        """Stop both threads."""
        super().close()
        self._view.close()

    def poll(
        self, now_ms: float, reliable_backlog_bytes: int, droppable_backlog_bytes: int, leaving: bool = False
    ) -> list[Outgoing]:
        """Messages to send now."""
        sent = super().poll(now_ms, reliable_backlog_bytes, droppable_backlog_bytes, leaving)
        for out in sent:
            if isinstance(out.message, KeyframePiece | MotionBundle | BundlePiece):
                self._view.receive(out.message, now_ms)
        if self.looking:
            for wish in self._view.poll(now_ms):
                if isinstance(wish.message, BaseRequest | KeyframeRequest):
                    self.receive(wish.message, now_ms)
        else:
            self._view.session.due(now_ms)
            self._view.session.poll(now_ms)
        return sent

    def next_poll_ms(self, now_ms: float) -> float | None:
        """When to poll again."""
        own_ms = super().next_poll_ms(now_ms)
        if not self.looking:
            return own_ms
        view_ms = self._view.next_poll_ms(now_ms)
        return view_ms if own_ms is None else min(own_ms, view_ms)
