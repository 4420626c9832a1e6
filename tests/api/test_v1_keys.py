"""v1's API keys: made, listed and revoked by administrators, their secret shown once."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from face_api.routes.door import MAX_JSON_BYTES
from support.api import (
    Headers,
    Json,
    Key,
    Planted,
    app_of,
    check_problem,
    exchange,
    new_key,
    opened,
    served,
)

KEYS = "/v1/keys"
SECRET = re.compile(r"fk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@pytest.fixture
def admin(tmp_path: Path) -> Key:
    return new_key(tmp_path)


@pytest.fixture
def client(tmp_path: Path, admin: Key) -> Iterator[TestClient]:
    """An administrator of a service that asks for keys."""
    with served(tmp_path, auth="keys") as client:
        client.headers.update(admin.headers)
        yield client


def create(client: TestClient, headers: Headers | None = None, **wanted: object) -> Json:
    answer = client.post(KEYS, json=wanted, headers=headers)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def without_secret(key: Json) -> Json:
    return {name: value for name, value in key.items() if name != "secret"}


def check_json_problem(answer: httpx2.Response, field: str | None = None) -> None:
    """Fail unless the JSON was refused, for one field."""
    (error,) = answer.json()["errors"]
    assert error.keys() == {"field", "problem"}
    assert field is None or error["field"] == field
    check_problem(answer, "json_invalid", 400, errors=[error])


def test_a_companys_key(client: TestClient) -> None:
    made = create(client, company="withmind", label="the turnstile")
    form = SECRET.fullmatch(made["secret"])
    assert form
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "key_id": form[1],
        "company": "withmind",
        "label": "the turnstile",
        "revoked_at": None,
        "secret": form[0],
    }
    assert client.get("/v1/companies/withmind").json()["users"] == 0  # made with its first key


@pytest.mark.parametrize("wanted", [{"company": "withmind"}, {"admin": True}])
def test_without_a_key_none_is_made_that_would_stay_valid(tmp_path: Path, wanted: Json) -> None:
    with served(tmp_path) as client:
        check_problem(client.post(KEYS, json=wanted), "admin_required", 403)
        assert client.get(KEYS).json()["items"] == []


def test_an_administrators_key(client: TestClient) -> None:
    made = create(client, admin=True)
    assert (made["company"], made["label"]) == (None, "")


def test_the_secret_opens_what_the_key_is_for(tmp_path: Path) -> None:
    admin = new_key(tmp_path)
    with served(tmp_path, auth="keys") as client:
        own = {"X-API-Key": create(client, admin.headers, company="withmind")["secret"]}
        second = {"X-API-Key": create(client, admin.headers, admin=True)["secret"]}
        assert [client.get(KEYS, headers=headers).status_code for headers in (own, second)] == [403, 200]
        assert client.get("/v1/companies/withmind", headers=own).status_code == 200


def test_a_secret_is_shown_once_and_kept_nowhere(client: TestClient, tmp_path: Path) -> None:
    made = create(client, company="withmind")
    for path in (KEYS, f"{KEYS}/{made['key_id']}"):
        assert "secret" not in client.get(path).text
    secret = made["secret"].encode()
    for file in tmp_path.iterdir():
        assert secret not in file.read_bytes()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "company"),
        ({"admin": False}, "company"),
        ({"company": "withmind", "admin": True}, "company"),
        ({"company": None, "admin": None}, "admin"),
        ({"company": "With Mind"}, "company"),
        ({"company": ""}, "company"),
        ({"company": 17}, "company"),
        ({"admin": "yes"}, "admin"),
        ({"admin": 1}, "admin"),
        ({"company": "withmind", "label": "x" * 129}, "label"),
        ({"company": "withmind", "label": "two\nlines"}, "label"),
        ({"company": "withmind", "label": "\u202e"}, "label"),
        ({"company": "withmind", "label": None}, "label"),
        ({"company": "withmind", "lable": "x"}, "lable"),
        (["withmind"], ""),
        ("withmind", ""),
    ],
)
def test_what_is_no_request_for_a_key(client: TestClient, wanted: object, field: str) -> None:
    check_json_problem(client.post(KEYS, json=wanted), field)
    assert len(client.get(KEYS).json()["items"]) == 1


@pytest.mark.parametrize(
    "message",
    [b"", b"{", b"{'admin': true}", b'{"admin": true}}', b"\xff", b'{"company": "\\ud800"}', b"[" * 10_000, b"NaN"],
)
def test_what_is_no_json(client: TestClient, message: bytes) -> None:
    check_json_problem(client.post(KEYS, content=message))


@pytest.mark.parametrize("label", ["", "x" * 128, "태미의 열쇠", "\N{KEY}"])
def test_labels(client: TestClient, label: str) -> None:
    made = create(client, company="withmind", label=label)
    assert client.get(f"{KEYS}/{made['key_id']}").json()["label"] == label


def test_keys_are_listed_by_id(client: TestClient, admin: Key) -> None:
    made = [without_secret(create(client, company=company)) for company in ("withmind", "other", "withmind")]
    made.append(client.get(f"{KEYS}/{admin.key_id}").json())
    made.sort(key=lambda key: str(key["key_id"]))
    assert client.get(KEYS).json() == {"items": made, "next_cursor": None}
    withminds = [key for key in made if key["company"] == "withmind"]
    assert client.get(KEYS, params={"company": "withmind"}).json()["items"] == withminds
    assert client.get(KEYS, params={"company": "nobodys"}).json()["items"] == []
    first = client.get(KEYS, params={"limit": 2}).json()
    second = client.get(KEYS, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert (first["items"] + second["items"], second["next_cursor"]) == (made, None)
    assert client.get(f"{KEYS}/{made[1]['key_id']}").json() == made[1]


def test_a_revoked_key_stays_in_the_list(client: TestClient, admin: Key) -> None:
    kept, made = create(client, company="withmind"), create(client, company="withmind")
    path = f"{KEYS}/{made['key_id']}"
    revoked = client.delete(path).json()
    assert revoked["revoked_at"].endswith("Z")
    assert revoked | {"revoked_at": None} == without_secret(made)
    assert client.delete(path).json() == revoked  # the first time counts
    assert client.get(path).json() == revoked
    listed = {key["key_id"]: key["revoked_at"] for key in client.get(KEYS).json()["items"]}
    assert listed == {made["key_id"]: revoked["revoked_at"], kept["key_id"]: None, admin.key_id: None}


def test_an_administrator_may_revoke_their_own_key(tmp_path: Path) -> None:
    admin, other = new_key(tmp_path), new_key(tmp_path)
    with served(tmp_path, auth="keys") as client:
        assert client.delete(f"{KEYS}/{admin.key_id}", headers=admin.headers).status_code == 200
        check_problem(client.get(KEYS, headers=admin.headers), "key_invalid", 401)
        assert client.get(KEYS, headers=other.headers).status_code == 200


@pytest.mark.parametrize("key_id", ["0" * 12, "0" * 11, "x", "%20", "A" * 12, "1" * 1000, "000000000000%0A"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_keys_that_there_are_none_of(client: TestClient, method: str, key_id: str) -> None:
    check_problem(client.request(method, f"{KEYS}/{key_id}"), "key_unknown", 404)


def test_what_is_done_with_keys_is_on_record(client: TestClient, tmp_path: Path) -> None:
    made = create(client, company="withmind")
    for method, path in (("GET", KEYS), ("GET", f"{KEYS}/{made['key_id']}"), ("DELETE", f"{KEYS}/{made['key_id']}")):
        client.request(method, path)
    with opened(tmp_path) as store:
        _, *entries = store.audit.entries()
    assert [(entry.action, entry.company, dict(entry.details)) for entry in entries] == [
        ("create_key", "withmind", {"key": made["key_id"]}),
        ("list", None, {"keys": 2}),
        ("view", "withmind", {"key": made["key_id"]}),
        ("revoke_key", "withmind", {"key": made["key_id"]}),
    ]
    assert made["secret"] not in str(entries)


def test_a_request_sent_again_makes_no_second_key_and_shows_no_secret(client: TestClient) -> None:
    once = {"Idempotency-Key": "order-17"}
    made = create(client, once, company="withmind")
    again = client.post(KEYS, json={"label": "", "company": "withmind"}, headers=once)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == made | {"secret": None}
    assert len(client.get(KEYS).json()["items"]) == 2
    check_problem(client.post(KEYS, json={"admin": True}, headers=once), "idempotency_key_reused", 422)


def test_after_a_refusal_the_idempotency_key_is_free(client: TestClient) -> None:
    once = {"Idempotency-Key": "order-17"}
    check_json_problem(client.post(KEYS, json={}, headers=once))
    assert create(client, once, admin=True)["secret"]


def test_a_message_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    admin = new_key(tmp_path)
    app = app_of(tmp_path, auth="keys")

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            declared = admin.headers | {"content-length": str(MAX_JSON_BYTES + 1)}
            answer = await exchange(app, "POST", KEYS, declared, is_complete=False)
            assert (answer.status, answer.reason, answer.asked) == (413, "message_too_large", 0)
            assert answer.headers["connection"] == "close"
            undeclared = await exchange(app, "POST", KEYS, admin.headers, [b" " * 10_000] * 3, is_complete=False)
            assert (undeclared.status, undeclared.reason, undeclared.asked) == (413, "message_too_large", 2)
            message = b'{"admin": true}'.ljust(MAX_JSON_BYTES)
            assert (await exchange(app, "POST", KEYS, admin.headers, [message])).status == 201

    asyncio.run(scenario())


def test_a_message_that_does_not_come_to_its_end_is_not_waited_for(tmp_path: Path, analyser: Planted) -> None:
    app = app_of(tmp_path, analyser, message_timeout_s=0.2)

    async def scenario() -> None:
        async with app.router.lifespan_context(app):
            answer = await exchange(app, "POST", KEYS, None, [b'{"admin":'], is_complete=False)
            assert (answer.status, answer.reason) == (408, "message_incomplete")
            assert answer.headers["connection"] == "close"

    asyncio.run(scenario())
