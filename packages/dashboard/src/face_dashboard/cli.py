"""face-dashboard: starts Streamlit on this package's pages."""

import os
import sys
from pathlib import Path

import click

from face_dashboard import __version__
from face_dashboard.settings import API_URL_VARIABLE, DEFAULT_API_URL


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="face-dashboard")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option("--api-url", envvar=API_URL_VARIABLE, default=DEFAULT_API_URL, show_default=True, show_envvar=True)
def main(host: str, port: int, api_url: str) -> None:
    """Serve the administrators' dashboard until Ctrl-C."""
    os.environ[API_URL_VARIABLE] = api_url
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("app.py"))]
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "logger.hideWelcomeMessage": "true",
    }
    command += [f"--{name}={value}" for name, value in options.items()]
    os.execv(sys.executable, command)  # noqa: S606 - replaces this process, so signals reach Streamlit itself
