"""The embedded sample: six seconds of a talking head with sound, made by talkcodec.sample.make."""

from talkcodec.sample.path import sample_path

__all__ = ["sample_path"]
