"""A video to a recording of some 6 kbit/s, and back to a video.

python examples/file_to_file.py talk.mp4 talk.tkc talk-decoded.mp4 [MODEL]
"""

import sys
from pathlib import Path

from talkcodec.convert import decode_recording, encode_video
from talkcodec.model.config import DEFAULT_MODEL
from talkcodec.runtime import open_engine


def main(source: Path, recording: Path, film: Path, model: str = DEFAULT_MODEL) -> None:
    engine = open_engine(model)
    coded = encode_video(source, recording, engine, bitrate_bps=6000)
    print(f"{recording}: {coded.file_bytes} bytes, {8e-3 * coded.file_bytes / coded.duration_s:.1f} kbit/s with sound")
    decoded = decode_recording(recording, film, lambda header: engine)
    print(f"{film}: {decoded.frames} frames")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *sys.argv[4:5])
