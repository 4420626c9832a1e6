"""v1's enrollments and verifications: what they tell, why they refuse, and that a request sent again is done once."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import httpx2
import pytest
from starlette.testclient import TestClient

from face_api.inference import AnalysisTooLongError, WorkerLostError
from face_api.services import decision
from face_api.store import StatementRefusedError, StoreDamagedError, StoreUnavailableError
from face_api.store.enrollments import EnrollmentStore
from face_api.store.idempotency import IdempotencyStore
from face_engine.errors import (
    ImageCorruptError,
    ImageTooManyPixelsError,
    ImageTooManyScansError,
    ImageTruncatedError,
    InferenceError,
)
from face_engine.types import Quality, QualityReason
from support.api import (
    CROWD,
    EMPTY,
    ENROLLMENTS,
    FAIL,
    LOCAL,
    POOR,
    STRANGER,
    SUCCESS,
    TAMY,
    TAMY_AGAIN,
    TAMYS,
    USERS,
    VERIFICATIONS,
    Headers,
    Held,
    Json,
    Planted,
    app_of,
    check,
    check_problem,
    enroll,
    exchange,
    form_of,
    new_key,
    opened,
    photo,
    post,
    send,
    served,
    until,
)
from support.fakes import face
from support.store import rows

BOTH = [ENROLLMENTS, VERIFICATIONS]
GOOD_JSON: Json = {"size": 150.0, "sharpness": 1.0, "brightness": 0.5, "turn": 0.0, "inside": 1.0, "reasons": []}
POOR_JSON: Json = {
    "size": 40.0,
    "sharpness": 0.5,
    "brightness": 0.25,
    "turn": 0.1,
    "inside": 0.75,
    "reasons": ["face_too_small", "face_cut"],
}


def face_json(left: int = 0, quality: Json = GOOD_JSON) -> Json:
    return {
        "box": {"left": left, "top": 10, "right": left + 99, "bottom": 109},
        "landmarks": [[0, 0]] * 5,
        "confidence": 1.0,
        "quality": quality,
    }


def stages_of(answer: httpx2.Response) -> Sequence[str]:
    return [entry.split(";dur=")[0] for entry in answer.headers["server-timing"].split(", ")]


# Enrollment.


def test_enrolled(client: TestClient) -> None:
    answer = send(client, ENROLLMENTS, TAMY, {"X-Request-ID": "order-17"}, gender="0", age="28")
    body = answer.json()
    assert (answer.status_code, answer.headers["x-face-reason"]) == (201, "enrolled")
    timings = body.pop("timings_ms")
    assert body == {"outcome": "enrolled", "reference_id": 1, "face": face_json(), "request_id": "order-17"}
    assert set(timings) == {"store", "decode", "detect", "align", "encode", "total"}
    assert stages_of(answer) == list(timings)
    user = client.get(TAMYS).json()
    assert (user["gender"], user["age"], [item["id"] for item in user["enrollments"]]) == (0, 28, [1])


def test_the_same_photo_again_is_the_same_reference(client: TestClient, analyser: Planted) -> None:
    enroll(client, TAMY_AGAIN)
    reference_id = enroll(client, TAMY)
    analysed = analyser.analysed
    answer = send(client, ENROLLMENTS, TAMY)
    assert (answer.status_code, answer.headers["x-face-reason"]) == (200, "already_enrolled")
    assert {name: answer.json()[name] for name in ("outcome", "reference_id", "face")} == {
        "outcome": "already_enrolled",
        "reference_id": reference_id,
        "face": None,
    }
    assert analyser.analysed == analysed


def test_what_v1_enrolled_the_contract_knows_and_the_other_way_round(client: TestClient) -> None:
    enroll(client, TAMY)
    check(post(client, "/enrollment_img/", TAMY), SUCCESS, "already_enrolled")
    check(post(client, "/analy_img/", TAMY_AGAIN), {"result": {"person_1": "match"}}, "compared")
    check(post(client, "/enrollment_img/", STRANGER), SUCCESS, "enrolled")
    assert send(client, ENROLLMENTS, STRANGER).json()["outcome"] == "already_enrolled"


def test_of_a_poor_face_it_is_told_why(client: TestClient) -> None:
    check_problem(send(client, ENROLLMENTS, POOR), "face_too_small", 422, quality=POOR_JSON)
    check(post(client, "/enrollment_img/", POOR), FAIL, "face_too_small")
    check_problem(client.get(TAMYS), "user_unregistered", 404)


@pytest.mark.parametrize("reason", get_args(QualityReason))
def test_the_first_reason_is_the_problem(client: TestClient, analyser: Planted, reason: QualityReason) -> None:
    values = {name: value for name, value in GOOD_JSON.items() if name != "reasons"}
    analyser.plant(photo("poor"), face(0.0, quality=Quality(**values, reasons=(reason,))))
    check_problem(send(client, ENROLLMENTS, photo("poor")), reason, 422, quality={**values, "reasons": [reason]})
    check(post(client, "/enrollment_img/", photo("poor")), FAIL, reason)


def test_the_quality_gate_can_be_switched_off(tmp_path: Path) -> None:
    with served(tmp_path, quality_gate=False) as client:
        answer = send(client, ENROLLMENTS, POOR)
        assert (answer.status_code, answer.json()["face"]) == (201, face_json(quality=POOR_JSON))
        check(post(client, "/enrollment_img/", POOR, id="joe"), SUCCESS, "enrolled")


def test_a_poor_face_is_verified_all_the_same(client: TestClient) -> None:
    enroll(client, TAMY)
    answer = send(client, VERIFICATIONS, POOR)
    assert answer.status_code == 200
    assert [(person["verdict"], person["quality"]) for person in answer.json()["persons"]] == [("match", POOR_JSON)]
    check(post(client, "/analy_img/", POOR), {"result": {"person_1": "match"}}, "compared")


def test_the_oldest_reference_retires(tmp_path: Path) -> None:
    with served(tmp_path, references_per_user=2) as client:
        ids = [enroll(client, image) for image in (TAMY, TAMY_AGAIN, STRANGER)]
        assert [item["id"] for item in client.get(TAMYS).json()["enrollments"]] == ids[1:]


# Refusals of both.


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImageTruncatedError(), 422),
        (ImageCorruptError(), 422),
        (ImageTooManyPixelsError(9, 9, 9), 422),
        (ImageTooManyScansError(9, 9), 422),
        (InferenceError("out of memory"), 503),
        (WorkerLostError("killed"), 503),
        (AnalysisTooLongError("too long"), 503),
    ],
    ids=lambda value: getattr(value, "reason", None),
)
def test_what_cannot_be_analysed(
    client: TestClient, analyser: Planted, path: str, error: ImageTruncatedError | InferenceError, status: int
) -> None:
    enroll(client, TAMY)
    analyser.planted[STRANGER] = error
    answer = send(client, path, STRANGER)
    check_problem(answer, error.reason, status)
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("image", "reason", "status"),
    [
        (EMPTY, "no_face", 422),
        (b"GIF89a", "image_type_unsupported", 415),
        (b"", "image_type_unsupported", 415),
        (photo("large").ljust(2_000_000), "message_too_large", 413),
    ],
    ids=["no face", "gif", "empty", "large"],
)
def test_photos_that_are_not_taken(client: TestClient, path: str, image: bytes, reason: str, status: int) -> None:
    enroll(client, TAMY)
    check_problem(send(client, path, image), reason, status)


def test_enrollment_wants_one_face(client: TestClient) -> None:
    check_problem(send(client, ENROLLMENTS, CROWD), "several_faces", 422)
    check_problem(client.get(TAMYS), "user_unregistered", 404)


@pytest.mark.parametrize("path", BOTH)
def test_a_message_as_large_as_may_be_is_taken(client: TestClient, analyser: Planted, path: str) -> None:
    enroll(client, TAMY)
    image = photo("large").ljust(1_000_000)  # v1 has no size band
    analyser.plant(image, face(0.0))
    assert send(client, path, image).is_success


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("content", "reason", "status"),
    [
        ({"data": {"gender": "0"}, "files": {"picture": ("i.jpg", TAMY)}}, "image_missing", 422),
        ({"files": [("image", ("i.jpg", TAMY)), ("image", ("i.jpg", TAMY))]}, "image_repeated", 422),
        ({"data": {"gender": "0"}}, "form_invalid", 400),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, "form_invalid", 400),
        ({"json": {"image": "x"}}, "form_invalid", 400),
        ({}, "form_invalid", 400),
    ],
    ids=["no image", "two images", "urlencoded", "broken", "json", "nothing"],
)
def test_forms_that_are_not_taken(client: TestClient, path: str, content: Json, reason: str, status: int) -> None:
    check_problem(client.post(path, **content), reason, status)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"gender": "2"}, "gender_invalid"),
        ({"gender": "female"}, "gender_invalid"),
        ({"age": "151"}, "age_invalid"),
        ({"age": "-1"}, "age_invalid"),
    ],
)
def test_gender_and_age(client: TestClient, fields: dict[str, str], reason: str) -> None:
    check_problem(send(client, ENROLLMENTS, TAMY, None, **fields), reason, 422)
    enroll(client, TAMY)
    assert send(client, VERIFICATIONS, TAMY, None, **fields).status_code == 200  # they mean nothing there


@pytest.mark.parametrize("operation", ["enrollments", "verifications"])
@pytest.mark.parametrize(
    ("company", "user", "reason"),
    [
        ("Withmind", "tamy", "company_invalid"),
        ("w" * 129, "tamy", "company_invalid"),
        ("with%20mind", "tamy", "company_invalid"),
        ("withmind%0A", "tamy", "company_invalid"),
        ("withmind", "TAMY", "id_invalid"),
        ("withmind", "t" * 129, "id_invalid"),
        ("withmind", "%ED%83%9C%EB%AF%B8", "id_invalid"),
        ("withmind", "ta_my", "id_invalid"),
    ],
)
def test_names_that_are_none(client: TestClient, operation: str, company: str, user: str, reason: str) -> None:
    check_problem(send(client, f"/v1/companies/{company}/users/{user}/{operation}", TAMY), reason, 422)


def test_names_as_long_as_may_be(client: TestClient) -> None:
    user = f"/v1/companies/{'w' * 128}/users/{'0' * 128}"
    enroll(client, TAMY, user + "/enrollments")
    assert send(client, user + "/verifications", TAMY).status_code == 200


@pytest.mark.parametrize(
    ("error", "reason"),
    [(StoreUnavailableError("disk full"), "store_unavailable"), (StoreDamagedError("changed"), "store_damaged")],
)
def test_what_the_store_cannot_do_is_neither_done_nor_told_in_detail(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(EnrollmentStore, "references", fail)
    monkeypatch.setattr(EnrollmentStore, "add", fail)
    for path in BOTH:
        answer = send(client, path, TAMY)
        check_problem(answer, reason, 503)
        assert answer.headers["retry-after"] == "1"
        assert str(error) not in answer.text


# Verification.


def test_every_person_is_told_from_left_to_right(client: TestClient) -> None:
    near, far = enroll(client, TAMY), enroll(client, TAMY_AGAIN)
    answer = send(client, VERIFICATIONS, CROWD, {"X-Request-ID": "order-17"})
    assert (answer.status_code, answer.headers["x-face-reason"]) == (200, "compared")
    body = answer.json()
    timings = body.pop("timings_ms")
    assert set(timings) == {"store", "decode", "detect", "align", "encode", "match", "total"}
    assert stages_of(answer) == list(timings)
    told = {"tolerance": 0.6, "estimated_false_match_rate": None}
    persons = [
        {"number": 1, "verdict": "match", "distance": pytest.approx(0.1), "reference_id": near, **face_json(10)},
        {"number": 2, "verdict": "match", "distance": pytest.approx(0.25), "reference_id": far, **face_json(250)},
        {"number": 3, "verdict": "dismatch", "distance": pytest.approx(1.5), "reference_id": far, **face_json(500)},
    ]
    assert body == {
        "photo": {"width": 640, "height": 480},
        "persons": [person | told for person in persons],
        "encoder_id": "fake/1",
        "request_id": "order-17",
    }


def test_the_tolerance_decides(tmp_path: Path) -> None:
    for tolerance, verdict in ((0.74, "dismatch"), (0.75, "match")):
        with served(tmp_path, tolerance=tolerance) as client:
            send(client, ENROLLMENTS, TAMY)
            (person,) = send(client, VERIFICATIONS, STRANGER).json()["persons"]
            assert (person["verdict"], person["tolerance"], person["distance"]) == (verdict, tolerance, 0.75)


def test_the_false_match_rate_is_that_of_the_encoder_at_the_distance(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Halves:
        def false_match_rate(self, distance: float) -> float:
            return distance / 2

    monkeypatch.setattr(decision, "published", {"fake/1": Halves()}.get)
    enroll(client, TAMY)
    (person,) = send(client, VERIFICATIONS, STRANGER).json()["persons"]
    assert (person["distance"], person["estimated_false_match_rate"]) == (0.75, 0.375)


def test_only_references_of_this_encoder_are_compared(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        enroll(client, TAMY)
        old = enroll(client, STRANGER)
    later = Planted()
    later.encoder_id = "fake/2"
    later.plant(TAMY, face(0.0, encoder_id="fake/2"))
    with served(tmp_path, later) as client:
        check_problem(send(client, VERIFICATIONS, TAMY), "references_outdated", 409)
        new = enroll(client, TAMY)
        (person,) = send(client, VERIFICATIONS, TAMY).json()["persons"]
        assert (person["distance"], person["reference_id"]) == (0.0, new)
        assert [item["id"] for item in client.get(TAMYS).json()["enrollments"]] == [old, new]


@pytest.mark.parametrize("user", ["/v1/companies/withmind/users/joe", "/v1/companies/nobodys/users/tamy"])
def test_who_is_not_registered_is_not_verified(client: TestClient, analyser: Planted, user: str) -> None:
    enroll(client, TAMY)
    analysed = analyser.analysed
    check_problem(send(client, f"{user}/verifications", TAMY), "user_unregistered", 404)
    assert analyser.analysed == analysed


# Idempotency-Key.

ONCE = {"Idempotency-Key": "order-17"}
LEFT_BEHIND = (
    "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM face_references), "
    "(SELECT count(*) FROM analysis_events), (SELECT count(*) FROM idempotent_requests)"
)


def enroll_once(client: TestClient, image: bytes, headers: Headers | None = None, **fields: str) -> httpx2.Response:
    return send(client, ENROLLMENTS, image, ONCE | (headers or {}), **fields)


def test_a_request_sent_again_is_answered_as_the_first_was(client: TestClient, analyser: Planted) -> None:
    first = enroll_once(client, TAMY, gender="0")
    enroll(client, TAMY_AGAIN)
    again = enroll_once(client, TAMY, gender="0")
    assert (first.status_code, first.headers.get("idempotency-replayed")) == (201, None)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert (again.headers["x-face-reason"], again.content) == ("replayed", first.content)
    assert analyser.analysed == 2
    assert len(client.get("/v1/events").json()["items"]) == 2


def test_a_form_of_another_spelling_is_the_same_request(client: TestClient) -> None:
    def form(boundary: str, name: str) -> httpx2.Response:
        headers = ONCE | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer: httpx2.Response = client.post(ENROLLMENTS, files={"image": (name, TAMY)}, headers=headers)
        return answer

    assert form("one", "i.jpg").status_code == 201
    assert form("two", "tamy.png").headers["idempotency-replayed"] == "true"


def test_quotes_do_not_make_another_key(client: TestClient) -> None:
    assert enroll_once(client, TAMY).status_code == 201
    quoted = enroll_once(client, TAMY, {"Idempotency-Key": '"order-17"'})
    assert quoted.headers["idempotency-replayed"] == "true"


def test_another_request_with_the_same_key_is_refused(client: TestClient, analyser: Planted) -> None:
    enroll_once(client, TAMY, gender="0")
    others = [
        enroll_once(client, STRANGER, gender="0"),
        enroll_once(client, TAMY, gender="1"),
        enroll_once(client, TAMY),
        send(client, f"{USERS}/joe/enrollments", TAMY, ONCE, gender="0"),
    ]
    for other in others:
        check_problem(other, "idempotency_key_reused", 422)
    assert analyser.analysed == 1
    assert client.get(TAMYS).json()["gender"] == 0


@pytest.mark.parametrize("key", ["", "a b", "x" * 65, '"order-17', '""', "a;b", "a\tb", "\xe9"])
def test_what_is_no_idempotency_key_is_refused(client: TestClient, analyser: Planted, key: str) -> None:
    answer = send(client, ENROLLMENTS, TAMY, {"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item]
    check_problem(answer, "idempotency_key_invalid", 422)
    assert analyser.analysed == 0


@pytest.mark.parametrize("key", ["x" * 64, "0", "A.b_c-9"])
def test_idempotency_keys(client: TestClient, key: str) -> None:
    for replayed in (None, "true"):
        answer = enroll_once(client, TAMY, {"Idempotency-Key": key})
        assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, replayed)


@pytest.mark.parametrize("image", [EMPTY, POOR, b"GIF89a", STRANGER], ids=["empty", "poor", "gif", "failure"])
def test_after_a_failure_the_key_is_free(client: TestClient, analyser: Planted, image: bytes) -> None:
    analyser.planted[STRANGER] = InferenceError("out of memory")
    for _ in range(2):
        assert enroll_once(client, image).headers["x-face-reason"] not in {"replayed", "idempotency_key_in_use"}
    assert enroll_once(client, TAMY).status_code == 201


def test_after_a_bug_the_key_is_free(client: TestClient, analyser: Planted) -> None:
    analyser.planted[STRANGER] = ZeroDivisionError()
    check_problem(enroll_once(client, STRANGER), "internal_error", 500)
    assert enroll_once(client, TAMY).status_code == 201


@pytest.mark.parametrize("error", [StoreUnavailableError("disk full"), StatementRefusedError("no such column")])
def test_what_is_done_is_told_though_its_key_cannot_be_kept(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(IdempotencyStore, "complete", raising(error))
    assert enroll_once(client, TAMY).status_code == 201
    assert str(error) in caplog.text
    check_problem(enroll_once(client, TAMY), "idempotency_key_in_use", 409)


@pytest.mark.parametrize("error", [StoreUnavailableError("disk full"), StatementRefusedError("no such column")])
def test_what_failed_is_told_though_its_key_cannot_be_freed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(IdempotencyStore, "release", raising(error))
    check_problem(enroll_once(client, EMPTY), "no_face", 422)
    assert str(error) in caplog.text


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_an_answer_goes_with_whom_it_is_about(client: TestClient, analyser: Planted) -> None:
    enroll_once(client, TAMY)
    assert client.delete(TAMYS).status_code == 200
    again = enroll_once(client, TAMY)
    assert (again.status_code, "idempotency-replayed" in again.headers) == (201, False)
    assert analyser.analysed == 2


def test_each_api_key_has_idempotency_keys_of_its_own(tmp_path: Path, analyser: Planted) -> None:
    with served(tmp_path, analyser, auth="keys") as client:
        one, two, admin = (new_key(tmp_path, company).headers for company in ("withmind", "withmind", None))
        assert enroll_once(client, TAMY, one).status_code == 201
        for other in (two, admin):
            answer = enroll_once(client, STRANGER, other)
            assert answer.is_success
            assert "idempotency-replayed" not in answer.headers
        assert enroll_once(client, TAMY, one).headers["idempotency-replayed"] == "true"


def test_while_the_first_request_is_under_way_the_second_is_refused(tmp_path: Path) -> None:
    held = Held()
    app = app_of(tmp_path, held)

    async def scenario() -> None:
        transport = httpx2.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=LOCAL) as client:

            async def once() -> httpx2.Response:
                return await client.post(ENROLLMENTS, files={"image": ("i.jpg", TAMY)}, headers=ONCE)

            first = asyncio.create_task(once())
            await until(lambda: held.held == 1)
            check_problem(await once(), "idempotency_key_in_use", 409)
            held.released.set()
            assert (await first).status_code == 201
            assert (await once()).headers["idempotency-replayed"] == "true"
        assert held.held == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(("end", "deadline_s"), [("caller_gone", 30.0), ("deadline_exceeded", 0.5)])
def test_after_a_request_that_was_given_up_the_key_is_free(tmp_path: Path, end: str, deadline_s: float) -> None:
    held = Held()
    app, patient = app_of(tmp_path, held, deadline_s=deadline_s), app_of(tmp_path)
    headers, form = form_of(TAMY)

    async def scenario() -> None:
        async with app.router.lifespan_context(app), patient.router.lifespan_context(patient):
            leave = asyncio.Event()
            request = asyncio.create_task(exchange(app, "POST", ENROLLMENTS, headers | ONCE, [form], leave=leave))
            await until(lambda: held.held == 1 or request.done())
            if end == "caller_gone":
                leave.set()
            assert (await request).reason == end
            with opened(tmp_path) as store:
                assert rows(store, LEFT_BEHIND) == [(0, 0, 0, 0)]
            again = await exchange(patient, "POST", ENROLLMENTS, headers | ONCE, [form])
            assert (again.status, again.reason) == (201, "enrolled")

    asyncio.run(scenario())


def test_without_a_key_every_request_is_done(client: TestClient) -> None:
    assert [send(client, ENROLLMENTS, TAMY).json()["outcome"] for _ in range(2)] == ["enrolled", "already_enrolled"]


def test_neither_the_key_nor_the_answer_is_in_any_file(client: TestClient, tmp_path: Path) -> None:
    assert enroll_once(client, TAMY).status_code == 201
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert b"order-17" not in content
        assert b"reference_id" not in content
