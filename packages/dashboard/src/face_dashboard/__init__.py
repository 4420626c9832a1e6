"""The administrators' dashboard: a client of the API."""

from importlib.metadata import version

__version__ = version("face-dashboard")
