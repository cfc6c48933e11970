"""A camera to a film of what a receiver would see, and how many bytes each second of it took.

    python examples/webcam.py OUT.mp4 [SOURCE] [SECONDS] [MODEL]

SOURCE is "camera", "camera:1", "sample" or a video file. The face is cut out of each frame; here every keyframe counts
as held once it is coded, as in a file.
"""

import sys
from pathlib import Path

from talkcodec.bitstream import serialize, units_of
from talkcodec.clock import ticks
from talkcodec.codec import Decoder, Encoder, EncoderConfig, FaceCropper, accept_hello, hello_for
from talkcodec.coding import UnitReader, UnitWriter
from talkcodec.media import MediaWriter
from talkcodec.media.sources import open_source
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.runtime import open_engine


def main(out: Path, source: str = "camera", seconds: float = 10.0, model: str = DEFAULT_MODEL) -> None:
    engine, config = open_engine(model), EncoderConfig()
    size = engine.config.picture_size
    hello = hello_for(engine, config)
    cropper, encoder = FaceCropper(size), Encoder(engine, config)
    decoder = Decoder(engine, accept_hello(engine, hello))
    writer, reader = UnitWriter(hello, encoder.held), UnitReader(hello, decoder.held)

    camera = open_source(source, loop=False, microphone="")
    coded_bytes = second = 0
    with MediaWriter(out, size, size, comment="generated") as film:
        for frame in camera.frames():  # frame.picture: (H, W, 3) uint8 RGB
            if frame.time_s >= second + 1:
                print(f"second {second}: {coded_bytes} bytes")
                coded_bytes, second = 0, second + 1
            if frame.time_s >= seconds:
                break
            timestamp = ticks(frame.time_s)
            face = cropper.crop(frame.picture, frame.time_s)
            unit = encoder.encode(face.picture, timestamp, face.crop)
            if unit.keyframe is not None:
                data = writer.keyframe(unit.keyframe)
                decoder.hold(reader.keyframe(data))
                coded_bytes += len(data)
            writer.add(unit)
            message = writer.take()
            coded_bytes += len(serialize(message))
            for coded in units_of(message, timestamp, hello.time_base):
                film.write(decoder.decode(reader.unit(coded)), frame.time_s)
            writer.acknowledge_all()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0]), *arguments[1:2], *map(float, arguments[2:3]), *arguments[3:4])
