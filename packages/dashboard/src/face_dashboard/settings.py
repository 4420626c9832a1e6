"""The only reader of the environment."""

import os

API_URL_VARIABLE = "FACE_DASHBOARD_API_URL"
DEFAULT_API_URL = "http://127.0.0.1:8000"


def api_url() -> str:
    """Return the API's address, without a trailing slash."""
    return os.environ.get(API_URL_VARIABLE, DEFAULT_API_URL).rstrip("/")
