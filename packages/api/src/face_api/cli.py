"""face-api: serve."""

import logging
import socket
import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

import click

from face_api import __version__

EXIT_STARTUP = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="face-api")
def main() -> None:
    """The face verification service."""


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8000]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the database, made where it is missing.")
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that were accepted are finished.

    Every other setting is an environment variable FACE_API_*; these options win over theirs.
    """
    # Worker processes import this module too, and need nothing of the server.
    import uvicorn  # noqa: PLC0415

    from face_api.app import create_app  # noqa: PLC0415
    from face_api.protocol import Protocol  # noqa: PLC0415
    from face_api.settings import SettingsError, load_settings  # noqa: PLC0415
    from face_api.store import StoreUnavailableError  # noqa: PLC0415
    from face_engine.errors import FaceEngineError  # noqa: PLC0415
    from face_engine.runtimes import check_runtime  # noqa: PLC0415

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    given: dict[str, Any] = {"host": host, "port": port, "data_dir": data_dir}
    try:
        settings = load_settings({name: value for name, value in given.items() if value is not None})
        check_runtime(settings.runtime, settings.device)
        _check_address(settings.host, settings.port)
        app = create_app(settings)
    except (SettingsError, StoreUnavailableError, FaceEngineError) as error:
        _fail(str(error))
    if not _is_loopback(settings.host):
        logging.getLogger(__name__).warning(
            "listening on %s without access control: whoever reaches this address can enroll and analyse",
            settings.host,
        )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # the service writes its own line for each request; uvicorn's has no request id
        server_header=False,
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # handed on by uvicorn after it shut down in order
        server.run()
    if not server.started:
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
        _fail(f"cannot listen on {host} port {port}: {error.strerror}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fail(message: str) -> NoReturn:
    for line in message.splitlines():
        click.echo(f"face-api: {line}", err=True)
    sys.exit(EXIT_STARTUP)
