"""Evaluation: bitrate against picture, landmark and identity error, beside the codecs that people would use instead.

`python -m eval --help` lists the commands; docs/evaluation.md defines every figure.
"""
