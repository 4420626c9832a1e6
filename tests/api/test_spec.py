"""The two endpoints with planted faces: every outcome's body, status and reason. Real faces are in end_to_end."""

import asyncio
import re
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from httpx2 import Response
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import Message

from face_api.app import create_app
from face_api.settings import Settings
from face_api.store import Added, Caller, Store, StoreUnavailableError, open_configured
from face_api.store.audit import AuditEntry
from face_api.store.enrollments import EnrollmentStore
from face_engine.errors import ImageTruncatedError, InferenceError, OutOfMemoryError
from face_engine.images import decode
from face_engine.search import Scope
from face_engine.types import Analysis
from support.fakes import FakeAnalyser, face
from support.made import begin_sqlite
from support.store import enroll as put
from support.store import references_of, rows

LOCAL = "http://127.0.0.1"

FIELDS = {"company": "withmind", "id": "tamy"}
SIZE_ERROR = {"result": {"message": "Fail", "reason": "img_size_err"}}
TYPE_ERROR = {"result": {"message": "Fail", "reason": "File type err"}}
UNREGISTERED = {"result": {"result": "unregistered user"}}
SUCCESS, FAIL = {"result": "Success"}, {"result": "Fail"}


def photo(tag: str, size: int = 300_000) -> bytes:
    """Return bytes that begin as a JPEG does; the planted analyser tells what they show."""
    return (b"\xff\xd8\xff" + tag.encode()).ljust(size, b"\0")


TAMY, TAMY_AGAIN, STRANGER, CROWD, EMPTY = (photo(tag) for tag in ("tamy", "again", "stranger", "crowd", "empty"))


@pytest.fixture
def analyser() -> FakeAnalyser:
    fake = FakeAnalyser()
    fake.plant(TAMY, face(0.0))
    fake.plant(TAMY_AGAIN, face(0.5))
    fake.plant(STRANGER, face(0.75))
    fake.plant(CROWD, face(0.9, left=500), face(0.1, left=10), face(2.0, left=250))
    fake.plant(EMPTY)
    return fake


@pytest.fixture
def client(tmp_path: Path, analyser: FakeAnalyser) -> Iterator[TestClient]:
    begin_sqlite(tmp_path)
    with TestClient(create_app(Settings(data_dir=tmp_path), analyser), base_url=LOCAL) as client:
        yield client


def enroll(client: TestClient, image: bytes, **fields: str) -> Response:
    return post(client, "/enrollment_img/", image, **fields)


def analyse(client: TestClient, image: bytes, **fields: str) -> Response:
    return post(client, "/analy_img/", image, **fields)


def post(client: TestClient, path: str, image: bytes, **fields: str) -> Response:
    response: Response = client.post(path, data=FIELDS | fields, files={"image": ("test_img.jpg", image)})
    return response


@contextmanager
def opened(data_dir: Path) -> Iterator[Store]:
    """The store of the service, opened by another process as it were."""
    with closing(open_configured(Settings(data_dir=data_dir))) as store:
        yield store


def check(response: Response, body: dict[str, Any], reason: str, status: int = 200) -> None:
    assert (response.json(), response.headers["x-face-reason"], response.status_code) == (body, reason, status)


def test_enrolled(client: TestClient) -> None:
    check(enroll(client, TAMY, gender="0", age="28"), SUCCESS, "enrolled")


@pytest.mark.parametrize(
    ("image", "body", "reason"),
    [
        (TAMY_AGAIN, {"result": {"person_1": "match"}}, "compared"),
        (STRANGER, {"result": {"person_1": "dismatch"}}, "compared"),
        (CROWD, {"result": {"person_1": "match", "person_2": "dismatch", "person_3": "dismatch"}}, "compared"),
        (EMPTY, FAIL, "no_face"),
    ],
)
def test_analysed(client: TestClient, image: bytes, body: dict[str, Any], reason: str) -> None:
    enroll(client, TAMY)
    check(analyse(client, image), body, reason)


def test_the_nearest_of_several_references_decides(client: TestClient) -> None:
    enroll(client, TAMY)
    check(analyse(client, STRANGER), {"result": {"person_1": "dismatch"}}, "compared")
    enroll(client, TAMY_AGAIN)
    check(analyse(client, STRANGER), {"result": {"person_1": "match"}}, "compared")


@pytest.mark.parametrize(("image", "reason"), [(EMPTY, "no_face"), (CROWD, "several_faces")])
def test_enrollment_wants_exactly_one_face(client: TestClient, image: bytes, reason: str) -> None:
    check(enroll(client, image), FAIL, reason)
    check(analyse(client, TAMY), UNREGISTERED, "user_unregistered")


@pytest.mark.parametrize("fields", [{"company": "other"}, {"id": "other"}, {"company": "other", "id": "other"}])
def test_unregistered(client: TestClient, analyser: FakeAnalyser, fields: dict[str, str]) -> None:
    enroll(client, TAMY)
    analysed = analyser.analysed
    check(analyse(client, TAMY, **fields), UNREGISTERED, "user_unregistered")
    assert analyser.analysed == analysed


def test_the_same_bytes_again_are_answered_without_looking_at_them(client: TestClient, analyser: FakeAnalyser) -> None:
    enroll(client, TAMY)
    check(enroll(client, TAMY), SUCCESS, "already_enrolled")
    assert analyser.analysed == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/enrollment_img", SUCCESS),
        ("/enrollment_img/", SUCCESS),
        ("/analy_img", {"result": {"person_1": "match"}}),
        ("/analy_img/", {"result": {"person_1": "match"}}),
    ],
)
def test_paths_answer_with_and_without_a_slash(client: TestClient, path: str, body: dict[str, Any]) -> None:
    enroll(client, TAMY)
    response = client.post(path, data=FIELDS, files={"image": ("i.jpg", TAMY)}, follow_redirects=False)
    assert (response.status_code, response.json()) == (200, body)


@pytest.mark.parametrize("path", ["/enrollment_img/", "/analy_img/"])
@pytest.mark.parametrize(
    ("image", "body", "reason"),
    [
        (photo("small", 299_999), SIZE_ERROR, "image_too_small"),
        (photo("large", 512_001), SIZE_ERROR, "image_too_large"),
        (b"GIF89a".ljust(300_000), TYPE_ERROR, "image_type_unsupported"),
        (b"GIF89a", TYPE_ERROR, "image_type_unsupported"),  # the type is checked before the size
        (b"", TYPE_ERROR, "image_type_unsupported"),
        (photo("broken"), FAIL, "image_truncated"),
    ],
)
def test_photos_that_are_not_taken(
    client: TestClient, analyser: FakeAnalyser, path: str, image: bytes, body: dict[str, Any], reason: str
) -> None:
    analyser.planted[photo("broken")] = ImageTruncatedError()
    enroll(client, TAMY)
    check(post(client, path, image), body, reason)


@pytest.mark.parametrize("size", [300_000, 512_000])
def test_both_ends_of_the_size_band_are_taken(client: TestClient, analyser: FakeAnalyser, size: int) -> None:
    image = photo("edge", size)
    analyser.plant(image, face(0.0))
    check(enroll(client, image), SUCCESS, "enrolled")
    check(analyse(client, image), {"result": {"person_1": "match"}}, "compared")


def test_fields_come_before_the_photo(client: TestClient) -> None:
    check(enroll(client, b"GIF89a", id="UPPER"), FAIL, "id_invalid")
    check(analyse(client, b"GIF89a", company="nobody"), TYPE_ERROR, "image_type_unsupported")


def test_limits_are_settings(tmp_path: Path, analyser: FakeAnalyser) -> None:
    settings = Settings(
        data_dir=tmp_path, min_image_bytes=0, max_image_bytes=10, max_message_bytes=1000, image_types=("png",)
    )
    with TestClient(create_app(settings, analyser), base_url=LOCAL) as client:
        check(enroll(client, TAMY[:10]), TYPE_ERROR, "image_type_unsupported")
        check(enroll(client, b"\x89PNG\r\n\x1a\n123"), SIZE_ERROR, "image_too_large")
        check(enroll(client, bytes(1000)), SIZE_ERROR, "message_too_large")


def test_the_tolerance_is_a_setting(tmp_path: Path, analyser: FakeAnalyser) -> None:
    with TestClient(create_app(Settings(data_dir=tmp_path, tolerance=0.4), analyser), base_url=LOCAL) as client:
        enroll(client, TAMY)
        check(analyse(client, TAMY_AGAIN), {"result": {"person_1": "dismatch"}}, "compared")


def test_references_of_another_encoder_give_no_verdict(tmp_path: Path, analyser: FakeAnalyser) -> None:
    with TestClient(create_app(Settings(data_dir=tmp_path), analyser), base_url=LOCAL) as client:
        enroll(client, TAMY)
    later = FakeAnalyser()
    later.encoder_id = "fake/2"
    later.plant(TAMY, face(0.0, encoder_id="fake/2"))
    with TestClient(create_app(Settings(data_dir=tmp_path), later), base_url=LOCAL) as client:
        check(analyse(client, TAMY), FAIL, "references_outdated")
        check(enroll(client, TAMY), SUCCESS, "enrolled")
        check(analyse(client, TAMY), {"result": {"person_1": "match"}}, "compared")


def test_no_verdict_where_the_networks_fail(client: TestClient, analyser: FakeAnalyser) -> None:
    enroll(client, TAMY)
    for error, reason in (
        (InferenceError("a lost GPU"), "inference_failed"),
        (OutOfMemoryError("CUDA failure 2: out of memory"), "inference_out_of_memory"),
    ):
        analyser.planted[STRANGER] = error
        response = analyse(client, STRANGER)
        check(response, FAIL, reason, 503)
        assert int(response.headers["Retry-After"]) > 0


def test_no_success_where_the_store_fails(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise StoreUnavailableError("disk full")

    monkeypatch.setattr(EnrollmentStore, "add", fail)
    check(enroll(client, TAMY), FAIL, "store_unavailable", 503)


def test_a_bug_is_500_without_a_traceback_for_the_caller(client: TestClient, analyser: FakeAnalyser) -> None:
    analyser.planted[TAMY] = ZeroDivisionError("secret detail")
    response = enroll(client, TAMY)
    check(response, FAIL, "internal_error", 500)
    assert "secret" not in response.text
    assert response.headers["x-request-id"]


def test_a_statement_that_the_database_does_not_take_is_a_bug(
    client: TestClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is told to try again, and the log says where it is, without the values of a row."""
    enroll(client, TAMY, id="somebody")
    with opened(tmp_path) as store:
        rows(store, "ALTER TABLE users DROP COLUMN age")
    answer = enroll(client, STRANGER, id="somebody", age="41")
    check(answer, FAIL, "internal_error", 500)
    assert "retry-after" not in answer.headers
    (bug,) = [record for record in caplog.records if record.exc_info]
    assert bug.exc_info is not None
    told = "".join(traceback.format_exception(bug.exc_info[1]))
    assert "StatementRefusedError: no such column: age" in told
    assert "in _note" in told
    assert "somebody" not in told
    assert "41" not in re.sub(r"line \d+", "", told)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_other_methods(client: TestClient, method: str) -> None:
    response = client.request(method, "/analy_img/")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_other_paths(client: TestClient) -> None:
    check(client.post("/analy_img/extra"), FAIL, "path_unknown", 404)


def test_request_ids(client: TestClient) -> None:
    own = client.get("/healthz", headers={"X-Request-ID": "order-17.a_b"})
    assert own.headers["x-request-id"] == "order-17.a_b"
    for bad in ("a b", "x" * 65, "a;b", ""):
        assert client.get("/healthz", headers={"X-Request-ID": bad}).headers["x-request-id"] != bad
    assert client.get("/healthz").headers["x-request-id"] != client.get("/healthz").headers["x-request-id"]


def test_timings_are_told_by_stage(client: TestClient) -> None:
    enroll(client, TAMY)
    timing = analyse(client, TAMY).headers["server-timing"]
    stages = [entry.split(";dur=")[0] for entry in timing.split(", ")]
    assert stages == ["store", "decode", "detect", "align", "encode", "match", "total"]


def test_health(client: TestClient) -> None:
    health = client.get("/healthz").json()
    assert (health["status"], health["runtime"], health["encoder_id"]) == ("ok", "fake", "fake/1")


def test_nothing_of_the_form_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    enroll(client, TAMY)
    analyse(client, TAMY, id="secretid", company="secretcompany")
    assert [vars(record)["reason"] for record in caplog.records if record.message == "request"] == [
        "enrolled",
        "user_unregistered",
    ]
    assert "secret" not in str([vars(record) for record in caplog.records])


class HeldAnalyser(FakeAnalyser):
    """Holds every photo until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.plant(TAMY, face(0.0))
        self.released = asyncio.Event()

    async def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        self.analysed += 1
        await self.released.wait()
        return await super().analyse(image_bytes, scope)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_above_the_in_flight_limit_the_answer_is_503_at_once(tmp_path: Path) -> None:
    held = HeldAnalyser()
    app = create_app(Settings(data_dir=tmp_path, max_in_flight=2), held)

    async def scenario() -> None:
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url=LOCAL) as client,
        ):

            async def send(user: str) -> Response:
                form = FIELDS | {"id": user}
                return await client.post("/enrollment_img/", data=form, files={"image": ("i.jpg", TAMY)})

            accepted = [asyncio.create_task(send(user)) for user in ("a", "b")]
            await until(lambda: held.analysed == 2)
            refused = await send("c")
            check(refused, FAIL, "overloaded", 503)
            assert refused.headers["retry-after"] == "1"
            assert (await client.get("/healthz")).status_code == 200
            held.released.set()
            for response in await asyncio.gather(*accepted):
                check(response, SUCCESS, "enrolled")
            check(await send("c"), SUCCESS, "enrolled")

    asyncio.run(scenario())


async def enroll_and_leave(app: Starlette, leave: asyncio.Event) -> list[Message]:
    """Post TAMY's enrollment straight into the application; the caller is gone once `leave` is set."""
    request = httpx2.Request("POST", f"{LOCAL}/enrollment_img/", data=FIELDS, files={"image": ("i.jpg", TAMY)})
    messages: list[Message] = [{"type": "http.request", "body": request.read(), "more_body": False}]
    answers: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": request.url.path,
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }
    await app(scope, receive, send)
    return answers


def reason_of(answers: list[Message]) -> str:
    headers: dict[bytes, bytes] = dict(answers[0]["headers"])
    return headers[b"x-face-reason"].decode()


def test_a_caller_who_leaves_the_line_is_not_enrolled(tmp_path: Path) -> None:
    held = HeldAnalyser()
    app = create_app(Settings(data_dir=tmp_path), held)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            leave = asyncio.Event()
            request = asyncio.create_task(enroll_and_leave(app, leave))
            await until(lambda: held.analysed == 1)
            leave.set()
            assert reason_of(await request) == "caller_gone"
        with opened(tmp_path) as store:
            assert references_of(store, "withmind", "tamy") == ()
            assert rows(store, "SELECT count(*) FROM analysis_events") == [(0,)]

    asyncio.run(scenario())


def test_what_is_being_stored_when_the_caller_leaves_is_told_truly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldAnalyser()
    held.released.set()
    app = create_app(Settings(data_dir=tmp_path), held)
    writing, left = threading.Event(), threading.Event()
    add = EnrollmentStore.add

    def slowly(*arguments: Any) -> Added:
        writing.set()
        assert left.wait(30)
        return add(*arguments)

    monkeypatch.setattr(EnrollmentStore, "add", slowly)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            leave = asyncio.Event()
            request = asyncio.create_task(enroll_and_leave(app, leave))
            await until(writing.is_set)
            leave.set()
            await asyncio.sleep(0.1)
            left.set()
            assert reason_of(await request) == "enrolled"
        with opened(tmp_path) as store:
            assert len(references_of(store, "withmind", "tamy")) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("enrolled_again", [False, True])
def test_who_is_erased_while_a_photo_is_analysed_is_not_matched(tmp_path: Path, enrolled_again: bool) -> None:
    held = HeldAnalyser()
    app = create_app(Settings(data_dir=tmp_path), held)

    async def scenario() -> None:
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url=LOCAL) as client,
        ):
            with opened(tmp_path) as store:
                put(store, 1, encoder_id=held.encoder_id)
                waiting = asyncio.create_task(
                    client.post("/analy_img/", data=FIELDS, files={"image": ("test_img.jpg", TAMY)})
                )
                await until(lambda: held.analysed == 1)
                assert store.eraser.erase_user(Caller("test"), "withmind", "tamy")
                if enrolled_again:
                    put(store, 2, encoder_id=held.encoder_id)
                held.released.set()
                answer = await waiting
                *_, entry = store.audit.entries()
                assert entry.action == "analyse"
                if enrolled_again:  # compared with who is enrolled now
                    check(answer, {"result": {"person_1": "dismatch"}}, "compared")
                    assert entry.details["verdicts"] == ["dismatch"]
                else:
                    check(answer, UNREGISTERED, "user_unregistered")
                    assert entry.details["reason"] == "user_unregistered"
                    assert "verdicts" not in entry.details

    asyncio.run(scenario())


# What a request leaves behind.

REQUEST = {"X-Request-ID": "order-17"}


def send(client: TestClient, path: str, image: bytes, **fields: str) -> Response:
    files = {"image": ("test_img.jpg", image)}
    response: Response = client.post(path, data=FIELDS | fields, files=files, headers=REQUEST)
    return response


def left_behind(data_dir: Path) -> tuple[list[tuple[Any, ...]], list[AuditEntry]]:
    """Return the events and the audit entries of the requests that `send` sent."""
    with opened(data_dir) as store:
        events = rows(
            store,
            "SELECT operation, reason, company_id, user_id, matches, dismatches, distance FROM analysis_events "
            "WHERE request_id = 'order-17' ORDER BY id",
        )
        store.audit.verify()
        return events, [entry for entry in store.audit.entries() if entry.request_id == "order-17"]


def test_an_analysis_is_on_record(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    check(send(client, "/analy_img/", CROWD), {"result": {"person_1": "match"} | OTHERS}, "compared")
    (event,), (entry,) = left_behind(tmp_path)
    assert event[:6] == ("analyse", "compared", 1, 1, 1, 2)
    assert event[6] == pytest.approx(0.1)
    assert (entry.actor, entry.action, entry.company, entry.user) == ("anonymous", "analyse", "withmind", "tamy")
    assert entry.details["reason"] == "compared"
    assert entry.details["verdicts"] == ["match", "dismatch", "dismatch"]
    assert entry.details["distances"] == pytest.approx([0.1, 2.0, 0.9])
    assert entry.details["tolerance"] == 0.6
    assert set(entry.details["timings_ms"]) == {"store", "decode", "detect", "align", "encode", "match", "total"}


OTHERS = {"person_2": "dismatch", "person_3": "dismatch"}


def test_an_enrollment_and_its_repetition_are_on_record(client: TestClient, tmp_path: Path) -> None:
    for reason in ("enrolled", "already_enrolled"):
        check(send(client, "/enrollment_img/", TAMY), SUCCESS, reason)
    events, entries = left_behind(tmp_path)
    assert events == [
        ("enroll", "enrolled", 1, 1, 0, 0, None),
        ("enroll", "already_enrolled", 1, 1, 0, 0, None),
    ]
    assert [(entry.action, entry.user, entry.details["reason"]) for entry in entries] == [
        ("enroll", "tamy", "enrolled"),
        ("enroll", "tamy", "already_enrolled"),
    ]


@pytest.mark.parametrize(
    ("path", "image", "fields", "reason", "owners"),
    [
        ("/enrollment_img/", EMPTY, {}, "no_face", (1, 1)),
        ("/enrollment_img/", CROWD, {}, "several_faces", (1, 1)),
        ("/enrollment_img/", CROWD, {"id": "new"}, "several_faces", (1, None)),
        ("/analy_img/", EMPTY, {}, "no_face", (1, 1)),
        ("/analy_img/", TAMY, {"id": "nobody"}, "user_unregistered", (1, None)),
        ("/analy_img/", TAMY, {"company": "nobodys", "id": "nobody"}, "user_unregistered", (None, None)),
        ("/analy_img/", photo("broken"), {}, "image_truncated", (1, 1)),
    ],
)
def test_a_refusal_is_on_record(
    client: TestClient,
    analyser: FakeAnalyser,
    tmp_path: Path,
    path: str,
    image: bytes,
    fields: dict[str, str],
    reason: str,
    owners: tuple[int | None, int | None],
) -> None:
    analyser.planted[photo("broken")] = ImageTruncatedError()
    enroll(client, TAMY)
    assert send(client, path, image, **fields).headers["x-face-reason"] == reason
    (event,), (entry,) = left_behind(tmp_path)
    operation = "enroll" if path == "/enrollment_img/" else "analyse"
    assert event == (operation, reason, *owners, 0, 0, None)
    assert (entry.action, entry.details["reason"]) == (operation, reason)
    assert (entry.company, entry.user) == (owners[0] and "withmind", owners[1] and "tamy")
    assert "nobody" not in str(entry)


@pytest.mark.parametrize("path", ["/enrollment_img/", "/analy_img/"])
@pytest.mark.parametrize(
    ("image", "fields"),
    [
        (photo("small", 299_999), {}),
        (photo("large", 512_001), {}),
        (photo("very large", 2_000_000), {}),
        (b"GIF89a".ljust(300_000), {}),
        (TAMY, {"id": "UPPER"}),
        (TAMY, {"company": ""}),
    ],
    ids=["too small", "too large", "message too large", "type", "id", "company"],
)
def test_what_is_refused_before_it_was_looked_at_leaves_nothing(
    client: TestClient, tmp_path: Path, path: str, image: bytes, fields: dict[str, str]
) -> None:
    enroll(client, TAMY)
    assert send(client, path, image, **fields).json() not in (SUCCESS, {"result": {"person_1": "match"}})
    assert left_behind(tmp_path) == ([], [])


@pytest.mark.parametrize("table", ["analysis_events", "audit_events"])
@pytest.mark.parametrize(
    ("path", "image"),
    [("/analy_img/", TAMY_AGAIN), ("/analy_img/", EMPTY), ("/enrollment_img/", TAMY_AGAIN), ("/enrollment_img/", TAMY)],
    ids=["a verdict", "no face", "an enrollment", "a repetition"],
)
def test_what_cannot_be_recorded_is_not_told(
    client: TestClient, tmp_path: Path, table: str, path: str, image: bytes
) -> None:
    enroll(client, TAMY)
    with opened(tmp_path) as store:
        rows(store, f"CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT json('refused'); END")
        check(send(client, path, image), FAIL, "internal_error", 500)
        assert rows(store, "SELECT count(*) FROM face_references") == [(1,)]
        assert rows(store, "SELECT count(*) FROM analysis_events") == [(1,)]
        rows(store, "DROP TRIGGER refuse")
    assert send(client, path, image).status_code == 200


def test_no_verdict_where_the_audit_trail_was_changed(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    with opened(tmp_path) as store:
        rows(store, "UPDATE audit_head SET sequence = 0")
    check(analyse(client, TAMY_AGAIN), FAIL, "audit_broken", 503)
    check(enroll(client, TAMY_AGAIN), FAIL, "audit_broken", 503)


def test_no_verdict_by_a_reference_that_was_moved_to_another_user(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY, id="victim")
    enroll(client, STRANGER, id="thief")
    with opened(tmp_path) as store:
        rows(store, "UPDATE face_references SET user_id = 3 - user_id")
    for image in (TAMY, STRANGER):
        for user in ("victim", "thief"):
            check(analyse(client, image, id=user), FAIL, "store_damaged", 503)
            check(enroll(client, image, id=user), FAIL, "store_damaged", 503)


def test_no_verdict_by_a_reference_that_was_stamped_with_another_encoder(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    with opened(tmp_path) as store:
        rows(store, "UPDATE face_references SET encoder_id = 'fake/2'")
    check(analyse(client, TAMY_AGAIN), FAIL, "store_damaged", 503)


@pytest.mark.parametrize("keep", ["none", "chip"])
def test_the_chip_is_kept_or_not_as_the_setting_says(tmp_path: Path, keep: Any) -> None:
    shown = face(0.0)
    shown.chip[:] = np.random.default_rng(5).integers(0, 256, shown.chip.shape, dtype=np.uint8)
    analyser = FakeAnalyser()
    analyser.plant(TAMY, shown)
    with TestClient(create_app(Settings(data_dir=tmp_path, keep_images=keep), analyser), base_url=LOCAL) as client:
        check(enroll(client, TAMY), SUCCESS, "enrolled")
    with opened(tmp_path) as store:
        details = store.directory.user(Caller("test"), "withmind", "tamy")
        assert details is not None
        (reference,) = details.references
        chip_png = store.directory.chip(Caller("test"), "withmind", "tamy", reference.id)
    assert reference.has_chip is (keep == "chip")
    assert (chip_png is not None) is (keep == "chip")
    if chip_png is not None:
        assert np.array_equal(decode(chip_png), shown.chip)


def test_nothing_of_the_photo_is_in_any_file(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    analyse(client, STRANGER)
    for path in tmp_path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert TAMY[:16] not in content
        assert STRANGER[:16] not in content
