"""Pictures in an array to a folder of small files, one a frame, and back to an array.

    python examples/array_to_disk.py FOLDER [MODEL]

The files are what a call would send: hello.bin, then a keyframe (NUMBER.key) now and then and a unit (NUMBER.unit) for
each frame. `talkcodec encode` puts the same into one file, with sound.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.bitstream import Hello, parse, serialize, units_of
from talkcodec.codec import Decoder, Encoder, EncoderConfig, accept_hello, hello_for
from talkcodec.coding import UnitReader, UnitWriter
from talkcodec.media import MediaReader
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.runtime import Engine, open_engine
from talkcodec.sample import sample_path

TICKS = 3600  # of 90 kHz: 25 frames a second


def save(pictures: npt.NDArray[np.uint8], folder: Path, engine: Engine) -> None:
    """pictures: (T, S, S, 3) uint8 RGB, 0 to 255, S the model's picture size, the face filling most of each."""
    config = EncoderConfig()
    hello = hello_for(engine, config)
    encoder = Encoder(engine, config)
    writer = UnitWriter(hello, encoder.held)
    (folder / "hello.bin").write_bytes(serialize(hello))
    for number, picture in enumerate(pictures):
        unit = encoder.encode(picture, number * TICKS)
        if unit.keyframe is not None:
            (folder / f"{number:05}.key").write_bytes(writer.keyframe(unit.keyframe))
        writer.add(unit)
        (folder / f"{number:05}.unit").write_bytes(serialize(writer.take()))
        writer.acknowledge_all()  # whoever reads the files has all that stands before


def read(folder: Path, engine: Engine) -> npt.NDArray[np.uint8]:
    """The pictures of `save`, generated: (T, S, S, 3) uint8 RGB."""
    hello = parse((folder / "hello.bin").read_bytes())
    assert isinstance(hello, Hello)
    decoder = Decoder(engine, accept_hello(engine, hello))
    reader = UnitReader(hello, decoder.held)
    pictures = []
    for number, path in enumerate(sorted(folder.glob("*.unit"))):
        key = path.with_suffix(".key")
        if key.exists():
            decoder.hold(reader.keyframe(key.read_bytes()))
        for coded in units_of(parse(path.read_bytes()), number * TICKS, hello.time_base):
            pictures.append(decoder.decode(reader.unit(coded)))
    return np.stack(pictures)


def main(folder: Path, model: str = DEFAULT_MODEL) -> None:
    engine = open_engine(model)
    size = engine.config.picture_size
    with MediaReader(sample_path()) as video:
        pictures = np.stack([cv2.resize(frame.picture, (size, size)) for frame in video])
    folder.mkdir(parents=True, exist_ok=True)
    save(pictures, folder, engine)
    saved_bytes = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{pictures.shape} to {saved_bytes} bytes, and back to {read(folder, engine).shape}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
