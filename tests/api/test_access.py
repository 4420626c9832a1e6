"""Who is let in: holders of API keys, or, without keys, this machine alone."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from face_api.routes.v1 import Endpoint
from face_api.store import Caller
from support.api import (
    ENROLLMENTS,
    FAIL,
    FIELDS,
    SUCCESS,
    TAMY,
    TAMYS,
    V1,
    VERIFICATIONS,
    Headers,
    Held,
    Key,
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
OF_COMPANIES = [endpoint for endpoint in V1 if "{company}" in endpoint.path]

every_operation = pytest.mark.parametrize("endpoint", V1, ids=name_of)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A service that asks for keys, on which `other` has a user tamy."""

    client: TestClient
    data_dir: Path
    admin: Key
    withminds: Key


def start(client: TestClient, data_dir: Path) -> Keyed:
    keyed = Keyed(client, data_dir, new_key(data_dir), new_key(data_dir, "withmind"))
    enroll(client, TAMY, "/v1/companies/other/users/tamy/enrollments", keyed.admin.headers)
    return keyed


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """For tests that change nothing."""
    data_dir = tmp_path_factory.mktemp("keyed")
    with served(data_dir, auth="keys") as client:
        yield start(client, data_dir)


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    with served(tmp_path, auth="keys") as client:
        yield start(client, tmp_path)


# With keys.

UNKNOWN = [
    ({}, "key_missing"),
    ({"Authorization": "Basic dGFteTpzZWNyZXQ="}, "key_missing"),
    ({"Authorization": "Bearer " + "x" * 59}, "key_invalid"),
    ({"X-API-Key": "x"}, "key_invalid"),
]


@every_operation
@pytest.mark.parametrize(("headers", "reason"), UNKNOWN)
def test_nobody_without_a_key_is_let_in(refusing: Keyed, endpoint: Endpoint, headers: Headers, reason: str) -> None:
    answer = ask(refusing.client, endpoint, headers)
    check_problem(answer, reason, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", SPEC_PATHS)
@pytest.mark.parametrize(("headers", "reason"), UNKNOWN)
def test_nobody_without_a_key_is_let_into_the_contract(
    refusing: Keyed, path: str, headers: Headers, reason: str
) -> None:
    answer = post(refusing.client, path, TAMY, headers)
    check(answer, FAIL, reason, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [*SPEC_PATHS, ENROLLMENTS, VERIFICATIONS, "/v1/keys"])
def test_nobody_without_a_key_has_their_message_read(refusing: Keyed, path: str) -> None:
    answer = asyncio.run(exchange(cast(Starlette, refusing.client.app), "POST", path, is_complete=False))
    assert (answer.status, answer.reason, answer.asked) == (401, "key_missing", 0)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}"])
def test_a_key_may_be_a_bearer_token(refusing: Keyed, form: str) -> None:
    headers = {"Authorization": form.format(refusing.withminds.secret)}
    assert refusing.client.get("/v1/companies", headers=headers).status_code == 200


def test_a_key_may_come_beside_an_authorization_of_another_kind(refusing: Keyed) -> None:
    headers = {"Authorization": "Basic dGFteTpzZWNyZXQ=", **refusing.withminds.headers}
    assert refusing.client.get("/v1/companies", headers=headers).status_code == 200


@pytest.mark.parametrize("path", SPEC_PATHS)
def test_both_headers_open_the_contract(keyed: Keyed, path: str) -> None:
    post(keyed.client, "/enrollment_img/", TAMY, keyed.admin.headers)
    for headers in (keyed.withminds.headers, {"Authorization": f"Bearer {keyed.withminds.secret}"}):
        assert post(keyed.client, path, TAMY, headers).json() in (SUCCESS, {"result": {"person_1": "match"}})


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        lambda secret: secret.replace("fk_", "fk_0", 1),
        lambda secret: "fk_" + "0" * 12 + secret[15:],
        lambda secret: secret.upper(),
    ],
    ids=["short", "long", "another", "form", "another id", "case"],
)
def test_what_is_almost_a_key_is_none(refusing: Keyed, change: Callable[[str], str]) -> None:
    headers = {"X-API-Key": change(refusing.withminds.secret)}
    check_problem(refusing.client.get("/v1/companies", headers=headers), "key_invalid", 401)


@pytest.mark.parametrize("secret", [b"", b"\xe9" * 59, b"x" * 10_000])
def test_any_text_may_be_sent_as_a_key(refusing: Keyed, secret: bytes) -> None:
    headers = {b"X-API-Key": secret}
    check_problem(refusing.client.get("/v1/companies", headers=headers), "key_invalid", 401)


def test_the_secret_of_one_key_is_not_anothers(refusing: Keyed) -> None:
    mixed = refusing.admin.secret[:15] + refusing.withminds.secret[15:]
    check_problem(refusing.client.get("/v1/companies", headers={"X-API-Key": mixed}), "key_invalid", 401)


@pytest.mark.parametrize("end", ["/v1/companies/withmind", "/v1/keys/{key}"])
@pytest.mark.parametrize("path", [ENROLLMENTS, "/enrollment_img/"])
def test_what_is_under_way_with_a_key_that_goes_is_not_done(tmp_path: Path, path: str, end: str) -> None:
    held = Held()
    app = app_of(tmp_path, held, auth="keys")
    admin, withminds = new_key(tmp_path), new_key(tmp_path, "withmind")
    headers, form = form_of(TAMY, **FIELDS)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            enrollment = asyncio.create_task(exchange(app, "POST", path, headers | withminds.headers, [form]))
            await until(lambda: held.held == 1)
            ended = await exchange(app, "DELETE", end.format(key=withminds.key_id), admin.headers)
            assert ended.status in {200, 204}
            held.released.set()
            answer = await enrollment
            assert (answer.status, answer.reason) == (401, "key_invalid")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert path == ENROLLMENTS or json.loads(answer.body) == FAIL
            with opened(tmp_path) as store:
                assert len(rows(store, "SELECT * FROM companies")) == ("keys" in end)
                assert rows(store, "SELECT * FROM users") == []

    asyncio.run(scenario())


def test_a_revoked_key_is_refused_from_the_next_request_on(keyed: Keyed) -> None:
    assert keyed.client.get(TAMYS, headers=keyed.withminds.headers).status_code == 404
    with opened(keyed.data_dir) as store:  # another process: nothing is remembered
        store.api_keys.revoke(Caller("test"), keyed.withminds.key_id)
    check_problem(keyed.client.get(TAMYS, headers=keyed.withminds.headers), "key_invalid", 401)
    check(post(keyed.client, "/analy_img/", TAMY, keyed.withminds.headers), FAIL, "key_invalid", 401)
    assert keyed.client.get("/v1/companies", headers=keyed.admin.headers).status_code == 200


def test_an_erased_companys_key_is_refused(keyed: Keyed) -> None:
    answer = keyed.client.delete("/v1/companies/withmind", headers=keyed.admin.headers)
    assert answer.json()["removed"]["api_keys"] == 1
    check_problem(keyed.client.get("/v1/companies", headers=keyed.withminds.headers), "key_invalid", 401)
    # Nor do they get into a company that has the name now.
    enroll(keyed.client, TAMY, headers=keyed.admin.headers)
    check_problem(keyed.client.get(TAMYS, headers=keyed.withminds.headers), "key_invalid", 401)


@pytest.mark.parametrize("endpoint", OF_COMPANIES, ids=name_of)
def test_a_companys_key_reaches_no_other_company(refusing: Keyed, endpoint: Endpoint) -> None:
    answer = ask(refusing.client, endpoint, refusing.withminds.headers, company="other")
    check_problem(answer, "admin_required" if endpoint.admin else "company_forbidden", 403)
    theirs = refusing.client.get("/v1/companies/other/users/tamy", headers=refusing.admin.headers)
    assert len(theirs.json()["enrollments"]) == 1


@pytest.mark.parametrize("path", SPEC_PATHS)
def test_a_companys_key_reaches_no_other_company_by_the_contract(refusing: Keyed, path: str) -> None:
    answer = post(refusing.client, path, TAMY, refusing.withminds.headers, company="other")
    check(answer, FAIL, "company_forbidden", 403)


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in OF_COMPANIES if not endpoint.admin], ids=name_of)
def test_a_companys_key_reaches_that_company(keyed: Keyed, endpoint: Endpoint) -> None:
    own = keyed.withminds.headers
    reference_id = enroll(keyed.client, TAMY, headers=own)
    assert ask(keyed.client, endpoint, own, enrollment=reference_id).is_success


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in V1 if endpoint.admin], ids=name_of)
def test_some_operations_are_for_administrators(refusing: Keyed, endpoint: Endpoint) -> None:
    check_problem(ask(refusing.client, endpoint, refusing.withminds.headers), "admin_required", 403)


def test_an_administrators_key_reaches_every_company(keyed: Keyed) -> None:
    for company in ("withmind", "other", "third"):
        answer = post(keyed.client, "/enrollment_img/", TAMY, keyed.admin.headers, company=company)
        assert answer.json() == SUCCESS
        assert keyed.client.delete(f"/v1/companies/{company}", headers=keyed.admin.headers).status_code == 200


def test_the_audit_trail_names_the_key(keyed: Keyed) -> None:
    post(keyed.client, "/enrollment_img/", TAMY, keyed.withminds.headers | {"X-Request-ID": "one"})
    send(keyed.client, VERIFICATIONS, TAMY, keyed.admin.headers | {"X-Request-ID": "two"})
    keyed.client.get(TAMYS, headers=keyed.withminds.headers | {"X-Request-ID": "three"})
    with opened(keyed.data_dir) as store:
        entries = {entry.request_id: entry for entry in store.audit.entries()}
    assert [(entries[name].actor, entries[name].action) for name in ("one", "two", "three")] == [
        (keyed.withminds.key_id, "enroll"),
        (keyed.admin.key_id, "analyse"),
        (keyed.withminds.key_id, "view"),
    ]


def test_a_companys_key_sees_that_company_alone(keyed: Keyed) -> None:
    client, own, admin = keyed.client, keyed.withminds.headers, keyed.admin.headers
    enroll(client, TAMY, headers=own)

    def companies_of(headers: Headers) -> list[str]:
        return [item["name"] for item in client.get("/v1/companies", headers=headers).json()["items"]]

    def companies_of_events(headers: Headers) -> list[str]:
        return [item["company"] for item in client.get("/v1/events", headers=headers).json()["items"]]

    def enrolled(headers: Headers) -> int:
        buckets = client.get("/v1/stats?bucket_s=86400", headers=headers).json()["buckets"]
        return sum(bucket["outcomes"]["enrolled"] for bucket in buckets)

    assert (companies_of(own), companies_of(admin)) == (["withmind"], ["other", "withmind"])
    assert (companies_of_events(own), companies_of_events(admin)) == (["withmind"], ["withmind", "other"])
    assert (enrolled(own), enrolled(admin)) == (1, 2)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/stats"])
def test_a_companys_key_cannot_ask_for_anothers_activity(refusing: Keyed, path: str) -> None:
    own, admin = refusing.withminds.headers, refusing.admin.headers
    check_problem(refusing.client.get(f"{path}?company=other", headers=own), "company_forbidden", 403)
    assert refusing.client.get(f"{path}?company=withmind", headers=own).status_code == 200
    assert refusing.client.get(f"{path}?company=other", headers=admin).status_code == 200


def test_with_keys_requests_may_come_by_a_proxy(refusing: Keyed) -> None:
    proxied = {"Host": "faces.example", "X-Forwarded-For": "192.0.2.1", "Origin": "https://app.example"}
    headers = {**proxied, **refusing.withminds.headers}
    assert refusing.client.get("/v1/companies", headers=headers).status_code == 200


# Without keys.


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service that asks for no keys."""
    with served(tmp_path_factory.mktemp("open")) as client:
        yield client


FROM_ELSEWHERE = [
    ({"X-Forwarded-For": "127.0.0.1"}, "proxy_forbidden"),
    ({"X-Real-IP": "127.0.0.1"}, "proxy_forbidden"),
    ({"Forwarded": "for=127.0.0.1"}, "proxy_forbidden"),
    ({"Via": "1.1 proxy"}, "proxy_forbidden"),
    ({"Host": "faces.example"}, "host_forbidden"),
    ({"Host": "127.0.0.1.faces.example"}, "host_forbidden"),
    ({"Host": "localhost.faces.example:8000"}, "host_forbidden"),
    ({"Host": "192.0.2.1"}, "host_forbidden"),
    ({"Host": "0.0.0.0"}, "host_forbidden"),  # noqa: S104 - of a request
    ({"Host": "[::]"}, "host_forbidden"),
    ({"Host": "["}, "host_forbidden"),
    ({"Host": ""}, "host_forbidden"),
    ({"Origin": "http://faces.example"}, "origin_forbidden"),
    ({"Origin": "http://127.0.0.1:3000"}, "origin_forbidden"),
    ({"Origin": "http://localhost"}, "origin_forbidden"),
    ({"Origin": "null"}, "origin_forbidden"),
    ({"Origin": "http://["}, "origin_forbidden"),
    ({"Origin": ""}, "origin_forbidden"),
]


@pytest.mark.parametrize(("headers", "reason"), FROM_ELSEWHERE)
def test_without_keys_nobody_from_elsewhere_is_let_in(local: TestClient, headers: Headers, reason: str) -> None:
    check_problem(local.get("/v1/companies", headers=headers), reason, 403)
    for path in SPEC_PATHS:
        check(post(local, path, TAMY, headers), FAIL, reason, 403)


def test_without_keys_nobody_from_elsewhere_reaches_any_operation(local: TestClient) -> None:
    for endpoint in V1:
        check_problem(ask(local, endpoint, {"Host": "faces.example"}), "host_forbidden", 403)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "127.0.0.1:8000", "127.0.0.5", "[::1]", "[::1]:8000"],
)
def test_without_keys_this_machine_is_let_in_by_any_of_its_names(local: TestClient, host: str) -> None:
    assert post(local, "/enrollment_img/", TAMY, {"Host": host}).json() == SUCCESS
    assert local.get(TAMYS, headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


def test_without_keys_a_key_that_is_sent_all_the_same_does_not_matter(local: TestClient) -> None:
    assert local.get("/v1/companies", headers={"Authorization": "Bearer nonsense"}).status_code == 200


def test_without_keys_a_request_without_a_host_is_refused(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    headers, form = form_of(TAMY, **FIELDS)

    async def scenario() -> tuple[int, int]:
        async with app.router.lifespan_context(app):
            foreign = await exchange(app, "POST", "/enrollment_img/", headers, [form], host=None)
            own = await exchange(app, "POST", "/enrollment_img/", headers, [form])
        return foreign.status, own.status

    assert asyncio.run(scenario()) == (403, 200)
