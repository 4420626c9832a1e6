"""What says of a container whether it is healthy, against real servers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Thread

import pytest

from support.images import DOCKER, SERVICES, load
from support.tls import certificate

healthy = load(DOCKER / "healthy.py")


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Docker's settings may put into every container; here nothing answers."""
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def answering(status: int, context: SSLContext | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/readyz"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1), (404, 1)])
def test_only_an_answer_of_200_is_healthy(status: int, expected: int) -> None:
    with answering(status) as url:
        assert healthy.main(url) == expected


@pytest.mark.usefixtures("proxied")
def test_a_container_asks_itself_without_a_proxy() -> None:
    with answering(200) as url:
        assert healthy.main(url) == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize(("status", "is_healthy"), [(200, True), (503, False)])
def test_the_proxy_asks_itself_without_another_one(tmp_path: Path, status: int, is_healthy: bool) -> None:
    kind, *command = SERVICES["proxy"]["healthcheck"]["test"]
    files = certificate(tmp_path)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    with answering(status, context) as url:
        address = url.replace("http:", "https:", 1)
        asked = [argument.replace("https://127.0.0.1:8443/readyz", address) for argument in command]
        assert (kind, asked[-1]) == ("CMD", address)
        assert (subprocess.run(asked, check=False).returncode == 0) is is_healthy


def test_nobody_who_answers_is_not_healthy() -> None:
    with answering(200) as url:
        pass
    assert healthy.main(url) == 1


def test_a_service_that_speaks_tls_alone_is_asked_by_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certificate(tmp_path)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    monkeypatch.setenv("FACE_API_TLS_CERT_FILE", str(files.cert))
    with answering(200, context) as url:
        assert healthy.main(url) == 0
