"""Companies, users and their enrollments in v1: lists by pages, views, erasures, and the kept face."""

import base64
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from face_api.routes.v1 import Endpoint
from face_engine.images import decode
from face_engine.types import Chip
from support.api import (
    ENROLLMENTS,
    STRANGER,
    SUCCESS,
    TAMY,
    TAMY_AGAIN,
    TAMYS,
    USERS,
    V1,
    VERIFICATIONS,
    Json,
    Planted,
    ask,
    check_problem,
    enroll,
    name_of,
    new_key,
    opened,
    photo,
    post,
    send,
    served,
)
from support.fakes import GOOD, face

COMPANIES = "/v1/companies"
WITHMIND = "/v1/companies/withmind"


def pages_of(client: TestClient, path: str, limit: int, **query: str) -> list[list[Json]]:
    """Return what each page holds, from the first to the last."""
    pages: list[list[Json]] = []
    while query.get("cursor") or not pages:
        page = client.get(path, params={"limit": limit, **query}).json()
        pages.append(page["items"])
        query["cursor"] = page["next_cursor"]
    return pages


def enroll_users(client: TestClient, *users: str) -> None:
    for user in users:
        enroll(client, TAMY, f"{USERS}/{user}/enrollments")


# Lists.


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (4, [4]), (1000, [4])])
def test_lists_come_in_pages(client: TestClient, limit: int, sizes: list[int]) -> None:
    users = ["0", "a", "tamy", "zoe"]
    enroll_users(client, *reversed(users))
    pages = pages_of(client, USERS, limit)
    assert [user["id"] for page in pages for user in page] == users
    assert [len(page) for page in pages] == sizes
    for company in ("a", "b", "c"):
        enroll(client, TAMY, f"{COMPANIES}/{company}/users/tamy/enrollments")
    pages = pages_of(client, COMPANIES, limit)
    assert [company["name"] for page in pages for company in page] == ["a", "b", "c", "withmind"]
    assert [len(page) for page in pages] == sizes


def test_what_a_list_tells(client: TestClient) -> None:
    send(client, ENROLLMENTS, TAMY, gender="1", age="30")
    enroll(client, STRANGER)
    (user,) = client.get(USERS).json()["items"]
    assert user.pop("created_at").endswith("Z")
    assert user == {"company": "withmind", "id": "tamy", "gender": 1, "age": 30, "references": 2}
    (company,) = client.get(COMPANIES).json()["items"]
    assert company.pop("created_at").endswith("Z")
    assert company == {"name": "withmind", "users": 1}
    assert client.get(WITHMIND).json() == client.get(COMPANIES).json()["items"][0]


def test_users_by_prefix(client: TestClient) -> None:
    enroll_users(client, "a", "b", "b1", "b2", "bz", "c")
    pages = pages_of(client, USERS, 2, prefix="b")
    assert [[user["id"] for user in page] for page in pages] == [["b", "b1"], ["b2", "bz"]]
    assert client.get(USERS + "?prefix=x").json() == {"items": [], "next_cursor": None}


def test_users_by_what_their_id_contains_and_by_enrollment(client: TestClient) -> None:
    enroll_users(client, "ab", "b", "cb1", "d")
    client.delete(f"{USERS}/cb1/enrollments/3")
    for query, users in (
        ({"contains": "b"}, ["ab", "b", "cb1"]),
        ({"contains": "b", "sort": "newest"}, ["cb1", "b", "ab"]),
        ({"contains": "b", "enrolled": "true", "sort": "oldest"}, ["ab", "b"]),
        ({"enrolled": "false"}, ["cb1"]),
        ({"prefix": "c", "contains": "b1"}, ["cb1"]),
        ({"contains": "x"}, []),
    ):
        for limit in (1, 2, 100):
            pages = pages_of(client, USERS, limit, **query)
            assert [user["id"] for page in pages for user in page] == users


@pytest.mark.parametrize("query", [{"sort": "age"}, {"contains": "A"}, {"contains": "%"}, {"enrolled": "maybe"}])
def test_a_filter_that_is_not_known_is_refused(still: TestClient, query: dict[str, str]) -> None:
    answer = still.get(USERS, params=query)
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, next(iter(query)))


@pytest.mark.parametrize("position", ["tamy", "12", "12x", "x12", "1" * 18 + "x1", "1x" + "1" * 19, "-1x1"])
def test_a_cursor_of_another_order_is_refused(still: TestClient, position: str) -> None:
    cursor = base64.urlsafe_b64encode(position.encode()).decode()
    check_problem(still.get(USERS, params={"sort": "newest", "cursor": cursor}), "cursor_invalid", 422)


def test_how_a_user_was_enrolled(tmp_path: Path) -> None:
    with served(tmp_path, auth="keys") as client:
        key = new_key(tmp_path, "withmind")
        assert post(client, "/enrollment_img/", TAMY, key.headers).json() == SUCCESS
        enroll(client, STRANGER, headers=key.headers)
        found = client.get(ENROLLMENTS, headers=key.headers).json()["items"]
    assert [(one["via"], one["enrolled_by"]) for one in found] == [("contract", key.key_id), ("v1", key.key_id)]


def test_a_page_begins_where_the_last_one_ended_whatever_happened_meanwhile(client: TestClient) -> None:
    enroll_users(client, "a", "b", "d")
    first = client.get(USERS + "?limit=2").json()
    client.delete(f"{USERS}/b")
    enroll_users(client, "aa", "c")
    second = client.get(USERS, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [user["id"] for user in second["items"]] == ["c", "d"]


def test_nobody_is_an_empty_list(client: TestClient) -> None:
    assert client.get(COMPANIES).json() == {"items": [], "next_cursor": None}


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize("path", [COMPANIES, USERS, "/v1/events", "/v1/keys"])
@pytest.mark.parametrize(
    "cursor",
    ["", "a", "%", "tamy", encoded("TAMY"), encoded("x" * 129), encoded("a b"), encoded("\xe9"), encoded("a\n"), "é"],
)
def test_cursors_that_no_list_gave(still: TestClient, path: str, cursor: str) -> None:
    check_problem(still.get(path, params={"cursor": cursor}), "cursor_invalid", 422)


def test_a_list_takes_the_cursors_of_its_kind_alone(client: TestClient) -> None:
    enroll_users(client, "a", "b")
    cursor = client.get(USERS + "?limit=1").json()["next_cursor"]
    check_problem(client.get("/v1/events", params={"cursor": cursor}), "cursor_invalid", 422)


@pytest.mark.parametrize("path", [COMPANIES, USERS, "/v1/events", "/v1/keys"])
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("Limit=1", "Limit"),
        ("after=tamy", "after"),
        ("cursor=" + "x" * 301, "cursor"),
        ("limit=1&limit=2", ""),
    ],
)
def test_queries_that_are_not_taken(still: TestClient, path: str, query: str, parameter: str) -> None:
    answer = still.get(f"{path}?{query}")
    (error,) = answer.json()["errors"]
    assert error.keys() == {"parameter", "problem"}
    assert error["parameter"] == parameter
    check_problem(answer, "query_invalid", 422, errors=[error])


def test_a_prefix_is_made_of_what_ids_are_made_of(still: TestClient) -> None:
    for prefix in ("T", "%", "_", "t" * 129):
        answer = still.get(USERS, params={"prefix": prefix})
        assert answer.json()["errors"][0]["parameter"] == "prefix"


# One of them.


def test_a_company(client: TestClient) -> None:
    enroll_users(client, "tamy", "joe")
    company = client.get(WITHMIND).json()
    assert company.pop("created_at").endswith("Z")
    assert company == {"name": "withmind", "users": 2}


def test_a_user_with_enrollments_the_oldest_first(client: TestClient) -> None:
    send(client, ENROLLMENTS, TAMY, age="30")
    send(client, ENROLLMENTS, STRANGER, gender="0")
    user = client.get(TAMYS).json()
    enrollments = user.pop("enrollments")
    assert user.pop("created_at").endswith("Z")
    assert user == {"company": "withmind", "id": "tamy", "gender": 0, "age": 30}
    assert [enrollment.pop("created_at").endswith("Z") for enrollment in enrollments] == [True, True]
    quality = asdict(GOOD) | {"reasons": []}
    same = {"encoder_id": "fake/1", "has_image": True, "via": "v1", "enrolled_by": "anonymous", "quality": quality}
    assert enrollments == [{"id": number, **same} for number in (1, 2)]
    listed = client.get(ENROLLMENTS).json()
    assert (listed["items"], listed["next_cursor"]) == (client.get(TAMYS).json()["enrollments"], None)
    assert client.get(f"{ENROLLMENTS}/2").json() == listed["items"][1]


OF_PEOPLE = [endpoint for endpoint in V1 if "{company}" in endpoint.path and endpoint.method != "POST"]


@pytest.mark.parametrize("endpoint", OF_PEOPLE, ids=name_of)
def test_what_is_not_there(client: TestClient, endpoint: Endpoint) -> None:
    """A company, a user or an enrollment; and nothing is made of it."""
    is_of_company, is_of_user = "{user}" not in endpoint.path, "{enrollment}" not in endpoint.path
    whole = "user_unregistered" if is_of_user else "enrollment_unknown"
    check_problem(ask(client, endpoint), "company_unregistered" if is_of_company else whole, 404)
    enroll(client, TAMY)
    if not is_of_company:
        check_problem(ask(client, endpoint, user="joe"), whole, 404)
        check_problem(ask(client, endpoint, company="other"), whole, 404)
    if not is_of_user:
        enroll(client, TAMY, f"{USERS}/joe/enrollments")
        for enrollment in ("2", "999", "0", "-1", "x", "9" * 18, "9" * 30, "1.0", "%31%00"):
            check_problem(ask(client, endpoint, enrollment=enrollment), whole, 404)
    companies = [company["name"] for company in client.get(COMPANIES).json()["items"]]
    users = [user["id"] for user in client.get(USERS).json()["items"]]
    assert (companies, users) == (["withmind"], ["tamy"] if is_of_user else ["joe", "tamy"])


@pytest.mark.parametrize("endpoint", OF_PEOPLE, ids=name_of)
def test_names_that_are_none(still: TestClient, endpoint: Endpoint) -> None:
    check_problem(ask(still, endpoint, company="Withmind"), "company_invalid", 422)
    if "{user}" in endpoint.path:
        check_problem(ask(still, endpoint, user="ta-my"), "id_invalid", 422)


def test_each_look_is_on_record(client: TestClient, tmp_path: Path) -> None:
    enroll(client, TAMY)
    enroll(client, TAMY, "/v1/companies/other/users/tamy/enrollments")
    looks = {
        COMPANIES: ("list", None, None, {"companies": 2}),
        USERS: ("list", "withmind", None, {"users": 1}),
        WITHMIND: ("view", "withmind", None, {"users": 1}),
        TAMYS: ("view", "withmind", "tamy", {"references": 1}),
        f"{ENROLLMENTS}/1": ("view", "withmind", "tamy", {"reference": 1}),
        f"{ENROLLMENTS}/1/image": ("view", "withmind", "tamy", {"reference": 1, "chip": True}),
    }
    for path in looks:
        assert client.get(path, headers={"X-Request-ID": "look"}).status_code == 200
    with opened(tmp_path) as store:
        entries = [entry for entry in store.audit.entries() if entry.request_id == "look"]
    assert [(entry.action, entry.company, entry.user, entry.details) for entry in entries] == list(looks.values())


# Erasures.


def test_an_erased_user_is_gone_and_a_receipt_says_what_was_removed(client: TestClient, tmp_path: Path) -> None:
    for image in (TAMY, TAMY_AGAIN):
        enroll(client, image)
    send(client, VERIFICATIONS, STRANGER)
    enroll(client, TAMY, f"{USERS}/joe/enrollments")
    answer = client.delete(TAMYS)
    receipt = answer.json()
    assert answer.status_code == 200
    assert receipt.pop("at").endswith("Z")
    entry = receipt.pop("audit_entry")
    assert receipt == {
        "company": "withmind",
        "user": "tamy",
        "removed": {"companies": 0, "users": 1, "references": 2, "chips": 2, "events": 3, "api_keys": 0, "answers": 0},
        "overwritten": True,
    }
    with opened(tmp_path) as store:
        store.audit.verify()
        *_, last = store.audit.entries()
        assert (f"{last.sequence}:{last.hash.hex()}", last.action) == (entry, "erase")
    for again in (client.get(TAMYS), client.delete(TAMYS), send(client, VERIFICATIONS, TAMY)):
        check_problem(again, "user_unregistered", 404)
    assert send(client, f"{USERS}/joe/verifications", TAMY).status_code == 200


def test_an_erased_company_is_gone_with_its_users(client: TestClient) -> None:
    enroll_users(client, "tamy", "joe")
    send(client, f"{USERS}/ann/enrollments", TAMY, {"Idempotency-Key": "x"})
    enroll(client, TAMY, "/v1/companies/other/users/tamy/enrollments")
    receipt = client.delete(WITHMIND).json()
    assert (receipt["company"], receipt["user"]) == ("withmind", None)
    assert receipt["removed"] == {
        "companies": 1,
        "users": 3,
        "references": 3,
        "chips": 3,
        "events": 3,
        "api_keys": 0,
        "answers": 1,
    }
    for again in (client.get(WITHMIND), client.delete(WITHMIND), client.get(USERS)):
        check_problem(again, "company_unregistered", 404)
    check_problem(send(client, VERIFICATIONS, TAMY), "user_unregistered", 404)
    assert [company["name"] for company in client.get(COMPANIES).json()["items"]] == ["other"]


def test_a_removed_enrollment_is_compared_no_more(client: TestClient) -> None:
    near, far = enroll(client, TAMY), enroll(client, STRANGER)
    answer = client.delete(f"{ENROLLMENTS}/{near}")
    assert (answer.status_code, answer.content) == (204, b"")
    (person,) = send(client, VERIFICATIONS, TAMY).json()["persons"]
    assert (person["reference_id"], person["verdict"]) == (far, "dismatch")
    for again in (client.delete(f"{ENROLLMENTS}/{near}"), client.get(f"{ENROLLMENTS}/{near}")):
        check_problem(again, "enrollment_unknown", 404)
    assert enroll(client, TAMY) not in (near, far)


def test_a_user_without_enrollments_stays_and_is_not_verified(client: TestClient) -> None:
    client.delete(f"{ENROLLMENTS}/{enroll(client, TAMY)}")
    assert client.get(TAMYS).json()["enrollments"] == []
    assert client.get(USERS).json()["items"][0]["references"] == 0
    check_problem(send(client, VERIFICATIONS, TAMY), "user_unregistered", 404)
    check_problem(client.get(f"{ENROLLMENTS}/1/image"), "enrollment_unknown", 404)


# The kept face.


@pytest.fixture
def shown(client: TestClient, analyser: Planted) -> Chip:
    """The face of enrollment 1."""
    planted = face(0.0)
    planted.chip[:] = np.random.default_rng(5).integers(0, 256, planted.chip.shape, dtype=np.uint8)
    analyser.plant(photo("shown"), planted)
    assert enroll(client, photo("shown")) == 1
    return planted.chip


IMAGE = f"{ENROLLMENTS}/1/image"


def test_the_face_is_the_one_that_was_enrolled(client: TestClient, shown: Chip) -> None:
    answer = client.get(IMAGE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["cache-control"] == "private, no-cache"
    assert np.array_equal(decode(answer.content), shown)


@pytest.mark.usefixtures("shown")
def test_the_face_is_sent_again_only_where_it_has_changed(client: TestClient) -> None:
    tag = client.get(IMAGE).headers["etag"]
    for given in (tag, f'"other", {tag}', f"W/{tag}"):
        same = client.get(IMAGE, headers={"If-None-Match": given})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert same.headers["cache-control"] == "private, no-cache"
    assert client.get(IMAGE, headers={"If-None-Match": '"other"'}).status_code == 200
    other = client.get(f"{ENROLLMENTS}/{enroll(client, TAMY)}/image", headers={"If-None-Match": tag})
    assert other.status_code == 200
    assert other.headers["etag"] != tag


@pytest.mark.usefixtures("shown")
def test_nobody_is_told_of_a_face_that_was_erased(client: TestClient) -> None:
    tag = client.get(IMAGE).headers["etag"]
    client.delete(TAMYS)
    check_problem(client.get(IMAGE, headers={"If-None-Match": tag}), "enrollment_unknown", 404)


def test_without_a_key_of_the_company_nobody_learns_whether_a_face_has_changed(tmp_path: Path) -> None:
    with served(tmp_path, auth="keys") as client:
        own, other = new_key(tmp_path, "withmind").headers, new_key(tmp_path, "other").headers
        enroll(client, TAMY, headers=own)
        tag = client.get(IMAGE, headers=own).headers["etag"]
        check_problem(client.get(IMAGE, headers=other | {"If-None-Match": tag}), "company_forbidden", 403)


def test_a_face_may_not_be_kept(tmp_path: Path) -> None:
    with served(tmp_path, keep_images="none") as client:
        assert enroll(client, TAMY) == 1
        assert client.get(f"{ENROLLMENTS}/1").json()["has_image"] is False
        check_problem(client.get(IMAGE), "image_not_kept", 404)
        check_problem(client.get(f"{ENROLLMENTS}/2/image"), "enrollment_unknown", 404)
