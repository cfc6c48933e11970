"""Running a model: numpy pictures and motion in, numpy pictures and motion out.

Nothing here imports torch or OpenVINO until an engine is opened; with a warm cache the OpenVINO
engine never imports torch.
"""

from talkcodec.runtime.engine import Engine, Reference, open_engine

__all__ = ["Engine", "Reference", "open_engine"]
