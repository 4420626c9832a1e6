import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from face_dashboard.front import PAGES
from support.dashboard import Dashboard, launch, running_dashboard

NOWHERE = "http://127.0.0.1:9"
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("dashboard"), NOWHERE, session_idle_minutes=10) as running:
        yield running


@pytest.fixture
def stranger(dashboard: Dashboard) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=dashboard.url) as client:
        yield client


@pytest.mark.parametrize("page", PAGES)
def test_every_page_sends_a_stranger_to_the_sign_in(stranger: httpx2.Client, page: str) -> None:
    answer = stranger.get(f"/{page}", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/_stcore/host-config"),
        ("GET", "/_stcore/metrics"),
        ("GET", "/media/0123.png"),
        ("PUT", "/_stcore/upload_file/session/file"),
        ("POST", "/"),
        ("GET", "/people/../media/0123.png"),
        ("GET", "//_stcore/host-config"),
    ],
)
def test_a_stranger_gets_nothing_else_either(stranger: httpx2.Client, method: str, path: str) -> None:
    assert stranger.request(method, path).status_code == 401


def handshake(dashboard: Dashboard, **headers: str) -> str:
    """Return the first line of the answer to a web socket's handshake."""
    host, port = dashboard.url.removeprefix("http://").split(":")
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(4096).split(b"\r\n")[0].decode()


def test_the_pages_socket_opens_for_who_is_signed_in_alone(dashboard: Dashboard) -> None:
    with dashboard.sign_in() as client:
        cookie = f"face_dashboard_session={client.cookies['face_dashboard_session']}"
    assert "403" in handshake(dashboard)
    assert "403" in handshake(dashboard, Cookie="face_dashboard_session=x")
    assert "101" in handshake(dashboard, Cookie=cookie)
    assert "403" in handshake(dashboard, Cookie=cookie, Origin="http://elsewhere.example")


def test_the_password_opens_and_the_cookie_is_for_this_site_and_no_script(dashboard: Dashboard) -> None:
    answer = httpx2.post(f"{dashboard.url}/sign-in", data={"password": dashboard.password})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    behind_tls = httpx2.post(
        f"{dashboard.url}/sign-in", data={"password": dashboard.password}, headers={"X-Forwarded-Proto": "https"}
    )
    assert "secure" in behind_tls.headers["set-cookie"].lower()


def test_a_new_session_ends_the_one_that_the_browser_had(dashboard: Dashboard) -> None:
    with dashboard.sign_in() as client:
        old = {"face_dashboard_session": client.cookies["face_dashboard_session"]}
        client.post("/sign-in", data={"password": dashboard.password})
        assert client.get("/", headers=HTML).is_success
    with httpx2.Client(base_url=dashboard.url, cookies=old) as client:
        assert client.get("/", headers=HTML).status_code == 303


def test_what_was_made_for_somebody_is_kept_nowhere(dashboard: Dashboard) -> None:
    with dashboard.sign_in() as client:
        assert client.get("/media/0123.png").headers.get_list("cache-control")[-1] == "private, no-store"


def test_a_wrong_password_is_told_and_begins_no_session(stranger: httpx2.Client) -> None:
    answer = stranger.post("/sign-in", data={"password": "<b>wrong</b>"})
    assert answer.status_code == 403
    assert "This is not the password." in answer.text
    assert "wrong</b>" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "content", [b"", b"password", b"other=1", b"password=" + b"x" * 5000, b"\xff=1", b"a=1&b=2&c=3&d=4&password=5"]
)
def test_what_is_no_form_with_a_password_is_refused(stranger: httpx2.Client, content: bytes) -> None:
    assert stranger.post("/sign-in", content=content).status_code == 400


def test_another_sites_form_signs_nobody_in(dashboard: Dashboard, stranger: httpx2.Client) -> None:
    form = {"password": dashboard.password}
    for origin in ("http://elsewhere.example", "null"):
        assert stranger.post("/sign-in", data=form, headers={"Origin": origin}).status_code == 403


def test_the_sign_in_is_in_the_readers_language_and_needs_no_other_site(stranger: httpx2.Client) -> None:
    english = stranger.get("/sign-in")
    korean = stranger.get("/sign-in", headers={"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"})
    assert "Administrator" in english.text
    assert "관리자" in korean.text
    for page in (english, korean):
        assert not re.search("https?://", page.text)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"


def test_no_page_of_another_site_can_frame_this_one(dashboard: Dashboard) -> None:
    with dashboard.sign_in() as client:
        for path in ("/", "/sign-in", "/_stcore/health"):
            assert client.get(path).headers["x-frame-options"] == "DENY"


def test_an_unused_session_ends(tmp_path: Path) -> None:
    with running_dashboard(tmp_path, NOWHERE, session_idle_minutes=0.01) as dashboard, dashboard.sign_in() as client:
        time.sleep(0.7)
        assert client.get("/", headers=HTML).status_code == 303


def test_the_password_is_told_once_and_can_be_made_anew(tmp_path: Path) -> None:
    with running_dashboard(tmp_path, NOWHERE) as dashboard:
        first = dashboard.password
    renewing = launch("password", data_dir=tmp_path)
    said, _ = renewing.communicate(timeout=60)
    assert renewing.returncode == 0
    with running_dashboard(tmp_path, NOWHERE) as dashboard:
        assert not any("shown this once" in line for line in dashboard.log)
        second = said.strip().rpartition(" ")[2]
        for password, status in ((first, 403), (second, 303)):
            assert httpx2.post(f"{dashboard.url}/sign-in", data={"password": password}).status_code == status


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 0}, "FACE_DASHBOARD_PORT"),
        ({"api_url": "nonsense"}, "FACE_DASHBOARD_API_URL"),
        ({"api_url": "http://me:secret@127.0.0.1"}, "no password"),
        ({"session_hours": "no"}, "FACE_DASHBOARD_SESSION_HOURS"),
        ({"pasword": "x"}, "no such setting: FACE_DASHBOARD_PASWORD"),
        ({"api_key_file": "/nowhere/key"}, "FACE_DASHBOARD_API_KEY_FILE"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_message(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    process = launch(**{"data_dir": tmp_path, **settings})
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert message in said
    assert "Traceback" not in said
