"""Pictures to bytes and back over a way that loses a third of them, with acknowledgements; no network, no files.

    python examples/bytes_and_back.py [MODEL]

Pictures are (256, 256, 3) uint8 RGB with the face in them, or as the model has them. What the decoder holds comes back
to the encoder, which predicts from nothing else: a lost message costs its own frames.
"""

import random
import sys

import cv2

from talkcodec.bitstream import parse, serialize, units_of
from talkcodec.codec import Decoder, Encoder, EncoderConfig, accept_hello, hello_for
from talkcodec.coding import UnitReader, UnitWriter
from talkcodec.media import MediaReader
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.runtime import open_engine
from talkcodec.sample import sample_path


def main(model: str = DEFAULT_MODEL) -> None:
    engine = open_engine(model)
    size = engine.config.picture_size
    config = EncoderConfig(acknowledged=True)
    hello = hello_for(engine, config)  # crosses first, and says everything that the decoder must know

    encoder = Encoder(engine, config)
    writer = UnitWriter(hello, encoder.held)
    decoder = Decoder(engine, accept_hello(engine, hello))
    reader = UnitReader(hello, decoder.held)

    lossy = random.Random(1)
    shown = sent_bytes = 0
    with MediaReader(sample_path()) as video:
        for number, frame in enumerate(video):
            timestamp = number * 3600  # 90 kHz
            unit = encoder.encode(cv2.resize(frame.picture, (size, size)), timestamp)
            if unit.keyframe is not None:  # goes the reliable way, and its acknowledgement comes back
                data = writer.keyframe(unit.keyframe)
                decoder.hold(reader.keyframe(data))
                encoder.held.hold(unit.keyframe.reference_id)
                sent_bytes += len(data)
            writer.add(unit)
            message = serialize(writer.take())
            sent_bytes += len(message)
            if lossy.random() < 1 / 3:
                continue
            for coded in units_of(parse(message), timestamp, hello.time_base):
                picture = decoder.decode(reader.unit(coded))
                writer.acknowledge_unit(coded.sequence)
                shown += 1
    print(f"{shown} of {number + 1} pictures of {picture.shape} from {sent_bytes} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:2])
