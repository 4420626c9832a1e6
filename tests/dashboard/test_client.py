import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from face_dashboard.client import AccessDeniedError, ApiClient, ApiError, RefusedError

HEALTH = {
    "status": "ok",
    "version": "1.2.3",
    "runtime": "reference",
    "device": "cpu",
    "encoder_id": "e1",
    "inference_workers": 2,
}


class Answer(BaseHTTPRequestHandler):
    status, body = 200, b""
    seen: tuple[str, str, str | None] = ("", "", None)

    def do_GET(self) -> None:
        Answer.seen = self.command, self.path, self.headers.get("Authorization")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    do_DELETE = do_GET  # noqa: N815 - as its base class calls it

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def problem(status: int, reason: str) -> bytes:
    title = "What {went} wrong."
    return json.dumps({"title": title, "status": status, "reason": reason, "request_id": "r1"}).encode()


def test_health_is_typed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "body", json.dumps(HEALTH | {"added_later": 1}).encode())
    health = ApiClient(address).health()
    assert (health.version, health.device, health.inference_workers) == ("1.2.3", "cpu", 2)


def test_every_call_brings_the_key_that_holds_now(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "body", json.dumps(HEALTH).encode())
    keys = iter(["fk_one", "fk_two", None])
    client = ApiClient(address, lambda: next(keys))
    seen = []
    for _ in range(3):
        client.health()
        seen.append(Answer.seen[2])
    assert seen == ["Bearer fk_one", "Bearer fk_two", None]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (503, b"", "HTTP status 503"),
        (404, b"", "HTTP status 404"),
        (500, b"[]", "HTTP status 500"),
        (200, b"<html>some other site</html>", "not the face verification API"),
        (200, b'{"status": "ok"}', "not the face verification API"),
    ],
)
def test_what_is_wrong_is_told_in_plain_words(
    address: str, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, message: str
) -> None:
    monkeypatch.setattr(Answer, "status", status)
    monkeypatch.setattr(Answer, "body", body)
    with pytest.raises(ApiError, match=message):
        ApiClient(address).health()


@pytest.mark.parametrize(
    ("status", "reason", "error_type"),
    [
        (401, "key_missing", AccessDeniedError),
        (403, "admin_required", AccessDeniedError),
        (404, "user_unregistered", RefusedError),
        (429, "too_many_requests", RefusedError),
        (503, "store_unavailable", ApiError),
    ],
)
def test_a_problem_is_told_by_its_title_and_reason(
    address: str, monkeypatch: pytest.MonkeyPatch, status: int, reason: str, error_type: type[ApiError]
) -> None:
    monkeypatch.setattr(Answer, "status", status)
    monkeypatch.setattr(Answer, "body", problem(status, reason))
    with pytest.raises(ApiError) as caught:
        ApiClient(address).user("withmind", "tamy")
    assert type(caught.value) is error_type
    assert (str(caught.value), caught.value.reason, caught.value.request_id) == ("What {went} wrong.", reason, "r1")


def test_a_name_cannot_leave_its_place_in_the_path(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "status", 404)
    with pytest.raises(ApiError):
        ApiClient(address).erase_user("with/mind", "../companies?x=1#y")
    assert Answer.seen[:2] == ("DELETE", "/v1/companies/with%2Fmind/users/..%2Fcompanies%3Fx%3D1%23y")


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9", "nonsense", "http://[bad"])
def test_nothing_answers(base_url: str) -> None:
    with pytest.raises(ApiError, match="Nothing answers at") as caught:
        ApiClient(base_url).health()
    assert caught.value.reason == "unreachable"
