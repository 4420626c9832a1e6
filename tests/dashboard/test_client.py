import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from face_dashboard.client import ApiClient, ApiError

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

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_health_is_typed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "body", json.dumps(HEALTH | {"added_later": 1}).encode())
    health = ApiClient(address).health()
    assert (health.version, health.device, health.inference_workers) == ("1.2.3", "cpu", 2)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (503, b"", "HTTP status 503"),
        (404, b"", "HTTP status 404"),
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


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9", "nonsense", "http://[bad"])
def test_nothing_answers(base_url: str) -> None:
    with pytest.raises(ApiError, match="Nothing answers at"):
        ApiClient(base_url).health()
