"""Face detection, alignment, encoding and comparison with dlib's networks.

The public door is `face_engine.pipeline.FaceEngine`; `face_engine.matching` compares the templates it returns.
Nothing here knows of HTTP, databases or screens.
"""

import os
import sys
from importlib.metadata import version

__version__ = version("face-engine")

# ONNX Runtime and OpenVINO report their use to their makers, the one when it is imported, unless it is told so before;
# the other through a module of its own, without which it does not.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
