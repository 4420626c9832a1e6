"""Lists by pages, and one user; each look leaves an entry in the audit trail."""

import random
import threading
from datetime import UTC, datetime

import numpy as np
import pytest

from face_api.store import Caller, Profile, Sort, Store, UserFilter
from face_engine.images import decode
from support.store import CALLER, PROFILE, QUALITY, chip_png, enroll, rows

EVERYBODY = UserFilter()


def fill(store: Store, count: int, company: str = "withmind") -> list[str]:
    """Register users in random order; return their ids in the order of a list."""
    keys = [f"{'-_.ab'[number % 5]}{number}" for number in range(count)]
    random.Random(1).shuffle(keys)  # noqa: S311 - no secret
    enroll(store, 0, user=keys[0], company=company)
    ((owner,),) = rows(store, "SELECT id FROM companies WHERE name = :name", name=company)
    for start in range(1, count, 50):
        values = ", ".join(
            f"({owner}, '{key}', '{company}{key}', '2026-01-01 00:00:00')" for key in keys[start : start + 50]
        )
        rows(store, f"INSERT INTO users (company_id, key, token, created_at) VALUES {values}")  # noqa: S608 - our own
    return sorted(keys)


def pages(store: Store, limit: int, wanted: UserFilter = EVERYBODY, sort: Sort = "id") -> list[list[str]]:
    found: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        page = store.directory.users(CALLER, "withmind", after, limit, wanted, sort)
        assert page is not None
        found.append([user.key for user in page.items])
        after = page.next_after
    return found


def test_paging_gives_everybody_once_in_order(store: Store) -> None:
    keys = fill(store, 250)
    enroll(store, 1, user="elsewhere", company="other")
    found = pages(store, 7)
    assert [key for page in found for key in page] == keys
    assert [len(page) for page in found] == [7] * 35 + [5]


@pytest.mark.parametrize(("limit", "sizes"), [(10, [10]), (5, [5, 5]), (3, [3, 3, 3, 1]), (11, [10]), (1, [1] * 10)])
def test_the_last_page_is_the_last(store: Store, limit: int, sizes: list[int]) -> None:
    fill(store, 10)
    assert [len(page) for page in pages(store, limit)] == sizes


def test_paging_gives_who_stays_once_while_others_come_and_go(store: Store) -> None:
    staying = fill(store, 100)
    stop = threading.Event()
    errors: list[BaseException] = []

    def churn() -> None:
        choose = random.Random(2)  # noqa: S311 - no secret
        try:
            while not stop.is_set():
                user = f"{choose.choice('-_.ab')}{choose.randrange(100)}x"
                enroll(store, 1, user=user)
                if choose.random() < 0.7:
                    store.eraser.erase_user(CALLER, "withmind", user)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(3):
            found = [key for page in pages(store, 7) for key in page]
            assert found == sorted(set(found))
            assert [key for key in found if not key.endswith("x")] == staying
    finally:
        stop.set()
        thread.join()
    assert not errors


def test_a_prefix_finds_who_begins_so(store: Store) -> None:
    keys = fill(store, 60)
    for prefix in ("a", "a1", "_", "-3", "z", "a%", "."):
        expected = [key for key in keys if key.startswith(prefix)]
        assert [key for page in pages(store, 4, UserFilter(prefix)) for key in page] == expected


@pytest.mark.parametrize("sort", ["id", "newest", "oldest"])
@pytest.mark.parametrize("limit", [1, 7, 60, 100])
def test_every_order_and_filter_gives_everybody_once(store: Store, sort: Sort, limit: int) -> None:
    """Also where many were made at the same moment."""
    keys = fill(store, 60)
    for number, key in enumerate(keys):
        at = datetime(2026, 1, 1, 12, 0, number // 5, 123_456 + number % 2, UTC)
        value = f"{at:%Y-%m-%d %H:%M:%S.%f}" if store.database.is_sqlite else at
        rows(store, "UPDATE users SET created_at = :at WHERE key = :key", at=value, key=key)
    in_time = [key for (key,) in rows(store, "SELECT key FROM users ORDER BY created_at, id")]
    everybody = {"id": keys, "oldest": in_time, "newest": in_time[::-1]}[sort]
    ((enrolled,),) = rows(store, "SELECT key FROM users JOIN face_references ON user_id = users.id")
    filters = {
        UserFilter(): everybody,
        UserFilter(contains="1"): [key for key in everybody if "1" in key],
        UserFilter(contains="_"): [key for key in everybody if "_" in key],
        UserFilter(contains="%"): [],
        UserFilter(prefix="_"): [key for key in everybody if key.startswith("_")],
        UserFilter(prefix="a", contains="1"): [key for key in everybody if key.startswith("a") and "1" in key],
        UserFilter(is_enrolled=True): [enrolled],
        UserFilter(is_enrolled=False): [key for key in everybody if key != enrolled],
    }
    for wanted, expected in filters.items():
        assert [key for page in pages(store, limit, wanted, sort) for key in page] == expected


def test_who_is_new_or_gone_moves_nobody_on_the_next_page(store: Store) -> None:
    for number in range(6):
        enroll(store, 1, user=f"u{number}")
    page = store.directory.users(CALLER, "withmind", limit=3, sort="newest")
    assert page is not None
    assert [user.key for user in page.items] == ["u5", "u4", "u3"]
    store.eraser.erase_user(CALLER, "withmind", "u3")
    enroll(store, 1, user="u6")
    assert page.next_after is not None
    rest = store.directory.users(CALLER, "withmind", page.next_after, 3, sort="newest")
    assert rest is not None
    assert ([user.key for user in rest.items], rest.next_after) == (["u2", "u1", "u0"], None)


@pytest.mark.parametrize("after", ["tamy", "12", "x", "12x", "x12", "9" * 30 + "x1"])
def test_what_is_no_position_in_time_is_refused(store: Store, after: str) -> None:
    with pytest.raises(ValueError):
        store.directory.users(CALLER, "withmind", after, sort="newest")


def test_how_a_reference_was_enrolled_is_shown(store: Store) -> None:
    enroll(store, 1)
    enroll(store, 2, user="joe")
    rows(store, "UPDATE face_references SET via = NULL, enrolled_by = NULL, quality = NULL WHERE id = 1")
    for user, expected in (("tamy", (None, None, None)), ("joe", ("v1", "test", QUALITY))):
        details = store.directory.user(CALLER, "withmind", user)
        assert details is not None
        (reference,) = details.references
        assert (reference.via, reference.enrolled_by, reference.quality) == expected
        assert store.directory.reference(CALLER, "withmind", user, reference.id) == reference


def test_a_quality_that_was_moved_or_changed_is_not_shown(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """And hides nothing else of the user."""
    enroll(store, 1)
    enroll(store, 2, user="joe")
    rows(store, "UPDATE face_references SET quality = (SELECT quality FROM face_references WHERE id = 2) WHERE id = 1")
    enroll(store, 3)
    details = store.directory.user(CALLER, "withmind", "tamy")
    assert details is not None
    assert [reference.quality for reference in details.references] == [None, QUALITY]
    assert store.directory.reference(CALLER, "withmind", "tamy", 1) == details.references[0]
    assert caplog.text.count("the quality of reference 1 is left out: ") == 2


def test_a_page_begins_behind_a_name_that_need_not_be_there(store: Store) -> None:
    for user in ("a", "c", "e"):
        enroll(store, 1, user=user)
    page = store.directory.users(CALLER, "withmind", after="b")
    assert page is not None
    assert [user.key for user in page.items] == ["c", "e"]
    nothing = store.directory.users(CALLER, "withmind", after="e")
    assert nothing is not None
    assert (list(nothing.items), nothing.next_after) == ([], None)


def test_a_list_tells_profile_and_references(store: Store) -> None:
    enroll(store, 1, profile=Profile(0, 41))
    enroll(store, 2, profile=Profile())
    enroll(store, 1, user="joe", profile=Profile())
    page = store.directory.users(CALLER, "withmind")
    assert page is not None
    assert [(user.key, user.profile, user.references) for user in page.items] == [
        ("joe", Profile(None, None), 1),
        ("tamy", Profile(0, 41), 2),
    ]


def test_companies_by_pages(store: Store) -> None:
    names = [f"company{number}" for number in range(9)]
    for name in reversed(names):
        enroll(store, 1, company=name)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = store.directory.companies(CALLER, after, 4)
        found += [company.name for company in page.items]
        after = page.next_after
        assert {company.users for company in page.items} == {1}
    assert found == names
    assert store.directory.companies(CALLER, "", 9).next_after is None


def test_a_company_with_the_number_of_its_users(store: Store) -> None:
    for number, user in enumerate(("tamy", "joe", "tamy")):
        enroll(store, number, user=user)
    enroll(store, 1, company="other")
    found = store.directory.company(CALLER, "withmind")
    assert found is not None
    (listed,) = [company for company in store.directory.companies(CALLER).items if company.name == "withmind"]
    assert (found.name, found.created_at, found.users) == ("withmind", listed.created_at, 2)
    store.eraser.erase_user(CALLER, "withmind", "tamy")
    store.eraser.erase_user(CALLER, "withmind", "joe")
    emptied = store.directory.company(CALLER, "withmind")
    assert emptied is not None
    assert emptied.users == 0


def test_one_reference_of_a_user(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    enroll(store, 2, encoder_id="e2")
    enroll(store, 3, user="joe")
    tamy, joe = (store.directory.user(CALLER, "withmind", user) for user in ("tamy", "joe"))
    assert tamy is not None
    assert joe is not None
    for expected in tamy.references:
        assert store.directory.reference(CALLER, "withmind", "tamy", expected.id) == expected
        assert store.directory.reference(CALLER, "withmind", "joe", expected.id) is None
    assert store.directory.reference(CALLER, "withmind", "tamy", joe.references[0].id) is None
    assert store.directory.reference(CALLER, "withmind", "tamy", 999) is None


def test_who_is_not_registered_is_nobody(store: Store) -> None:
    assert store.directory.companies(CALLER).items == []
    enroll(store, 1, chip=chip_png(1))
    before = store.audit.verify().sequence
    assert store.directory.company(CALLER, "other") is None
    assert store.directory.reference(CALLER, "withmind", "other", 1) is None
    assert store.directory.reference(CALLER, "other", "tamy", 1) is None
    assert store.directory.reference(CALLER, "withmind", "tamy", 999) is None
    assert store.directory.users(CALLER, "other") is None
    assert store.directory.user(CALLER, "withmind", "other") is None
    assert store.directory.user(CALLER, "other", "tamy") is None
    assert store.directory.chip(CALLER, "withmind", "other", 1) is None
    assert store.audit.verify().sequence == before


def test_a_user_with_references(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    enroll(store, 2, encoder_id="e2")
    details = store.directory.user(CALLER, "withmind", "tamy")
    assert details is not None
    assert (details.company, details.key, details.profile) == ("withmind", "tamy", PROFILE)
    assert [(reference.encoder_id, reference.has_chip) for reference in details.references] == [
        ("e1", True),
        ("e2", False),
    ]
    assert details.created_at <= details.references[0].created_at <= details.references[1].created_at


def test_a_chip_comes_back_as_it_went_in(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    enroll(store, 2)
    enroll(store, 3, user="joe", chip=chip_png(3))
    tamy, joe = (store.directory.user(CALLER, "withmind", user) for user in ("tamy", "joe"))
    assert tamy is not None
    assert joe is not None
    first, second = tamy.references
    found = store.directory.chip(CALLER, "withmind", "tamy", first.id)
    assert found == chip_png(1)
    expected = np.random.default_rng(1).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    assert np.array_equal(decode(found), expected)
    assert store.directory.chip(CALLER, "withmind", "tamy", second.id) is None
    assert store.directory.chip(CALLER, "withmind", "tamy", joe.references[0].id) is None
    assert store.directory.chip(CALLER, "withmind", "tamy", 999) is None


def test_each_look_is_in_the_audit_trail(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    caller = Caller("cli:root", "request-7")
    store.directory.companies(caller)
    store.directory.users(caller, "withmind")
    details = store.directory.user(caller, "withmind", "tamy")
    assert details is not None
    store.directory.chip(caller, "withmind", "tamy", details.references[0].id)
    store.directory.company(caller, "withmind")
    store.directory.reference(caller, "withmind", "tamy", details.references[0].id)
    entries = list(store.audit.entries(after=1))
    assert [(entry.action, entry.company, entry.user) for entry in entries] == [
        ("list", None, None),
        ("list", "withmind", None),
        ("view", "withmind", "tamy"),
        ("view", "withmind", "tamy"),
        ("view", "withmind", None),
        ("view", "withmind", "tamy"),
    ]
    assert {(entry.actor, entry.request_id) for entry in entries} == {("cli:root", "request-7")}
    assert entries[3].details["chip"] is True
    assert entries[4].details == {"users": 1}
    assert entries[5].details == {"reference": details.references[0].id}
    store.audit.verify()


def test_what_cannot_be_entered_is_not_shown(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    ((reference,),) = rows(store, "SELECT id FROM face_references")
    rows(store, "DELETE FROM audit_head")
    for look in (
        lambda: store.directory.companies(CALLER),
        lambda: store.directory.company(CALLER, "withmind"),
        lambda: store.directory.reference(CALLER, "withmind", "tamy", reference),
        lambda: store.directory.users(CALLER, "withmind"),
        lambda: store.directory.user(CALLER, "withmind", "tamy"),
        lambda: store.directory.chip(CALLER, "withmind", "tamy", reference),
    ):
        with pytest.raises(Exception, match="head is missing"):
            look()
