"""Where the embedded sample lies."""

from pathlib import Path

__all__ = ["sample_path"]


def sample_path() -> Path:
    """astronaut.mp4: 256x256, 25 fps, 6 s that loop without a seam, H.264 and AAC."""
    return Path(__file__).with_name("astronaut.mp4")
