"""To be imported before openvino, wherever that is imported.

OpenVINO's converter reports each conversion to its makers over the network unless the user once refused. Without this
package it reports nothing (its own fallback).
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
