"""Several server processes: one address, one store, and a supervisor that keeps them at work."""

import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from face_api import supervisor
from support.command import face_api
from support.light_server import light_photo
from support.load import LIGHT_SETTINGS, MATCH, PHOTO_BYTES, SUCCESS
from support.server import LIGHT, Server, launch, running_server
from support.tls import certificate

PROCESSES = 2
PATIENCE_S = 120.0
SETTINGS = LIGHT_SETTINGS | {"workers": PROCESSES}


def children(server: Server) -> list[psutil.Process]:
    """Return the server's processes: those of Python's own, which keep its resources, are none of them."""
    found = []
    for process in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def photo(person: int, number: int) -> bytes:
    return light_photo(person, number, PHOTO_BYTES)


def ask_all(server: Server) -> None:
    """Enroll and analyse over many connections, so that each process gets some."""

    def ask(person: int) -> list[object]:
        with httpx2.Client(base_url=server.client.base_url, timeout=PATIENCE_S) as client:
            form = {"company": "all", "id": f"user{person}"}
            answers: list[object] = []
            for path, number in (("/enrollment_img/", 0), ("/analy_img/", 1)):
                image = {"image": ("photo.jpg", photo(person, number))}
                answers.append(client.post(path, data=form, files=image, headers={"Connection": "close"}).json())
            return answers

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [[SUCCESS, MATCH]] * 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("data"), LIGHT, **SETTINGS) as server:
        yield server


def test_all_processes_serve_one_store(server: Server) -> None:
    assert len(children(server)) == PROCESSES
    ask_all(server)
    log = "".join(server.log)
    assert log.count("the schema of") == 1, "it is brought up once, before there are several"
    assert log.count("Application startup complete") == PROCESSES
    assert log.count("running on") == 1
    # What was answered over one connection is true over each other one, whichever process has it.
    for _ in range(10):
        with httpx2.Client(base_url=server.client.base_url, timeout=PATIENCE_S) as client:
            image = {"image": ("photo.jpg", photo(7, 2))}
            assert client.post("/analy_img/", data={"company": "all", "id": "user7"}, files=image).json() == MATCH


def test_the_figures_are_those_of_all(server: Server) -> None:
    def requests() -> list[float]:
        counts = []
        for _ in range(6):  # over as many connections
            text = httpx2.get(f"{server.client.base_url}/metrics", timeout=PATIENCE_S).text
            lines = re.findall(r'^face_api_http_requests_total\{.*route="/analy_img/.*\} (\S+)$', text, re.MULTILINE)
            counts.append(sum(map(float, lines)))
        return counts

    before = max(requests())
    ask_all(server)
    assert requests() == [before + 40] * 6


def test_who_is_refused_is_in_the_figures_of_all_and_in_the_log(server: Server) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as connection:
            connection.sendall(b"no HTTP\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    text = server.client.get("/metrics").text
    assert 'face_api_refused_connections_total{reason="http_invalid"} 20.0' in text
    assert '"reason": "http_invalid"' in server.wait_for_log('"message": "refused"')
    assert "Invalid HTTP request" not in "".join(server.log)


def test_a_process_that_dies_is_replaced(server: Server) -> None:
    died = children(server)[0]
    died.kill()
    wait_until(lambda: len(children(server)) == PROCESSES and died not in children(server))
    ask_all(server)
    assert "killed by SIGKILL" in server.wait_for_log(f"the server process {died.pid} ended")
    wait_until(lambda: "".join(server.log).count("Application startup complete") == PROCESSES + 1)
    ask_all(server)


def test_sigterm_to_the_whole_group_finishes_what_was_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with running_server(tmp_path / "data", (*LIGHT, "--delay", "1"), **SETTINGS) as server, ExitStack() as stack:
        (figures,) = temporary.iterdir()
        assert figures.stat().st_mode & 0o777 == 0o700
        callers = []
        for person in range(8):
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S))
            form = httpx2.Request(
                "POST",
                "http://127.0.0.1/enrollment_img/",
                data={"company": "c", "id": f"{person}"},
                files={"image": ("photo.jpg", photo(person, 0))},
                headers={"Expect": "100-continue"},
            )
            head = "".join(f"{name}: {value}\r\n" for name, value in form.headers.items())
            caller.sendall(f"POST /enrollment_img/ HTTP/1.1\r\n{head}\r\n".encode())
            assert caller.recv(1000).startswith(b"HTTP/1.1 100")  # it is accepted: the form is wanted
            caller.sendall(form.read())
            callers.append(caller)
        os.killpg(server.process.pid, signal.SIGTERM)
        for caller in callers:
            answer = b""
            while b'{"result"' not in answer:
                data = caller.recv(1000)
                assert data, answer
                answer += data
            assert answer.endswith(b'{"result":"Success"}')
        assert server.process.wait(PATIENCE_S) == -signal.SIGTERM
    assert list(temporary.iterdir()) == []


def test_ctrl_c_shows_no_traceback(tmp_path: Path) -> None:
    """Whenever it comes: the terminal sends it to all processes, those that have just been started included."""
    for wait_s in (None, 0.3, 1.5):
        process = launch(tmp_path, LIGHT, **SETTINGS)
        assert process.stderr
        log = ""
        if wait_s is None:
            while "running on" not in log:
                log += process.stderr.readline()
        else:
            while "the store is" not in log:  # opened by the parent, which is about to start the others
                log += process.stderr.readline()
            time.sleep(wait_s)
        os.killpg(process.pid, signal.SIGINT)
        log += process.stderr.read()
        process.stderr.close()
        assert process.wait(PATIENCE_S) == (0 if wait_s is None else process.returncode)
        assert "Traceback" not in log and "KeyboardInterrupt" not in log, log


def test_the_processes_end_with_their_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # who is killed cannot remove the folder of the figures
    server = Server(tmp_path, LIGHT, **SETTINGS)
    processes = children(server)
    server.client.close()
    server.kill()
    _, alive = psutil.wait_procs(processes, PATIENCE_S)
    assert not alive
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", server.port)) != 0


def test_a_process_that_cannot_start_is_not_tried_without_end(tmp_path: Path) -> None:
    """While others serve it is tried again, ever more seldom, until what is wrong is mended."""
    keys = tmp_path / "face.keys"
    with running_server(tmp_path, LIGHT, **SETTINGS) as server:
        good = keys.read_text()
        keys.write_text("not a key")
        children(server)[0].kill()
        start = time.monotonic()
        wait_until(lambda: "".join(server.log).count("status 3") >= 2)
        lasted_s = time.monotonic() - start
        assert lasted_s > supervisor.RESTART_S * (1 + 2)
        assert server.client.get("/healthz").status_code == 200
        keys.write_text(good)
        wait_until(lambda: "".join(server.log).count("Application startup complete") == PROCESSES + 1)
        ask_all(server)


def test_when_none_can_be_started_any_more_it_ends(tmp_path: Path) -> None:
    server = Server(tmp_path, LIGHT, **SETTINGS)
    (tmp_path / "face.keys").write_text("not a key")
    for process in children(server):
        process.kill()
    try:
        assert server.process.wait(PATIENCE_S) == 3
        failures = "".join(server.log).count("status 3")
        assert failures == supervisor.MAX_FAILURES, "".join(server.log)
    finally:
        server.client.close()
        server.kill()


def test_what_keeps_all_from_starting_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = face_api("serve", "--workers", "2", "--port", "0", "--data-dir", tmp_path / "file")
    outcome.expect_refusal("File exists")
    face_api("serve", "--workers", "0", "--data-dir", tmp_path).expect_refusal("FACE_API_WORKERS: ")


@pytest.mark.parametrize("workers", [1, PROCESSES])
def test_tls(tmp_path: Path, workers: int) -> None:
    files = certificate(tmp_path / "tls")
    secure = {"tls_cert_file": files.cert, "tls_key_file": files.key}
    process = launch(tmp_path, LIGHT, **SETTINGS | {"workers": workers} | secure)
    try:
        assert process.stderr
        log = ""
        while not (found := re.search(r"running on https://127\.0\.0\.1:(\d+)", log)):
            line = process.stderr.readline()
            assert line, log
            log += line
        context = ssl.create_default_context(cafile=files.cert)
        url = f"https://127.0.0.1:{found[1]}"
        for person in range(4):
            form = {"company": "c", "id": f"user{person}"}
            image = {"image": ("photo.jpg", light_photo(person, 0))}
            answer = httpx2.post(f"{url}/enrollment_img/", data=form, files=image, verify=context, timeout=PATIENCE_S)
            assert answer.json() == SUCCESS
        process.terminate()
        log += process.stderr.read()
        assert process.wait(PATIENCE_S) == -signal.SIGTERM
        assert "Traceback" not in log, log
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def test_files_for_tls_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    one, other = certificate(tmp_path / "one"), certificate(tmp_path / "other")
    outcome = face_api("serve", "--port", "0", "--data-dir", tmp_path, tls_cert_file=one.cert, tls_key_file=other.key)
    outcome.expect_refusal("are not a certificate and its key")
    outcome = face_api("serve", "--port", "0", "--data-dir", tmp_path, tls_cert_file=one.cert)
    outcome.expect_refusal("FACE_API_TLS_CERT_FILE and FACE_API_TLS_KEY_FILE")
