"""talkcodec: one keyframe, then only keypoints and Jacobians.

Importing this package does nothing but name things; torch, OpenVINO and the
network stack are imported by the modules that use them.
"""

__version__ = "0.1.0"
