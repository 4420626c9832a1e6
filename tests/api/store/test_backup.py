"""Backup and restore, from either database into either."""

import base64
import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import msgpack
import pytest
from sqlalchemy import URL
from sqlmodel import SQLModel

from face_api.store import (
    REVISIONS,
    Applied,
    BackupError,
    BackupHead,
    Claim,
    Database,
    GivenKeys,
    KeyFile,
    Keys,
    KeysError,
    Snapshot,
    Store,
    StoreDamagedError,
    Vault,
    migrate_database,
    open_store,
    parse_url,
    read_backup,
    restore_database,
    sqlite_url,
    utc_now,
)
from face_api.store.errors import KeyMissingError, SchemaError
from face_api.store.sealed_stream import open_stream, seal_stream
from support.postgres import Postgres
from support.store import CALLER, LIMIT, chip_png, enroll, references_of, rows

Places = Callable[[str], URL]
Target = Callable[[], URL]


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    """Makes new places of a kind to restore into."""
    made: list[URL] = []

    def new(kind: str) -> URL:
        if kind == "sqlite":
            made.append(sqlite_url(tmp_path / f"restored{len(made)}"))
        else:
            postgres: Postgres = request.getfixturevalue("postgres")
            made.append(parse_url(postgres.new_database()))
        return made[-1]

    yield new
    for url in made:
        if url.drivername != "sqlite":
            request.getfixturevalue("postgres").drop_database(url.render_as_string(hide_password=False))


@pytest.fixture
def target(places: Places, store: Store) -> Target:
    """Makes new places of the other kind."""
    return partial(places, "postgresql" if store.database.is_sqlite else "sqlite")


def written(store: Store) -> bytes:
    file = io.BytesIO()
    counted: list[int] = []
    with store.archiver.snapshot(CALLER) as snapshot:
        assert snapshot.write(file, counted.append) == store.vault.keys.current()
    assert sum(counted) == sum(snapshot.head.rows.values())
    return file.getvalue()


def given(**keys: bytes) -> GivenKeys:
    return GivenKeys(",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keys.items()))


def unpacked(backup: bytes, keys: Keys) -> tuple[dict[str, Any], list[Any]]:
    """Return a backup's head and batches."""
    unpacker = msgpack.Unpacker(timestamp=3)
    for chunk in open_stream(io.BytesIO(backup), keys):
        unpacker.feed(chunk)
    head, *batches = unpacker
    return head, batches


def packed(head: dict[str, Any], batches: list[Any], keys: Keys) -> bytes:
    """Return a backup that is genuine, whatever it holds."""
    file = io.BytesIO()
    seal_stream([msgpack.packb(value, datetime=True) for value in (head, *batches)], file, keys)
    return file.getvalue()


def restored(backup: bytes, url: URL, keys: Keys) -> BackupHead:
    head, batches = read_backup(io.BytesIO(backup), keys)
    counted: list[int] = []
    with closing(Database(url, patient=True)) as database:
        restore_database(database, Vault(keys), head, batches, counted.append)
    assert sum(counted) == sum(head.rows.values())
    return head


def content(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, in the order of their first columns."""
    with store.database.reading() as session:
        return {
            table.name: [tuple(row) for row in session.execute(table.select().order_by(*table.primary_key.columns))]
            for table in SQLModel.metadata.sorted_tables
        }


def fill(store: Store) -> None:
    """Put something into every table."""
    for number in range(2 * LIMIT):
        enroll(store, number, user=f"user{number % 3}", company=f"company{number % 2}", chip=chip_png(number))
    enroll(store, 20, user="gone", chip=None)
    store.eraser.erase_user(CALLER, "withmind", "gone")
    store.api_keys.create(CALLER, "company1", "a label")
    for key in ("under way", "answered"):
        claim = store.idempotency.claim("caller", key, b"request")
        if key == "answered":
            assert isinstance(claim, Claim)
            store.idempotency.complete(claim, 200, b"{}", "company1", "user1")
    store.decisions.apply(CALLER, Applied(0.5, "e1", "자체 측정", None, utc_now(), "test"), 0.6)
    assert all(content(store).values()), {name: len(found) for name, found in content(store).items()}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_row_comes_back_from_either_database_in_either(
    store: Store, keys: KeyFile, places: Places, kind: str
) -> None:
    fill(store)
    backup, before = written(store), content(store)
    head = restored(backup, url := places(kind), keys)
    with closing(open_store(url, keys)) as other:
        assert content(other) == before
        assert str(other.audit.verify()) == head.audit_end
        opened = [template.vector.tolist() for template in references_of(other, "company1", "user1")]
        assert opened == [template.vector.tolist() for template in references_of(store, "company1", "user1")] != []


def test_the_backup_and_the_restore_are_entries_of_the_audit_trail(store: Store, keys: KeyFile, target: Target) -> None:
    head = restored(written(store), url := target(), keys)
    with closing(open_store(url, keys)) as other:
        end = other.archiver.note_restore(CALLER, head)
        assert other.audit.verify() == end
        first, second = other.audit.entries()
    assert (first.action, first.details) == ("backup", {"key": keys.current()})
    assert second.action == "restore"
    assert second.details == {"made_at": head.made_at.isoformat(timespec="seconds"), "audit_end": head.audit_end}


def test_ids_that_were_given_are_never_given_again(store: Store, keys: KeyFile, target: Target) -> None:
    enroll(store, 1, user="kept")
    enroll(store, 2, user="gone")
    highest = rows(store, "SELECT max(id) FROM face_references")
    store.eraser.erase_user(CALLER, "withmind", "gone")
    restored(written(store), url := target(), keys)
    with closing(open_store(url, keys)) as other:
        enroll(other, 3, user="new")
        enroll(other, 4, user="newer", company="another")
        assert rows(other, "SELECT min(id) FROM face_references WHERE id > 1") > highest
    store.eraser.erase_company(CALLER, "withmind")
    restored(written(store), url := target(), keys)
    with closing(open_store(url, keys)) as other:
        enroll(other, 5, user="new")
        assert rows(other, "SELECT id FROM face_references") > highest


def test_what_is_written_meanwhile_is_not_in_it(store: Store, keys: KeyFile, target: Target) -> None:
    fill(store)
    file = io.BytesIO()
    with store.archiver.snapshot(CALLER) as snapshot:
        before = content(store)
        enroll(store, 30, user="late")
        receipt = store.eraser.erase_user(CALLER, "company1", "user1")
        # Who reads keeps SQLite's log from being emptied, as the receipt says.
        assert receipt is not None and not receipt.overwritten
        snapshot.write(file, lambda _: enroll(store, 31, user="later"))
    restored(file.getvalue(), url := target(), keys)
    with closing(open_store(url, keys)) as other:
        assert content(other) == before
        other.audit.verify()


def test_what_is_sealed_with_former_keys_comes_back_where_they_are(
    store: Store, keys: KeyFile, key_file: Path, target: Target
) -> None:
    fill(store)
    former = keys.current()
    store.resealer.begin(CALLER)  # an unfinished rotation
    backup = written(store)
    head = restored(backup, url := target(), keys)
    assert head.proofs.keys() == {former, keys.current()}
    with closing(open_store(url, keys)) as other:
        assert content(other) == content(store)
    without_former = "\n".join(line for line in key_file.read_text().splitlines() if former not in line)
    with pytest.raises(KeyMissingError, match=former):
        read_backup(io.BytesIO(backup), GivenKeys(without_former))


def enroll_one(store: Store) -> None:
    enroll(store, 1)


def keep_an_answer(store: Store) -> None:
    claim = store.idempotency.claim("caller", "a key", b"request")
    assert isinstance(claim, Claim)
    store.idempotency.complete(claim, 200, b"{}", None, None)


def apply_a_tolerance(store: Store) -> None:
    store.decisions.apply(CALLER, Applied(0.5, "e1", "", None, utc_now(), "test"), 0.6)


@pytest.mark.parametrize("write", [enroll_one, keep_an_answer, apply_a_tolerance])
def test_another_key_of_an_id_is_refused_whatever_the_right_one_sealed(
    tmp_path: Path, write: Callable[[Store], None]
) -> None:
    first, second, third, other = (bytes([number]) * 32 for number in range(4))
    url = sqlite_url(tmp_path)
    open_store(url, given(k1=first)).close()
    with closing(open_store(url, given(k2=second, k1=first))) as store:
        write(store)
    with closing(open_store(url, right := given(k3=third, k2=second, k1=first))) as store:
        backup = written(store)
    for key_id, keys in (
        ("k1", given(k3=third, k2=second, k1=other)),  # it sealed the database's own keys
        ("k2", given(k3=third, k2=other, k1=first)),
    ):
        with pytest.raises(KeysError, match=f"the sealing key {key_id} is not the one of that id"):
            read_backup(io.BytesIO(backup), keys)
    restored(backup, sqlite_url(tmp_path / "restored"), right)


@pytest.mark.parametrize("is_secret", [False, True])
def test_another_key_restores_nothing_even_where_the_backup_does_not_prove_which_it_was(
    store: Store, keys: KeyFile, target: Target, *, is_secret: bool
) -> None:
    former = keys.current()
    for number in range(3):
        enroll(store, number)
    if is_secret:
        keys.renew()
    else:
        store.resealer.begin(CALLER)
    head, batches = unpacked(written(store), keys)
    head["proofs"] = dict.fromkeys(head["proofs"])
    backup = packed(head, batches, keys)
    current = keys.current()
    others = given(**{current: keys.key(current), former: bytes(32)})
    with pytest.raises(KeysError, match=f"the sealing key {former} is not the one of that id"):
        restored(backup, url := target(), others)
    restored(backup, url, keys)  # since it is empty still
    with closing(open_store(url, keys)) as other:
        assert content(other) == content(store)


def test_what_is_damaged_or_whose_key_is_gone_comes_back_as_it_is(tmp_path: Path) -> None:
    first, second, third = (bytes([number]) * 32 for number in range(3))
    url = sqlite_url(tmp_path / "data")
    with closing(open_store(url, given(k1=first))) as store:
        keep_an_answer(store)
    with closing(open_store(url, given(k2=second, k1=first))) as store:
        store.resealer.begin(CALLER)
        enroll(store, 1)
        rows(store, "UPDATE face_references SET photo_digest = template")
    with closing(open_store(url, same := given(k3=third, k2=second))) as store:
        store.resealer.begin(CALLER)
        backup, before = written(store), content(store)
    other = given(k3=third, k2=first)  # nothing tells it from the right one
    for number, keys in enumerate((same, other)):
        head = restored(backup, target := sqlite_url(tmp_path / f"restored{number}"), keys)
        assert head.proofs.keys() == {"k2", "k3"} and head.proofs["k2"] is None
        with closing(open_store(target, keys)) as another:
            assert content(another) == before
    with pytest.raises(KeyMissingError, match="k2"):
        read_backup(io.BytesIO(backup), given(k3=third))


def test_an_answer_that_somebody_emptied_is_in_a_backup_too(tmp_path: Path) -> None:
    first, second = (bytes([number]) * 32 for number in range(2))
    url = sqlite_url(tmp_path / "data")
    open_store(url, given(k1=first)).close()
    with closing(open_store(url, both := given(k2=second, k1=first))) as store:
        keep_an_answer(store)
        rows(store, "UPDATE idempotent_requests SET body = NULL")
        head = restored(written(store), sqlite_url(tmp_path / "restored"), both)
    assert (head.proofs["k1"] is None, head.proofs["k2"]) == (False, None)


def test_a_database_that_holds_something_is_left_as_it_is(store: Store, keys: KeyFile, target: Target) -> None:
    backup = written(store)
    url = target()
    with closing(open_store(url, keys, migrate=True)) as other:
        enroll(other, 1)
        before = content(other)
        with pytest.raises(SchemaError, match=r"not empty: \w+ has rows\. Restore into a new one"):
            restored(backup, url, keys)
        assert content(other) == before


def test_nothing_is_restored_into_a_postgresql_database_of_another_encoding(
    postgres: Postgres, tmp_path: Path, keys: KeyFile
) -> None:
    with closing(open_store(sqlite_url(tmp_path / "data"), keys)) as store:
        backup = written(store)
    url = postgres.new_database(encoding="SQL_ASCII")
    with pytest.raises(SchemaError, match="has the encoding SQL_ASCII, not UTF8"):
        restored(backup, parse_url(url), keys)
    with closing(Database(parse_url(url), patient=True)) as database, pytest.raises(SchemaError, match="SQL_ASCII"):
        migrate_database(database, Vault(keys), REVISIONS[-2])
    postgres.drop_database(url)


def test_nobody_writes_to_the_database_while_it_is_restored(store: Store, keys: KeyFile, target: Target) -> None:
    fill(store)
    backup = written(store)
    url = target()
    with closing(open_store(url, keys, migrate=True)) as running, closing(Database(url, patient=True)) as database:
        head, batches = read_backup(io.BytesIO(backup), keys)
        enrolled: list[Exception | None] = []

        def enroll_meanwhile() -> None:
            try:
                enroll(running, 1, user="meanwhile")
            except StoreDamagedError as error:  # it knows the audit trail of the empty database
                enrolled.append(error)

        writer = Thread(target=enroll_meanwhile)

        def start(_: int) -> None:
            if not writer.ident:
                writer.start()
                writer.join(0.5)

        restore_database(database, Vault(keys), head, batches, start)
        writer.join()
        assert len(enrolled) == 1
    with closing(open_store(url, keys)) as other:
        assert content(other) == content(store)
        other.audit.verify()


def test_a_database_to_which_nothing_was_ever_written_is_as_good_as_none(
    store: Store, keys: KeyFile, target: Target
) -> None:
    fill(store)
    open_store(url := target(), keys, migrate=True).close()
    head = restored(written(store), url, keys)
    with closing(open_store(url, keys)) as other:
        assert str(other.audit.verify()) == head.audit_end


@pytest.mark.parametrize("is_made", [False, True])
def test_a_backup_that_turns_out_to_be_cut_off_restores_nothing(
    store: Store, keys: KeyFile, target: Target, is_made: bool
) -> None:
    for number in range(60):
        enroll(store, number, user=f"user{number}", chip=chip_png(number))
    backup = written(store)
    assert len(backup) > 3_000_000
    url = target()
    if is_made:
        open_store(url, keys, migrate=True).close()
    with pytest.raises(BackupError, match="cut off"):
        restored(backup[:-1000], url, keys)
    restored(backup, url, keys)  # since it is empty still
    with closing(open_store(url, keys)) as other:
        assert content(other) == content(store)


@pytest.mark.parametrize("revision", REVISIONS[-2:])
def test_a_backup_of_an_older_schema_is_brought_up_to_date(
    store: Store, keys: KeyFile, target: Target, revision: str
) -> None:
    fill(store)
    before = content(store)
    migrate_database(store.database, Vault(keys), revision)
    file = io.BytesIO()
    with store.database.reading() as session:
        snapshot = Snapshot.of(session, keys)
        snapshot.write(file, lambda _: None)
    assert snapshot.head.revision == revision
    restored(file.getvalue(), url := target(), keys)
    with closing(open_store(url, keys)) as other:
        assert content(other) == before


def test_a_backup_of_a_newer_version_is_refused(keys: KeyFile) -> None:
    keys.create()
    for head, problem in (
        ({"revision": "9999"}, "by a newer version of the service: its schema is 9999"),
        ({"something": "else"}, "by another version of the service"),
    ):
        full = {"made_at": utc_now(), "audit_end": f"0:{'00' * 32}", "proofs": {}, "rows": {}, "last_ids": {}}
        with pytest.raises(BackupError, match=problem):
            read_backup(io.BytesIO(packed(full | head, [], keys)), keys)


def without_its_last_rows(_head: dict[str, Any], batches: list[Any]) -> None:
    batches.pop()


def with_a_row_that_it_does_not_tell_of(_head: dict[str, Any], batches: list[Any]) -> None:
    name, columns, rows = batches[-1]
    batches.append([name, columns, [[2, *rows[0][1:]]]])


def with_a_column_too_many(_head: dict[str, Any], batches: list[Any]) -> None:
    name, columns, rows = batches[-1]
    batches[-1] = [name, [*columns, "shoe_size"], [[*row, 1] for row in rows]]


def with_a_cell_too_few(_head: dict[str, Any], batches: list[Any]) -> None:
    batches[-1][2][0].pop()


def with_a_number_that_no_database_takes(_head: dict[str, Any], batches: list[Any]) -> None:
    batches[-1][2][0][0] = 2**64 - 1


def with_the_table_of_the_revision(head: dict[str, Any], batches: list[Any]) -> None:
    head["rows"]["alembic_version"] = 1
    batches.append(["alembic_version", ["version_num"], [["9999"]]])


def with_something_else(_head: dict[str, Any], batches: list[Any]) -> None:
    batches.append(7)


def with_a_word_for_a_count(head: dict[str, Any], _batches: list[Any]) -> None:
    head["last_ids"]["users"] = "many"


@pytest.mark.parametrize(
    "change",
    [
        without_its_last_rows,
        with_a_row_that_it_does_not_tell_of,
        with_a_column_too_many,
        with_a_cell_too_few,
        with_a_number_that_no_database_takes,
        with_the_table_of_the_revision,
        with_something_else,
        with_a_word_for_a_count,
    ],
)
def test_a_backup_that_is_genuine_but_not_as_this_version_writes_it_restores_nothing(
    tmp_path: Path, keys: KeyFile, change: Callable[[dict[str, Any], list[Any]], None]
) -> None:
    with closing(open_store(sqlite_url(tmp_path / "data"), keys, migrate=True)) as store:
        enroll(store, 1)
        backup = written(store)
    head, batches = unpacked(backup, keys)
    change(head, batches)
    url = sqlite_url(tmp_path / "restored")
    with pytest.raises(BackupError, match=r"by another version|more rows than it tells of, or fewer"):
        restored(packed(head, batches, keys), url, keys)
    restored(backup, url, keys)  # since it is empty still


def test_a_slow_disk_ends_neither_a_backup_nor_a_restore(
    places: Places, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause_once() -> Callable[[int], None]:
        pauses = iter([3.0])
        return lambda _: time.sleep(next(pauses, 0.0))

    source, target = places("postgresql"), places("postgresql")
    with closing(open_store(source, keys, migrate=True)) as store:
        enroll(store, 1)
    # So long that a busy machine alone does not make anybody wait for it.
    monkeypatch.setattr("face_api.store.database.IDLE_TIMEOUT_S", 2.0)
    with closing(open_store(source, keys, patient=True)) as store:
        file = io.BytesIO()
        with store.archiver.snapshot(CALLER) as snapshot:
            snapshot.write(file, pause_once())
    head, batches = read_backup(io.BytesIO(file.getvalue()), keys)
    with closing(Database(target, patient=True)) as other:
        restore_database(other, Vault(keys), head, batches, pause_once())
    with closing(open_store(target, keys)) as store:
        assert str(store.audit.verify()) == head.audit_end


def test_a_row_that_the_service_never_wrote_is_named(tmp_path: Path, keys: KeyFile) -> None:
    with closing(open_store(sqlite_url(tmp_path / "data"), keys)) as store:
        enroll(store, 1)
        rows(store, "UPDATE users SET created_at = 'yesterday'")
        with pytest.raises(StoreDamagedError, match="a row of users holds what the service never wrote"):
            written(store)
