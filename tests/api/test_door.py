"""What stands before every operation: bounds on messages, time and numbers; and every failure is an answer."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from face_api.errors import BusyError
from face_api.routes.v1 import Endpoint
from face_api.routes.v1.turns import AT_ONCE, AT_ONCE_OF_ONE
from face_api.settings import Settings
from face_api.store import Added
from face_api.store.enrollments import EnrollmentStore
from face_api.store.erasure import Eraser
from face_api.store.statistics import Statistics
from support.api import (
    EMPTY,
    ENROLLMENTS,
    FAIL,
    FIELDS,
    SUCCESS,
    TAMY,
    TAMYS,
    V1,
    VERIFICATIONS,
    Answer,
    Held,
    Json,
    Key,
    Planted,
    app_of,
    ask,
    check,
    check_problem,
    enroll,
    exchange,
    form_of,
    name_of,
    new_key,
    opened,
    post,
    send,
    served,
    until,
)
from support.store import rows

SPEC_PATHS = ["/enrollment_img/", "/analy_img/"]
PHOTO_PATHS = [*SPEC_PATHS, ENROLLMENTS, VERIFICATIONS]
MAX_MESSAGE = Settings.model_fields["max_message_bytes"].default
LEFT_BEHIND = (
    "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM face_references), "
    "(SELECT count(*) FROM analysis_events), (SELECT count(*) FROM idempotent_requests)"
)

every_operation = pytest.mark.parametrize("endpoint", V1, ids=name_of)
every_photo_path = pytest.mark.parametrize("path", PHOTO_PATHS)


def check_unread(answer: Answer, reason: str, status: int) -> None:
    """Fail unless it was given before anything of the message was read; the connection then ends."""
    assert (answer.reason, answer.status, answer.asked) == (reason, status, 0)
    assert answer.headers["connection"] == "close"


# The message.


@every_photo_path
def test_what_says_that_it_is_too_large_is_not_read(tmp_path: Path, path: str) -> None:
    headers = {"content-length": str(MAX_MESSAGE + 1)}
    answer = asyncio.run(exchange(app_of(tmp_path), "POST", path, headers, is_complete=False))
    check_unread(answer, "message_too_large", 200 if path in SPEC_PATHS else 413)


@every_photo_path
def test_what_is_too_large_is_read_no_further(tmp_path: Path, path: str) -> None:
    chunks = [bytes(MAX_MESSAGE // 4)] * 10
    answer = asyncio.run(exchange(app_of(tmp_path), "POST", path, None, chunks))
    assert (answer.reason, answer.asked) == ("message_too_large", 5)
    assert answer.headers["connection"] == "close"


@every_photo_path
def test_what_does_not_come_to_its_end_is_not_waited_for(tmp_path: Path, path: str) -> None:
    headers, form = form_of(TAMY, **FIELDS)
    app = app_of(tmp_path, message_timeout_s=0.2)
    answer = asyncio.run(exchange(app, "POST", path, headers, [form[:100]], is_complete=False))
    assert (answer.reason, answer.status) == ("message_incomplete", 200 if path in SPEC_PATHS else 408)
    assert answer.headers["connection"] == "close"


@every_photo_path
def test_who_leaves_before_the_end_is_not_served(tmp_path: Path, analyser: Planted, path: str) -> None:
    headers, form = form_of(TAMY, **FIELDS)

    async def scenario() -> Answer:
        leave = asyncio.Event()
        leave.set()
        app = app_of(tmp_path, analyser)
        return await exchange(app, "POST", path, headers, [form[:-10]], is_complete=False, leave=leave)

    assert asyncio.run(scenario()).reason == "message_incomplete"
    assert analyser.analysed == 0


# Time.


@every_photo_path
def test_after_the_deadline_nothing_is_waited_for_and_nothing_is_left(tmp_path: Path, path: str) -> None:
    held = Held()
    app, patient = app_of(tmp_path, held, deadline_s=0.3), app_of(tmp_path)
    headers, form = form_of(TAMY, **FIELDS)

    async def scenario() -> None:
        async with app.router.lifespan_context(app), patient.router.lifespan_context(patient):
            if path in {"/analy_img/", VERIFICATIONS}:
                assert (await exchange(patient, "POST", ENROLLMENTS, headers, [form])).status == 201
            with opened(tmp_path) as store:
                before = rows(store, LEFT_BEHIND)
                answer = await exchange(app, "POST", path, headers, [form])
                assert (answer.reason, answer.status) == ("deadline_exceeded", 503)
                assert answer.headers["retry-after"] == "1"
                assert rows(store, LEFT_BEHIND) == before
            assert (await exchange(patient, "POST", path, headers, [form])).status in {200, 201}

    asyncio.run(scenario())


def test_what_is_being_stored_at_the_deadline_is_told_truly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deadline_s = 2.0
    app = app_of(tmp_path, deadline_s=deadline_s)
    headers, form = form_of(TAMY)
    headers["idempotency-key"] = "x"
    is_over = threading.Event()
    add = EnrollmentStore.add

    def slowly(*arguments: Any) -> Added:
        assert is_over.wait(30)
        return add(*arguments)

    monkeypatch.setattr(EnrollmentStore, "add", slowly)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            request = asyncio.create_task(exchange(app, "POST", ENROLLMENTS, headers, [form]))
            await asyncio.sleep(deadline_s + 0.2)
            is_over.set()
            first = await request
            assert (first.status, first.reason) == (201, "enrolled")
            again = await exchange(app, "POST", ENROLLMENTS, headers, [form])
            assert (again.reason, again.body) == ("replayed", first.body)

    asyncio.run(scenario())


# Numbers.


def test_above_the_in_flight_limit_no_message_is_read(tmp_path: Path) -> None:
    held = Held()
    app = app_of(tmp_path, held, max_in_flight=1)
    headers, form = form_of(TAMY)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            accepted = asyncio.create_task(exchange(app, "POST", ENROLLMENTS, headers, [form]))
            await until(lambda: held.held == 1)
            for path in [*PHOTO_PATHS, "/v1/keys"]:
                refused = await exchange(app, "POST", path, is_complete=False)
                check_unread(refused, "overloaded", 503)
                assert refused.headers["retry-after"] == "1"
            assert (await exchange(app, "GET", "/healthz")).status == 200
            held.released.set()
            assert (await accepted).status == 201
            assert (await exchange(app, "POST", VERIFICATIONS, headers, [form])).status == 200

    asyncio.run(scenario())


def test_whatever_becomes_of_a_request_it_makes_room_for_the_next(tmp_path: Path, analyser: Planted) -> None:
    analyser.planted[EMPTY] = ZeroDivisionError()
    with served(tmp_path, analyser, max_in_flight=1) as client:
        for _ in range(2):
            check_problem(send(client, ENROLLMENTS, EMPTY), "internal_error", 500)
            check_problem(send(client, ENROLLMENTS, b"GIF89a"), "image_type_unsupported", 415)
            check_problem(send(client, ENROLLMENTS, bytes(MAX_MESSAGE)), "message_too_large", 413)
            check_problem(client.get(TAMYS), "user_unregistered", 404)
        enroll(client, TAMY)


class FullAnalyser(Planted):
    """Has room in its line where the test says so, for each time that it is asked; then no more."""

    def __init__(self, *room: bool) -> None:
        super().__init__()
        self._room = list(room)

    def check_room(self) -> None:
        if not self._room or not self._room.pop(0):
            raise BusyError("overloaded")


def test_while_the_line_is_full_no_photo_is_read(tmp_path: Path) -> None:
    full = FullAnalyser()
    app = app_of(tmp_path, full)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            for path in PHOTO_PATHS:
                refused = await exchange(app, "POST", path, is_complete=False)
                check_unread(refused, "overloaded", 503)
                assert refused.headers["retry-after"] == "1"
            # What needs no analysis is done all the same.
            assert (await exchange(app, "POST", "/v1/keys", None, [b"{}"])).reason == "json_invalid"

    asyncio.run(scenario())
    assert full.analysed == 0


def test_a_photo_for_which_there_is_no_room_any_more_is_no_attempt(tmp_path: Path) -> None:
    enrollment, filled_up_meanwhile = [True], [True, False]
    full = FullAnalyser(*enrollment, *filled_up_meanwhile, *[True] * 4)
    with served(tmp_path, full, limit_per_user="1/day") as client:
        enroll(client, TAMY)
        check_problem(send(client, VERIFICATIONS, TAMY), "overloaded", 503)
        assert send(client, VERIFICATIONS, TAMY).status_code == 200
        check_problem(send(client, VERIFICATIONS, TAMY), "too_many_attempts", 429)


def test_one_company_leaves_room_for_the_others(tmp_path: Path) -> None:
    app = app_of(tmp_path, auth="keys", max_in_flight=8)  # of which two are one company's
    withminds, withminds_second, others = (new_key(tmp_path, company) for company in ("withmind", "withmind", "other"))
    headers, form = form_of(TAMY)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            hang_up = asyncio.Event()
            reading = asyncio.Semaphore(0)
            slow = [
                asyncio.create_task(
                    exchange(app, "POST", path, withminds.headers, is_complete=False, leave=hang_up, reading=reading)
                )
                for path in (ENROLLMENTS, SPEC_PATHS[0])
            ]
            for _ in slow:
                await reading.acquire()
            for key in (withminds, withminds_second):
                refused = await exchange(app, "POST", VERIFICATIONS, key.headers, is_complete=False)
                check_unread(refused, "too_many_requests", 429)
                assert refused.headers["retry-after"] == "1"
            path = ENROLLMENTS.replace("withmind", "other")
            assert (await exchange(app, "POST", path, headers | others.headers, [form])).status == 201
            hang_up.set()
            await asyncio.gather(*slow)
            assert (await exchange(app, "POST", ENROLLMENTS, headers | withminds.headers, [form])).status == 201

    asyncio.run(scenario())


def test_who_looks_much_up_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(tmp_path, auth="keys", deadline_s=2.0)
    withminds, others = new_key(tmp_path, "withmind"), new_key(tmp_path, "other")
    headers, form = form_of(TAMY)
    is_over, running = threading.Event(), []

    def slowly(*_: object) -> list[Any]:
        running.append(True)
        assert is_over.wait(30)
        return []

    monkeypatch.setattr(Statistics, "summary", slowly)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            asked = [asyncio.create_task(exchange(app, "GET", "/v1/stats", withminds.headers)) for _ in range(50)]
            await until(lambda: len(running) == AT_ONCE_OF_ONE)
            path = ENROLLMENTS.replace("withmind", "other")
            assert (await exchange(app, "POST", path, headers | others.headers, [form])).status == 201
            assert (await exchange(app, "GET", "/v1/companies", others.headers)).status == 200
            assert (await exchange(app, "POST", ENROLLMENTS, headers | withminds.headers, [form])).status == 201
            assert (await exchange(app, "GET", "/readyz")).status == 200
            await until(lambda: sum(task.done() for task in asked) == len(asked) - AT_ONCE_OF_ONE)
            late = [task.result() for task in asked if task.done()]
            assert {(answer.reason, answer.status) for answer in late} == {("deadline_exceeded", 503)}
            is_over.set()
            await asyncio.gather(*asked)
            assert len(running) == AT_ONCE_OF_ONE

    asyncio.run(scenario())


def test_who_erases_a_company_with_many_users_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(tmp_path, auth="keys", deadline_s=1.0)
    admin, leaked, others = new_key(tmp_path), new_key(tmp_path, "withmind"), new_key(tmp_path, "other")
    is_over, running = threading.Event(), []

    def slowly(*_: object) -> None:
        running.append(True)
        assert is_over.wait(30)

    monkeypatch.setattr(Eraser, "erase_company", slowly)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):

            async def ask(method: str, path: str, key: Key) -> Answer:
                return await exchange(app, method, path, key.headers)

            first = asyncio.create_task(ask("DELETE", "/v1/companies/withmind", admin))
            await until(lambda: len(running) == 1)
            for _ in range(AT_ONCE + 1):  # callers who had no answer in time
                again = await ask("DELETE", "/v1/companies/withmind", admin)
                assert (again.status, again.reason) == (503, "deadline_exceeded")
            assert (await ask("GET", "/v1/companies/other", others)).status == 200
            assert (await ask("GET", "/v1/companies", admin)).status == 200
            assert (await ask("DELETE", f"/v1/keys/{leaked.key_id}", admin)).status == 200
            assert (await ask("GET", "/v1/audit/verification", admin)).status == 200
            assert not first.done()
            is_over.set()
            late = await first
            assert (late.status, late.reason) == (404, "company_unregistered"), "however late, the true answer"
            assert len(running) == 1

    asyncio.run(scenario())


def test_without_keys_all_callers_together_are_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(tmp_path)
    together = threading.Barrier(AT_ONCE)

    def meet(*_: object) -> list[Any]:
        together.wait(30)
        return []

    monkeypatch.setattr(Statistics, "summary", meet)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            asked = [asyncio.create_task(exchange(app, "GET", "/v1/stats")) for _ in range(AT_ONCE)]
            assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * AT_ONCE

    asyncio.run(scenario())


# Failures.


def test_a_bug_is_told_without_its_traceback(client: TestClient, analyser: Planted) -> None:
    enroll(client, TAMY)
    analyser.planted[EMPTY] = ZeroDivisionError("secret detail")
    for path in (ENROLLMENTS, VERIFICATIONS):
        check_problem(send(client, path, EMPTY), "internal_error", 500)  # and nothing else is in the body
    for path in SPEC_PATHS:
        check(post(client, path, EMPTY), FAIL, "internal_error", 500)


@pytest.mark.parametrize("path", ["/v1/", "/v1/nothing", "/v1/companies/", "/v1/companies//users", "/v1/keys/a/b"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_paths_that_there_are_none_of(still: TestClient, method: str, path: str) -> None:
    check_problem(still.request(method, path), "path_unknown", 404)


@pytest.mark.parametrize("path", sorted({endpoint.path for endpoint in V1}))
def test_a_path_tells_its_methods(still: TestClient, path: str) -> None:
    known = {str(endpoint.method) for endpoint in V1 if endpoint.path == path}
    known |= {"HEAD"} if "GET" in known else set()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} - known:
        answer = still.request(method, path)
        check_problem(answer, "method_not_allowed", 405)
        assert set(answer.headers["allow"].split(", ")) == known


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in V1 if endpoint.method == "GET"], ids=name_of)
def test_head_is_get_without_a_body(still: TestClient, endpoint: Endpoint) -> None:
    path = endpoint.path.format(company="withmind", user="tamy", enrollment=1, key="0" * 12)
    get, head = still.get(path), still.head(path)
    varying = {"x-request-id", "server-timing", "content-length"}
    told = [{name: value for name, value in answer.headers.items() if name not in varying} for answer in (get, head)]
    assert (head.status_code, told[1]) == (get.status_code, told[0])


@every_operation
def test_no_answer_is_kept_on_its_way(client: TestClient, endpoint: Endpoint) -> None:
    if endpoint.operation != "enroll":
        enroll(client, TAMY)
    answer = ask(client, endpoint, enrollment=1)
    is_image = endpoint.path.endswith("/image")
    assert answer.headers["cache-control"] == ("private, no-cache" if is_image else "no-store")


def test_what_goes_wrong_is_also_an_answer_of_the_contract(client: TestClient) -> None:
    expected: dict[str, Json] = {"/enrollment_img/": SUCCESS, "/analy_img/": {"result": {"person_1": "match"}}}
    for path, body in expected.items():
        check(client.post(path, content=b"{}", headers={"Content-Type": "application/json"}), FAIL, "form_invalid")
        assert post(client, path, TAMY).json() == body
