"""v1's audit trail: who did what, and whether it is whole."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from face_api.cli.audit import audit_command
from support.api import CROWD, EMPTY, TAMY, TAMYS, VERIFICATIONS, Json, check_problem, enroll, opened, send, served
from support.store import rows

AUDIT, VERIFICATION = "/v1/audit", "/v1/audit/verification"


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service that was asked six times, and then for lists of its audit trail."""
    with served(tmp_path_factory.mktemp("busy")) as client:
        enroll(client, TAMY)  # 1
        send(client, VERIFICATIONS, CROWD, {"X-Request-ID": "order-17"})  # 2
        send(client, VERIFICATIONS, EMPTY)  # 3
        enroll(client, TAMY, "/v1/companies/other/users/tamy/enrollments")  # 4
        client.get(TAMYS)  # 5
        client.get("/v1/companies")  # 6
        yield client


def get(client: TestClient, path: str = AUDIT, **query: Any) -> Json:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def asked(client: TestClient, **query: Any) -> list[int]:
    """Return which of the six requests are listed."""
    return [entry["sequence"] for entry in get(client, **query)["items"] if entry["sequence"] <= 6]


def test_all_of_an_entry_is_told(busy: TestClient) -> None:
    (entry,) = [entry for entry in get(busy)["items"] if entry["sequence"] == 2]
    digest, details = entry.pop("hash"), entry.pop("details")
    assert datetime.fromisoformat(entry.pop("at")).utcoffset() == timedelta(0)
    assert entry == {
        "sequence": 2,
        "actor": "anonymous",
        "action": "analyse",
        "company": "withmind",
        "user": "tamy",
        "request_id": "order-17",
    }
    assert details["reason"] == "compared"
    assert details["verdicts"] == ["match", "dismatch", "dismatch"]
    assert len(bytes.fromhex(digest)) == 32


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"company": "withmind"}, [5, 3, 2, 1]),
        ({"company": "other", "user": "tamy"}, [4]),
        ({"company": "nobodys"}, []),
        ({"action": "enroll"}, [4, 1]),
        ({"action": "analyse", "company": "withmind", "user": "tamy"}, [3, 2]),
        ({"actor": "anonymous", "action": "view"}, [5]),
        ({"actor": "nobody"}, []),
    ],
)
def test_entries_can_be_filtered(busy: TestClient, query: dict[str, str], sequences: list[int]) -> None:
    assert asked(busy, **query) == sequences


def test_from_a_moment_on_and_up_to_before_another(busy: TestClient) -> None:
    times = {entry["sequence"]: entry["at"] for entry in get(busy)["items"]}
    assert asked(busy, since=times[2], until=times[4]) == [3, 2]
    assert asked(busy, until=times[4]) == [3, 2, 1]
    assert asked(busy, since=times[5]) == [6, 5]


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_entries_come_in_pages(busy: TestClient, limit: int) -> None:
    found: list[int] = []
    query: Json = {"company": "withmind", "user": "tamy", "action": "analyse", "limit": limit}
    while "cursor" not in query or query["cursor"]:
        page = get(busy, **query)
        assert len(page["items"]) <= limit
        found += [entry["sequence"] for entry in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert found == [3, 2]


def test_the_list_is_an_entry_itself(busy: TestClient) -> None:
    shown = len(get(busy, action="enroll")["items"])
    latest = get(busy, limit=1)["items"][0]
    assert (latest["action"], latest["company"], latest["details"]) == ("list", None, {"audit_entries": shown})


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"user": "tamy"}, "user"),
        ({"company": "With Mind"}, "company"),
        ({"action": "Enroll"}, "action"),
        ({"actor": ""}, "actor"),
        ({"actor": "x" * 65}, "actor"),
        ({"actor": "\x00"}, "actor"),
        ({"since": "yesterday"}, "since"),
        ({"until": "9999-12-31T23:59:59-09:00"}, ""),
        ({"limit": "0"}, "limit"),
        ({"reason": "compared"}, "reason"),
    ],
)
def test_filters_that_are_none(still: TestClient, query: dict[str, str], parameter: str) -> None:
    answer = still.get(AUDIT, params=query)
    (error,) = answer.json()["errors"]
    assert error["parameter"] == parameter
    check_problem(answer, "query_invalid", 422, errors=[error])


@pytest.mark.parametrize("cursor", ["x", "dGFteQ=="])
def test_a_cursor_of_another_list_is_refused(still: TestClient, cursor: str) -> None:
    check_problem(still.get(AUDIT, params={"cursor": cursor}), "cursor_invalid", 422)


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_the_ends_of_time_are_moments(still: TestClient, name: str, value: str) -> None:
    holds_all = (name, value[:4]) in {("since", "0001"), ("until", "9999")}
    assert bool(get(still, **{name: value})["items"]) == holds_all


def test_a_whole_trail_is_intact(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    found = get(client, VERIFICATION)
    with opened(tmp_path) as store:
        checkpoint = str(store.audit.end())
    assert datetime.fromisoformat(found.pop("checked_at")).utcoffset() == timedelta(0)
    assert found.pop("took_ms") > 0
    assert found == {
        "state": "intact",
        "entries": 1,
        "checkpoint": checkpoint,
        "broken_at": None,
        "problem": None,
    }


def test_a_broken_trail_is_told_with_a_status_of_success(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    client.get(TAMYS)
    with opened(tmp_path) as store:
        rows(store, "UPDATE audit_events SET actor = 'admin' WHERE sequence = 1")
    found = get(client, VERIFICATION)
    assert (found["state"], found["entries"], found["checkpoint"]) == ("broken", 2, None)
    assert (found["broken_at"], found["problem"]) == (1, "it is not what was appended there")
    with opened(tmp_path) as store:
        rows(store, "DELETE FROM audit_head")
    found = get(client, VERIFICATION)
    assert (found["state"], found["broken_at"]) == ("broken", 1)


def test_of_a_trail_without_a_head_the_command_alone_tells_the_entries(client: TestClient, tmp_path: Path) -> None:
    """To list by v1 is an entry, for which there is no place."""
    enroll(client, TAMY)
    with opened(tmp_path) as store:
        rows(store, "UPDATE audit_head SET mac = hash")
    check_problem(client.get(AUDIT), "audit_broken", 503)
    assert get(client, VERIFICATION)["problem"] == "its head was changed"
    listed = CliRunner().invoke(audit_command, ["list", "--after", "0", "--data-dir", str(tmp_path)])
    (line,) = listed.stdout.splitlines()
    assert (listed.exit_code, json.loads(line)["action"]) == (0, "enroll")


def test_an_entry_that_cannot_be_read_is_told_not_listed(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    with opened(tmp_path) as store:
        rows(store, "UPDATE audit_events SET details = '[]' WHERE sequence = 1")
    check_problem(client.get(AUDIT), "audit_broken", 503)
