"""API keys: made once, known by their secret alone, revoked for good; each act and each look is in the audit trail."""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import astuple
from datetime import UTC

import pytest
from sqlalchemy import URL

from face_api.errors import AccessError
from face_api.store import (
    Caller,
    Identity,
    KeyFile,
    KeySummary,
    NewKey,
    Outcome,
    StatementRefusedError,
    Store,
    StoreUnavailableError,
    is_label,
    open_store,
    utc_now,
)
from support.raw_files import raw_bytes
from support.store import CALLER, QUALITY, enroll, photo, rows, template

ROUNDS = 20


def create(store: Store, company: str | None = "withmind", label: str = "") -> NewKey:
    return store.api_keys.create(CALLER, company, label)


def listed(store: Store, **options: object) -> list[KeySummary]:
    return list(store.api_keys.page(CALLER, **options).items)  # type: ignore[arg-type]


@contextmanager
def reads_are_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the transactions that read."""
    count = [0]
    reading = type(store.database).reading

    def counted(database: object) -> object:
        count[0] += 1
        return reading(database)  # type: ignore[arg-type]

    with monkeypatch.context() as context:
        context.setattr(type(store.database), "reading", counted)
        yield count


def test_a_secret_tells_whose_it_is(store: Store) -> None:
    company, admin = create(store), create(store, None)
    assert store.api_keys.authenticate(company.secret) == Identity(company.summary.key_id, "withmind")
    assert store.api_keys.authenticate(admin.secret) == Identity(admin.summary.key_id, None)


def test_a_key_is_as_it_was_asked_for(store: Store) -> None:
    before = utc_now()
    new = create(store, "withmind", "till 3, Straße")
    summary = new.summary
    assert re.fullmatch(rf"fk_{summary.key_id}_[A-Za-z0-9_-]{{43}}", new.secret)
    assert re.fullmatch(r"[0-9a-f]{12}", summary.key_id)
    assert (summary.company, summary.label, summary.revoked_at) == ("withmind", "till 3, Straße", None)
    assert before <= summary.created_at <= utc_now()
    assert store.api_keys.get(CALLER, summary.key_id) == summary
    assert listed(store) == [summary]
    assert summary.created_at.tzinfo is UTC


def test_secrets_and_ids_are_all_different_and_random(store: Store) -> None:
    made = [create(store) for _ in range(50)]
    random_parts = [new.secret[16:] for new in made]
    assert len({new.summary.key_id for new in made}) == len(set(random_parts)) == 50
    # Each of the 43 characters differs among the secrets; the last one has four bits.
    assert all(len({part[place] for part in random_parts}) > 5 for place in range(43))


def test_only_the_very_secret_is_right(store: Store) -> None:
    new, other = create(store), create(store)
    right = new.secret
    key_id, random_part = new.summary.key_id, right[16:]
    changed = [
        right[:place] + ("A" if right[place] != "A" else "B") + right[place + 1 :] for place in range(len(right))
    ]
    wrong = [
        *changed,
        f"fk_{other.summary.key_id}_{random_part}",
        f"fk_{'0' * 12}_{random_part}",
        right[:-1],
        right + "A",
        right + "=",
        right + "\n",
        "\n" + right,
        " " + right,
        right.upper(),
        random_part,
        key_id,
        f"fk_{key_id}_",
        right.replace("fk_", "FK_"),
        right.replace("_", "-", 1),
    ]
    assert [secret for secret in wrong if store.api_keys.authenticate(secret) is not None] == []
    assert store.api_keys.authenticate(right) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fk_",
        "fk__",
        "\0",
        "fk_\0",
        "fk_000000000000_" + "\0" * 43,
        "fk_000000000000_" + "é" * 43,
        f"fk_{chr(0x660) * 12}_{'A' * 43}",  # Arabic digits
        "fk_000000000000_" + "A" * 42 + "\n",
        "fk_000000000000_" + "\ud800" * 43,
        "\ud800",
        "fk_000000000000_" + "A" * 10_000_000,
        "fk_" * 4_000_000,
        "' OR 1=1 --",
    ],
    ids=lambda text: ascii(text[:24]) + f"-{len(text)}",
)
def test_what_is_no_secret_is_nobodys_and_asks_for_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    with reads_are_counted(store, monkeypatch) as count:
        assert store.api_keys.authenticate(text) is None
        assert count == [0]


def test_a_secret_costs_one_read_and_one_comparison_whatever_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, revoked = create(store), create(store)
    store.api_keys.revoke(CALLER, revoked.summary.key_id)
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("face_api.store.api_keys.hmac.compare_digest", compare)
    wrong = new.secret[:-2] + "AA"
    unknown = f"fk_{'0' * 12}_{'A' * 43}"
    for secret, expected in ((new.secret, True), (wrong, False), (unknown, False), (revoked.secret, False)):
        compared.clear()
        with reads_are_counted(store, monkeypatch) as count:
            assert (store.api_keys.authenticate(secret) is not None) is expected
            assert count == [1]
        assert [(len(one), len(other)) for one, other in compared] == [(32, 32)]


def test_a_revoked_key_is_valid_no_more(store: Store) -> None:
    new, other = create(store), create(store)
    before = utc_now()
    revoked = store.api_keys.revoke(CALLER, new.summary.key_id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert before <= revoked.revoked_at <= utc_now()
    assert astuple(revoked)[:4] == astuple(new.summary)[:4]
    assert store.api_keys.get(CALLER, new.summary.key_id) == revoked
    assert store.api_keys.authenticate(new.secret) is None
    assert store.api_keys.authenticate(other.secret) is not None


def test_the_first_revocation_stays(store: Store) -> None:
    key_id = create(store).summary.key_id
    first = store.api_keys.revoke(CALLER, key_id)
    end = store.audit.verify()
    assert store.api_keys.revoke(Caller("somebody else"), key_id) == first
    assert store.audit.verify() == end, "nothing was changed, so nothing is entered"


def test_who_revokes_at_the_same_time_finds_one_time(store: Store, database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys)) as other:
        for _ in range(ROUNDS):
            key_id = create(store).summary.key_id
            start = threading.Barrier(2)

            def revoke(one: Store, key_id: str = key_id, start: threading.Barrier = start) -> KeySummary | None:
                start.wait()
                return one.api_keys.revoke(CALLER, key_id)

            with ThreadPoolExecutor(2) as pool:
                found = list(pool.map(revoke, (store, other)))
            assert found[0] == found[1] == store.api_keys.get(CALLER, key_id)
    actions = [entry.action for entry in store.audit.entries()]
    assert actions.count("revoke_key") == ROUNDS
    store.audit.verify()


@pytest.mark.parametrize("key_id", ["", "nobody", "0" * 12, "é" * 12, "\0" * 12, "\ud800", "0" * 1000])
def test_a_key_that_is_not_there(store: Store, key_id: str) -> None:
    create(store)
    end = store.audit.verify()
    assert store.api_keys.get(CALLER, key_id) is None
    assert store.api_keys.revoke(CALLER, key_id) is None
    assert store.audit.verify() == end


def test_whether_any_key_is_active(store: Store) -> None:
    assert not store.api_keys.any_active()
    keys = [create(store).summary.key_id, create(store, None).summary.key_id]
    assert store.api_keys.any_active()
    store.api_keys.revoke(CALLER, keys[0])
    assert store.api_keys.any_active()
    store.api_keys.revoke(CALLER, keys[1])
    assert not store.api_keys.any_active()


def test_a_company_is_made_by_its_first_key(store: Store) -> None:
    create(store, "acme")
    create(store, "acme")
    assert rows(store, "SELECT name FROM companies") == [("acme",)]
    enroll(store, 1, company="acme")
    assert rows(store, "SELECT count(*) FROM companies") == [(1,)]
    enroll(store, 1, company="other")
    create(store, "other")
    assert rows(store, "SELECT count(*) FROM companies") == [(2,)]
    create(store, None)
    assert rows(store, "SELECT count(*) FROM companies") == [(2,)]


def test_two_who_make_the_first_key_of_a_company_make_one_company(
    store: Store, database_url: URL, keys: KeyFile
) -> None:
    with closing(open_store(database_url, keys)) as other:
        for number in range(ROUNDS):
            start = threading.Barrier(2)

            def make(one: Store, number: int = number, start: threading.Barrier = start) -> str:
                start.wait()
                return create(one, f"company{number}").secret

            with ThreadPoolExecutor(2) as pool:
                for secret in pool.map(make, (store, other)):
                    identity = store.api_keys.authenticate(secret)
                    assert identity is not None
                    assert identity.company == f"company{number}"
    assert rows(store, "SELECT count(*) FROM companies") == [(ROUNDS,)]
    store.audit.verify()


def test_keys_are_made_while_their_company_is_erased(store: Store, database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys)) as other:
        made: list[str] = []

        def make() -> None:
            for _ in range(ROUNDS):
                try:
                    made.append(create(other).secret)
                except StoreUnavailableError as error:
                    assert "keeps removing it" in str(error)

        def erase() -> None:
            for _ in range(ROUNDS):
                store.eraser.erase_company(CALLER, "withmind")

        with ThreadPoolExecutor(2) as pool:
            for work in [pool.submit(make), pool.submit(erase)]:
                work.result()
        assert made
    present = {summary.key_id for summary in listed(store)}
    for secret in made:
        identity = store.api_keys.authenticate(secret)
        assert (identity is not None) == (secret[3:15] in present)
    store.audit.verify()
    store.eraser.erase_company(CALLER, "withmind")
    assert not store.api_keys.any_active()


def test_pages_give_every_key_once_in_order(store: Store) -> None:
    made = {create(store, f"company{number % 2}", f"{number}").summary.key_id for number in range(10)}
    found: list[str] = []
    sizes = []
    after: str | None = ""
    while after is not None:
        page = store.api_keys.page(CALLER, after, 4)
        found += [key.key_id for key in page.items]
        sizes.append(len(page.items))
        after = page.next_after
    assert found == sorted(made)
    assert sizes == [4, 4, 2]
    assert store.api_keys.page(CALLER, "", 10).next_after is None
    assert store.api_keys.page(CALLER, found[-1]).items == []


def test_pages_of_one_company_are_its_keys_alone(store: Store) -> None:
    own = sorted(create(store, "acme").summary.key_id for _ in range(3))
    create(store, "other")
    create(store, None)
    page = store.api_keys.page(CALLER, "", 2, "acme")
    assert [key.key_id for key in page.items] == own[:2]
    assert page.next_after == own[1]
    rest = store.api_keys.page(CALLER, own[1], 2, "acme")
    assert ([key.key_id for key in rest.items], rest.next_after) == (own[2:], None)
    assert {key.company for key in listed(store)} == {"acme", "other", None}


def test_a_company_that_is_not_registered_has_no_keys(store: Store) -> None:
    create(store)
    end = store.audit.verify()
    page = store.api_keys.page(CALLER, company="nobody")
    assert (list(page.items), page.next_after) == ([], None)
    assert store.audit.verify() == end


def test_each_act_and_each_look_is_in_the_audit_trail(store: Store) -> None:
    caller = Caller("cli:root", "request-7")
    company = store.api_keys.create(caller, "withmind", "the till").summary.key_id
    admin = store.api_keys.create(caller, None, "").summary.key_id
    store.api_keys.page(caller)
    store.api_keys.page(caller, company="withmind")
    store.api_keys.get(caller, company)
    store.api_keys.revoke(caller, admin)
    store.api_keys.revoke(caller, company)
    entries = list(store.audit.entries())
    assert [(entry.action, entry.company, entry.user, dict(entry.details)) for entry in entries] == [
        ("create_key", "withmind", None, {"key": company}),
        ("create_key", None, None, {"key": admin}),
        ("list", None, None, {"keys": 2}),
        ("list", "withmind", None, {"keys": 1}),
        ("view", "withmind", None, {"key": company}),
        ("revoke_key", None, None, {"key": admin}),
        ("revoke_key", "withmind", None, {"key": company}),
    ]
    assert {(entry.actor, entry.request_id) for entry in entries} == {("cli:root", "request-7")}
    assert store.audit.verify().sequence == 7


def test_asking_whose_a_secret_is_leaves_no_entry(store: Store) -> None:
    new = create(store)
    store.api_keys.authenticate(new.secret)
    store.api_keys.any_active()
    assert store.audit.verify().sequence == 1


def test_what_cannot_be_entered_is_not_done(store: Store) -> None:
    new = create(store)
    rows(store, "DELETE FROM audit_head")
    for act in (
        lambda: create(store),
        lambda: store.api_keys.revoke(CALLER, new.summary.key_id),
        lambda: store.api_keys.page(CALLER),
        lambda: store.api_keys.get(CALLER, new.summary.key_id),
    ):
        with pytest.raises(Exception, match="head is missing"):
            act()
    assert rows(store, "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL") == [(1,)]


@pytest.mark.parametrize(
    ("label", "is_one"),
    [
        ("", True),
        ("a" * 128, True),
        ("한국어 라벨 'x' %", True),
        ("a" * 129, False),
        ("two\nlines", False),
        ("\x1b[31mred", False),
        ("\0", False),
        ("\u202eright to left", False),
        ("\ud800", False),
    ],
)
def test_labels(store: Store, label: str, is_one: bool) -> None:
    assert is_label(label) is is_one
    if is_one:
        key_id = create(store, label=label).summary.key_id
        found = store.api_keys.get(CALLER, key_id)
        assert found is not None
        assert found.label == label
    else:
        with pytest.raises(ValueError, match="up to 128 printable characters"):
            create(store, label=label)
        assert rows(store, "SELECT count(*) FROM api_keys") == [(0,)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_neither_files_nor_messages_hold_a_secret(store: Store) -> None:
    new = create(store)
    store.api_keys.authenticate(new.secret)
    random_part = new.secret[16:]
    assert random_part not in repr(new)
    raw = raw_bytes(store)
    assert new.summary.key_id.encode() in raw, "the search finds nothing at all"
    assert random_part.encode() not in raw
    assert store.api_keys._pepper not in raw


def test_the_digest_is_worth_nothing_without_the_pepper(store: Store, database_url: URL, keys: KeyFile) -> None:
    """Two databases with the same keys have different peppers: a row of one is not valid in the other."""
    new = create(store, None)
    with closing(open_store(database_url, keys)) as same:
        assert same.api_keys.authenticate(new.secret) is not None
        same.api_keys._pepper = secrets.token_bytes(32)
        assert same.api_keys.authenticate(new.secret) is None


def test_a_key_given_to_somebody_else_past_the_service_is_valid_no_more(store: Store) -> None:
    """Who can write to the database but has no sealing key cannot become an administrator."""
    new, other = create(store, "acme"), create(store, "other")
    admin = create(store, None)
    ((acme, other_id),) = rows(
        store,
        "SELECT a.id, o.id FROM companies a, companies o WHERE a.name = 'acme' AND o.name = 'other'",
    )
    named = {"key_id": new.summary.key_id}
    move = "UPDATE api_keys SET company_id = :company WHERE key_id = :key_id"
    for company in (None, other_id):
        rows(store, move, company=company, **named)
        assert store.api_keys.authenticate(new.secret) is None
    rows(store, move, company=acme, **named)
    assert store.api_keys.authenticate(new.secret) == Identity(new.summary.key_id, "acme")
    rows(store, move, company=acme, key_id=admin.summary.key_id)
    assert store.api_keys.authenticate(admin.secret) is None
    assert store.api_keys.authenticate(other.secret) is not None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_key_whose_company_cannot_be_found_is_nobodys(store: Store) -> None:
    """Only a database that was changed by hand holds one; it must not become an administrator's."""
    admin = create(store, None)
    rows(store, "UPDATE api_keys SET company_id = 4711")
    assert store.api_keys.authenticate(admin.secret) is None


def test_erasing_a_company_removes_its_keys_and_no_others(store: Store) -> None:
    enroll(store, 1)
    own, other, admin = create(store), create(store, "other"), create(store, None)
    receipt = store.eraser.erase_company(CALLER, "withmind")
    assert receipt is not None
    assert receipt.removed.api_keys == 1
    assert store.api_keys.authenticate(own.secret) is None
    assert store.api_keys.get(CALLER, own.summary.key_id) is None
    assert store.api_keys.authenticate(other.secret) is not None
    assert store.api_keys.authenticate(admin.secret) is not None
    enroll(store, 1)
    assert store.api_keys.authenticate(own.secret) is None, "the company of that name is another one"
    store.audit.verify()


def test_a_company_with_a_key_and_nobody_enrolled_can_be_erased(store: Store) -> None:
    create(store)
    receipt = store.eraser.erase_company(CALLER, "withmind")
    assert receipt is not None
    assert (receipt.removed.companies, receipt.removed.users, receipt.removed.api_keys) == (1, 0, 1)
    assert rows(store, "SELECT count(*) FROM companies") == [(0,)]


def dump(store: Store) -> list[list[tuple[object, ...]]]:
    tables = "companies", "users", "face_references", "analysis_events", "audit_events", "api_keys"
    return [rows(store, f"SELECT * FROM {table}") for table in tables]  # noqa: S608


GONE = [
    pytest.param(lambda store, key_id: store.api_keys.revoke(CALLER, key_id), id="revoked"),
    pytest.param(lambda store, _key_id: store.eraser.erase_company(CALLER, "withmind"), id="erased"),
]


@pytest.mark.parametrize("end", GONE)
def test_who_loses_a_key_writes_no_more(store: Store, end: Callable[[Store, str], object]) -> None:
    key_id = create(store).summary.key_id
    caller, outcome = Caller(key_id), Outcome("analyse", "no_face")
    acts: list[Callable[[str], object]] = [
        lambda user: store.enrollments.add(caller, photo(1, user), template(1), None, QUALITY, 5, {}),
        lambda user: store.enrollments.note_repetition(caller, photo(1, user), "e1"),
        lambda user: store.events.record(caller, "withmind", user, outcome),
        lambda user: store.directory.user(caller, "withmind", user),
        lambda user: store.enrollments.remove(caller, "withmind", user, 1),
        lambda user: store.eraser.erase_user(caller, "withmind", user),
        lambda _user: store.api_keys.create(caller, "withmind"),
    ]
    for act in acts:
        act("tamy")
    end(store, key_id)
    enroll(store, 1, user="joe")
    before = dump(store)
    (joes,) = rows(store, "SELECT id FROM face_references")[0]
    acts[4] = lambda user: store.enrollments.remove(caller, "withmind", user, joes)
    for act in acts:
        with pytest.raises(AccessError, match="key_invalid"):
            act("joe")
    assert dump(store) == before
    store.audit.verify()


def test_a_company_that_is_erased_while_its_key_enrolls_stays_away(store: Store) -> None:
    for _ in range(3):
        caller, started = Caller(create(store).summary.key_id), threading.Event()

        def enroll_on(caller: Caller = caller, started: threading.Event = started) -> None:
            with pytest.raises(AccessError):
                for number in range(10_000):  # far more than it gets to do
                    enrollment = photo(number, f"user{number % 3}")
                    store.enrollments.add(caller, enrollment, template(1), None, QUALITY, 2, {})
                    started.set()
                    time.sleep(0.001)

        with ThreadPoolExecutor(1) as pool:
            enrolling = pool.submit(enroll_on)
            assert started.wait(30)
            assert store.eraser.erase_company(CALLER, "withmind")
            enrolling.result()
        assert rows(store, "SELECT * FROM companies") == []
    store.audit.verify()


def test_keys_outlive_a_restart_and_a_rotation(store: Store, database_url: URL, keys: KeyFile) -> None:
    new = create(store)
    with closing(open_store(database_url, keys)) as later:
        assert later.api_keys.authenticate(new.secret) is not None
        list(later.resealer.run(later.resealer.begin(CALLER)))
        during = create(store)
        for one in (store, later):
            assert one.api_keys.authenticate(new.secret) is not None
            assert one.api_keys.authenticate(during.secret) is not None
    with closing(open_store(database_url, keys)) as later:
        assert later.api_keys.authenticate(new.secret) is not None
        assert later.api_keys.authenticate(during.secret) is not None


def test_a_table_that_is_gone_is_not_taken_for_a_wrong_secret(store: Store) -> None:
    new = create(store)
    rows(store, "ALTER TABLE api_keys RENAME TO gone")
    with pytest.raises(StatementRefusedError):
        store.api_keys.authenticate(new.secret)
    with pytest.raises(StatementRefusedError):
        store.api_keys.any_active()
    rows(store, "ALTER TABLE gone RENAME TO api_keys")
    assert store.api_keys.authenticate(new.secret) is not None
