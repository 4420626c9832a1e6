"""Erasure: of whom is erased nothing is left, in no table and in no file, but the audit entry that says so."""

import hashlib
import json
import random
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from sqlalchemy import URL, select
from sqlmodel import SQLModel

from face_api.store import (
    Caller,
    Claim,
    Enrollment,
    KeyFile,
    Outcome,
    Profile,
    Receipt,
    Store,
    StoreUnavailableError,
    open_store,
    utc_now,
)
from face_api.store.enrollments import pack
from face_engine.types import Template
from support.raw_files import left_of, raw_bytes
from support.store import CALLER, QUALITY, chip_png, enroll, references_of, rows

SEALED_HEAD = len(b"\x01\x09k01234567")
"""Version, length and key id: the same in front of every sealed value."""


@dataclass
class Model:
    """What was ever stored, by user: who enrolled, and every byte string that was derived from a photo."""

    store: Store
    users: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    erased: list[tuple[str, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def enroll(self, company: str, user: str, *, limit: int = 3, chip: bytes | None = None) -> None:
        number = next(self.numbers)
        digest = hashlib.sha256(str(number).encode()).digest()
        template = Template(np.random.default_rng(number).normal(size=128).astype(np.float32), "e1")
        enrollment = Enrollment(company, user, Profile(number % 2, number % 100), digest, "v1")
        self.store.enrollments.add(CALLER, enrollment, template, chip, QUALITY, limit, {"total": 1.0})
        self.users.setdefault((company, user), []).extend([pack(template), digest, *([chip] if chip else [])])

    def note_sealed(self) -> None:
        """Remember what lies sealed in the database now."""
        query = (
            "SELECT c.name, u.key, r.template, r.photo_digest, r.chip, r.quality FROM face_references r "
            "JOIN users u ON u.id = r.user_id JOIN companies c ON c.id = u.company_id"
        )
        for company, user, *values in rows(self.store, query):
            sealed = [bytes(value)[SEALED_HEAD:] for value in values if value is not None]
            self.users[company, user].extend(sealed)

    def erase(self, company: str, user: str) -> None:
        assert self.store.eraser.erase_user(CALLER, company, user)
        self.erased.append((company, user))

    def assert_nothing_is_left_of_the_erased(self) -> None:
        raw = raw_bytes(self.store)
        # The audit entry of the erasure names the user; nothing else may.
        for company, user in self.erased:
            entry = f'"user":"{user}"'.encode()
            assert raw.count(user.encode()) == raw.count(entry), (company, user)
        assert left_of([value for key in self.erased for value in self.users[key]], raw) == 0
        kept = [value for key, values in self.users.items() if key not in self.erased for value in values]
        assert not self.users.keys() - set(self.erased) or left_of(kept, raw) > 0, "the search finds nothing at all"


def long_id(number: int) -> str:
    return f"user-{number}-{secrets.token_hex(24)}"


def clean(store: Store) -> None:
    """What an operator of PostgreSQL does after an erasure; on SQLite there is nothing to be done."""
    if not store.database.is_sqlite:
        store.database.compact()


def every_row(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    with store.database.reading() as session:
        for name, table in SQLModel.metadata.tables.items():
            for row in session.execute(select(*table.c)).mappings():
                yield name, dict(row)


def event(store: Store, company: str, user: str) -> None:
    store.events.record(CALLER, company, user, Outcome("analyse", "no_face"))


def keep_answer(store: Store, key: str, company: str, user: str | None) -> None:
    """Answer a request with an Idempotency-Key, with the names in the answer."""
    claim = store.idempotency.claim("actor", key, b"asked")
    assert isinstance(claim, Claim)
    store.idempotency.complete(claim, 201, f"{company} {user}".encode(), company, user)


@pytest.fixture(autouse=True)
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are erased in a row, each is overwritten at once."""
    monkeypatch.setattr("face_api.store.database.SCRUB_REST", 0)


def test_a_receipt_says_what_was_removed_how_many_and_when(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    enroll(store, 2)
    enroll(store, 3, chip=chip_png(3))
    event(store, "withmind", "tamy")
    before = utc_now()
    receipt = store.eraser.erase_user(Caller("cli:root", "request-9"), "withmind", "tamy")
    assert receipt is not None
    assert before <= receipt.at <= utc_now()
    assert (receipt.company, receipt.user) == ("withmind", "tamy")
    removed = receipt.removed
    assert (removed.companies, removed.users, removed.references, removed.chips) == (0, 1, 3, 2)
    assert (removed.events, removed.api_keys, removed.answers) == (4, 0, 0)  # three enrollments, an analysis
    assert receipt.overwritten is store.database.is_sqlite
    assert store.audit.verify(receipt.audit_entry) == receipt.audit_entry
    *_, entry = store.audit.entries()
    assert (entry.sequence, entry.hash) == (receipt.audit_entry.sequence, receipt.audit_entry.hash)
    assert (entry.actor, entry.action, entry.request_id) == ("cli:root", "erase", "request-9")
    assert entry.details == {"user": "tamy"}


def test_who_is_not_registered_cannot_be_erased(store: Store) -> None:
    enroll(store, 1)
    before = store.audit.verify()
    assert store.eraser.erase_user(CALLER, "withmind", "other") is None
    assert store.eraser.erase_user(CALLER, "other", "tamy") is None
    assert store.eraser.erase_company(CALLER, "other") is None
    assert store.audit.verify() == before
    assert len(references_of(store, "withmind", "tamy")) == 1


def test_an_erasure_is_for_good(store: Store) -> None:
    enroll(store, 1)
    assert store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert references_of(store, "withmind", "tamy") == ()
    assert store.directory.user(CALLER, "withmind", "tamy") is None
    assert store.eraser.erase_user(CALLER, "withmind", "tamy") is None


def test_nothing_of_a_user_is_left_in_any_table(store: Store) -> None:
    user = long_id(1)
    enroll(store, 1, user="before")
    for number in range(2, 5):
        enroll(store, number, user=user, chip=chip_png(number))
    event(store, "withmind", user)
    keep_answer(store, "key", "withmind", user)
    store.directory.user(CALLER, "withmind", user)
    ((user_id, token),) = rows(store, "SELECT id, token FROM users WHERE key = :key", key=user)
    receipt = store.eraser.erase_user(CALLER, "withmind", user)
    assert receipt
    for table, row in every_row(store):
        assert row.get("user_id") != user_id, (table, row)
        assert not (table == "users" and row["id"] == user_id)
        if table == "audit_events" and row["sequence"] == receipt.audit_entry.sequence:
            assert token not in str(row), "the entry tells whom the older ones were about"
        else:
            assert user not in str(row), (table, row)
    assert {row["user_id"] for name, row in every_row(store) if name == "face_references"} != set()


def test_nothing_of_a_company_is_left_in_any_table(store: Store) -> None:
    company = f"company-{secrets.token_hex(20)}"
    for number in range(3):
        enroll(store, number, user=f"user{number}", company=company, chip=chip_png(number))
    enroll(store, 9, company="other")
    event(store, company, "nobody")
    ((company_id, token),) = rows(store, "SELECT id, token FROM companies WHERE name = :name", name=company)
    store.api_keys.create(CALLER, company, f"the till of {company}")
    keep_answer(store, "enrolled", company, "user1")
    keep_answer(store, "nobody", company, None)
    receipt = store.eraser.erase_company(CALLER, company)
    assert receipt is not None
    removed = receipt.removed
    assert (removed.companies, removed.users, removed.references, removed.chips) == (1, 3, 3, 3)
    assert (removed.events, removed.api_keys, removed.answers) == (4, 1, 2)
    for table, row in every_row(store):
        assert row.get("company_id") != company_id, (table, row)
        assert not (table == "companies" and row["id"] == company_id)
        if row.get("action") == "erase":
            assert not (company in str(row) and token in str(row)), row
        else:
            assert company not in str(row), (table, row)
    assert len(references_of(store, "other", "tamy")) == 1


def test_no_entry_holds_a_name_and_the_token_of_who_was_erased(store: Store) -> None:
    """Else the trail's older entries could be linked to a name for ever."""
    enroll(store, 1, user="tamy", company="withmind")
    enroll(store, 2, user="joe", company="withmind")
    ((company_token,),) = rows(store, "SELECT token FROM companies")
    tokens = [token for (token,) in rows(store, "SELECT token FROM users")]
    store.eraser.erase_user(CALLER, "withmind", "tamy")
    store.eraser.erase_company(CALLER, "withmind")
    for table, row in every_row(store):
        assert not ("withmind" in str(row) and company_token in str(row)), (table, row)
        assert not ("tamy" in str(row) and tokens[0] in str(row)), (table, row)


def test_the_request_of_an_erasure_does_not_link_a_companys_name_to_its_token(store: Store) -> None:
    """All entries of one erasure have the same request id."""
    enroll(store, 1)
    ((token,),) = rows(store, "SELECT token FROM companies")
    store.eraser.erase_company(Caller("test", "the-erasure"), "withmind")
    entries = [str(row) for name, row in every_row(store) if name == "audit_events" and "the-erasure" in str(row)]
    assert any("withmind" in entry for entry in entries)
    assert not any(token in entry for entry in entries)


def test_older_entries_do_not_tell_whom_they_were_about(store: Store) -> None:
    enroll(store, 1)
    store.directory.user(CALLER, "withmind", "tamy")
    assert {entry.user for entry in store.audit.entries()} == {"tamy"}
    receipt = store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert receipt
    older = list(store.audit.entries(limit=receipt.audit_entry.sequence - 1))
    assert [entry.action for entry in older] == ["enroll", "view"]
    assert not any("tamy" in str(entry) for entry in older)
    # Enrolled again, the same id is another person to the trail.
    enroll(store, 2)
    *_, newest = store.audit.entries()
    assert newest.user == "tamy"
    assert not any("tamy" in str(entry) for entry in store.audit.entries(limit=len(older)))
    store.audit.verify()


def test_others_are_untouched(store: Store) -> None:
    for company in ("withmind", "other"):
        for user in ("tamy", "joe"):
            enroll(store, 1, user=user, company=company, chip=chip_png(1))
    before = {
        (name, str(row)) for name, row in every_row(store) if name in {"users", "face_references", "analysis_events"}
    }
    ((user_id,),) = rows(
        store,
        "SELECT u.id FROM users u JOIN companies c ON c.id = u.company_id WHERE c.name = 'withmind' AND u.key = 'tamy'",
    )
    store.eraser.erase_user(CALLER, "withmind", "tamy")
    after = {
        (name, str(row)) for name, row in every_row(store) if name in {"users", "face_references", "analysis_events"}
    }
    gone = before - after
    assert after < before
    assert len(gone) == 3
    assert all(f"'user_id': {user_id}" in row or f"'id': {user_id}," in row for _, row in gone)
    for company, user in (("withmind", "joe"), ("other", "tamy"), ("other", "joe")):
        assert len(references_of(store, company, user)) == 1


@pytest.mark.parametrize("chance", range(2))
def test_nothing_of_the_erased_is_left_in_the_files_however_they_came_and_went(store: Store, chance: int) -> None:
    if chance and not store.database.is_sqlite:
        pytest.skip("one is enough where all tables are written anew")
    choose = random.Random(chance)  # noqa: S311 - no secret
    model = Model(store)
    names = [long_id(number) for number in range(250)]
    for step in range(300):
        present = [key for key in model.users if key not in model.erased]
        if step > 60 and choose.random() < 0.25 and present:
            model.erase(*choose.choice(present))
        else:
            company, user = f"company{choose.randrange(3)}", choose.choice(names)
            if (company, user) not in model.erased:
                size = choose.choice([0, 0, 300, 3000, 20_000])
                model.enroll(company, user, limit=choose.randint(1, 3), chip=choose.randbytes(size) or None)
        if step % 60 == 59:
            model.note_sealed()
    assert len(model.erased) > 40
    model.erase(*[key for key in model.users if key not in model.erased][-1])
    # The ids are unique by company and name; another company's user of the same name is still there.
    model.erased = [
        key for key in model.erased if not any(key[1] == other[1] for other in model.users if other not in model.erased)
    ]
    clean(store)
    model.assert_nothing_is_left_of_the_erased()
    store.audit.verify()


def test_nothing_is_left_where_almost_everybody_is_erased(store: Store) -> None:
    """Then pages of the database are joined: what was moved must not stay where it was."""
    model = Model(store)
    users = [long_id(number) for number in range(120)]
    for user in users:
        model.enroll("withmind", user)
    model.note_sealed()
    random.Random(1).shuffle(users)  # noqa: S311 - no secret
    for user in users[:-3]:
        model.erase("withmind", user)
    clean(store)
    model.assert_nothing_is_left_of_the_erased()


def test_what_a_rotation_and_a_retirement_left_behind_goes_too(store: Store) -> None:
    model = Model(store)
    user = long_id(1)
    model.enroll("withmind", long_id(2), chip=chip_png(0))
    for number in range(5):
        model.enroll("withmind", user, limit=2, chip=chip_png(number))
        model.note_sealed()
    list(store.resealer.run(store.resealer.begin(CALLER)))
    model.note_sealed()
    model.erase("withmind", user)
    clean(store)
    model.assert_nothing_is_left_of_the_erased()


def test_the_planners_statistics_keep_nothing(store: Store) -> None:
    """PostgreSQL's autovacuum copies samples of columns to pg_statistic: ids, and short sealed values."""
    if store.database.is_sqlite:
        pytest.skip("SQLite keeps no statistics unless it is asked to")
    model = Model(store)
    for number in range(20):
        model.enroll(f"company-{secrets.token_hex(20)}", long_id(number))
    model.note_sealed()
    rows(store, "ANALYZE")
    for company, user in list(model.users)[:19]:
        model.erase(company, user)
        store.eraser.erase_company(CALLER, company)
    store.database.compact()
    model.assert_nothing_is_left_of_the_erased()


@contextmanager
def reader(store: Store) -> Iterator[None]:
    """Hold a snapshot of before: as long as it is read, the write-ahead log cannot be emptied."""
    with store.database.reading() as session:
        session.execute(select(SQLModel.metadata.tables["users"])).all()
        yield


def test_a_receipt_does_not_say_overwritten_while_somebody_reads_what_was_there(
    database_url: URL, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_api.store.database.BUSY_TIMEOUT_S", 0.2)
    with (
        closing(open_store(database_url, keys, migrate=True)) as store,
        closing(open_store(database_url, keys, migrate=True)) as other,
    ):
        model = Model(store)
        user, neighbour = long_id(1), long_id(2)
        model.enroll("withmind", user, chip=chip_png(1))
        model.enroll("withmind", neighbour)
        model.note_sealed()
        with reader(other):
            receipt = store.eraser.erase_user(CALLER, "withmind", user)
            assert receipt is not None
            assert not receipt.overwritten
            assert references_of(store, "withmind", user) == ()
            if store.database.is_sqlite:
                assert left_of(model.users["withmind", user], raw_bytes(store)) > 0, "the receipt was too modest"
        model.erased.append(("withmind", user))
        # The next erasure, or `face-api compact`, makes up for it.
        next_receipt = store.eraser.erase_user(CALLER, "withmind", neighbour)
        assert next_receipt is not None
        assert next_receipt.overwritten is store.database.is_sqlite
        model.erased.append(("withmind", neighbour))
        clean(store)
        model.assert_nothing_is_left_of_the_erased()


def test_compact_overwrites_what_a_reader_kept(
    database_url: URL, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_api.store.database.BUSY_TIMEOUT_S", 0.2)
    with (
        closing(open_store(database_url, keys, migrate=True)) as store,
        closing(open_store(database_url, keys, migrate=True)) as other,
    ):
        model = Model(store)
        model.enroll("withmind", user := long_id(1), chip=chip_png(1))
        model.enroll("withmind", long_id(2))
        model.note_sealed()
        with reader(other):
            model.erase("withmind", user)
        store.database.compact()
        model.assert_nothing_is_left_of_the_erased()


def fill(store: Store, company: str, users: int) -> None:
    """Register users past the store's own way, which syncs the disk for each."""
    enroll(store, 0, user="first", company=company, chip=chip_png(0))
    ((company_id, user_id),) = rows(
        store, "SELECT c.id, u.id FROM companies c JOIN users u ON u.company_id = c.id WHERE c.name = :n", n=company
    )
    numbers = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < :users) "
    rows(
        store,
        "INSERT INTO users (company_id, key, token, created_at) "  # noqa: S608 - our own
        + numbers
        + f"SELECT {company_id}, 'u' || i, :company || i, created_at FROM n JOIN users ON users.id = {user_id}",  # noqa: S608 - our own
        users=users,
        company=company,
    )
    rows(
        store,
        "INSERT INTO face_references (user_id, encoder_id, key_id, template, photo_digest, chip, created_at) "  # noqa: S608 - our own
        "SELECT u.id, r.encoder_id, r.key_id, r.template, r.photo_digest, NULL, r.created_at FROM users u "
        f"JOIN face_references r ON r.user_id = {user_id} WHERE u.company_id = {company_id} AND u.id <> {user_id}",
    )


def test_a_company_of_more_users_than_a_batch_has(store: Store) -> None:
    fill(store, "withmind", 1200)
    enroll(store, 1, company="other")
    receipt = store.eraser.erase_company(CALLER, "withmind")
    assert receipt is not None
    removed = receipt.removed
    assert (removed.companies, removed.users, removed.references, removed.chips) == (1, 1200, 1200, 1)
    assert removed.events == 1
    assert rows(store, "SELECT count(*) FROM face_references") == [(1,)]
    erasures = [entry.details for entry in store.audit.entries() if entry.action == "erase"]
    assert [batch["users"] for batch in erasures] == [100] * 12 + [0]
    assert {batch["company"] for batch in erasures} == {"withmind"}
    assert store.audit.verify() == receipt.audit_entry


def test_an_interrupted_erasure_of_a_company_is_finished_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, "withmind", 1200)
    append = store.audit.append
    entries = 0

    def interrupt(*arguments: Any) -> Any:
        nonlocal entries
        entries += 1
        if entries == 2:
            raise KeyboardInterrupt
        return append(*arguments)

    with monkeypatch.context() as context:
        context.setattr(type(store.audit), "append", lambda _self, *arguments: interrupt(*arguments))
        with pytest.raises(KeyboardInterrupt):
            store.eraser.erase_company(CALLER, "withmind")
    assert rows(store, "SELECT count(*) FROM users") == [(1100,)]
    assert rows(store, "SELECT count(*) FROM face_references") == [(1100,)]
    receipt = store.eraser.erase_company(CALLER, "withmind")
    assert receipt is not None
    assert (receipt.removed.companies, receipt.removed.users) == (1, 1100)
    for table in ("companies", "users", "face_references", "analysis_events"):
        assert rows(store, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 - our own
    store.audit.verify()


def test_a_company_with_many_events_of_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_api.store.erasure._EVENTS", 4)
    enroll(store, 1)
    for _ in range(10):
        event(store, "withmind", "nobody")
    receipt = store.eraser.erase_company(CALLER, "withmind")
    assert receipt is not None
    assert receipt.removed.events == 11
    assert rows(store, "SELECT count(*) FROM analysis_events") == [(0,)]


def race(*works: Callable[[int], object], rounds: int) -> None:
    """Let each work do its rounds in a thread of its own, all started at once; raise what one of them raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[int], object]) -> None:
        start.wait()
        for number in range(rounds):
            work(number)

    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(run, work) for work in works]:
            future.result()


DELIBERATE = "somebody else keeps removing it"


@pytest.mark.parametrize("erases_company", [False, True], ids=["user", "company"])
def test_enrolling_and_erasing_the_same_at_the_same_time(
    store: Store, database_url: URL, keys: KeyFile, erases_company: bool
) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as second:
        receipts: list[Receipt] = []

        def enroll_one(number: int) -> None:
            try:
                enroll(second, number, user=f"user{number % 2}", limit=2)
            except StoreUnavailableError as error:
                assert DELIBERATE in str(error), error

        def enroll_another(number: int) -> None:
            try:
                enroll(store, 1000 + number, user=f"user{number % 2}", limit=2)
            except StoreUnavailableError as error:
                assert DELIBERATE in str(error), error

        def analyse(number: int) -> None:
            event(second, "withmind", f"user{number % 2}")
            keep_answer(second, f"key{number}", "withmind", f"user{number % 2}" if number % 3 else None)

        def erase(number: int) -> None:
            if erases_company:
                receipt = store.eraser.erase_company(CALLER, "withmind")
            else:
                receipt = store.eraser.erase_user(CALLER, "withmind", f"user{number % 2}")
            if receipt is not None:
                receipts.append(receipt)

        enroll_one(0)
        race(enroll_one, enroll_another, analyse, erase, rounds=100)
        assert receipts
        assert_no_orphans(store)
        store.audit.verify()
        store.eraser.erase_company(CALLER, "withmind")
        for table in ("companies", "users", "face_references"):
            assert rows(store, f"SELECT count(*) FROM {table}") == [(0,)], table  # noqa: S608 - our own
        for table in ("analysis_events", "idempotent_requests"):
            assert rows(store, f"SELECT count(*) FROM {table} WHERE company_id IS NOT NULL") == [(0,)]  # noqa: S608 - our own
        store.audit.verify()


def assert_no_orphans(store: Store) -> None:
    for child, column, parent in (
        ("face_references", "user_id", "users"),
        ("users", "company_id", "companies"),
        ("analysis_events", "user_id", "users"),
        ("analysis_events", "company_id", "companies"),
        ("idempotent_requests", "user_id", "users"),
        ("idempotent_requests", "company_id", "companies"),
        ("api_keys", "company_id", "companies"),
    ):
        query = f"SELECT count(*) FROM {child} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT id FROM {parent})"  # noqa: S608 - our own
        assert rows(store, query) == [(0,)], (child, column)
    lonely = "SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM face_references)"
    assert rows(store, lonely) == [(0,)], "a user without a reference"


def test_a_user_is_erased_while_the_keys_are_rotated(store: Store, database_url: URL, keys: KeyFile) -> None:
    """Both hold rows of the same references: neither may fail for that."""
    users = [f"user{number}" for number in range(30)]
    for user in users:
        for number in range(4):
            enroll(store, number, user=user)
    with closing(open_store(database_url, keys, migrate=True)) as second:

        def rotate(_number: int) -> None:
            list(second.resealer.run(second.resealer.begin(CALLER)))

        def erase(_number: int) -> None:
            for _ in range(2):
                user = users.pop()
                assert store.eraser.erase_user(CALLER, "withmind", user)

        race(rotate, erase, rounds=15)
    assert rows(store, "SELECT count(*) FROM face_references") == [(0,)]
    store.audit.verify()


def test_an_erasures_entry_tells_whom_and_nothing_else(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    store.eraser.erase_user(CALLER, "withmind", "tamy")
    ((details,),) = rows(store, "SELECT details FROM audit_events WHERE action = 'erase'")
    assert json.loads(details) == {"user": "tamy"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_large_file_is_not_said_to_be_clean_before_it_is_compacted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite may leave copies in the gaps of its pages; only a file written anew is free of them for certain."""
    monkeypatch.setattr("face_api.store.database.SCRUBBED_BYTES", 1)
    enroll(store, 1)
    receipt = store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert receipt is not None
    assert not receipt.overwritten
    assert store.database.compact()
