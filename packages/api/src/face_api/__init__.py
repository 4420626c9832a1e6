"""The REST service: enrollment and analysis of face photos."""

from importlib.metadata import version

__version__ = version("face-api")
