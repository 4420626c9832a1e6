"""The service as integrators meet it: real photos, real networks, a real socket.

Every row of the specification's tables is here. The photos are small and padded into the size band.
"""

import http.client
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from face_api.store.database import DATABASE_NAME
from support.photos import IN_BAND, MAX_BAND, MIN_BAND, collage, jpeg, noise, png, png_bomb, portrait, scan_bomb
from support.server import FORM, Server, running_server

SUCCESS, FAIL = {"result": "Success"}, {"result": "Fail"}
SIZE_ERROR = {"result": {"message": "Fail", "reason": "img_size_err"}}
TYPE_ERROR = {"result": {"message": "Fail", "reason": "File type err"}}
UNREGISTERED = {"result": {"result": "unregistered user"}}
MATCH, DISMATCH = {"result": {"person_1": "match"}}, {"result": {"person_1": "dismatch"}}

OBAMA = jpeg(portrait("obama.jpg"), IN_BAND)
OBAMA_LATER = jpeg(portrait("obama2.jpg"), IN_BAND)
BIDEN = jpeg(portrait("biden.jpg"), IN_BAND)
NOBODY = jpeg(noise(), IN_BAND)
BOTH = jpeg(collage(["obama2.jpg", "biden.jpg"]), IN_BAND)

MESSAGE_LIMIT = 1_024_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which withmind's tamy is Obama."""
    # The tests are callers without measure, and mostly of one user; a hundred photos take a loaded machine its time.
    folder = tmp_path_factory.mktemp("data")
    with running_server(folder, max_queue=100, limit_per_user="none", deadline_s=60) as server:
        assert server.enroll(OBAMA, gender="1", age="48").json() == SUCCESS
        yield server


def check(response: httpx2.Response, body: dict[str, Any], reason: str) -> None:
    assert (response.json(), response.headers["x-face-reason"], response.status_code) == (body, reason, 200)


# The enrollment's table.


def test_enrolled(server: Server) -> None:
    response = server.enroll(BIDEN, id="joe", gender="1", age="74")
    check(response, SUCCESS, "enrolled")
    assert response.text == '{"result":"Success"}'
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("image", "reason"), [(NOBODY, "no_face"), (BOTH, "several_faces")])
def test_not_enrolled(server: Server, image: bytes, reason: str) -> None:
    check(server.enroll(image, id="nobody"), FAIL, reason)
    check(server.analyse(OBAMA, id="nobody"), UNREGISTERED, "user_unregistered")


# The analysis' table.


@pytest.mark.parametrize(
    ("image", "body"),
    [
        (OBAMA_LATER, MATCH),
        (png(portrait("obama3.jpg"), IN_BAND), MATCH),
        (BIDEN, DISMATCH),
        (BOTH, {"result": {"person_1": "match", "person_2": "dismatch"}}),
        (
            jpeg(collage(["biden.jpg", "obama2.jpg", "biden.jpg"]), IN_BAND),
            {"result": {"person_1": "dismatch", "person_2": "match", "person_3": "dismatch"}},
        ),
    ],
    ids=["same person", "same person, PNG", "another person", "two people", "three people"],
)
def test_analysed(server: Server, image: bytes, body: dict[str, Any]) -> None:
    check(server.analyse(image), body, "compared")


def test_no_face(server: Server) -> None:
    check(server.analyse(NOBODY), FAIL, "no_face")


@pytest.mark.parametrize("fields", [{"company": "nocompany"}, {"id": "nouser"}])
def test_unregistered(server: Server, fields: dict[str, str]) -> None:
    check(server.analyse(OBAMA, **fields), UNREGISTERED, "user_unregistered")


# Both tables: size and type, at the exact byte.


@pytest.mark.parametrize("size", [MIN_BAND, MAX_BAND])
def test_the_first_and_the_last_size_that_are_taken(server: Server, size: int) -> None:
    image = jpeg(portrait("obama.jpg"), size)
    assert len(image) == size
    check(server.enroll(image, id=f"size{size}"), SUCCESS, "enrolled")
    check(server.analyse(image, id=f"size{size}"), MATCH, "compared")


@pytest.mark.parametrize("path", ["/enrollment_img/", "/analy_img/"])
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (jpeg(portrait("obama.jpg"), MIN_BAND - 1), "image_too_small"),
        (jpeg(portrait("obama.jpg"), MAX_BAND + 1), "image_too_large"),
    ],
)
def test_a_byte_outside_the_size_band(server: Server, path: str, image: bytes, reason: str) -> None:
    check(server.post(path, image), SIZE_ERROR, reason)


@pytest.mark.parametrize("path", ["/enrollment_img/", "/analy_img/"])
@pytest.mark.parametrize(
    "image",
    [b"this is a text".ljust(IN_BAND), b"", b"GIF89a".ljust(IN_BAND, b"\0"), OBAMA[1:], b"\0" + OBAMA],
    ids=["text", "empty", "gif", "without its first byte", "behind a byte"],
)
def test_not_an_image_type_we_take(server: Server, path: str, image: bytes) -> None:
    check(server.post(path, image), TYPE_ERROR, "image_type_unsupported")


def message_of(size: int, boundary: str = "b0undary") -> bytes:
    """Return a well-formed message of exactly `size` bytes."""
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in FORM.items()
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="i.jpg"\r\n\r\n'
    tail = f"\r\n--{boundary}--\r\n"
    image = OBAMA.ljust(size - len(head) - len(tail), b"\0")
    message = head.encode() + image + tail.encode()
    assert len(message) == size
    return message


def post_raw(server: Server, message: Any, **headers: str) -> httpx2.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=b0undary"} | headers
    return server.client.post("/analy_img/", content=message, headers=headers)


@pytest.mark.parametrize(
    ("size", "reason"), [(MESSAGE_LIMIT, "image_too_large"), (MESSAGE_LIMIT + 1, "message_too_large")]
)
def test_the_message_limit_at_the_exact_byte(server: Server, size: int, reason: str) -> None:
    message = message_of(size)
    check(post_raw(server, message), SIZE_ERROR, reason)
    chunks = (message[start : start + 65_536] for start in range(0, size, 65_536))
    check(post_raw(server, chunks), SIZE_ERROR, reason)  # chunked: its size is not told beforehand


def test_a_message_far_too_large_is_answered_before_it_was_sent(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/analy_img/")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b0undary")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()
    response = connection.getresponse()
    assert response.getheader("connection") == "close"
    assert response.read() == b'{"result":{"message":"Fail","reason":"img_size_err"}}'
    connection.close()


def test_a_message_too_large_is_answered_however_stubbornly_it_is_sent(server: Server) -> None:
    # http.client sends everything before it reads: an early close would reset the connection and lose the answer.
    for size in (MESSAGE_LIMIT + 1, 5_000_000, 50_000_000):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/analy_img/", body=bytes(size))
        assert connection.getresponse().read() == b'{"result":{"message":"Fail","reason":"img_size_err"}}'
        connection.close()


def test_a_message_too_large_that_comes_slowly_is_answered(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head_of(1_500_000))
        for _ in range(30):  # as a phone sends it: 3 seconds
            connection.sendall(bytes(50_000))
            time.sleep(0.1)
        assert b'{"result":{"message":"Fail","reason":"img_size_err"}}' in connection.recv(65_536)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_the_answer_to_a_message_too_large(server: Server, tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(3_000_000))
    command = ["curl", "-sS", "-F", "company=withmind", "-F", "id=tamy", "-F", f"image=@{tmp_path / 'large.jpg'}"]
    command.append(f"http://127.0.0.1:{server.port}/analy_img/")
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.stdout, result.stderr) == ('{"result":{"message":"Fail","reason":"img_size_err"}}', "")


# Bad input.


@pytest.mark.parametrize("path", ["/enrollment_img/", "/analy_img/"])
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (OBAMA[: IN_BAND - 5_000], "image_truncated"),
        (png_bomb(), "image_too_many_pixels"),
        (scan_bomb(), "image_too_many_scans"),
        (b"\xff\xd8\xff\xd9".ljust(IN_BAND, b"\0"), "image_corrupt"),
        (jpeg(noise(20, 20), IN_BAND), "no_face"),
    ],
    ids=["truncated", "144 megapixels", "2000 scans", "no picture at all", "20 x 20 pixels"],
)
def test_photos_that_cannot_be_analysed(server: Server, path: str, image: bytes, reason: str) -> None:
    check(server.post(path, image), FAIL, reason)


@pytest.mark.parametrize("path", ["/enrollment_img/", "/analy_img/"])
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": "TAMY"}, "id_invalid"),
        ({"id": "t" * 10_000}, "id_invalid"),
        ({"company": "With Mind"}, "company_invalid"),
        ({"company": ""}, "company_missing"),
    ],
)
def test_fields_that_are_malformed(server: Server, path: str, fields: dict[str, str], reason: str) -> None:
    check(server.post(path, OBAMA, **fields), FAIL, reason)


@pytest.mark.parametrize("fields", [{"gender": "2"}, {"gender": "male"}, {"age": "151"}, {"age": "-1"}])
def test_gender_and_age_outside_their_meaning(server: Server, fields: dict[str, str]) -> None:
    check(server.enroll(OBAMA, **fields), FAIL, f"{next(iter(fields))}_invalid")


def test_no_file_and_two_files(server: Server) -> None:
    files = [("image", ("a.jpg", OBAMA)), ("image", ("b.jpg", b"x"))]
    check(server.client.post("/enrollment_img/", data=FORM, files={"other": ("a.jpg", b"x")}), FAIL, "image_missing")
    check(server.client.post("/enrollment_img/", data=FORM, files=files), FAIL, "image_repeated")
    check(server.client.post("/analy_img/", json=FORM), FAIL, "form_invalid")
    check(server.client.post("/analy_img/"), FAIL, "form_invalid")


def converse(server: Server, *pieces: bytes) -> bytes:
    """Send raw bytes and return everything that comes back until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        try:
            while data := connection.recv(65_536):
                answer += data
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def head_of(length: int) -> bytes:
    return (
        "POST /analy_img/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b0undary\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_a_message_shorter_than_it_says_is_answered_when_its_time_is_up(tmp_path: Path) -> None:
    message = message_of(450_000)
    with running_server(tmp_path, message_timeout_s=1, inference_workers=1) as server:
        answer = converse(server, head_of(len(message) + 1000), message)
    assert re.search(rb"\r\nx-face-reason: message_incomplete\r\n", answer)
    assert answer.endswith(b'\r\n\r\n{"result":"Fail"}')


@pytest.mark.parametrize("surplus", [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 1000])
def test_what_comes_behind_a_broken_message_is_neither_served_nor_an_error(server: Server, surplus: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head_of(1000) + bytes(1000))
        answer = connection.recv(65_536)
        assert b"x-face-reason: form_invalid" in answer
        connection.sendall(surplus)
        try:
            while data := connection.recv(65_536):
                answer += data
        except ConnectionResetError:
            pass
    assert answer.count(b"HTTP/1.1") == 1
    # The server must not have logged a traceback either: its fixture checks that.


def test_a_message_longer_than_it_says_is_cut_where_it_said(server: Server) -> None:
    answer = converse(server, head_of(250_000), message_of(450_000))
    assert answer.count(b"HTTP/1.1") == 1, "what is behind the message must not be taken for another request"
    assert b"x-face-reason: form_invalid" in answer
    assert answer.endswith(b'\r\n\r\n{"result":"Fail"}')


def test_a_caller_who_goes_away_costs_nothing(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(head_of(400_000).replace(b"\r\n\r\n", b"\r\nX-Request-ID: left\r\n\r\n") + b"--b0undary")
    line = server.wait_for_log('"request_id": "left"')
    assert '"reason": "message_incomplete"' in line
    check(server.analyse(OBAMA), MATCH, "compared")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell memory in /proc")
def test_a_message_without_end_needs_no_memory(server: Server) -> None:
    def resident_kb() -> int:
        return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[0])

    before = resident_kb()
    sent = 0
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    head = head_of(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        try:
            while sent < 200_000_000:
                connection.sendall(chunk)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 100_000_000, "the server went on reading"
    assert resident_kb() - before < 30_000


# What must hold beyond single answers.


def test_a_hundred_concurrent_enrollments_lose_none(server: Server) -> None:
    tiny = jpeg(portrait("obama.jpg", height=240)[:130, 30:160], MIN_BAND)  # a search takes 0.1 s
    users = [f"concurrent{number}" for number in range(100)]
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda user: server.enroll(tiny, company="crowd", id=user).json(), users))
    assert answers == [SUCCESS] * 100
    again = [server.enroll(tiny, company="crowd", id=user).headers["x-face-reason"] for user in users]
    assert again == ["already_enrolled"] * 100
    check(server.analyse(OBAMA_LATER, company="crowd", id="concurrent57"), MATCH, "compared")


def test_health_is_answered_while_photos_are_analysed(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        analyses = [pool.submit(server.analyse, BIDEN) for _ in range(4)]
        answered = 0
        while not all(analysis.done() for analysis in analyses):
            assert server.client.get("/healthz").status_code == 200
            answered += 1
            time.sleep(0.02)
    assert [analysis.result().json() for analysis in analyses] == [DISMATCH] * 4
    assert answered > 5


def test_sigterm_to_the_whole_group_finishes_what_was_accepted(tmp_path: Path) -> None:
    form = message_of(450_000)
    head = head_of(len(form)).replace(b"analy", b"enrollment").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    with ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path))
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)) for _ in range(3)
        ]
        for connection in connections:
            connection.sendall(head)
            assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # it is accepted: the form is wanted
            connection.sendall(form)
        os.killpg(server.process.pid, signal.SIGTERM)
        for connection in connections:
            answer = b""
            while b'{"result"' not in answer:
                answer += connection.recv(1000)
            assert answer.endswith(b'{"result":"Success"}')
        assert server.process.wait(60) == -signal.SIGTERM


def test_restart_keeps_enrollments(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        check(server.enroll(OBAMA, gender="1", age="48"), SUCCESS, "enrolled")
        server.stop(signal.SIGKILL)  # what was acknowledged is on disk, however the server ends
    with running_server(tmp_path) as server:
        check(server.analyse(OBAMA_LATER), MATCH, "compared")
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        rows = connection.execute("SELECT key, gender, age, length(template) FROM users JOIN face_references")
        # Sealed: 2 bytes, a key id of 9, a nonce of 12, a tag of 16, and the template's 512.
        assert rows.fetchall() == [("tamy", 1, 48, 551)]


def test_the_photo_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    marked, refused = (
        image[:100] + mark + image[100 + len(mark) :]
        for image, mark in ((OBAMA, b"MARK-OF-THE-PHOTO"), (BOTH, b"MARK-OF-A-REFUSED-ONE"))
    )
    analysed = OBAMA_LATER[:100] + b"MARK-OF-AN-ANALYSED-ONE" + OBAMA_LATER[123:]
    with running_server(data) as server:
        check(server.enroll(marked), SUCCESS, "enrolled")
        check(server.enroll(refused), FAIL, "several_faces")
        check(server.analyse(analysed), MATCH, "compared")
        for _ in range(2):  # while it runs, with its write-ahead log, and when it has ended
            files = [path for path in data.rglob("*") if path.is_file()]
            assert files
            for path in files:
                content = path.read_bytes()
                assert b"MARK-OF" not in content, path
                for photo in (marked, refused, analysed):
                    pieces = (photo[start : start + 16] for start in range(0, len(photo), 997))
                    # Padding and tables of a JPEG are nobody's.
                    assert not any(piece in content for piece in pieces if len(set(piece)) > 12), path
            assert not any(temporary.rglob("*"))
            server.stop()
        assert "MARK" not in "".join(server.log)
