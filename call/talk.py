"""One call of the page: a peer in both directions between the stage and the network."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from call.options import CALL_FPS, CallOptions
from call.stage import Stage
from talkcodec.bitstream import Chat, Presence
from talkcodec.peer.peer import Peer, Receives, Sends
from talkcodec.peer.webrtc import WebRtcConnection

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Talk"]

CREATOR = "talkcodec call"


class Talk:
    """A connection, the peer on it, and its place on the stage while the call lasts."""

    def __init__(
        self,
        engine: "Engine",
        options: CallOptions,
        stage: Stage,
        agreed: Callable[[], None],
        heard: Callable[[Presence | Chat], None],
    ) -> None:
        """agreed: the two fit together, before anything is sent; heard: what the other person says."""
        self._stage, self._on_agreed = stage, agreed
        self.connection = WebRtcConnection(options.ice_servers)
        self.peer = Peer(
            engine, self.connection, options.peer, creator=CREATOR,
            sends=Sends(CALL_FPS, sound=True, on_self=stage.show_self),
            receives=Receives(stage.show, stage.play), on_agreed=self._agreed, on_person=heard,
        )  # fmt: skip

    def _agreed(self) -> None:
        self._on_agreed()
        self._stage.port = self.peer

    async def close(self) -> None:
        """Leave the stage and end the connection."""
        if self._stage.port is self.peer:
            self._stage.port = None
        await self.peer.close()
