import os
import signal
import sqlite3
import stat
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event, Lock, Timer

import pytest
from sqlalchemy import URL, text

from face_api.services.retention import purge
from face_api.store import (
    Database,
    KeyFile,
    Receipt,
    StatementRefusedError,
    Store,
    StoreUnavailableError,
    open_store,
    parse_url,
    sqlite_url,
)
from face_api.store import database as database_module
from face_api.store.database import DATABASE_NAME
from face_api.store.errors import SchemaError
from support.postgres import Postgres
from support.store import CALLER, QUALITY, enroll, photo, references_of, rows, template

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

PASSWORD = "s3cret-pa55"  # noqa: S105


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_opened_by_several_at_once(tmp_path: Path) -> None:
    at_once = Barrier(6)

    def mode_for(url: URL) -> str:
        with closing(Database(url)) as database:
            at_once.wait()
            with database.reading() as session:
                return str(session.execute(text("PRAGMA journal_mode")).scalar_one())

    with ThreadPoolExecutor(at_once.parties) as threads:
        for number in range(20):
            urls = [sqlite_url(tmp_path / str(number))] * at_once.parties
            assert list(threads.map(mode_for, urls)) == ["wal"] * at_once.parties


@only_sqlite
def test_what_is_committed_is_synced_to_disk(store: Store) -> None:
    assert rows(store, "PRAGMA journal_mode") == [("wal",)]
    for door in (store.database.reading, store.database.writing):
        with door() as session:
            settings = {
                name: session.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("synchronous", "foreign_keys", "secure_delete", "busy_timeout", "temp_store")
            }
        assert settings == {
            "synchronous": 2,
            "foreign_keys": 1,
            "secure_delete": 1,
            "busy_timeout": 10_000,
            "temp_store": 2,
        }


@only_sqlite
def test_a_compaction_leaves_the_settings_as_they_were(store: Store) -> None:
    store.database.compact()
    with store.database.reading() as session:
        names = ("synchronous", "foreign_keys", "secure_delete", "temp_store")
        assert [session.execute(text(f"PRAGMA {name}")).scalar_one() for name in names] == [2, 1, 1, 2]


@only_sqlite
def test_only_the_owner_can_read(database_url: URL, keys: KeyFile, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(open_store(database_url, keys)) as store:
            enroll(store, 1)
            files = {path.name: mode(path) for path in (tmp_path / "data").iterdir()}
    finally:
        os.umask(before)
    assert mode(tmp_path / "data") == 0o700
    assert files == {DATABASE_NAME: 0o600, f"{DATABASE_NAME}-wal": 0o600, f"{DATABASE_NAME}-shm": 0o600}


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a#b", "a?mode=memory", "데이터", "a b", "file:a"])
def test_a_data_folder_may_have_any_name(tmp_path: Path, keys: KeyFile, name: str) -> None:
    with closing(open_store(sqlite_url(tmp_path / "in" / name), keys)) as store:
        enroll(store, 1)
    assert [path.name for path in (tmp_path / "in").iterdir()] == [name]
    assert (tmp_path / "in" / name / DATABASE_NAME).stat().st_size > 0


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path, keys: KeyFile) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        open_store(sqlite_url(tmp_path), keys)
    assert (tmp_path / DATABASE_NAME).read_bytes().startswith(b"this is no database at all")


def test_a_data_folder_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreUnavailableError, match=r"data/face\.sqlite3 cannot be used: File exists"):
        Database(sqlite_url(tmp_path / "data"))


def test_a_database_that_is_a_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).mkdir()
    with pytest.raises(StoreUnavailableError, match=r"face\.sqlite3 cannot be used: Is a directory"):
        Database(sqlite_url(tmp_path))


def test_a_write_that_fails_changes_nothing(store: Store) -> None:
    enroll(store, 1)
    with pytest.raises(ZeroDivisionError), store.database.writing() as session:
        session.execute(text("UPDATE users SET age = 99"))
        assert 1 / 0
    with pytest.raises(StatementRefusedError), store.database.writing() as session:
        session.execute(text("UPDATE users SET age = 99"))
        session.execute(text("no SQL at all"))
    assert rows(store, "SELECT age FROM users") == [(30,)]
    with store.database.writing() as session:
        session.execute(text("UPDATE users SET age = 31"))
    assert rows(store, "SELECT age FROM users") == [(31,)]


def test_reading_sees_one_moment_and_never_waits_for_who_writes(store: Store) -> None:
    enroll(store, 1)
    with store.database.reading() as reader:
        assert reader.execute(text("SELECT age FROM users")).scalar_one() == 30
        with store.database.writing() as writer:
            writer.execute(text("UPDATE users SET age = 31"))
            with store.database.reading() as other:
                assert other.execute(text("SELECT age FROM users")).scalar_one() == 30
        assert reader.execute(text("SELECT age FROM users")).scalar_one() == 30
    with store.database.reading() as reader:
        assert reader.execute(text("SELECT age FROM users")).scalar_one() == 31


@only_postgresql
def test_who_reads_cannot_write_and_the_next_one_can(store: Store) -> None:
    enroll(store, 1)
    with pytest.raises(StoreUnavailableError, match="read-only"), store.database.reading() as session:
        session.execute(text("UPDATE users SET age = 99"))
    enroll(store, 2)
    assert rows(store, "SELECT age FROM users") == [(30,)]


@only_sqlite
def test_a_busy_database_is_waited_for_and_then_said_so(
    store: Store, database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.3)
    with closing(Database(database_url)) as database, closing(sqlite3.connect(str(database_url.database))) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="locked"), database.writing() as session:
            session.execute(text("SELECT 1"))
        assert 0.25 < time.monotonic() - started < 5
        with database.reading() as session:
            assert session.execute(text("SELECT count(*) FROM users")).scalar_one() == 0
        other.rollback()
        with database.writing() as session:
            session.execute(text("SELECT 1"))
    enroll(store, 1)


@only_sqlite
def test_a_thread_that_waits_too_long_for_its_turn_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def hold() -> None:
        with store.database.writing():
            held.set()
            done.wait(10)

    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    held, done = Event(), Event()
    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        held.wait(10)
        with pytest.raises(StoreUnavailableError, match="busy"), store.database.writing():
            pass
        done.set()
        holding.result()
    enroll(store, 1)


@only_postgresql
def test_a_connection_that_was_killed_is_healed_by_the_next_call(store: Store) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    enroll(store, 1)
    assert set(rows(store, kill)) == {(True,)}
    assert enroll(store, 2) == "enrolled"
    assert set(rows(store, kill)) == {(True,)}
    assert len(references_of(store, "withmind", "tamy")) == 2
    with pytest.raises(StoreUnavailableError, match="terminat"), store.database.writing() as session:
        session.execute(text("UPDATE users SET age = 99"))
        rows(store, kill)
        session.execute(text("UPDATE users SET age = 98"))
    assert enroll(store, 3) == "enrolled"
    assert rows(store, "SELECT age FROM users") == [(30,)]
    store.audit.verify()


@only_postgresql
def test_a_statement_that_takes_too_long_is_ended_but_not_in_maintenance(
    store: Store, database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.database.reading() as session:
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == "10s"
        assert session.execute(text("SHOW timezone")).scalar_one() == "UTC"
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT_S", 0.2)
    with closing(Database(database_url)) as impatient:
        with pytest.raises(StoreUnavailableError, match="statement timeout"), impatient.reading() as session:
            session.execute(text("SELECT pg_sleep(20)"))
        with impatient.reading() as session:
            assert session.execute(text("SELECT 1")).scalar_one() == 1
    with closing(Database(database_url, patient=True)) as patient, patient.reading() as session:
        session.execute(text("SELECT pg_sleep(0.5)"))


def test_a_database_that_answers_is_told_from_one_that_does_not(
    store: Store, database_url: URL, tmp_path: Path
) -> None:
    store.database.ping()
    assert store.audit.verify().sequence == 0
    if store.database.is_sqlite:
        (tmp_path / DATABASE_NAME).write_bytes(b"this is no database at all" * 100)
        away = sqlite_url(tmp_path)
    else:
        away = database_url.set(port=1)
    with closing(Database(away)) as database, pytest.raises(StoreUnavailableError):
        database.ping()


@only_sqlite
def test_a_database_answers_while_somebody_writes(store: Store) -> None:
    with store.database.writing() as session:
        session.execute(text("UPDATE audit_head SET sequence = sequence"))
        store.database.ping()


class Compactions:
    """Counts a database's compactions. The first one waits until it may go on; one may be told to fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._compact = Database.compact
        self._turn = Lock()
        self.waiting = 0
        self.begun_at: list[int] = []
        """Where the audit trail ended then."""
        self.go_on = Event()
        self.failing = 0
        """The number of the one that fails, from 1 on."""

    def compact(self) -> bool:
        self.begun_at.append(self._store.audit.end().sequence)
        number = len(self.begun_at)
        if number == 1:
            assert self.go_on.wait(30)
        if number == self.failing:
            raise StoreUnavailableError("disk full")
        return self._compact(self._store.database)

    def __enter__(self) -> None:
        """In place of the lock on compacting: so it is known who waits."""
        self.waiting += 1
        self._turn.acquire()

    def __exit__(self, *_: object) -> None:
        self._turn.release()

    def begin_with(self, erasures: int) -> None:
        """Let the first one go on when so many erasures wait, itself among them."""
        deadline = time.monotonic() + 30
        while self.waiting < erasures:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.go_on.set()


@pytest.fixture
def compactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> Compactions:
    counted = Compactions(store)
    monkeypatch.setattr(Database, "compact", counted.compact)
    monkeypatch.setattr(store.database, "_scrubbing", counted)
    monkeypatch.setattr(database_module, "SCRUB_REST", 0)
    return counted


def erase_at_once(store: Store, compactions: Compactions, users: list[str]) -> list[Receipt]:
    """Erase users in a thread each; each but one waits for the first compaction, which began before their erasures."""

    def erase(user: str) -> Receipt:
        receipt = store.eraser.erase_user(CALLER, "withmind", user)
        assert receipt is not None
        return receipt

    for number, user in enumerate(users):
        enroll(store, number, user=user)
    with ThreadPoolExecutor(len(users)) as pool:
        erasures = [pool.submit(erase, user) for user in users]
        compactions.begin_with(len(users))
        return [erasure.result() for erasure in erasures]


@only_sqlite
def test_erasures_that_wait_share_a_compaction_that_began_after_them(store: Store, compactions: Compactions) -> None:
    receipts = erase_at_once(store, compactions, [f"user{number}" for number in range(8)])
    assert all(receipt.overwritten for receipt in receipts)
    first, second = compactions.begun_at
    entries = sorted(receipt.audit_entry.sequence for receipt in receipts)
    # The first one can have overwritten what was erased by then; only another one the rest.
    assert first < entries[-1] == second
    assert store.eraser.erase_user(CALLER, "withmind", "user0") is None
    assert enroll(store, 9) == "enrolled"
    assert store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert len(compactions.begun_at) == 3


@only_sqlite
def test_a_compaction_that_began_before_an_erasure_has_not_overwritten_it(
    store: Store, compactions: Compactions
) -> None:
    for _ in range(3):
        compactions.begun_at.clear()
        compactions.go_on.clear()
        compactions.waiting = 0
        receipts = erase_at_once(store, compactions, ["tamy", "joe"])
        assert all(receipt.overwritten for receipt in receipts)
        assert len(compactions.begun_at) == 2
        assert compactions.begun_at[-1] == max(receipt.audit_entry.sequence for receipt in receipts)


@only_sqlite
def test_after_a_long_compaction_erasures_do_without_until_the_service_makes_up_for_them(
    store: Store, compactions: Compactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def erase(user: str) -> bool:
        enroll(store, 1, user=user)
        receipt = store.eraser.erase_user(CALLER, "withmind", user)
        assert receipt is not None
        return receipt.overwritten

    monkeypatch.setattr(database_module, "SCRUB_REST", 1_000_000)
    compactions.go_on.set()
    assert erase("tamy")
    assert not erase("joe")
    store.database.catch_up()
    assert len(compactions.begun_at) == 2, "once an hour that is no matter"
    assert not erase("jim")
    purge(store, CALLER, 90)
    store.database.catch_up()
    assert len(compactions.begun_at) == 3
    monkeypatch.setattr(store.database, "_rested_at", time.monotonic() + 0.3)
    assert erase("ann"), "a short rest is waited for"


@only_sqlite
def test_a_compaction_that_waits_for_a_writer_is_not_a_long_one(store: Store) -> None:
    held = Event()

    def write() -> None:
        with store.database.writing():
            held.set()
            time.sleep(1.0)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        held.wait()
        start = time.monotonic()
        store.database.compact()
        took_s = time.monotonic() - start
        writer.result()
    assert took_s > 0.9
    assert store.database._rested_at - start < database_module.SCRUB_REST * took_s / 2


@only_sqlite
def test_after_a_compaction_that_failed_nobody_rests(store: Store) -> None:
    with store.database._engine.connect() as pooled:  # the one that is used next
        pooled.exec_driver_sql("PRAGMA busy_timeout = 200")
    busy = sqlite3.connect(store.database._path, isolation_level=None)
    with closing(busy):
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            store.database.compact()
    assert store.database._rested_at <= time.monotonic()


@only_sqlite
def test_erasures_that_share_a_compaction_share_its_failure(store: Store, compactions: Compactions) -> None:
    compactions.failing = 2
    receipts = erase_at_once(store, compactions, ["tamy", "joe", "ann"])
    assert sorted(receipt.overwritten for receipt in receipts) == [False, False, True]
    assert len(compactions.begun_at) == 2
    enroll(store, 1)
    receipt = store.eraser.erase_user(CALLER, "withmind", "tamy")
    assert receipt is not None
    assert receipt.overwritten


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT nothing FROM users",
        "SELECT * FROM nowhere",
        "SELEC 1",
        "INSERT INTO companies (id) VALUES (1)",
        "UPDATE users SET company_id = 99",
    ],
)
def test_what_no_later_try_would_change_is_told_from_a_database_that_is_away(store: Store, statement: str) -> None:
    enroll(store, 1)
    with pytest.raises(StatementRefusedError), store.database.writing() as session:
        session.execute(text(statement))
    with pytest.raises(StatementRefusedError), store.database.reading() as session:
        session.execute(text("SELECT 1")).scalar_one()
        session.execute(text("SELECT 1 WHERE 1 = 0")).scalar_one()
    assert enroll(store, 2) == "enrolled"


@only_sqlite
def test_a_full_or_damaged_file_is_a_database_that_is_away(store: Store, database_url: URL) -> None:
    with pytest.raises(StoreUnavailableError, match="full"), store.database.writing() as session:
        session.execute(text("PRAGMA max_page_count = 1"))
        session.execute(text("CREATE TABLE large AS SELECT zeroblob(100000) AS value"))
    store.close()
    with Path(str(database_url.database)).open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 100_000)
    with closing(Database(database_url)) as database, pytest.raises(StoreUnavailableError, match="malformed"):
        database.ping()


def test_a_database_that_is_not_as_it_was_made_is_said_so(store: Store, database_url: URL, keys: KeyFile) -> None:
    rows(store, "ALTER TABLE face_references RENAME TO gone")
    with pytest.raises(SchemaError, match=r"is not as this version needs it: .*face_references"):
        open_store(database_url, keys)


def test_errors_do_not_repeat_the_values_of_a_row(store: Store) -> None:
    enroll(store, 1, user="a-secret-name")
    statement = text(
        "INSERT INTO users (company_id, key, token, created_at) SELECT company_id, key, :token, created_at FROM users"
    )
    parameters = {"token": "a-secret-token"}
    with pytest.raises(StatementRefusedError) as failure, store.database.writing() as session:
        session.execute(statement, parameters)
    message = str(failure.value)
    assert "a-secret" not in message
    assert "\n" not in message
    assert "nique" in message or "UNIQUE" in message
    assert "a-secret" not in "".join(traceback.format_exception(failure.value))


def test_an_interrupted_migration_changes_nothing_and_is_told_as_what_it_is(tmp_path: Path) -> None:
    interrupt = Timer(0.2, signal.raise_signal, [signal.SIGINT])
    with closing(Database(sqlite_url(tmp_path), patient=True)) as database:
        with pytest.raises(KeyboardInterrupt), database.migrating() as connection:
            connection.exec_driver_sql("CREATE TABLE numbers (number)")
            interrupt.start()
            while True:
                connection.exec_driver_sql("INSERT INTO numbers VALUES (?)", [(number,) for number in range(20_000)])
        with database.reading() as session:
            assert session.connection().exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one() == 0
            assert session.connection().exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_a_row_that_is_refused_changes_nothing(store: Store) -> None:
    enroll(store, 1)
    if store.database.is_sqlite:
        rows(store, "CREATE TRIGGER refuse BEFORE INSERT ON face_references BEGIN SELECT RAISE(FAIL, 'refused'); END")
    else:
        rows(store, "CREATE FUNCTION fail() RETURNS trigger AS 'BEGIN RAISE ''refused''; END' LANGUAGE plpgsql")
        rows(store, "CREATE TRIGGER refuse BEFORE INSERT ON face_references EXECUTE FUNCTION fail()")
    with pytest.raises(StatementRefusedError, match="refused"):
        store.enrollments.add(CALLER, photo(2, user="new", company="new"), template(2), None, QUALITY, 5, {})
    assert rows(store, "SELECT name FROM companies") == [("withmind",)]
    assert rows(store, "SELECT key FROM users") == [("tamy",)]
    assert store.audit.verify().sequence == 1


@pytest.mark.parametrize(
    ("value", "driver"),
    [
        ("postgresql://user:pw@host/name", "postgresql+psycopg"),
        ("postgres://user:pw@host:5433/name", "postgresql+psycopg"),
        ("postgresql+psycopg://host/name", "postgresql+psycopg"),
        ("sqlite:///relative/file", "sqlite"),
        ("sqlite:////absolute/file", "sqlite"),
    ],
)
def test_urls_that_are_good(value: str, driver: str) -> None:
    assert parse_url(value).drivername == driver


@pytest.mark.parametrize(
    "value",
    [
        "",
        PASSWORD,
        f"user:{PASSWORD}@host/name",
        f"mysql://user:{PASSWORD}@host/name",
        f"postgresql+asyncpg://user:{PASSWORD}@host/name",
        f"postgresql+psycopg2://user:{PASSWORD}@host/name",
        f"postgresql://user:{PASSWORD}@host",
        f"postgresql://user:pw@host:{PASSWORD}/name",
        f"postgresql://user:{PASSWORD}/name",
        "sqlite://",
        "sqlite:///:memory:",
        f"sqlite:///file?mode=memory&key={PASSWORD}",
        f"sqlite+pysqlcipher://:{PASSWORD}@/file",
    ],
)
def test_other_urls_are_refused_without_repeating_them(value: str) -> None:
    with pytest.raises(ValueError, match=r"^is (no|neither) ") as failure:
        parse_url(value)
    assert PASSWORD not in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "value", [f"postgresql://user:{PASSWORD}@host/name", f"postgresql://user@host/name?password={PASSWORD}"]
)
def test_the_name_of_a_database_does_not_tell_its_password(value: str) -> None:
    with closing(Database(parse_url(value))) as database:
        assert PASSWORD not in database.name
        assert "host/name" in database.name


def test_a_server_that_is_away_or_refuses_is_said_so_without_the_password(postgres: Postgres, keys: KeyFile) -> None:
    url = parse_url(postgres.new_database())
    for wrong, message in (
        (url.set(port=1, password=PASSWORD), "refused"),
        (url.set(password=PASSWORD), "password authentication failed"),
        (url.set(database="nowhere"), "does not exist"),
    ):
        with pytest.raises(StoreUnavailableError, match=message) as failure:
            open_store(wrong, keys)
        assert PASSWORD not in str(failure.value)
        assert str(url.password) not in str(failure.value)
        assert "\n" not in str(failure.value)
