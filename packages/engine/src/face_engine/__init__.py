"""Face detection, alignment, encoding and comparison with dlib's networks.

The public door is `face_engine.pipeline.FaceEngine`; `face_engine.matching` compares the templates it returns.
Nothing here knows of HTTP, databases or screens.
"""

from importlib.metadata import version

__version__ = version("face-engine")
