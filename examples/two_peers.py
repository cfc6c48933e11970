"""A call between two peers of one process, over real WebRTC on this machine: one sends the sample, the other shows it.

    python examples/two_peers.py [MODEL]

With `sends` and `receives` for both it is a call in both directions. `talkcodec.peer.signalling` carries the offer and
the answer between machines.
"""

import asyncio
import sys

from talkcodec.media.sources import VideoFile
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.peer.config import PeerConfig
from talkcodec.peer.feed import SourceFeed
from talkcodec.peer.peer import Peer, Receives, Sends
from talkcodec.peer.webrtc import WebRtcConnection
from talkcodec.runtime import open_engine
from talkcodec.sample import sample_path
from talkcodec.types import Kind, PlayedPicture


async def main(model: str = DEFAULT_MODEL, pictures: int = 25) -> None:
    engine = open_engine(model)
    source = VideoFile(sample_path(), loop=True)
    shown: list[PlayedPicture] = []

    calling, called = WebRtcConnection(), WebRtcConnection()
    sender = Peer(engine, calling, PeerConfig(), sends=Sends(source.fps))
    viewer = Peer(engine, called, PeerConfig(), receives=Receives(shown.append))
    await calling.accept(await called.answer(await calling.offer()))

    calls = [asyncio.create_task(peer.run()) for peer in (sender, viewer)]
    await asyncio.gather(sender.agreed.wait(), viewer.agreed.wait())
    feed = SourceFeed(source, sender.push, None)
    feed.start()
    while sum(picture.kind is Kind.EXACT for picture in shown) < pictures and not any(call.done() for call in calls):
        await asyncio.sleep(0.1)
    feed.close()
    await sender.say_bye()
    await asyncio.gather(*calls)
    await asyncio.gather(sender.close(), viewer.close())

    up_bytes = sender.link.transport.traffic.wire_up_bytes
    print(f"{len(shown)} pictures shown, at least {pictures} of them exact, from {up_bytes} bytes on the wire")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
