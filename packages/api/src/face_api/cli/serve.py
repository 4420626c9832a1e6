"""face-api serve."""

import logging
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import click

from face_api.app import create_app
from face_api.cli.common import EXIT_STARTUP, data_dir_option, fail, plain_errors, read_settings
from face_api.server import run
from face_engine.runtimes import check_runtime


@click.command("serve")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8000]")
@data_dir_option
def serve_command(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that were accepted are finished.

    Every other setting is an environment variable FACE_API_*; these options win over theirs.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    settings = read_settings(host=host, port=port, data_dir=data_dir)
    with plain_errors():
        check_runtime(settings.runtime, settings.device)
        _check_address(settings.host, settings.port)
        app = create_app(settings)
    if not _is_loopback(settings.host):
        logging.getLogger(__name__).warning(
            "listening on %s without access control: whoever reaches this address can enroll and analyse",
            settings.host,
        )
    if not run(app, settings):
        sys.exit(EXIT_STARTUP)


def _check_address(host: str, port: int) -> None:
    """End the program where nobody could listen: that is known before the networks are loaded."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        fail(f"cannot listen on {host} port {port}: {error.strerror}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
