"""References: kept as they were made, sealed for one user, one encoder and one column, by however many at a time."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from sqlalchemy import URL

from face_api.store import (
    Added,
    Caller,
    Enrollment,
    KeyFile,
    Profile,
    StatementRefusedError,
    Store,
    StoreDamagedError,
    StoreError,
    open_store,
)
from face_api.store.enrollments import pack
from support.raw_files import left_of, raw_bytes
from support.store import CALLER, PROFILE, QUALITY, chip_png, enroll, photo, references_of, rows, template


def vectors(store: Store, user: str = "tamy", company: str = "withmind") -> list[list[float]]:
    return [found.vector.tolist() for found in references_of(store, company, user)]


def made_by(store: Store) -> list[str]:
    return [found.encoder_id for found in references_of(store, "withmind", "tamy")]


def fail_inserts(store: Store, table: str) -> None:
    """Let the database refuse every row for a table, with an error that no later try would not have."""
    if store.database.is_sqlite:
        rows(store, f"CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT json('refused'); END")
        return
    rows(store, "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$")
    rows(store, f"CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION fail()")


def test_a_template_comes_back_as_it_went_in(store: Store) -> None:
    assert enroll(store, 1) == "enrolled"
    (found,) = references_of(store, "withmind", "tamy")
    assert found.encoder_id == "e1"
    assert found.vector.dtype == np.float32
    assert np.array_equal(found.vector, template(1).vector)


def test_company_and_user_belong_together(store: Store) -> None:
    enroll(store, 1)
    assert vectors(store, "other") == []
    assert vectors(store, company="other") == []
    enroll(store, 2, company="other")
    assert vectors(store, company="other") == [template(2).vector.tolist()]
    assert vectors(store) == [template(1).vector.tolist()]


def test_beyond_the_limit_the_oldest_retires(store: Store) -> None:
    for number in range(7):
        enroll(store, number, limit=5)
    assert vectors(store) == [template(number).vector.tolist() for number in range(2, 7)]


def test_a_limit_of_one_keeps_the_newest(store: Store) -> None:
    for number in range(3):
        enroll(store, number, limit=1)
        assert vectors(store) == [template(number).vector.tolist()]


def test_a_lowered_limit_retires_all_that_are_too_many(store: Store) -> None:
    for number in range(5):
        enroll(store, number, limit=5)
    enroll(store, 5, limit=2)
    assert vectors(store) == [template(number).vector.tolist() for number in (4, 5)]


def test_the_same_photo_again_adds_nothing(store: Store) -> None:
    assert enroll(store, 1) == "enrolled"
    again = store.enrollments.add(CALLER, photo(1), template(9), None, QUALITY, 5, {})
    assert again.outcome == "already_enrolled"
    assert vectors(store) == [template(1).vector.tolist()]


def test_the_same_photo_by_another_encoder_takes_the_place_of_the_outdated_one(store: Store) -> None:
    enroll(store, 1, chip=chip_png(1))
    enroll(store, 2)
    assert enroll(store, 1, encoder_id="e2") == "enrolled"
    assert made_by(store) == ["e1", "e2"]
    assert vectors(store) == [template(2).vector.tolist(), template(1).vector.tolist()]
    assert rows(store, "SELECT count(chip) FROM face_references") == [(0,)]


def test_an_outdated_reference_that_is_replaced_does_not_push_out_another(store: Store) -> None:
    for number in range(5):
        enroll(store, number, limit=5)
    enroll(store, 3, encoder_id="e2", limit=5)
    assert vectors(store) == [template(number).vector.tolist() for number in (0, 1, 2, 4, 3)]


def test_a_repetition_is_known_and_updates_the_profile(store: Store) -> None:
    assert not store.enrollments.note_repetition(CALLER, photo(1), "e1")
    assert vectors(store) == []
    assert rows(store, "SELECT count(*) FROM analysis_events") == [(0,)]
    enroll(store, 1)
    assert store.enrollments.note_repetition(CALLER, photo(1, profile=Profile(age=31)), "e1")
    assert not store.enrollments.note_repetition(CALLER, photo(1), "e2")
    assert not store.enrollments.note_repetition(CALLER, photo(2), "e1")
    assert not store.enrollments.note_repetition(CALLER, photo(1, user="other"), "e1")
    assert not store.enrollments.note_repetition(CALLER, photo(1, company="other"), "e1")
    assert rows(store, "SELECT gender, age FROM users") == [(1, 31)]
    assert rows(store, "SELECT reason FROM analysis_events ORDER BY id") == [("enrolled",), ("already_enrolled",)]


def ids(store: Store, user: str = "tamy") -> tuple[int, ...]:
    references = store.enrollments.references("withmind", user)
    return () if references is None else references.ids


def test_an_enrollment_tells_which_reference_the_photo_is(store: Store) -> None:
    first = store.enrollments.add(CALLER, photo(1), template(1), None, QUALITY, 5, {})
    second = store.enrollments.add(CALLER, photo(2), template(2), None, QUALITY, 5, {})
    assert (first.outcome, second.outcome) == ("enrolled", "enrolled")
    assert ids(store) == (first.reference_id, second.reference_id)
    assert store.enrollments.add(CALLER, photo(1), template(9), None, QUALITY, 5, {}) == Added(
        "already_enrolled", first.reference_id
    )
    assert store.enrollments.note_repetition(CALLER, photo(2), "e1") == second.reference_id
    assert store.enrollments.note_repetition(CALLER, photo(3), "e1") is None
    replaced = store.enrollments.add(CALLER, photo(1), template(1, "e2"), None, QUALITY, 5, {})
    assert replaced.outcome == "enrolled"
    assert ids(store) == (second.reference_id, replaced.reference_id)
    assert store.enrollments.note_repetition(CALLER, photo(1), "e1") is None
    assert store.enrollments.note_repetition(CALLER, photo(1), "e2") == replaced.reference_id


def test_references_have_ids_in_the_order_of_the_templates(store: Store) -> None:
    for number, encoder_id in enumerate(("e1", "e2", "e1", "e3")):
        enroll(store, number, encoder_id=encoder_id)
    references = store.enrollments.references("withmind", "tamy")
    assert references is not None
    assert list(zip(references.ids, (found.encoder_id for found in references.templates), strict=True)) == rows(
        store, "SELECT id, encoder_id FROM face_references ORDER BY id"
    )
    of_one = references.made_by("e1")
    assert (of_one.user, of_one.user_token) == (references.user, references.user_token)
    assert of_one.ids == (references.ids[0], references.ids[2])
    assert [found.vector.tolist() for found in of_one.templates] == [template(n).vector.tolist() for n in (0, 2)]
    of_none = references.made_by("e9")
    assert (of_none.ids, of_none.templates) == ((), ())


def test_one_reference_is_removed_and_the_others_stay(store: Store) -> None:
    for number in range(3):
        enroll(store, number, chip=chip_png(number))
    enroll(store, 1, user="joe", chip=chip_png(1))
    first, second, third = ids(store)
    assert store.enrollments.remove(CALLER, "withmind", "tamy", second)
    assert ids(store) == (first, third)
    assert vectors(store) == [template(number).vector.tolist() for number in (0, 2)]
    assert store.directory.chip(CALLER, "withmind", "tamy", second) is None
    assert store.directory.chip(CALLER, "withmind", "joe", *ids(store, "joe")) == chip_png(1)
    assert not store.enrollments.remove(CALLER, "withmind", "tamy", second)
    # The photo is new again.
    assert store.enrollments.note_repetition(CALLER, photo(1), "e1") is None
    assert enroll(store, 1) == "enrolled"
    assert len(ids(store)) == 3


def test_a_user_stays_without_a_reference(store: Store) -> None:
    enroll(store, 1)
    store.enrollments.remove(CALLER, "withmind", "tamy", *ids(store))
    assert store.enrollments.references("withmind", "tamy") is None
    details = store.directory.user(CALLER, "withmind", "tamy")
    assert details is not None
    assert (list(details.references), details.profile) == ([], PROFILE)
    assert rows(store, "SELECT count(*) FROM analysis_events WHERE user_id IS NOT NULL") == [(1,)]
    enroll(store, 2, profile=Profile())
    assert rows(store, "SELECT count(*), min(gender), min(age) FROM users") == [(1, PROFILE.gender, PROFILE.age)]
    store.enrollments.remove(CALLER, "withmind", "tamy", *ids(store))
    receipt = store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert receipt is not None
    assert (receipt.removed.users, receipt.removed.references) == (1, 0)


def test_only_the_users_own_references_are_removed_and_each_removal_is_an_entry(store: Store) -> None:
    enroll(store, 1)
    enroll(store, 2)
    enroll(store, 1, user="joe")
    enroll(store, 1, company="other")
    before = store.audit.verify()
    (joes,), (mine, _) = ids(store, "joe"), ids(store)
    for company, user, reference_id in (
        ("withmind", "tamy", joes),
        ("withmind", "joe", mine),
        ("other", "tamy", mine),
        ("withmind", "nobody", mine),
        ("nobody", "tamy", mine),
        ("withmind", "tamy", 999),
        ("withmind", "tamy", 0),
        ("withmind", "tamy", -mine),
    ):
        assert not store.enrollments.remove(CALLER, company, user, reference_id)
    assert store.audit.verify() == before
    assert rows(store, "SELECT count(*) FROM face_references") == [(4,)]
    assert store.enrollments.remove(Caller("key1", "request-5"), "withmind", "tamy", mine)
    (entry,) = store.audit.entries(before.sequence)
    assert (entry.actor, entry.action, entry.request_id) == ("key1", "remove", "request-5")
    assert (entry.company, entry.user, entry.details) == ("withmind", "tamy", {"reference": mine})
    store.audit.verify()


def test_a_removal_without_an_entry_removes_nothing(store: Store) -> None:
    enroll(store, 1)
    rows(store, "UPDATE audit_head SET sequence = sequence + 1")
    with pytest.raises(StoreDamagedError, match="head was changed"):
        store.enrollments.remove(CALLER, "withmind", "tamy", *ids(store))
    assert len(ids(store)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_bytes_of_a_removed_reference_are_zeroed(store: Store) -> None:
    for number in range(3):
        enroll(store, number, chip=chip_png(number))
    sealed = rows(store, "SELECT template, photo_digest, chip FROM face_references ORDER BY id")
    store.enrollments.remove(CALLER, "withmind", "tamy", ids(store)[1])
    rows(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    raw = raw_bytes(store)
    assert left_of([value[2 + len("k01234567") :] for value in sealed[1]], raw) == 0
    for kept in (sealed[0], sealed[2]):
        assert left_of(kept, raw) > 0


def test_removing_while_others_enroll_and_erase(store: Store, database_url: URL, keys: KeyFile) -> None:
    removed: list[int] = []

    def work(number: int) -> str:
        for step in range(25):
            user = f"user{step % 3}"
            if number == 0:
                store.eraser.erase_user(CALLER, "withmind", f"user{step % 2}")
            elif number % 2:
                enroll(second, 100 * number + step, user=user, limit=4)
            else:
                removed.extend(
                    reference
                    for reference in ids(store, user)
                    if store.enrollments.remove(CALLER, "withmind", user, reference)
                )
        return "done"

    enroll(store, 1, user="user2")  # whom nobody erases
    with closing(open_store(database_url, keys)) as second:
        assert at_once(5, work) == ["done"] * 5
    assert removed
    entries = [entry.details["reference"] for entry in store.audit.entries() if entry.action == "remove"]
    assert sorted(entries) == sorted(removed)
    orphans = "SELECT count(*) FROM face_references WHERE user_id NOT IN (SELECT id FROM users)"
    assert rows(store, orphans) == [(0,)]
    store.audit.verify()


def test_what_is_not_told_stays_known(store: Store) -> None:
    enroll(store, 1)
    enroll(store, 2, profile=Profile())
    assert rows(store, "SELECT gender, age FROM users") == [(1, 30)]
    enroll(store, 3, profile=Profile(gender=0, age=0))
    assert rows(store, "SELECT gender, age FROM users") == [(0, 0)]


def test_enrollments_outlive_the_store(database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1)
    with closing(open_store(database_url, keys)) as reopened:
        assert vectors(reopened) == [template(1).vector.tolist()]


def test_what_is_of_a_face_or_a_photo_lies_sealed(store: Store) -> None:
    digest = hashlib.sha256(b"a photo").digest()
    chip = chip_png(1)
    enrollment = Enrollment("withmind", "tamy", PROFILE, digest, "v1")
    store.enrollments.add(CALLER, enrollment, template(1), chip, QUALITY, 5, {})
    ((key_id, *sealed),) = rows(store, "SELECT key_id, template, photo_digest, chip FROM face_references")
    for value, plain in zip(sealed, (pack(template(1)), digest, chip), strict=True):
        assert bytes(value)[2 : 2 + len(key_id)] == key_id.encode()
        assert len(value) == len(plain) + 2 + len(key_id) + 12 + 16
    raw = raw_bytes(store)
    assert left_of([bytes(value) for value in sealed[:2]], raw) > 0, "the search finds nothing at all"
    assert left_of([pack(template(1)), digest, chip], raw) == 0


def test_the_same_value_sealed_twice_looks_different(store: Store) -> None:
    for user in ("a", "b"):
        store.enrollments.add(CALLER, photo(1, user), template(1), chip_png(1), QUALITY, 5, {})
    for column in ("template", "photo_digest", "chip"):
        one, other = (bytes(value)[11:] for (value,) in rows(store, f"SELECT {column} FROM face_references"))  # noqa: S608 - our own
        assert one != other


MOVES = {
    "another user's": "UPDATE face_references SET user_id = 3 - user_id",
    "another encoder's": "UPDATE face_references SET encoder_id = 'e2'",
    "another column's": "UPDATE face_references SET template = photo_digest, photo_digest = template, chip = template",
    "nobody's": "UPDATE users SET key = key || 'x'",
    "another company's": "UPDATE companies SET name = 'other'",
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_what_was_moved_does_not_open(store: Store, move: str) -> None:
    for user in ("tamy", "joe"):
        enroll(store, 1, user=user, chip=chip_png(1))
    rows(store, move)
    ((company, user, reference, encoder_id),) = rows(
        store,
        "SELECT c.name, u.key, r.id, r.encoder_id FROM face_references r JOIN users u ON u.id = r.user_id "
        "JOIN companies c ON c.id = u.company_id ORDER BY r.id LIMIT 1",
    )
    before = rows(store, "SELECT * FROM face_references ORDER BY id")
    works: list[Callable[[], object]] = [
        lambda: references_of(store, company, user),
        lambda: store.enrollments.note_repetition(CALLER, photo(1, user, company), encoder_id),
        lambda: store.enrollments.add(CALLER, photo(2, user, company), template(2), None, QUALITY, 5, {}),
        lambda: store.directory.chip(CALLER, company, user, reference),
    ]
    for work in works:
        with pytest.raises(StoreDamagedError):
            work()
    # Maintenance leaves it as it is, for the sake of the others.
    assert sum(store.resealer.run(store.resealer.begin(CALLER))) == 0
    assert [chip for chips in store.reencoder.chips("e9") for chip in chips] == []
    assert rows(store, "SELECT * FROM face_references ORDER BY id") == before
    # Whoever must go can go all the same.
    assert store.eraser.erase_user(CALLER, company, user)
    assert store.eraser.erase_company(CALLER, company)


@pytest.mark.parametrize("position", [0, 1, 5, 11, 23, -1])
def test_what_was_changed_does_not_open(store: Store, position: int) -> None:
    enroll(store, 1)
    ((sealed,),) = rows(store, "SELECT template FROM face_references")
    changed = bytearray(sealed)
    changed[position] ^= 1
    rows(store, "UPDATE face_references SET template = :changed", changed=bytes(changed))
    with pytest.raises(StoreError) as raised:
        references_of(store, "withmind", "tamy")
    assert raised.value.reason in {"store_damaged", "store_key_missing"}


@pytest.mark.parametrize("table", ["face_references", "analysis_events", "audit_events"])
def test_a_write_that_fails_changes_nothing(store: Store, table: str) -> None:
    enroll(store, 1, limit=1)
    before = store.audit.verify()
    fail_inserts(store, table)
    with pytest.raises(StatementRefusedError):
        enroll(store, 2, user="new", company="new")
    with pytest.raises(StatementRefusedError):
        enroll(store, 2, limit=1)
    assert rows(store, "SELECT name FROM companies") == [("withmind",)]
    assert rows(store, "SELECT key FROM users") == [("tamy",)]
    assert vectors(store) == [template(1).vector.tolist()]
    assert rows(store, "SELECT count(*) FROM analysis_events") == [(1,)]
    assert store.audit.verify() == before


def test_many_writers_in_two_stores_lose_nothing(store: Store, database_url: URL, keys: KeyFile) -> None:
    def add(number: int) -> str:
        return enroll(
            stores[number % 3 % 2], number, user=f"user{number % 20}", company=f"company{number % 2}", limit=50
        )

    with closing(open_store(database_url, keys)) as second, ThreadPoolExecutor(8) as pool:
        stores = [store, second]
        assert set(pool.map(add, range(200))) == {"enrolled"}
    counts = ("face_references", 200), ("users", 20), ("companies", 2), ("analysis_events", 200)
    for table, count in counts:
        assert rows(store, f"SELECT count(*) FROM {table}") == [(count,)]  # noqa: S608 - our own
    for number in range(20):
        found = references_of(store, f"company{number % 2}", f"user{number}")
        assert len(found) == 10
    assert store.audit.verify().sequence == 200


def at_once(count: int, work: Callable[[int], str]) -> list[str]:
    start = threading.Barrier(count)

    def run(number: int) -> str:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_a_new_user_of_a_new_company_from_many_at_once_is_one(store: Store, database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys)) as second:
        stores = [store, second]
        for attempt in range(5):
            company = f"company{attempt}"
            different = at_once(16, lambda number: enroll(stores[number % 2], number, company=company, limit=20))  # noqa: B023
            assert different == ["enrolled"] * 16
            assert len(references_of(store, company, "tamy")) == 16
            same = at_once(16, lambda number: enroll(stores[number % 2], 99, user="joe", company=company))  # noqa: B023
            assert sorted(same) == ["already_enrolled"] * 15 + ["enrolled"]
    assert rows(store, "SELECT count(*) FROM companies") == [(5,)]
    assert rows(store, "SELECT count(*) FROM users") == [(10,)]
    assert rows(store, "SELECT count(*) FROM face_references") == [(5 * 17,)]
    assert rows(store, "SELECT count(*) FROM analysis_events") == [(5 * 32,)]
    assert store.audit.verify().sequence == 5 * 32


def test_the_limit_holds_whoever_enrolls_at_once(store: Store, database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys)) as second:
        stores = [store, second]
        at_once(16, lambda number: enroll(stores[number % 2], number, limit=3))
    assert len(references_of(store, "withmind", "tamy")) == 3
