"""Connections as callers make them, over real sockets, and what the worst of them may cost."""

import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress

import h11
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from face_api import protocol
from face_api.logs import CONNECTIONS
from face_api.metrics import Metrics
from face_api.middleware import RequestMiddleware
from face_api.protocol import HEAD_BYTES, Connections
from face_api.server import bound_sockets, uvicorn_config
from support.tls import Certificate, certificate

PATIENCE_S = 30.0
SHORT_S = 0.3
BIG = 8_000_000

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
FAIL = b'{"result":"Fail"}'

Connect = Callable[[], socket.socket]


class Served:
    """A server in a thread, and what its application saw."""

    def __init__(self, tls: Certificate | None = None, limit: int = 100) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Semaphore(0)
        self.bodies: list[bytes | str] = []
        self.refused: list[str] = []
        context = None
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
        app = Starlette(
            routes=[
                Route("/", self._hello, methods=["GET", "POST"]),
                Route("/read", self._read, methods=["POST"]),
                Route("/slow", self._slow),
                Route("/big", self._big),
            ],
            middleware=[Middleware(RequestMiddleware, metrics=Metrics())],
        )
        self._tls = tls
        (self._listener,) = bound_sockets("127.0.0.1", 0)
        self.shared = Connections(limit, self.refused.append, context)
        self.server = uvicorn.Server(uvicorn_config(app, self.shared))
        self._thread = threading.Thread(target=self.server.run, args=([self._listener],))

    async def _hello(self, _request: Request) -> Response:
        return PlainTextResponse("hello")

    async def _read(self, request: Request) -> Response:
        try:
            self.bodies.append(await request.body())
        except ClientDisconnect:
            self.bodies.append("disconnected")
        return PlainTextResponse("read")

    def _slow(self, _request: Request) -> Response:
        self.entered.release()
        self.go_on.wait(PATIENCE_S)
        return PlainTextResponse("slow")

    async def _big(self, _request: Request) -> Response:
        self.entered.release()
        return Response(bytes(BIG))

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self.server.started)

    def stop(self) -> None:
        self.go_on.set()
        self.server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self._listener.close()
        assert (self.open, self.shared.waiting, self.shared.lingering) == (0, {}, set())

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        bare = self.connect_bare(receive_buffer)
        if self._tls is None:
            return bare
        return ssl.create_default_context(cafile=self._tls.cert).wrap_socket(bare, server_hostname="127.0.0.1")

    def connect_bare(self, receive_buffer: int | None = None) -> socket.socket:
        """Connect without TLS, also where it is spoken."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE_S)
        connection.connect(self._listener.getsockname())
        return connection


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def serving(tls: Certificate | None = None, limit: int = 100) -> Iterator[Served]:
    served = Served(tls, limit)
    served.start()
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, files: Certificate) -> Certificate | None:
    return files if request.param == "https" else None


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    errors = [record for when in ("setup", "call") for record in caplog.get_records(when) if record.levelno >= 40]
    assert not errors, errors


def ask(connection: socket.socket, request: bytes = GET) -> bytes:
    """Send a request and return its answer's head and body, whose length is told."""
    connection.sendall(request)
    return receive(connection)


def receive(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += some(connection)
    length = re.search(rb"content-length: (\d+)", answer)
    assert length, answer
    end = answer.index(b"\r\n\r\n") + 4 + int(length[1])
    while len(answer) < end:
        answer += some(connection)
    assert len(answer) == end
    return answer


def some(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    assert data, "the connection ended"
    return data


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server ends the connection, in whatever manner."""
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
    except (ConnectionError, ssl.SSLError):
        pass
    return received


def check_failure(answer: bytes, status: bytes, reason: bytes) -> None:
    """It is one answer, in the contract's body, and the last one of its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b" "), answer
    lines = head.lower().split(b"\r\n")
    assert {b"x-face-reason: " + reason, b"connection: close", b"content-type: application/json"} < set(lines)
    assert any(line.startswith(b"date: ") for line in lines)
    assert body == FAIL


# How many there may be.


def test_one_connection_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "EVICTABLE_S", 3600.0)
    with serving(limit=3) as served, ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(3)]
        for connection in connections:
            assert ask(connection).endswith(b"hello")
        for _ in range(2):
            with served.connect() as refused:
                refused.sendall(GET)  # as every caller does, who has not read yet
                answer = rest(refused)
                check_failure(answer, b"503", b"too_many_connections")
                assert b"retry-after: 1" in answer.lower()
        assert ask(connections[0]).endswith(b"hello")
        connections[1].close()
        wait_until(lambda: served.open == 2)
        with served.connect() as another:
            assert ask(another).endswith(b"hello")


def test_over_tls_one_too_many_is_closed_before_its_handshake(
    files: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "EVICTABLE_S", 3600.0)
    with serving(files, limit=2) as served, served.connect_bare() as silent, served.connect() as connection:
        assert ask(connection).endswith(b"hello")
        assert served.open == 2, "a connection counts before its handshake"
        with pytest.raises((ConnectionError, ssl.SSLError)):
            served.connect()
        assert served.refused == ["too_many_connections"]
        silent.close()
        wait_until(lambda: served.open == 1)
        with served.connect() as another:
            assert ask(another).endswith(b"hello")


def test_who_idled_longest_makes_room(tls: Certificate | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "EVICTABLE_S", 0.0)
    with serving(tls, limit=3) as served, ExitStack() as stack:
        first, second, third = (stack.enter_context(served.connect()) for _ in range(3))
        for connection in (first, second, third, first):  # now the second one has been idle for longest
            assert ask(connection).endswith(b"hello")
        with served.connect() as newcomer:
            assert ask(newcomer).endswith(b"hello")
            assert rest(second) == b""
            assert served.open == 3
            for connection in (first, third, newcomer):
                assert ask(connection).endswith(b"hello")


def test_who_does_not_finish_a_head_makes_room(tls: Certificate | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "EVICTABLE_S", 0.0)
    with serving(tls, limit=2) as served, served.connect() as half, served.connect_bare() as silent:
        half.sendall(GET[:-2])
        wait_until(lambda: served.open == 2)
        with served.connect() as newcomer:
            assert ask(newcomer).endswith(b"hello")
            with served.connect() as another:
                assert ask(another).endswith(b"hello")
                assert rest(half) == rest(silent) == b""


def test_nobody_who_is_served_has_to_make_room(tls: Certificate | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "EVICTABLE_S", 0.0)
    with serving(tls, limit=2) as served, served.connect() as slow, served.connect() as sending:
        slow.sendall(GET.replace(b"/", b"/slow", 1))
        assert served.entered.acquire(timeout=PATIENCE_S)
        sending.sendall(b"POST /read HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nha")
        wait_until(lambda: not served.shared.waiting)
        with pytest.raises(OSError) if tls else nullcontext(), served.connect() as refused:
            check_failure(rest(refused), b"503", b"too_many_connections")
        served.go_on.set()
        assert receive(slow).endswith(b"slow")
        assert ask(sending, b"lf").endswith(b"read")
        assert served.bodies == [b"half"]


def test_a_crowd_that_is_refused_does_not_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_LINGERING", 5)
    monkeypatch.setattr(protocol, "EVICTABLE_S", 3600.0)
    with serving(limit=1) as served, served.connect() as connection, ExitStack() as stack:
        assert ask(connection).endswith(b"hello")
        crowd = [stack.enter_context(served.connect()) for _ in range(50)]
        for refused in crowd:
            check_failure(rest(refused), b"503", b"too_many_connections")
            assert len(served.shared.lingering) <= 5
        assert ask(connection).endswith(b"hello")


# The time until a head is there.


def test_a_silent_connection_is_closed(tls: Certificate | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", SHORT_S)
    with serving(tls) as served, served.connect_bare() as silent:
        assert rest(silent) == b""
        wait_until(lambda: served.open == 0)


def test_a_head_that_drips_is_not_waited_for(tls: Certificate | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", SHORT_S)
    with serving(tls) as served, served.connect() as connection:
        connection.settimeout(SHORT_S / 10)
        answer = b""
        for number in range(1_000):
            try:
                connection.sendall(GET[:16] if number == 0 else b"x")
                if data := connection.recv(1000):
                    answer += data
                    break
            except TimeoutError:
                pass
        connection.settimeout(PATIENCE_S)
        check_failure(answer + rest(connection), b"408", b"head_timeout")


def test_a_later_head_that_drips_is_not_waited_for_either(
    tls: Certificate | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", SHORT_S)
    with serving(tls) as served, served.connect() as connection:
        for _ in range(3):
            assert ask(connection).endswith(b"hello")
            time.sleep(2 * SHORT_S)  # idle: that is another time-out
        connection.sendall(GET[:10])
        check_failure(rest(connection), b"408", b"head_timeout")


def test_a_head_that_follows_a_request_at_once_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", SHORT_S)
    with serving() as served, served.connect() as connection:
        connection.sendall(GET + GET[:10])
        answer = rest(connection)
        first, second = re.split(rb"(?<=hello)", answer)
        assert first.startswith(b"HTTP/1.1 200")
        check_failure(second, b"408", b"head_timeout")


def test_a_message_that_was_answered_is_not_read_for_ever(
    tls: Certificate | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "DRAIN_S", SHORT_S)
    with serving(tls) as served, served.connect() as connection:
        head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n"
        assert ask(connection, head).endswith(b"hello")
        with pytest.raises(OSError):
            for _ in range(1_000):
                connection.sendall(b"x")
                time.sleep(SHORT_S / 10)
        wait_until(lambda: served.open == 0)


def test_a_request_that_takes_long_is_no_head_that_does(
    tls: Certificate | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", SHORT_S)
    with serving(tls) as served, served.connect() as connection:
        connection.sendall(GET.replace(b"/", b"/slow", 1))
        assert served.entered.acquire(timeout=PATIENCE_S)
        time.sleep(3 * SHORT_S)
        served.go_on.set()
        assert receive(connection).endswith(b"slow")
        assert ask(connection).endswith(b"hello")


# Who does not read.


def test_who_does_not_read_the_answer_is_left(tls: Certificate | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_TIMEOUT_S", SHORT_S)
    with serving(tls) as served, served.connect(receive_buffer=4096) as connection:
        connection.sendall(GET.replace(b"/", b"/big", 1))
        assert served.entered.acquire(timeout=PATIENCE_S)
        wait_until(lambda: served.open == 0, protocol.KEEP_ALIVE_S / 2)  # which would end it in any case
        assert len(rest(connection)) < BIG


def test_who_sends_requests_and_reads_no_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_TIMEOUT_S", SHORT_S)
    with serving() as served, served.connect(receive_buffer=4096) as connection:
        connection.settimeout(SHORT_S)
        with pytest.raises(ConnectionError):
            while True:
                try:
                    connection.sendall(GET * 1000)
                except TimeoutError:
                    wait_until(lambda: served.open == 0)
        assert served.open == 0


def test_who_reads_slowly_gets_it_all(tls: Certificate | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_TIMEOUT_S", 2 * SHORT_S)
    with serving(tls) as served, served.connect(receive_buffer=65_536) as connection:
        connection.sendall(GET.replace(b"/", b"/big", 1))
        received = 0
        start = time.monotonic()
        while received < BIG:
            data = some(connection)
            received += len(data)
            time.sleep(len(data) / 4_000_000)
        assert time.monotonic() - start > 2 * SHORT_S, "this was no test of slowness"


# What is no HTTP.


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /read HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        GET[:-2] + b"X-Large: " + b"x" * 65_536,
        GET[:-2] + b"X-Large: " + b"x" * 2_000_000 + b"\r\n\r\n",
        GET[:-2] + b"X: y\r\n" * 50_000 + b"\r\n",
    ],
    ids=["tls", "words", "header", "host", "lengths", "length", "coding", "framings", "unfinished", "large", "many"],
)
def test_what_is_no_http_is_told_so(garbage: bytes) -> None:
    with serving() as served, served.connect() as connection, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(rest, connection)
        with suppress(ConnectionError):
            connection.sendall(garbage)
        check_failure(answer.result(), b"400", b"http_invalid")


def test_what_is_no_http_is_told_so_over_tls(files: Certificate) -> None:
    with serving(files) as served, served.connect() as connection:
        assert ask(connection).endswith(b"hello")
        check_failure(ask(connection, b"hello\r\n\r\n"), b"400", b"http_invalid")
        assert rest(connection) == b""


def test_the_largest_head_that_is_surely_served() -> None:
    with serving() as served, served.connect() as connection:
        padding = HEAD_BYTES - len(GET) - len(b"X: \r\n")
        request = GET[:-2] + b"X: " + b"x" * padding + b"\r\n\r\n"
        assert len(request) == HEAD_BYTES
        assert ask(connection, request).endswith(b"hello")
        for piece in (request[:5000], request[5000:-1]):
            connection.sendall(piece)
        assert ask(connection, request[-1:]).endswith(b"hello")
        check_failure(ask(connection, GET[:-2] + b"X: " + b"x" * 2 * HEAD_BYTES + b"\r\n\r\n"), b"400", b"http_invalid")


def test_a_message_that_breaks_off_is_answered_once() -> None:
    with serving() as served, served.connect() as connection:
        connection.sendall(b"POST /read HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        wait_until(lambda: served.open == 1 and not served.shared.waiting)
        connection.sendall(b"no length\r\n")
        check_failure(rest(connection), b"400", b"http_invalid")
        wait_until(lambda: served.bodies == ["disconnected"])


def test_a_broken_rest_of_an_answered_message_gets_no_second_answer() -> None:
    with serving() as served, served.connect() as connection:
        head = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert ask(connection, head).endswith(b"hello")
        connection.sendall(b"no length\r\n")
        assert rest(connection) == b""


def test_garbage_behind_a_request_does_not_spoil_its_answer() -> None:
    with serving() as served, served.connect() as connection:
        connection.sendall(GET.replace(b"/", b"/slow", 1) + b"no HTTP\r\n\r\n")
        assert served.entered.acquire(timeout=PATIENCE_S)
        served.go_on.set()
        answer, failure = re.split(rb"(?<=slow)", rest(connection))
        assert answer.startswith(b"HTTP/1.1 200")
        check_failure(failure, b"400", b"http_invalid")


def test_the_end_of_an_answer_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_S", 3600.0)
    with serving() as served, served.connect() as connection:
        connection.sendall(b"hello\r\n\r\n")
        check_failure(rest(connection), b"400", b"http_invalid")
        assert len(served.shared.lingering) == 1
        connection.close()
        wait_until(lambda: not served.shared.lingering)


def test_an_answer_reaches_who_is_still_sending() -> None:
    """Behind what is broken there may be more than the server has read, and more than it wants to hold."""
    head = b"POST /read HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    broken = b"18000\r\n" + bytes(0x18000) + b"\r\nno length\r\n"
    with serving() as served, served.connect() as connection, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(rest, connection)
        with suppress(ConnectionError):
            connection.sendall(head + broken + bytes(3_000_000))
        check_failure(answer.result(), b"400", b"http_invalid")


@pytest.mark.parametrize(("chunk", "answer"), [(b"1\r\nx\r\n", b"400"), (b"200\r\n%s\r\n" % bytes(512), b"200")])
def test_chunks_cost_no_more_than_they_carry(chunk: bytes, answer: bytes) -> None:
    with serving() as served, served.connect() as connection:
        message = b"POST /read HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2_000
        connection.sendall(message + b"0\r\n\r\n")
        assert receive(connection).startswith(b"HTTP/1.1 " + answer)


@pytest.mark.parametrize(("size", "answers"), [(HEAD_BYTES, 2), (3 * HEAD_BYTES, 1)])
def test_a_head_that_comes_before_its_turn_is_measured_as_well(size: int, answers: int) -> None:
    with serving() as served, served.connect() as connection:
        large = GET[:-2] + b"Connection: close\r\nX: " + b"x" * (size - len(GET)) + b"\r\n\r\n"
        connection.sendall(GET.replace(b"/", b"/slow", 1) + large)
        assert served.entered.acquire(timeout=PATIENCE_S)
        served.go_on.set()
        assert rest(connection).count(b"HTTP/1.1 200") == answers


def test_a_wish_to_upgrade_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as served, served.connect() as connection:
        caplog.clear()
        for protocol_name in (b"websocket", b"h2c"):
            request = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: " + protocol_name + b"\r\n\r\n"
            assert ask(connection, request).endswith(b"hello")
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# What is told of who was refused.


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, object]]]:
    """What the log tells of refusals; uvicorn must tell nothing."""
    caplog.set_level(logging.ERROR, CONNECTIONS)
    caplog.set_level(logging.INFO, protocol.logger.name)

    def told() -> list[dict[str, object]]:
        assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
        names = ("request_id", "status", "reason", "left_out")
        mine = [vars(each) for each in caplog.records if each.name == protocol.logger.name]
        return [{name: each[name] for name in names if name in each} for each in mine]

    return told


Lines = Callable[[], list[dict[str, object]]]


def request_id_in(answer: bytes) -> str:
    (request_id,) = re.findall(rb"x-request-id: (\S+)", answer.lower())
    return str(request_id.decode())


def test_each_refusal_is_counted_and_logged(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", SHORT_S)
    with serving(limit=1) as served:
        with served.connect() as connection:
            invalid = ask(connection, b"hello\r\n\r\n")
        wait_until(lambda: served.open == 0)
        with served.connect() as connection:
            late = ask(connection, GET[:10])
        wait_until(lambda: served.open == 0)
        with served.connect() as slow:
            slow.sendall(GET.replace(b"/", b"/slow", 1))
            assert served.entered.acquire(timeout=PATIENCE_S)
            with served.connect() as refused:
                crowded = rest(refused)
        expected = [(400, "http_invalid", invalid), (408, "head_timeout", late), (503, "too_many_connections", crowded)]
        assert served.refused == [reason for _, reason, _ in expected]
        assert lines() == [
            {"request_id": request_id_in(answer), "status": status, "reason": reason, "left_out": 0}
            for status, reason, answer in expected
        ]


def test_who_is_refused_again_and_again_does_not_fill_the_log(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REFUSALS_S", 3600.0)
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", SHORT_S)

    def told() -> list[tuple[object, object]]:
        return [(line["reason"], line["left_out"]) for line in lines()]

    with serving() as served:
        for _ in range(10):
            with served.connect() as connection:
                ask(connection, b"hello\r\n\r\n")
        assert told() == [("http_invalid", 0)]
        with served.connect() as connection:
            ask(connection, GET[:10])
        assert told() == [("http_invalid", 0), ("head_timeout", 0)], "one reason does not hide another"
        monkeypatch.setattr(protocol, "REFUSALS_S", 0.0)
        for _ in range(2):
            with served.connect() as connection:
                ask(connection, b"hello\r\n\r\n")
        assert told()[2:] == [("http_invalid", 9), ("http_invalid", 0)]
        assert served.refused.count("http_invalid") == 12


def test_who_is_refused_before_the_handshake_is_told_of_without_an_answer(
    files: Certificate, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "EVICTABLE_S", 3600.0)
    with serving(files, limit=1) as served, served.connect_bare():
        wait_until(lambda: served.open == 1)
        with pytest.raises(OSError), served.connect():
            pass
        assert served.refused == ["too_many_connections"]
        assert lines() == [{"reason": "too_many_connections", "left_out": 0}]


@pytest.mark.parametrize("is_at_once", [True, False])
def test_a_message_that_breaks_off_is_known_by_its_own_request_id(lines: Lines, is_at_once: bool) -> None:
    head = b"POST /read HTTP/1.1\r\nHost: here\r\nX-Request-ID: mine-%d\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving() as served, served.connect() as connection:
        assert request_id_in(ask(connection, head % 1 + b"0\r\n\r\n")) == "mine-1"
        connection.sendall(head % 2 + (b"no length\r\n" if is_at_once else b""))
        if not is_at_once:
            wait_until(lambda: not served.shared.waiting)
            connection.sendall(b"no length\r\n")
        answer = rest(connection)
        check_failure(answer, b"400", b"http_invalid")
        assert request_id_in(answer) == "mine-2"
        assert [line["request_id"] for line in lines()] == ["mine-2"]


def test_a_request_that_was_answered_lends_its_request_id_to_nobody(lines: Lines) -> None:
    with serving() as served, served.connect() as connection:
        assert request_id_in(ask(connection, GET[:-2] + b"X-Request-ID: mine\r\n\r\n")) == "mine"
        answer = ask(connection, b"hello\r\n\r\n")
        assert request_id_in(answer) != "mine"
        assert [line["request_id"] for line in lines()] == [request_id_in(answer)]


# TLS.


def test_a_large_message_and_a_large_answer(tls: Certificate | None) -> None:
    with serving(tls) as served, served.connect() as connection:
        body = bytes(range(256)) * 8_000
        head = b"POST /read HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert ask(connection, head + body).endswith(b"read")
        assert served.bodies == [body]
        assert len(ask(connection, GET.replace(b"/", b"/big", 1))) > BIG


def test_a_request_that_comes_with_the_end_of_the_handshake(files: Certificate) -> None:
    """A client may send both in one packet, and most do not wait for an answer in between."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=files.cert).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with serving(files) as served, served.connect_bare() as connection:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(some(connection))
        client.write(GET + GET)
        connection.sendall(outgoing.read())
        answer = b""
        while answer.count(b"hello") < 2:
            try:
                answer += client.read(65_536)
            except ssl.SSLWantReadError:
                incoming.write(some(connection))
        assert answer.count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("speech", [GET, b"\0" * 100], ids=["http", "zeros"])
def test_who_does_not_speak_tls_is_left(files: Certificate, speech: bytes) -> None:
    with serving(files) as served, served.connect_bare() as connection:
        connection.sendall(speech)
        assert b"HTTP" not in rest(connection)
        wait_until(lambda: served.open == 0)


def test_who_leaves_during_the_handshake_is_forgotten(files: Certificate) -> None:
    with serving(files) as served:
        for sent in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            with served.connect_bare() as connection:
                connection.sendall(sent)
                wait_until(lambda: served.open == 1)
            wait_until(lambda: served.open == 0)


# How all end.


def test_a_shutdown_waits_for_those_who_are_served_alone(tls: Certificate | None) -> None:
    with serving(tls) as served, ExitStack() as stack:
        slow, idle, half = (stack.enter_context(served.connect()) for _ in range(3))
        silent = stack.enter_context(served.connect_bare())
        assert ask(idle).endswith(b"hello")
        half.sendall(GET[:10])
        slow.sendall(GET.replace(b"/", b"/slow", 1))
        assert served.entered.acquire(timeout=PATIENCE_S)
        if tls is None:
            garbage = stack.enter_context(served.connect())
            garbage.sendall(b"hello\r\n\r\n")
            check_failure(receive(garbage), b"400", b"http_invalid")
        wait_until(lambda: served.open == (4 if tls is not None else 5))
        served.server.should_exit = True
        for connection in (idle, half, silent):
            assert rest(connection) == b""
        wait_until(lambda: served.open == 1)
        served.go_on.set()
        assert receive(slow).endswith(b"slow")


# What is used of uvicorn and h11 without being promised by them.


def test_what_is_overridden_and_used_is_still_there() -> None:
    for name in ("send_400_response", "on_response_complete", "_should_upgrade", "shutdown", "resume_writing"):
        assert callable(getattr(H11Protocol, name)), name
    with serving() as served, served.connect() as connection:
        assert ask(connection).endswith(b"hello")
        (mine,) = served.server.server_state.connections
        assert isinstance(mine, H11Protocol)
        assert isinstance(mine.flow, FlowControl) and isinstance(mine.cycle, RequestResponseCycle)
        wait_until(lambda: mine.cycle.response_complete)  # set only after the last byte was sent
        assert mine.cycle.scope["state"]["request_id"]
        assert mine.logger.name == CONNECTIONS
        assert (mine.cycle.disconnected, mine.cycle.message_event.is_set()) == (False, True)
        wait_until(lambda: (mine.conn.our_state, mine.conn.their_state) == (h11.IDLE, h11.IDLE))
        assert mine.conn.trailing_data == (b"", False)
        assert dict(mine.server_state.default_headers).keys() == {b"date"}
        assert mine.timeout_keep_alive == protocol.KEEP_ALIVE_S
