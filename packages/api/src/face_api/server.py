"""Runs the application by uvicorn, in one process or in several, as this service needs it."""

import errno
import logging
import os
import resource
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from starlette.applications import Starlette
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from face_api import logs
from face_api.protocol import HEAD_BYTES, KEEP_ALIVE_S, Connections, Protocol
from face_api.settings import PREFIX, Settings, SettingsError
from face_api.store import StoreError
from face_api.supervisor import Supervisor
from face_engine.errors import FaceEngineError

BACKLOG = 2048
"""Connections that may wait to be accepted; all of them may be at once, and each is an open file."""

OTHER_FILES = 256

UNSENT_BYTES = 64 * 1024
"""What the system may hold for a reader who is not ready for it: it would be megabytes, and nobody told when they go.
Every connection has this from the socket that it was accepted from."""

FIGURES_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's: where processes share their figures. It is read when that library is imported."""

Build = Callable[[], Starlette]
"""Makes the application, whose `state.metrics` are told of what never reaches it."""

logger = logging.getLogger(__name__)


def run(build: Build, settings: Settings) -> bool:
    """Serve until Ctrl-C or SIGTERM; tell whether it could start.

    Args:
        build: makes the application; with several processes in each of them, so it has to be picklable.

    Raises:
        SettingsError: the address cannot be used; and, where one process serves, see `tls_context`.
        Where one process serves: what `build` raises.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in bound_sockets(settings.host, settings.port)]
        announce = partial(_announce, settings, sockets[0].getsockname()[1])
        if settings.workers == 1:
            return _serve(build, settings, sockets, announce)
        with _figures_folder() as folder:
            supervisor = Supervisor(
                partial(_serve_in_process, build, settings, sockets),
                settings.workers,
                announce,
                lambda pid: mark_process_dead(pid, str(folder)),  # type: ignore[no-untyped-call]
                stack.close,  # who comes now is refused, rather than left to wait
            )
            started = supervisor.run()
    for number in supervisor.caught[:1]:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
    return started


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what TLS is spoken with; None for plain HTTP.

    Raises:
        SettingsError: a file cannot be read, or they do not fit.
    """
    cert, key = settings.tls_cert_file, settings.tls_key_file
    if cert is None or key is None:
        return None
    for name, path in (("TLS_CERT_FILE", cert), ("TLS_KEY_FILE", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{PREFIX}{name}: {path} cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        problem = getattr(error, "reason", None) or str(error)
        raise SettingsError(
            f"{PREFIX}TLS_CERT_FILE, {PREFIX}TLS_KEY_FILE: {cert} and {key} are not a certificate and its key, without "
            f"a passphrase, in PEM format: {problem}"
        ) from error
    return context


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _serve(build: Build, settings: Settings, sockets: list[socket.socket], on_ready: Callable[[], None]) -> bool:
    allow_open_files(settings.max_connections + BACKLOG + OTHER_FILES)
    tls = tls_context(settings)
    app = build()
    connections = Connections(settings.max_connections, app.state.metrics.refused, tls)
    server = _Server(uvicorn_config(app, connections), on_ready)
    with suppress(KeyboardInterrupt):  # handed on by uvicorn after it shut down in order
        server.run(sockets)
    return server.started


def uvicorn_config(app: ASGIApp, connections: Connections) -> uvicorn.Config:
    """Return how uvicorn serves here, but for the sockets."""
    return uvicorn.Config(
        app,
        http=partial(Protocol, connections),  # type: ignore[arg-type] # it is called, as the class would be
        loop="asyncio",
        ws="none",
        lifespan="on",
        workers=1,  # or an environment variable of uvicorn's would be asked
        log_config=None,
        access_log=False,  # the service writes its own line for each request; uvicorn's has no request id
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


def _serve_in_process(
    build: Build, settings: Settings, sockets: list[socket.socket], on_ready: Callable[[], None]
) -> None:
    """Be one of several; what keeps it from starting is logged."""
    logs.configure(settings.log_format)
    try:
        started = _serve(build, settings, sockets, on_ready)
    except (SettingsError, StoreError, FaceEngineError) as error:
        logger.error("%s", error)  # noqa: TRY400 - no bug
        started = False
    if not started:
        sys.exit(STARTUP_FAILURE)


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Return sockets bound to each address of the host, but not listening yet: nobody is to wait in vain.

    Raises:
        SettingsError: none of them can be listened on.
    """
    sockets: list[socket.socket] = []
    problem = "no such address"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    for family, kind, protocol, _, address in dict.fromkeys(found):
        if sockets and port == 0:
            address = (address[0], sockets[0].getsockname()[1], *address[2:])  # noqa: PLW2901
        try:
            sockets.append(_bound(family, kind, protocol, address))
        except OSError as error:
            problem = str(error.strerror)
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:  # IPv6, where the system has none
                for each in sockets:
                    each.close()
                sockets = []
                break
    if not sockets:
        raise SettingsError(f"cannot listen on {host} port {port}: {problem}")
    return sockets


def _bound(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _announce(settings: Settings, port: int) -> None:
    scheme = "http" if settings.tls_cert_file is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info("running on %s://%s:%d", scheme, host, port, extra={"processes": settings.workers})


def allow_open_files(count: int) -> None:
    """Raise the limit on open files, which most systems set to a thousand, or warn where it stays below `count`."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY or allowed >= count:
        return
    wanted = count if most == resource.RLIM_INFINITY else min(count, most)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        allowed = wanted
    if allowed < count:
        logger.warning("%d open files are allowed, and %d connections may need %d", allowed, count - OTHER_FILES, count)


@contextmanager
def _figures_folder() -> Iterator[Path]:
    """Give the processes that are started meanwhile a folder for their figures."""
    with tempfile.TemporaryDirectory(prefix="face-api-") as folder:
        before = os.environ.get(FIGURES_FOLDER)
        os.environ[FIGURES_FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ[FIGURES_FOLDER]
            if before is not None:
                os.environ[FIGURES_FOLDER] = before
