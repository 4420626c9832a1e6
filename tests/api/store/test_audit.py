# ruff: noqa: S608 - the statements are the tests' own
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from face_api.store import (
    AuditTrailBrokenError,
    Caller,
    Checkpoint,
    KeyFile,
    Outcome,
    Store,
    StoreError,
    StoreUnavailableError,
    open_store,
    utc_now,
)
from face_api.store.audit import GENESIS, AuditTrail, Subject
from face_engine.matching import compare
from support.store import CALLER, chip_png, enroll, photo, references_of, rows, template

ENTRIES = 6


def append(store: Store, number: int = 0) -> Checkpoint:
    with store.database.writing() as session:
        return store.audit.append(session, CALLER, "view", Subject("c" * 32, None), {"number": number})


@pytest.fixture
def trail(store: Store) -> Store:
    """A store with some entries."""
    for number in range(1, ENTRIES + 1):
        assert append(store, number).sequence == number
    return store


def broken_at(store: Store) -> int:
    with pytest.raises(AuditTrailBrokenError) as failure:
        store.audit.verify()
    assert str(failure.value).startswith(f"the audit trail is broken at entry {failure.value.sequence}: ")
    return failure.value.sequence


def test_a_new_trail_is_empty_and_whole(store: Store) -> None:
    assert store.audit.verify() == Checkpoint(0, GENESIS)
    assert list(store.audit.entries()) == []


def test_what_was_appended_is_there_in_its_order_and_whole(trail: Store) -> None:
    entries = list(trail.audit.entries())
    assert [entry.sequence for entry in entries] == list(range(1, ENTRIES + 1))
    assert [entry.details for entry in entries] == [{"number": number} for number in range(1, ENTRIES + 1)]
    assert {(entry.actor, entry.request_id, entry.action) for entry in entries} == {("test", "request-1", "view")}
    assert {(entry.company, entry.user) for entry in entries} == {("c" * 32, None)}
    assert all(before.at <= after.at <= utc_now() for before, after in pairwise(entries))
    assert len({entry.hash for entry in entries}) == ENTRIES
    assert trail.audit.verify() == Checkpoint(ENTRIES, entries[-1].hash)


def test_the_trail_goes_on_after_a_restart(trail: Store, database_url: URL, keys: KeyFile) -> None:
    end = trail.audit.verify()
    with closing(open_store(database_url, keys)) as reopened:
        assert reopened.audit.verify(end) == end
        assert append(reopened).sequence == ENTRIES + 1
    assert trail.audit.verify(end).sequence == ENTRIES + 1


def test_what_is_rolled_back_leaves_no_entry(trail: Store) -> None:
    with pytest.raises(ZeroDivisionError), trail.database.writing() as session:
        trail.audit.append(session, CALLER, "view", Subject(), {"number": 1 / 0})
    with pytest.raises(StoreUnavailableError), trail.database.writing() as session:
        trail.audit.append(session, CALLER, "view", Subject(), {})
        raise StoreUnavailableError
    assert trail.audit.verify().sequence == ENTRIES


@contextmanager
def tampered(trail: Store, *statements: str, **parameters: object) -> Iterator[None]:
    """Run statements past the store; afterwards put everything back, and make sure that the trail is whole again."""
    events = rows(trail, "SELECT * FROM audit_events")
    heads = rows(trail, "SELECT id, sequence, hash, mac FROM audit_head")
    for statement in statements:
        rows(trail, statement, **parameters)
    yield
    rows(trail, "DELETE FROM audit_events")
    rows(trail, "DELETE FROM audit_head")
    for row in events:
        values = {f"v{number}": value for number, value in enumerate(row)}
        rows(trail, f"INSERT INTO audit_events VALUES ({', '.join(f':{name}' for name in values)})", **values)
    for head_id, sequence, entry_hash, mac in heads:
        statement = "INSERT INTO audit_head (id, sequence, hash, mac) VALUES (:id, :sequence, :hash, :mac)"
        rows(trail, statement, id=head_id, sequence=sequence, hash=entry_hash, mac=mac)
    assert trail.audit.verify().sequence == ENTRIES


@pytest.mark.parametrize("sequence", [2, ENTRIES])
def test_a_changed_entry_is_named(trail: Store, sequence: int) -> None:
    for change in (
        "at = '2026-01-01T00:00:00.000000+00:00'",
        "actor = 'admin'",
        "actor = actor || ' '",
        "action = 'list'",
        "company = 'dddddddddddddddddddddddddddddddd'",
        "company = NULL",
        "company = ''",
        "\"user\" = 'company'",
        "\"user\" = ''",
        '"user" = company, company = NULL',
        "request_id = NULL",
        "details = '{}'",
        "details = details || ' '",
        "hash = (SELECT hash FROM audit_events WHERE sequence = 1)",
        "action = actor, actor = action",
    ):
        with tampered(trail, f"UPDATE audit_events SET {change} WHERE sequence = {sequence}"):
            assert broken_at(trail) == sequence, change


@pytest.mark.parametrize(
    "change",
    ["hash = 'text'", "details = x'00ff'", "actor = x'00ff'", "at = 7", "details = ''"],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_value_of_another_type_is_named(trail: Store, change: str) -> None:
    rows(trail, f"UPDATE audit_events SET {change} WHERE sequence = 3")
    assert broken_at(trail) == 3


def test_an_entry_that_cannot_be_read_is_an_error_of_the_store(trail: Store) -> None:
    for change in ("details = '{'", "at = 'yesterday'"):
        with tampered(trail, f"UPDATE audit_events SET {change} WHERE sequence = 3"), pytest.raises(StoreError):
            list(trail.audit.entries())


def test_removed_entries_are_named_by_the_first(trail: Store) -> None:
    for which, first in (
        ("sequence = 1", 1),
        ("sequence = 3", 3),
        ("sequence BETWEEN 2 AND 4", 2),
        ("sequence IN (2, 5)", 2),
        (f"sequence = {ENTRIES}", ENTRIES),
        (f"sequence > {ENTRIES - 3}", ENTRIES - 2),
        ("sequence > 0", 1),
    ):
        with tampered(trail, f"DELETE FROM audit_events WHERE {which}"):
            assert broken_at(trail) == first, which


def move(at: int, to: int) -> str:
    return f"UPDATE audit_events SET sequence = {to} WHERE sequence = {at}"


def copy(of: int, to: int) -> str:
    return (
        'INSERT INTO audit_events (sequence, at, actor, action, company, "user", request_id, details, hash) '
        f'SELECT {to}, at, actor, action, company, "user", request_id, details, hash '
        f"FROM audit_events WHERE sequence = {of}"
    )


def test_entries_that_were_moved_or_inserted_are_named_by_the_first(trail: Store) -> None:
    up, down = range(4, ENTRIES + 1), range(ENTRIES, 2, -1)
    for statements, first in (
        (["DELETE FROM audit_events WHERE sequence = 3", *(move(sequence, sequence - 1) for sequence in up)], 3),
        ([*(move(sequence, sequence + 1) for sequence in down), copy(of=2, to=3)], 3),
        ([move(2, 100), move(4, 2), move(100, 4)], 2),
        ([copy(of=1, to=0)], 1),
        ([copy(of=1, to=-1)], 1),
        ([copy(of=ENTRIES, to=ENTRIES + 1)], ENTRIES + 1),
        ([copy(of=1, to=ENTRIES + 1)], ENTRIES + 1),
    ):
        with tampered(trail, *statements):
            assert broken_at(trail) == first, statements


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_head SET sequence = sequence + 1",
        "UPDATE audit_head SET sequence = sequence - 1",
        "UPDATE audit_head SET sequence = -1",
        "UPDATE audit_head SET sequence = 9223372036854775807",
        "UPDATE audit_head SET hash = (SELECT hash FROM audit_events WHERE sequence = 1)",
        "UPDATE audit_head SET mac = hash",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head (id, sequence, hash, mac) SELECT 2, sequence, hash, mac FROM audit_head",
    ],
)
def test_a_changed_head_is_found_and_nothing_is_appended(trail: Store, change: str) -> None:
    with tampered(trail, change):
        broken_at(trail)
        with pytest.raises(AuditTrailBrokenError):
            append(trail)
        assert rows(trail, "SELECT count(*) FROM audit_events") == [(ENTRIES,)]


def test_a_trail_that_was_cut_without_its_key_is_found(trail: Store) -> None:
    to_start = "UPDATE audit_head SET sequence = 0, hash = :hash, mac = :mac"
    for mac in (bytes(32), b""):
        with tampered(trail, "DELETE FROM audit_events"):
            rows(trail, to_start, hash=GENESIS, mac=mac)
            broken_at(trail)
    to_four = "UPDATE audit_head SET sequence = 4, hash = (SELECT hash FROM audit_events WHERE sequence = 4)"
    with tampered(trail, "DELETE FROM audit_events WHERE sequence > 4", to_four):
        broken_at(trail)


def test_an_older_head_put_back_does_not_hide_what_came_after(trail: Store) -> None:
    ((sequence, entry_hash, mac),) = rows(trail, "SELECT sequence, hash, mac FROM audit_head")
    append(trail)
    back = "UPDATE audit_head SET sequence = :sequence, hash = :hash, mac = :mac"
    rows(trail, back, sequence=sequence, hash=entry_hash, mac=mac)
    broken_at(trail)
    with pytest.raises(AuditTrailBrokenError, match="goes on behind its head"):
        append(trail)


def test_a_chain_made_anew_with_another_key_is_found(trail: Store) -> None:
    forger = AuditTrail(trail.database, bytes(32))
    with tampered(trail, "DELETE FROM audit_head", "DELETE FROM audit_events"):
        rows(
            trail,
            "INSERT INTO audit_head (id, sequence, hash, mac) VALUES (:id, :sequence, :hash, :mac)",
            **AuditTrail.first_head(bytes(32)),
        )
        with trail.database.writing() as session:
            for number in range(ENTRIES):
                forger.append(session, Caller("nobody"), "view", Subject(), {"number": number})
        assert forger.verify().sequence == ENTRIES
        assert broken_at(trail) == 1


def test_a_trail_removed_together_with_its_key_is_not_begun_anew(
    trail: Store, database_url: URL, keys: KeyFile
) -> None:
    enroll(trail, 1)
    for table in ("audit_events", "audit_head", "secrets"):
        rows(trail, f"DELETE FROM {table}")
    with pytest.raises(StoreError):
        open_store(database_url, keys, migrate=True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_checkpoint_finds_a_database_that_was_put_back(
    trail: Store, database_url: URL, keys: KeyFile, tmp_path: Path
) -> None:
    assert database_url.database is not None
    copy = tmp_path / "copy"
    with closing(sqlite3.connect(database_url.database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    append(trail)
    expected = trail.audit.verify()
    assert trail.audit.verify(expected) == expected
    trail.close()
    shutil.copy(copy, database_url.database)
    with closing(open_store(database_url, keys)) as restored:
        assert restored.audit.verify().sequence == ENTRIES
        with pytest.raises(AuditTrailBrokenError, match=f"entry {ENTRIES + 1}: it is missing") as failure:
            restored.audit.verify(expected)
        assert failure.value.sequence == ENTRIES + 1
        append(restored, 99)
        restored.audit.verify()
        with pytest.raises(AuditTrailBrokenError, match=f"entry {ENTRIES + 1}: it is not the one that is expected"):
            restored.audit.verify(expected)
        append(restored, 100)
        with pytest.raises(AuditTrailBrokenError, match=f"entry {ENTRIES + 1}: it is not the one that is expected"):
            restored.audit.verify(expected)


def test_any_earlier_checkpoint_is_found_again(trail: Store) -> None:
    checkpoints = [Checkpoint(entry.sequence, entry.hash) for entry in trail.audit.entries()]
    for checkpoint in (Checkpoint(0, GENESIS), *checkpoints):
        assert trail.audit.verify(checkpoint) == checkpoints[-1]
    with pytest.raises(AuditTrailBrokenError) as failure:
        trail.audit.verify(Checkpoint(2, checkpoints[2].hash))
    assert failure.value.sequence == 2


def test_a_checkpoint_is_written_and_read_as_text() -> None:
    checkpoint = Checkpoint(17, bytes(range(32)))
    assert str(checkpoint) == f"17:{bytes(range(32)).hex()}"
    assert Checkpoint.parse(str(checkpoint)) == checkpoint


@pytest.mark.parametrize("value", ["", "17", "17:", "17:00", f":{'00' * 32}", f"x:{'00' * 32}", f"1:{'0g' * 32}"])
def test_what_is_no_checkpoint_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        Checkpoint.parse(value)


def test_a_checkpoint_that_was_never_given_out_is_refused(trail: Store) -> None:
    # Else a check would pass that looked for nothing.
    for value in (f"-1:{'00' * 32}", f"0:{'11' * 32}"):
        with pytest.raises((ValueError, AuditTrailBrokenError)):
            trail.audit.verify(Checkpoint.parse(value))


def leaf_values(value: object) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.items() for part in item for leaf in leaf_values(part)]
    return [leaf for part in value for leaf in leaf_values(part)] if isinstance(value, list | tuple) else [value]


def test_no_entry_holds_a_template_a_chip_a_photo_or_a_name(store: Store) -> None:
    chip = chip_png(1)
    enroll(store, 1, chip=chip)
    references = references_of(store, "withmind", "tamy")
    outcome = Outcome("analyse", "ok", {"total": 12.345}, (compare(template(2), references),))
    store.events.record(CALLER, "withmind", "tamy", outcome)
    store.events.record(CALLER, "withmind", "stranger", outcome)
    store.events.record(CALLER, "foreign", "stranger", outcome)
    found = rows(store, "SELECT * FROM audit_events")
    assert len(found) == 4
    vector = template(1).vector
    forbidden = [vector.tobytes(), chip, photo(1).photo_sha256]
    forbidden += [secret.hex().encode() for secret in forbidden]
    for row in found:
        content = b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
        assert len(content) < 1000
        assert not any(secret[:16] in content or secret[64:80] in content for secret in forbidden if secret[64:80])
        assert not any(name in content for name in (b"withmind", b"tamy", b"stranger", b"foreign"))
        assert not any(str(float(number))[:8].encode() in content for number in vector)
    for entry in store.audit.entries():
        assert all(value is None or isinstance(value, str | int | float) for value in leaf_values(dict(entry.details)))


def test_entries_name_who_is_registered_and_else_the_token(store: Store) -> None:
    enroll(store, 1)
    ((company, user),) = rows(store, 'SELECT company, "user" FROM audit_events')
    (entry,) = store.audit.entries()
    assert (entry.company, entry.user) == ("withmind", "tamy")
    store.eraser.erase_user(CALLER, "withmind", "tamy")
    entry, *_ = store.audit.entries()
    assert (entry.company, entry.user) == ("withmind", user)
    store.eraser.erase_company(CALLER, "withmind")
    entry, *_ = store.audit.entries()
    assert (entry.company, entry.user) == (company, user)
    store.audit.verify()


def test_entries_come_in_pages(trail: Store) -> None:
    def page(after: int, limit: int) -> list[int]:
        return [entry.sequence for entry in trail.audit.entries(after, limit)]

    assert page(0, 4) == [1, 2, 3, 4]
    assert page(4, 4) == [5, 6]
    assert page(ENTRIES, 4) == []
    assert page(2, 0) == []


def test_more_than_a_batch_is_verified_and_listed(store: Store) -> None:
    with store.database.writing() as session:
        for number in range(2_100):
            store.audit.append(session, CALLER, "view", Subject(), {"number": number})
    assert store.audit.verify().sequence == 2_100
    assert len(list(store.audit.entries())) == 1000
    assert [entry.sequence for entry in store.audit.entries(2_000)] == list(range(2_001, 2_101))
    rows(store, "UPDATE audit_events SET actor = 'x' WHERE sequence = 2001")
    assert broken_at(store) == 2_001


def test_appending_at_the_same_time_keeps_the_chain_whole(store: Store, database_url: URL, keys: KeyFile) -> None:
    def work(number: int) -> int:
        return append(stores[number % 2], number).sequence

    with closing(open_store(database_url, keys)) as second, ThreadPoolExecutor(8) as pool:
        stores = [store, second]
        sequences = list(pool.map(work, range(120)))
    assert sorted(sequences) == list(range(1, 121))
    assert store.audit.verify().sequence == 120
    assert sorted(entry.details["number"] for entry in store.audit.entries()) == list(range(120))


def test_a_check_is_not_disturbed_by_who_appends_meanwhile(trail: Store) -> None:
    with ThreadPoolExecutor(3) as pool:
        appended = [pool.submit(append, trail, number) for number in range(60)]
        seen = [trail.audit.verify().sequence for _ in range(20)]
        for future in appended:
            future.result()
    assert seen == sorted(seen)
    assert trail.audit.verify().sequence == ENTRIES + 60
