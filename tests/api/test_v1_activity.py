"""v1's events and statistics: what was asked, how it ended, how long it took."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from support.api import (
    CROWD,
    EMPTY,
    ENROLLMENTS,
    STRANGER,
    TAMY,
    USERS,
    VERIFICATIONS,
    Json,
    check_problem,
    enroll,
    new_key,
    post,
    send,
    served,
)

EVENTS, STATS, COMPANIES = "/v1/events", "/v1/stats", "/v1/stats/companies"
BOTH = [EVENTS, STATS]
SEOUL = timezone(timedelta(hours=9))


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service that was asked six times; for tests that add nothing."""
    with served(tmp_path_factory.mktemp("busy")) as client:
        enroll(client, TAMY)  # 1
        send(client, VERIFICATIONS, CROWD, {"X-Request-ID": "order-17"})  # 2
        post(client, "/analy_img/", EMPTY)  # 3
        send(client, ENROLLMENTS, EMPTY)  # 4
        enroll(client, TAMY, "/v1/companies/other/users/tamy/enrollments")  # 5
        send(client, f"{USERS}/joe/verifications", TAMY)  # 6, of nobody
        yield client


def get(client: TestClient, path: str, **query: Any) -> Json:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def ids_of(client: TestClient, **query: Any) -> list[int]:
    return [event["id"] for event in get(client, EVENTS, **query)["items"]]


def moment(client: TestClient, number: int) -> datetime:
    """Return when an event was."""
    times = {event["id"]: event["at"] for event in get(client, EVENTS)["items"]}
    return datetime.fromisoformat(times[number])


# Events.


def test_the_newest_comes_first(busy: TestClient) -> None:
    assert ids_of(busy) == [6, 5, 4, 3, 2, 1]


def test_all_of_an_event_is_told(busy: TestClient) -> None:
    event = get(busy, EVENTS, reason="compared")["items"][0]
    timings, at = event.pop("timings_ms"), event.pop("at")
    assert event == {
        "id": 2,
        "operation": "analyse",
        "company": "withmind",
        "user": "tamy",
        "request_id": "order-17",
        "reason": "compared",
        "matches": 1,
        "dismatches": 2,
        "distance": pytest.approx(0.1),
    }
    assert set(timings) == {"store", "decode", "detect", "align", "encode", "match", "total"}
    assert datetime.fromisoformat(at).utcoffset() == timedelta(0)


def test_of_whom_is_not_registered_no_name_is_told(busy: TestClient) -> None:
    event = get(busy, EVENTS)["items"][0]
    assert (event["company"], event["user"], event["reason"], event["distance"]) == (
        "withmind",
        None,
        "user_unregistered",
        None,
    )


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"company": "withmind"}, [6, 4, 3, 2, 1]),
        ({"company": "other"}, [5]),
        ({"company": "nobodys"}, []),
        ({"company": "withmind", "user": "tamy"}, [4, 3, 2, 1]),
        ({"company": "withmind", "user": "nobody"}, []),
        ({"operation": "enroll"}, [5, 4, 1]),
        ({"operation": "analyse"}, [6, 3, 2]),
        ({"reason": "no_face"}, [4, 3]),
        ({"reason": "too_many_attempts"}, []),
        ({"company": "withmind", "user": "tamy", "operation": "analyse", "reason": "no_face"}, [3]),
    ],
)
def test_events_can_be_filtered(busy: TestClient, query: dict[str, str], ids: list[int]) -> None:
    assert ids_of(busy, **query) == ids


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (4, [3])])
def test_events_come_in_pages(busy: TestClient, limit: int, sizes: list[int]) -> None:
    pages, query = [], {"operation": "enroll", "limit": limit}
    while "cursor" not in query or query["cursor"]:
        page = get(busy, EVENTS, **query)
        pages.append([event["id"] for event in page["items"]])
        query["cursor"] = page["next_cursor"]
    assert [number for page in pages for number in page] == [5, 4, 1]
    assert [len(page) for page in pages] == sizes


def test_from_a_moment_on_and_up_to_before_another(busy: TestClient) -> None:
    second, fourth = moment(busy, 2), moment(busy, 4)
    assert ids_of(busy, since=second.isoformat()) == [6, 5, 4, 3, 2]
    assert ids_of(busy, until=fourth.isoformat()) == [3, 2, 1]
    assert ids_of(busy, since=second.isoformat(), until=fourth.isoformat()) == [3, 2]
    assert ids_of(busy, since=fourth.isoformat(), until=second.isoformat()) == []


def test_a_moment_may_be_of_any_time_zone(busy: TestClient) -> None:
    fourth = moment(busy, 4)
    in_seoul, without_zone = fourth.astimezone(SEOUL), fourth.astimezone(UTC).replace(tzinfo=None)
    for spelling in (in_seoul.isoformat(), without_zone.isoformat(), without_zone.isoformat() + "Z"):
        assert ids_of(busy, since=spelling) == [6, 5, 4]
    # What forgets to write the + as %2B is refused, not taken to be another moment.
    plus = in_seoul.isoformat()
    check_query_problem(busy.get(f"{EVENTS}?since={plus}"), "since")


def check_query_problem(answer: httpx2.Response, parameter: str) -> None:
    (error,) = answer.json()["errors"]
    assert error["parameter"] == parameter
    check_problem(answer, "query_invalid", 422, errors=[error])


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "1700000000"}, "since"),
        ({"until": "2026-13-01T00:00:00Z"}, "until"),
        ({"until": ""}, "until"),
        ({"since": "0001-01-01T00:00:00+09:00"}, ""),
        ({"until": "9999-12-31T23:59:59-09:00"}, ""),
        ({"operation": "erase"}, "operation"),
        ({"reason": "No Face"}, "reason"),
        ({"reason": "x" * 65}, "reason"),
        ({"company": "With Mind"}, "company"),
        ({"company": ""}, "company"),
        ({"company": "withmind", "user": "T"}, "user"),
        ({"user": "tamy"}, "user"),
        ({"users": "tamy"}, "users"),
    ],
)
def test_filters_that_are_none(still: TestClient, path: str, query: dict[str, str], parameter: str) -> None:
    check_query_problem(still.get(path, params=query), parameter)


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_the_ends_of_time_are_moments(still: TestClient, path: str, name: str, value: str) -> None:
    answer = still.get(path, params={name: value})
    assert answer.status_code in {200, 422}, answer.text
    if path == EVENTS:
        holds_all = (name, value[:4]) in {("since", "0001"), ("until", "9999")}
        assert len(answer.json()["items"]) == holds_all


# Statistics.


def test_events_are_added_up_by_operation(busy: TestClient) -> None:
    day = 24 * 3600
    until = moment(busy, 6) + timedelta(seconds=1)
    stats = get(busy, STATS, bucket_s=31 * day, until=until.isoformat())
    assert stats["bucket_s"] == 31 * day
    assert datetime.fromisoformat(stats["until"]) == until
    assert datetime.fromisoformat(stats["since"]) == until - timedelta(days=1)
    told = {
        bucket["operation"]: {name: bucket[name] for name in ("outcomes", "matches", "dismatches")}
        for bucket in stats["buckets"]
    }
    assert told == {
        "enroll": {"outcomes": {"enrolled": 2, "no_face": 1}, "matches": 0, "dismatches": 0},
        "analyse": {
            "outcomes": {"compared": 1, "no_face": 1, "user_unregistered": 1},
            "matches": 1,
            "dismatches": 2,
        },
    }


def test_the_latency_is_told_by_stage(busy: TestClient) -> None:
    (bucket,) = get(busy, STATS, company="withmind", reason="compared", bucket_s=86400)["buckets"]
    timings = get(busy, EVENTS, reason="compared")["items"][0]["timings_ms"]
    assert bucket["latency"] == {stage: {"count": 1, "p50": ms, "p95": ms, "p99": ms} for stage, ms in timings.items()}


@pytest.mark.parametrize(
    ("query", "requests"),
    [
        ({}, 6),
        ({"company": "other"}, 1),
        ({"company": "withmind", "user": "tamy"}, 4),
        ({"company": "nobodys"}, 0),
        ({"operation": "analyse"}, 3),
        ({"reason": "no_face"}, 2),
    ],
)
def test_statistics_can_be_filtered(busy: TestClient, query: dict[str, str], requests: int) -> None:
    buckets = get(busy, STATS, bucket_s=86400, **query)["buckets"]
    assert sum(sum(bucket["outcomes"].values()) for bucket in buckets) == requests


def test_buckets_begin_at_multiples_of_their_length(busy: TestClient) -> None:
    for bucket_s in (60, 3600, 86_400):
        for bucket in get(busy, STATS, bucket_s=bucket_s)["buckets"]:
            start = datetime.fromisoformat(bucket["start"])
            assert start.timestamp() % bucket_s == 0
            assert start <= moment(busy, 6)
            assert moment(busy, 1) < start + timedelta(seconds=bucket_s)


def test_statistics_of_a_stretch_of_time(busy: TestClient) -> None:
    since, until = moment(busy, 2), moment(busy, 4)
    stats = get(busy, STATS, since=since.astimezone(SEOUL).isoformat(), until=until.isoformat(), bucket_s=86400)
    assert sum(sum(bucket["outcomes"].values()) for bucket in stats["buckets"]) == 2
    assert datetime.fromisoformat(stats["since"]) == since
    assert stats["since"].endswith("Z")


@pytest.mark.parametrize("bucket_s", ["59", "0", "-60", "2678401", "1.5", "hour"])
def test_buckets_that_are_none(still: TestClient, bucket_s: str) -> None:
    check_query_problem(still.get(STATS, params={"bucket_s": bucket_s}), "bucket_s")


def test_there_are_not_too_many_buckets(still: TestClient) -> None:
    until = datetime.now(UTC)

    def ask(seconds: int, bucket_s: int) -> httpx2.Response:
        since = until - timedelta(seconds=seconds)
        query: dict[str, str | int] = {"since": since.isoformat(), "until": until.isoformat(), "bucket_s": bucket_s}
        return still.get(STATS, params=query)

    assert ask(2000 * 60, 60).status_code == 200
    check_query_problem(ask(2000 * 60 + 1, 60), "bucket_s")
    assert ask(2000 * 60 + 1, 61).status_code == 200


@pytest.mark.parametrize("bucket_s", [None, 60])
def test_all_can_be_one_bucket(busy: TestClient, bucket_s: int | None) -> None:
    until = moment(busy, 6)
    since = until - timedelta(days=3000)
    query = {"since": since.isoformat(), "until": until.isoformat(), "whole": "true"}
    query |= {} if bucket_s is None else {"bucket_s": str(bucket_s)}
    stats = get(busy, STATS, **query)
    assert stats["bucket_s"] is None
    told = [(bucket["operation"], bucket["outcomes"]) for bucket in stats["buckets"]]
    assert told == [("analyse", {"compared": 1, "no_face": 1}), ("enroll", {"enrolled": 2, "no_face": 1})]
    assert {datetime.fromisoformat(bucket["start"]) for bucket in stats["buckets"]} == {since}


# By company.


def test_events_are_added_up_by_company(busy: TestClient) -> None:
    stats = get(busy, COMPANIES)
    assert datetime.fromisoformat(stats["until"]) - datetime.fromisoformat(stats["since"]) == timedelta(days=1)
    assert not stats["more"]
    told = [[item[name] for name in ("company", "operation", "outcomes")] for item in stats["items"]]
    assert told == [
        ["withmind", "analyse", {"compared": 1, "no_face": 1, "user_unregistered": 1}],
        ["withmind", "enroll", {"enrolled": 1, "no_face": 1}],
        ["other", "enroll", {"enrolled": 1}],
    ]
    assert (stats["items"][0]["matches"], stats["items"][0]["dismatches"]) == (1, 2)
    assert stats["items"][2]["latency"]["total"]["count"] == 1


def test_companies_can_be_compared_in_one_operation_and_a_stretch_of_time(busy: TestClient) -> None:
    third = moment(busy, 3).isoformat()
    items = get(busy, COMPANIES, operation="enroll", since=third)["items"]
    assert {item["company"]: item["outcomes"] for item in items} == {
        "withmind": {"no_face": 1},
        "other": {"enrolled": 1},
    }
    assert get(busy, COMPANIES, since=third, until=third)["items"] == []


def test_who_is_not_registered_is_no_company(client: TestClient) -> None:
    send(client, f"{USERS}/joe/verifications", TAMY)
    (item,) = get(client, COMPANIES)["items"]
    assert (item["company"], item["outcomes"]) == (None, {"user_unregistered": 1})


def test_a_companys_key_sees_its_own_figures_alone(tmp_path: Path) -> None:
    with served(tmp_path, auth="keys") as client:
        admin, withminds = new_key(tmp_path), new_key(tmp_path, "withmind")
        enroll(client, TAMY, headers=admin.headers)
        enroll(client, TAMY, "/v1/companies/other/users/tamy/enrollments", headers=admin.headers)
        seen = {
            key: {item["company"] for item in client.get(COMPANIES, headers=key.headers).json()["items"]}
            for key in (admin, withminds)
        }
    assert seen == {admin: {"withmind", "other"}, withminds: {"withmind"}}


@pytest.mark.parametrize("query", [{"company": "withmind"}, {"operation": "erase"}, {"since": "yesterday"}])
def test_companies_are_not_compared_by_anything_else(still: TestClient, query: dict[str, str]) -> None:
    check_query_problem(still.get(COMPANIES, params=query), *query)


def test_a_replayed_answer_is_no_event(client: TestClient) -> None:
    for _ in range(2):
        send(client, ENROLLMENTS, TAMY, {"Idempotency-Key": "x"})
    send(client, ENROLLMENTS, STRANGER, {"Idempotency-Key": "x"})
    assert ids_of(client) == [1]
