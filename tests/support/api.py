"""The whole service in this process, but for the networks: photos with planted faces, callers, and their answers."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import httpx2
from httpx2 import Response
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import Message

from face_api.app import create_app
from face_api.inference import Analyser
from face_api.problems import PROBLEMS, TYPE_PREFIX
from face_api.routes.v1 import Endpoint, v1_endpoints
from face_api.settings import Settings
from face_api.store import Caller, Store, open_configured
from face_api.store.database import DATABASE_NAME
from face_engine.search import Scope
from face_engine.types import Analysis, Quality
from support.documented import Documented
from support.fakes import FakeAnalyser, face
from support.made import begin_sqlite

LOCAL = "http://127.0.0.1"
USERS = "/v1/companies/withmind/users"
TAMYS = USERS + "/tamy"
ENROLLMENTS = TAMYS + "/enrollments"
VERIFICATIONS = TAMYS + "/verifications"
FIELDS = {"company": "withmind", "id": "tamy"}
SUCCESS, FAIL = {"result": "Success"}, {"result": "Fail"}

Headers = dict[str, str]
Json = dict[str, Any]


def photo(tag: str) -> bytes:
    """Return bytes that begin as a JPEG does; `Planted` tells what they show."""
    return b"\xff\xd8\xff" + tag.encode()


TAMY, TAMY_AGAIN, STRANGER, CROWD, EMPTY, POOR = map(
    photo, ("tamy", "tamy again", "stranger", "crowd", "empty", "poor")
)
POOR_QUALITY = Quality(
    size=40.0, sharpness=0.5, brightness=0.25, turn=0.1, inside=0.75, reasons=("face_too_small", "face_cut")
)


class Planted(FakeAnalyser):
    """Knows the photos of this module: tamy at 0.0, again at 0.5, a stranger at 0.75; see support.fakes.face."""

    def __init__(self) -> None:
        super().__init__()
        self.plant(TAMY, face(0.0))
        self.plant(TAMY_AGAIN, face(0.5))
        self.plant(STRANGER, face(0.75))
        self.plant(CROWD, face(2.0, left=500), face(0.1, left=10), face(0.75, left=250))
        self.plant(EMPTY)
        self.plant(POOR, face(0.25, quality=POOR_QUALITY))


class Held(Planted):
    """Holds every photo until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        self.released = asyncio.Event()

    async def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        self.held += 1
        await self.released.wait()
        return await super().analyse(image_bytes, scope)


def app_of(data_dir: Path, analyser: Analyser | None = None, **settings: Any) -> Starlette:
    """Return the application, which takes small photos at the contract's endpoints, too."""
    if not (data_dir / DATABASE_NAME).exists() and not {"database_url", "keys", "key_file"} & settings.keys():
        begin_sqlite(data_dir)
    return create_app(Settings(data_dir=data_dir, min_image_bytes=0, **settings), analyser or Planted())


@contextmanager
def served(data_dir: Path, analyser: Analyser | None = None, **settings: Any) -> Iterator[TestClient]:
    """A client of the service. Whatever it is answered must be in the OpenAPI document."""
    app = app_of(data_dir, analyser, **settings)
    # A caller who is told that the connection ends hangs up; TestClient never does.
    with patch("face_api.responses.DRAIN_IDLE_S", 0.01), TestClient(app, base_url=LOCAL) as client:
        documented = Documented(client.get("/openapi.json").json())

        def compare(response: Response) -> None:
            response.read()
            documented.check(response)

        client.event_hooks = {"response": [compare]}
        yield client


@contextmanager
def opened(data_dir: Path) -> Iterator[Store]:
    """The store of the service, opened by another process as it were."""
    with closing(open_configured(Settings(data_dir=data_dir))) as store:
        yield store


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, and the header that its owner sends."""

    key_id: str
    secret: str

    @property
    def headers(self) -> Headers:
        return {"X-API-Key": self.secret}


def new_key(data_dir: Path, company: str | None = None) -> Key:
    """Make a company's key; without a company, an administrator's."""
    with opened(data_dir) as store:
        made = store.api_keys.create(Caller("test"), company)
    return Key(made.summary.key_id, made.secret)


def send(client: TestClient, path: str, image: bytes, headers: Headers | None = None, **fields: str) -> Response:
    """Post a photo to one of v1's operations."""
    response: Response = client.post(path, data=fields, files={"image": ("i.jpg", image)}, headers=headers)
    return response


def enroll(client: TestClient, image: bytes, path: str = ENROLLMENTS, headers: Headers | None = None) -> int:
    """Enroll a photo, newly, and return the id of the reference."""
    answer = send(client, path, image, headers)
    assert answer.status_code == 201, answer.text
    reference_id: int = answer.json()["reference_id"]
    return reference_id


def post(client: TestClient, path: str, image: bytes, headers: Headers | None = None, **fields: str) -> Response:
    """Post a photo of withmind's tamy, unless `fields` say otherwise, to one of the contract's endpoints."""
    return send(client, path, image, headers, **(FIELDS | fields))


def check(response: Response, body: Json, reason: str, status: int = 200) -> None:
    """Fail unless it is this answer of one of the contract's endpoints."""
    assert (response.json(), response.headers["x-face-reason"], response.status_code) == (body, reason, status)


def check_problem(response: Response, reason: str, status: int, **more: Any) -> None:
    """Fail unless it is this problem, with all of RFC 9457's members and `more` alone."""
    assert (response.headers.get("x-face-reason"), response.status_code) == (reason, status), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "type": TYPE_PREFIX + reason,
        "title": PROBLEMS[reason][1],
        "status": status,
        "reason": reason,
        "request_id": response.headers["x-request-id"],
        **more,
    }


V1: Sequence[Endpoint] = v1_endpoints(*[cast(Any, None)] * 7)
"""Every operation of v1. They cannot be called; `ask` asks a service for one of them."""


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def ask(
    client: TestClient, endpoint: Endpoint, headers: Headers | None = None, company: str = "withmind", **names: Any
) -> Response:
    """Ask for an operation with all that it needs."""
    path = endpoint.path.format(**({"user": "tamy", "enrollment": 1, "key": "0" * 12} | names | {"company": company}))
    content: Json = {}
    if endpoint.expects == "photo":
        content = {"files": {"image": ("i.jpg", TAMY)}}
    elif endpoint.expects == "json":
        content = {"json": {"tolerance": 0.5} if endpoint.method == "PUT" else {"admin": True}}
    response: Response = client.request(endpoint.method, path, headers=headers, **content)
    return response


@dataclass(frozen=True, slots=True)
class Answer:
    """What `exchange` was answered. `asked`: how often the application asked for the message before it answered."""

    status: int
    headers: Headers
    body: bytes
    asked: int

    @property
    def reason(self) -> str:
        return self.headers["x-face-reason"]


async def exchange(
    app: Starlette,
    method: str,
    path: str,
    headers: Headers | None = None,
    chunks: Sequence[bytes] = (),
    *,
    is_complete: bool = True,
    leave: asyncio.Event | None = None,
    reading: asyncio.Semaphore | None = None,
    host: str | None = "127.0.0.1",
) -> Answer:
    """Send a request straight into the application.

    Args:
        chunks: of the message; unless it `is_complete` no end of it ever comes.
        leave: set when the caller goes away; otherwise they wait for the answer.
        reading: released when all chunks were read, and more is asked for.
    """
    rest = list(chunks)
    messages: list[Message] = []
    gone = leave or asyncio.Event()
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += not messages
        if rest or (is_complete and asked == 1):
            body = rest.pop(0) if rest else b""
            return {"type": "http.request", "body": body, "more_body": bool(rest) or not is_complete}
        if reading is not None:
            reading.release()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)
        if message["type"] == "http.response.body":
            gone.set()

    sent = {**({} if host is None else {"host": host}), **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
    }
    async with asyncio.timeout(30):
        await app(scope, receive, send)
    start, *bodies = messages
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], told, b"".join(body["body"] for body in bodies), asked)


def form_of(image: bytes, **fields: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the content of a form, for `exchange`."""
    request = httpx2.Request("POST", LOCAL, data=fields, files={"image": ("i.jpg", image)})
    return {"content-type": request.headers["content-type"]}, request.read()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)
