"""The tolerance that an administrator applies: it holds from the next analysis on, unless the operator set one."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from face_api.routes.door import MAX_JSON_BYTES
from face_api.store import Applied, utc_now
from face_engine.calibration import Calibration
from support.api import (
    ENROLLMENTS,
    FAIL,
    TAMY,
    TAMY_AGAIN,
    VERIFICATIONS,
    Headers,
    Json,
    Planted,
    check,
    check_problem,
    enroll,
    new_key,
    opened,
    post,
    send,
    served,
)
from support.fakes import ENCODER_ID
from support.store import CALLER, rows

DECISION = "/v1/decision"
CALIBRATION = Calibration(
    encoder_id=ENCODER_ID,
    distances=(0.25, 0.5, 1.0),
    false_match_rates=(0.01, 0.1, 1.0),
    comparisons=100_000,
    persons=500,
    source="a test",
    target_fmr=0.05,
    tolerance=0.45,
    tolerance_interval=(0.4, 0.5),
)
DEFAULT: Json = {
    "tolerance": 0.6,
    "source": "default",
    "changeable": True,
    "applied_at": None,
    "applied_by": None,
    "note": None,
    "default_tolerance": 0.6,
    "encoder_id": ENCODER_ID,
    "calibration": None,
}


class Renewed(Planted):
    """The same service with the networks of a later version."""

    encoder_id = "fake/2"


def told(calibration: Calibration) -> Json:
    """Return what the API tells of a calibration."""
    fields: Json = json.loads(json.dumps(asdict(calibration)))
    del fields["encoder_id"]
    return fields


def apply(client: TestClient, tolerance: object = 0.45, headers: Headers | None = None, **more: object) -> Response:
    answer: Response = client.put(DECISION, json={"tolerance": tolerance, **more}, headers=headers)
    return answer


def apply_elsewhere(data_dir: Path, tolerance: float, encoder_id: str = ENCODER_ID) -> None:
    """Apply a tolerance by another process of the service."""
    with opened(data_dir) as store:
        store.decisions.apply(CALLER, Applied(tolerance, encoder_id, "", None, utc_now(), "test"), 0.6)


def person(client: TestClient) -> tuple[str, float, float | None]:
    """Return how another photo of tamy compares, which is at a distance of 0.5."""
    (found,) = send(client, VERIFICATIONS, TAMY_AGAIN).json()["persons"]
    rate = found["estimated_false_match_rate"]
    return found["verdict"], found["tolerance"], rate if rate is None else round(rate, 9)


def write_calibration(folder: Path, calibration: Calibration = CALIBRATION) -> Path:
    path = folder / "calibration.json"
    path.write_text(json.dumps(calibration.to_json()))
    return path


def test_what_holds_where_nothing_was_applied(client: TestClient) -> None:
    assert client.get(DECISION).json() == DEFAULT
    assert client.delete(DECISION).json() == DEFAULT


def test_what_is_applied_holds_from_the_next_analysis_on(client: TestClient) -> None:
    enroll(client, TAMY)
    assert person(client) == ("match", 0.6, None)
    answer = apply(client, note="our own 120 users", calibration=CALIBRATION.to_json())
    assert (answer.status_code, answer.json()) == (200, client.get(DECISION).json())
    found: Any = answer.json()
    assert found.pop("applied_at").endswith("Z")
    assert found == {name: value for name, value in DEFAULT.items() if name != "applied_at"} | {
        "tolerance": 0.45,
        "source": "applied",
        "applied_by": "anonymous",
        "note": "our own 120 users",
        "calibration": told(CALIBRATION),
    }
    assert person(client) == ("dismatch", 0.45, 0.1)
    check(post(client, "/analy_img/", TAMY_AGAIN), {"result": {"person_1": "dismatch"}}, "compared")
    assert apply(client, 0.5).json()["calibration"] is None
    assert person(client) == ("match", 0.5, None)
    assert client.delete(DECISION).json() == client.get(DECISION).json() == DEFAULT
    assert person(client) == ("match", 0.6, None)
    check(post(client, "/analy_img/", TAMY_AGAIN), {"result": {"person_1": "match"}}, "compared")


def test_what_another_process_applied_or_withdrew_holds_too(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    for tolerance, verdict in ((0.45, "dismatch"), (0.55, "match"), (0.4, "dismatch")):
        apply_elsewhere(tmp_path, tolerance)
        assert person(client) == (verdict, tolerance, None)
        assert client.get(DECISION).json()["tolerance"] == tolerance
    with opened(tmp_path) as store:
        store.decisions.withdraw(CALLER, ENCODER_ID, 0.6)
    assert person(client) == ("match", 0.6, None)


def test_what_is_applied_lasts(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        enroll(client, TAMY)
        before = apply(client, calibration=CALIBRATION.to_json()).json()
    with served(tmp_path) as client:
        assert client.get(DECISION).json() == before
        assert person(client) == ("dismatch", 0.45, 0.1)


def test_what_is_applied_outranks_the_calibration_file(tmp_path: Path) -> None:
    path = write_calibration(tmp_path, replace(CALIBRATION, tolerance=0.4))
    with served(tmp_path / "data", calibration_file=path) as client:
        enroll(client, TAMY)
        before = client.get(DECISION).json()
        assert (before["tolerance"], before["default_tolerance"], before["source"]) == (0.4, 0.4, "calibration_file")
        after = apply(client, 0.55).json()
        assert (after["tolerance"], after["default_tolerance"], after["source"]) == (0.55, 0.4, "applied")
        # Without a calibration of its own, the file's rates are told as before.
        assert after["calibration"] == before["calibration"] == told(replace(CALIBRATION, tolerance=0.4))
        assert person(client) == ("match", 0.55, 0.1)
        other = replace(CALIBRATION, false_match_rates=(0.001, 0.002, 1.0))
        assert apply(client, 0.55, calibration=other.to_json()).json()["calibration"] == told(other)
        assert person(client) == ("match", 0.55, 0.002)
        assert client.delete(DECISION).json() == before


@pytest.mark.parametrize("with_file", [False, True])
def test_what_the_operator_set_outranks_all_and_cannot_be_changed(tmp_path: Path, with_file: bool) -> None:
    more: Any = {"calibration_file": write_calibration(tmp_path)} if with_file else {}
    with served(tmp_path / "data", tolerance=0.6, **more) as client:
        enroll(client, TAMY)
        apply_elsewhere(tmp_path / "data", 0.45)
        expected = DEFAULT | {"source": "setting", "changeable": False}
        expected |= {"calibration": told(CALIBRATION)} if with_file else {}
        assert client.get(DECISION).json() == expected
        check_problem(apply(client), "decision_fixed", 409)
        assert person(client)[:2] == ("match", 0.6)
    with served(tmp_path / "data") as client:
        assert client.get(DECISION).json()["source"] == "applied"


def test_where_the_operator_set_one_what_was_applied_can_be_withdrawn(tmp_path: Path) -> None:
    """So that it does not come back on the day when the operator sets none any more."""
    apply_elsewhere(tmp_path, 0.45)
    with served(tmp_path, tolerance=0.7) as client:
        answer = client.delete(DECISION)
        assert (answer.status_code, answer.json()) == (200, client.get(DECISION).json())
        assert (answer.json()["tolerance"], answer.json()["source"]) == (0.7, "setting")
    with served(tmp_path) as client:
        assert client.get(DECISION).json() == DEFAULT


def test_a_tolerance_that_was_put_back_or_removed_past_the_service_is_not_used(
    client: TestClient, tmp_path: Path
) -> None:
    enroll(client, TAMY)
    apply(client, 0.55)
    with opened(tmp_path) as store:
        ((*before,),) = rows(store, "SELECT token, value FROM applied_decisions")
        apply(client, 0.45)
        assert person(client)[:2] == ("dismatch", 0.45)
        rows(store, "UPDATE applied_decisions SET token = :token, value = :it", token=before[0], it=before[1])
        check_problem(send(client, VERIFICATIONS, TAMY_AGAIN), "store_damaged", 503)
        check_problem(client.get(DECISION), "store_damaged", 503)
        assert client.get("/v1/audit/verification").json()["state"] == "broken"
        apply(client, 0.45)
        assert person(client)[:2] == ("dismatch", 0.45)
        rows(store, "DELETE FROM applied_decisions")
        check_problem(send(client, VERIFICATIONS, TAMY_AGAIN), "store_damaged", 503)
        check(post(client, "/analy_img/", TAMY_AGAIN), FAIL, "store_damaged", 503)
    assert client.delete(DECISION).json() == DEFAULT
    assert person(client)[:2] == ("match", 0.6)
    assert client.get("/v1/audit/verification").json()["state"] == "intact"


def test_what_was_applied_for_another_encoder_is_not_used(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        apply(client, 0.3, calibration=CALIBRATION.to_json())
    with served(tmp_path, Renewed()) as client:
        assert client.get(DECISION).json() == DEFAULT | {"encoder_id": "fake/2"}
        check_problem(apply(client, calibration=CALIBRATION.to_json()), "encoder_mismatch", 409)
        assert client.get(DECISION).json()["source"] == "default"
        assert apply(client, 0.5).json()["tolerance"] == 0.5
    with served(tmp_path) as client:
        assert client.get(DECISION).json()["tolerance"] == 0.3
    with opened(tmp_path) as store:
        told = [dict(entry.details) for entry in store.audit.entries() if entry.action == "decide"]
    for entry in told:
        del entry["token"]
    assert told == [
        {"encoder": ENCODER_ID, "former": 0.6, "tolerance": 0.3},
        {"encoder": "fake/2", "former": 0.6, "tolerance": 0.5},
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tolerance"),
        ({"tolerance": None}, "tolerance"),
        ({"tolerance": "0.5"}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
        ({"tolerance": -0.001}, "tolerance"),
        ({"tolerance": 2.001}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"tolerance": float("inf")}, "tolerance"),
        ({"tolerance": 0.5, "note": "x" * 201}, "note"),
        ({"tolerance": 0.5, "note": "one\nmore"}, "note"),
        ({"tolerance": 0.5, "applied_by": "me"}, "applied_by"),
        ({"tolerance": 0.5, "calibration": []}, "calibration"),
        ({"tolerance": 0.5, "calibration": {}}, "calibration"),
        ({"tolerance": 0.5, "calibration": CALIBRATION.to_json() | {"schema": "other/1"}}, "calibration"),
        ({"tolerance": 0.5, "calibration": CALIBRATION.to_json() | {"false_match_rates": [0.1, 1.0]}}, "calibration"),
        (
            {"tolerance": 0.5, "calibration": CALIBRATION.to_json() | {"distances": [1, 0.5, float("nan")]}},
            "calibration",
        ),
        ({"tolerance": 0.5, "calibration": CALIBRATION.to_json() | {"tolerance_interval": []}}, "calibration"),
        ({"tolerance": 0.5, "calibration": CALIBRATION.to_json() | {"comparisons": 10**400}}, "calibration"),
        ({"tolerance": 0.5, "calibration": CALIBRATION.to_json() | {"persons": 10**400}}, "calibration"),
        (
            {"tolerance": 0.5, "calibration": CALIBRATION.to_json() | {"tolerance_interval": [0.4, float("inf")]}},
            "calibration",
        ),
    ],
)
def test_what_is_no_tolerance_is_refused(still: TestClient, body: Json, field: str) -> None:
    before = still.get(DECISION).json()
    answer = still.put(DECISION, content=json.dumps(body))
    assert (answer.status_code, answer.json()["reason"]) == (400, "json_invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert still.get(DECISION).json() == before


@pytest.mark.parametrize("tolerance", [0, 0.0, 2, 2.0])
def test_both_ends_of_the_range_can_be_applied(client: TestClient, tolerance: float) -> None:
    answer = apply(client, tolerance, note="한" * 200)
    assert (answer.json()["tolerance"], answer.json()["note"]) == (tolerance, "한" * 200)


def test_the_longest_calibration_that_is_written_fits_into_a_message(client: TestClient) -> None:
    steps = 200
    longest = replace(
        CALIBRATION,
        distances=tuple(step / 100 for step in range(steps + 1)),
        false_match_rates=tuple((step / steps + 1e-5 / 3) / (1 + 1e-5 / 3) for step in range(steps + 1)),
        source="한" * 300,
    )
    body = json.dumps({"tolerance": 0.5, "note": "한" * 200, "calibration": longest.to_json()}, indent=1)
    assert MAX_JSON_BYTES / 2 < len(body) < MAX_JSON_BYTES
    assert client.put(DECISION, content=body).json()["calibration"] == told(longest)


def test_it_is_for_administrators_alone(tmp_path: Path) -> None:
    with served(tmp_path, auth="keys") as client:
        admin, company = new_key(tmp_path), new_key(tmp_path, "withmind")
        for method in ("GET", "PUT", "DELETE"):
            answer = client.request(method, DECISION, headers=company.headers, **_body(method))
            check_problem(answer, "admin_required", 403)
            assert client.request(method, DECISION, **_body(method)).status_code == 401
        told = apply(client, headers=admin.headers).json()
        assert (told["applied_by"], told["note"]) == (admin.key_id, "")
        client.delete(DECISION, headers=admin.headers)
    with opened(tmp_path) as store:
        entries = [entry for entry in store.audit.entries() if entry.action == "decide"]
        told = [(entry.actor, entry.details["former"], entry.details["tolerance"]) for entry in entries]
        assert told == [(admin.key_id, 0.6, 0.45), (admin.key_id, 0.45, 0.6)]


def _body(method: str) -> Json:
    return {"json": {"tolerance": 0.5}} if method == "PUT" else {}


def test_there_is_no_verdict_by_a_tolerance_that_somebody_else_wrote(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    apply(client)
    with opened(tmp_path) as store:
        rows(store, "UPDATE applied_decisions SET token = 'another'")
    check_problem(send(client, VERIFICATIONS, TAMY_AGAIN), "store_damaged", 503)
    check(post(client, "/analy_img/", TAMY_AGAIN), FAIL, "store_damaged", 503)
    check_problem(client.get(DECISION), "store_damaged", 503)
    assert apply(client, 0.55).json()["tolerance"] == 0.55
    assert person(client) == ("match", 0.55, None)


def test_an_enrollment_needs_no_tolerance(client: TestClient, tmp_path: Path) -> None:
    apply(client)
    with opened(tmp_path) as store:
        rows(store, "UPDATE applied_decisions SET token = 'another'")
    assert send(client, ENROLLMENTS, TAMY).status_code == 201
