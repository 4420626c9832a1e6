"""What the proxy of docker/compose.yaml does at its edges; of `prove_images.py`."""

import re
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus

import httpx2

from image_checks import Tell, expect

LASTING = ("/v1/audit/verification", "/v1/companies/withmind")
"""Paths of what may last: an erasure has that of its company."""

LASTING_S = 150.0
"""More than the proxy waits for what does not last."""

ALERT = b"\x15"  # RFC 8446, 5.1
LIST_OF_GROUPS = re.compile(rb"\x00\x0a(?=\x00.\x00)", re.DOTALL)  # RFC 8446, 4.2: the number of that extension


def wait_for_what_lasts(inside: Callable[..., str], api: httpx2.Client, key: str, tell: Tell) -> None:
    """Halt the API until the proxy gives up what should not last; what may last is answered afterwards.

    Args:
        inside: runs a command in the container of a service.

    Raises:
        ProofError: it gives up otherwise.
    """

    def get(path: str) -> httpx2.Response:
        return api.get(path, headers={"Authorization": f"Bearer {key}"}, timeout=LASTING_S)

    def signal_all(name: str) -> None:
        inside("api-production", "python", "-c", f"import os, signal; os.kill(-1, signal.{name})")

    with ThreadPoolExecutor(len(LASTING)) as pool:
        signal_all("SIGSTOP")
        lasting = [pool.submit(get, path) for path in LASTING]
        time.sleep(1)  # so that they are the first ones to be given up
        try:
            other = get("/v1/companies")
        finally:
            signal_all("SIGCONT")
        answers = [answer.result() for answer in lasting]
    expect(other.status_code == HTTPStatus.SERVICE_UNAVAILABLE, f"a halted API is answered {other.status_code}")
    expect(all(answer.is_success for answer in answers), f"what lasts is answered {answers}")
    tell("production: the proxy waits for what may last", f"{answers[0].elapsed.total_seconds():.0f} s")


def greet_wrongly(port: int) -> None:
    """Begin TLS with a key of a group that no list has, of which nginx would tell with the caller's address.

    Raises:
        ProofError: it is taken for a greeting.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        session.do_handshake()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(LIST_OF_GROUPS.sub(b"\xff\xff", outgoing.read(), count=1))
        expect(connection.recv(1) == ALERT, "the proxy takes a greeting that is none")
