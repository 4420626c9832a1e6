"""How often a key may ask, and how often a user may be tried: limits of a day, which no test outlives."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from limits.storage import MemoryStorage
from pydantic import ValidationError
from starlette.testclient import TestClient

from face_api.errors import TooManyError
from face_api.limits import RETRY_S, SWEEP_S, AttemptLimits
from face_api.settings import Settings, SettingsError
from support import redis
from support.api import (
    EMPTY,
    ENROLLMENTS,
    FAIL,
    STRANGER,
    TAMY,
    TAMY_AGAIN,
    TAMYS,
    USERS,
    VERIFICATIONS,
    Planted,
    app_of,
    check,
    check_problem,
    enroll,
    exchange,
    new_key,
    post,
    send,
    served,
)
from support.redis import RedisServer

DAY_S = 86_400


@pytest.fixture
def limited(tmp_path: Path, analyser: Planted) -> Iterator[TestClient]:
    """A service that compares two photos a day with a user; tamy is enrolled."""
    with served(tmp_path, analyser, limit_per_user="2/day") as client:
        enroll(client, TAMY)
        yield client


def retry_after(answer: Any) -> int:
    return int(answer.headers["retry-after"])


# For each user.


@pytest.mark.parametrize("paths", ["vv", "vs", "sv", "ss"])
def test_v1_and_the_contract_count_together(limited: TestClient, analyser: Planted, paths: str) -> None:
    for path in paths:
        if path == "v":
            assert send(limited, VERIFICATIONS, STRANGER).status_code == 200
        else:
            check(post(limited, "/analy_img/", STRANGER), {"result": {"person_1": "dismatch"}}, "compared")
    analysed = analyser.analysed
    problem, failure = send(limited, VERIFICATIONS, TAMY), post(limited, "/analy_img/", TAMY)
    check_problem(problem, "too_many_attempts", 429)
    check(failure, FAIL, "too_many_attempts", 429)
    assert 0 < retry_after(problem) <= DAY_S
    assert 0 < retry_after(failure) <= DAY_S
    assert analyser.analysed == analysed


def test_other_users_are_not_affected(limited: TestClient) -> None:
    theirs = [f"{USERS}/other", "/v1/companies/other/users/tamy"]
    for user in theirs:
        enroll(limited, TAMY, f"{user}/enrollments")
    for _ in range(3):
        last = send(limited, VERIFICATIONS, TAMY)
    assert last.status_code == 429
    for user in theirs:
        assert send(limited, f"{user}/verifications", TAMY).status_code == 200


def test_a_photo_without_a_face_counts_and_one_that_is_not_looked_at_does_not(limited: TestClient) -> None:
    for image in (b"GIF89a", EMPTY, b"GIF89a", EMPTY, b"GIF89a"):
        send(limited, VERIFICATIONS, image)
    check_problem(send(limited, VERIFICATIONS, EMPTY), "too_many_attempts", 429)


def test_enrollments_are_not_counted(limited: TestClient) -> None:
    for image in (TAMY, TAMY_AGAIN, STRANGER):
        assert send(limited, ENROLLMENTS, image).is_success
    assert send(limited, VERIFICATIONS, TAMY).status_code == 200


def test_what_is_refused_is_on_record(limited: TestClient) -> None:
    for _ in range(4):
        send(limited, VERIFICATIONS, STRANGER)
    events = limited.get("/v1/events?reason=too_many_attempts").json()["items"]
    assert [(event["company"], event["user"], event["operation"]) for event in events] == [
        ("withmind", "tamy", "analyse")
    ] * 2


def test_a_user_who_is_not_registered_takes_up_nothing(limited: TestClient) -> None:
    for _ in range(3):
        check_problem(send(limited, f"{USERS}/new/verifications", TAMY), "user_unregistered", 404)
    enroll(limited, TAMY, f"{USERS}/new/enrollments")
    assert send(limited, f"{USERS}/new/verifications", TAMY).status_code == 200


# For each key.


def test_each_key_has_a_limit_of_its_own(tmp_path: Path) -> None:
    first, second = new_key(tmp_path, "withmind"), new_key(tmp_path, "withmind")
    with served(tmp_path, auth="keys", limit_per_key="2/day") as client:
        assert enroll(client, TAMY, headers=first.headers)
        assert client.get(TAMYS, headers=first.headers).status_code == 200
        refused = client.get(TAMYS, headers=first.headers)
        check_problem(refused, "too_many_requests", 429)
        assert 0 < retry_after(refused) <= DAY_S
        check(post(client, "/analy_img/", TAMY, first.headers), FAIL, "too_many_requests", 429)
        assert client.get(TAMYS, headers=second.headers).status_code == 200


def test_over_the_limit_the_message_is_not_read(tmp_path: Path) -> None:
    key = new_key(tmp_path, "withmind")
    app = app_of(tmp_path, auth="keys", limit_per_key="1/day")

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            assert (await exchange(app, "GET", TAMYS, key.headers)).status == 404
            for path in ("/analy_img/", ENROLLMENTS):
                answer = await exchange(app, "POST", path, key.headers, is_complete=False)
                assert (answer.status, answer.reason, answer.asked) == (429, "too_many_requests", 0)
                assert answer.headers["connection"] == "close"

    asyncio.run(scenario())


def test_what_is_no_key_is_not_counted(tmp_path: Path) -> None:
    key = new_key(tmp_path)
    with served(tmp_path, auth="keys", limit_per_key="1/day") as client:
        for _ in range(3):
            assert client.get("/v1/companies", headers={"X-API-Key": key.secret[:-1]}).status_code == 401
        assert client.get("/v1/companies", headers=key.headers).status_code == 200


def test_without_keys_requests_are_not_counted(tmp_path: Path) -> None:
    with served(tmp_path, limit_per_key="1/day") as client:
        assert [client.get("/v1/companies").status_code for _ in range(3)] == [200] * 3


# The settings.


def test_there_may_be_no_limit(tmp_path: Path) -> None:
    key = new_key(tmp_path, "withmind")
    with served(tmp_path, auth="keys", limit_per_key="none", limit_per_user="none") as client:
        enroll(client, TAMY, headers=key.headers)
        for _ in range(70):  # the default of limit_per_user is 60 a minute
            assert send(client, VERIFICATIONS, TAMY, key.headers).status_code == 200


@pytest.mark.parametrize("limit", ["2/day;9/day", "9/day;2/day", "9 per minute, 2 per day"])
def test_of_several_limits_each_holds(tmp_path: Path, limit: str) -> None:
    with served(tmp_path, limit_per_user=limit) as client:
        enroll(client, TAMY)
        assert [send(client, VERIFICATIONS, TAMY).status_code for _ in range(3)] == [200, 200, 429]


def test_who_waits_as_long_as_they_are_told_is_let_through() -> None:
    async def scenario() -> None:
        limits = AttemptLimits("2/second", "none", b"")
        for _ in range(2):
            await limits.count_request("key")
        with pytest.raises(TooManyError) as refusal:
            await limits.count_request("key")
        await asyncio.sleep(refusal.value.retry_after_s)
        await limits.count_request("key")

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["limit_per_key", "limit_per_user"])
@pytest.mark.parametrize("value", ["", "60", "60/fortnight", "-1/minute", "60/minute;", "1e3/minute", "None"])
def test_what_is_no_limit_is_refused(tmp_path: Path, name: str, value: str) -> None:
    settings: dict[str, Any] = {"data_dir": tmp_path, name: value}
    with pytest.raises(ValidationError, match="is no limit, such as 60/minute;600/hour, or none"):
        Settings(**settings)


@pytest.mark.parametrize(
    "url",
    [
        "secret",
        "http://secret@127.0.0.1/",
        "redis://:secret@127.0.0.1:port",
        "memory://secret",
        "async+memory://secret",
        "mongodb://secret@127.0.0.1",
        "redis+cluster://secret@127.0.0.1:1",
    ],
)
def test_what_is_no_url_of_redis_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="FACE_API_LIMITS_URL is no URL such as redis://host:6379/0") as error:
        app_of(tmp_path, limits_url=url)
    assert "secret" not in str(error.value)


def test_the_url_of_redis_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "limits-url"
    path.write_text("http://secret@127.0.0.1/\n")
    with pytest.raises(SettingsError, match="FACE_API_LIMITS_URL is no URL such as redis://host:6379/0"):
        app_of(tmp_path, limits_url_file=path)
    path.unlink()
    with pytest.raises(SettingsError, match=r"FACE_API_LIMITS_URL_FILE=.*limits-url cannot be read"):
        app_of(tmp_path, limits_url_file=path)


# Counted in Redis.


@pytest.fixture
def server() -> Iterator[RedisServer]:
    if redis.PROGRAM is None:
        pytest.skip(redis.MISSING)
    with RedisServer() as server:
        yield server


def test_several_services_count_together(tmp_path: Path, server: RedisServer) -> None:
    path = tmp_path / "limits-url"
    path.write_text(f"{server.url}\n")
    settings: dict[str, Any] = {"limit_per_user": "2/day", "limits_url_file": path}
    with served(tmp_path, **settings) as one, served(tmp_path, **settings) as two:
        enroll(one, TAMY)
        assert send(one, VERIFICATIONS, TAMY).status_code == 200
        assert send(two, VERIFICATIONS, TAMY).status_code == 200
        for client in (one, two):
            refused = send(client, VERIFICATIONS, TAMY)
            check_problem(refused, "too_many_attempts", 429)
            assert 0 < retry_after(refused) <= DAY_S


def test_nothing_is_let_through_while_redis_is_down(tmp_path: Path, server: RedisServer, analyser: Planted) -> None:
    key = new_key(tmp_path, "withmind")
    with served(tmp_path, analyser, auth="keys", limits_url=server.url) as client:
        enroll(client, TAMY, headers=key.headers)
        server.kill()
        analysed = analyser.analysed
        refused = send(client, VERIFICATIONS, TAMY, key.headers)
        check_problem(refused, "limits_unavailable", 503)
        assert retry_after(refused) == 1
        check(post(client, "/analy_img/", TAMY, key.headers), FAIL, "limits_unavailable", 503)
        assert analyser.analysed == analysed
        server.start()
        time.sleep(RETRY_S)
        assert send(client, VERIFICATIONS, TAMY, key.headers).status_code == 200


def test_no_attempt_is_let_through_while_redis_is_down(tmp_path: Path, server: RedisServer, analyser: Planted) -> None:
    with served(tmp_path, analyser, limits_url=server.url) as client:
        enroll(client, TAMY)  # is not counted
        server.kill()
        analysed = analyser.analysed
        check_problem(send(client, VERIFICATIONS, TAMY), "limits_unavailable", 503)
        check(post(client, "/analy_img/", TAMY), FAIL, "limits_unavailable", 503)
        assert analyser.analysed == analysed


def test_a_service_starts_without_redis(tmp_path: Path, server: RedisServer) -> None:
    server.kill()
    with served(tmp_path, limits_url=server.url) as client:
        enroll(client, TAMY)
        check_problem(send(client, VERIFICATIONS, TAMY), "limits_unavailable", 503)
        server.start()
        time.sleep(RETRY_S)
        assert send(client, VERIFICATIONS, TAMY).status_code == 200


def test_redis_gets_nobodys_name(tmp_path: Path, server: RedisServer) -> None:
    key = new_key(tmp_path, "withmind")
    with served(tmp_path, auth="keys", limits_url=server.url) as client:
        enroll(client, TAMY, headers=key.headers)
        send(client, VERIFICATIONS, TAMY, key.headers)
    content = server.content()
    assert len(content) >= 2
    for text in ("tamy", "withmind", key.secret):
        assert text not in str(content)


def test_what_redis_holds_goes_by_itself(tmp_path: Path, server: RedisServer) -> None:
    with served(tmp_path, limit_per_user="1/second", limits_url=server.url) as client:
        enroll(client, TAMY)
        send(client, VERIFICATIONS, TAMY)
        assert server.content()
        deadline = time.monotonic() + 30
        while server.content():
            assert time.monotonic() < deadline
            time.sleep(0.1)


# In memory.


def test_counts_that_are_over_are_forgotten_but_not_looked_for_after_each(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = AttemptLimits("9/second", "9/second", b"key")
    storage = limits._limiter.storage
    assert isinstance(storage, MemoryStorage)
    sweeps: list[threading.Thread] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        sweeps.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)

    async def count(users: Iterable[int]) -> None:
        for user in users:
            await limits.count_attempt("withmind", str(user))

    asyncio.run(count(range(100)))
    assert len(sweeps) == 1
    assert len(storage.expirations) >= 100
    time.sleep(2.1)  # a window counts for as long again after it
    later = time.monotonic() + SWEEP_S
    monkeypatch.setattr("face_api.limits.time.monotonic", lambda: later)
    asyncio.run(count([100]))
    sweeps[-1].join()
    assert len(sweeps) == 2
    assert len(storage.expirations) < 10
