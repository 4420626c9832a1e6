# ruff: noqa: S608 - the statements are the tests' own
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from face_api.store import (
    HEAD,
    REVISIONS,
    Applied,
    Claim,
    Database,
    KeyFile,
    KeysError,
    Store,
    Vault,
    migrate_database,
    migrations,
    open_store,
    sqlite_url,
    utc_now,
)
from face_api.store.enrollments import pack
from face_api.store.errors import SchemaError, StoreDamagedError, StoreError
from face_api.store.tables import hour_of
from support.legacy import MOMENT, make_legacy_database
from support.store import CALLER, QUALITY, chip_png, enroll, photo, references_of, rows, template

ENROLLED = "SELECT id, user_id, encoder_id, created_at FROM face_references ORDER BY id"
PEOPLE = (
    "SELECT companies.id, name, companies.created_at, users.id, users.key, gender, age, users.created_at "
    "FROM companies JOIN users ON company_id = companies.id ORDER BY users.id"
)

START = """
import sys
from pathlib import Path
from sqlalchemy import make_url
from face_api.store import KeyFile, open_store
print("ready", flush=True)
input()
store = open_store(make_url(sys.argv[1]), KeyFile(Path(sys.argv[2])), migrate=True)
store.audit.verify()
store.close()
"""

DIE_WHILE_SEALING = """
import os, sys
from pathlib import Path
from face_api.store import KeyFile, open_store, sqlite_url

class Keys(KeyFile):
    asked = 0
    def current(self):
        self.asked += 1
        if self.asked > 5:
            os._exit(9)
        return super().current()

open_store(sqlite_url(Path(sys.argv[1])), Keys(Path(sys.argv[2])))
"""


class FailingKeys(KeyFile):
    """Fails in the middle of the work, as a key service may."""

    calls = 4

    def current(self) -> str:
        if not self.calls:
            raise KeysError("the key service does not answer")
        self.calls -= 1
        return super().current()


@contextmanager
def connected(url: URL) -> Iterator[Connection]:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        yield connection


def select(url: URL, sql: str) -> list[tuple[Any, ...]]:
    with connected(url) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def migrate(url: URL, keys: KeyFile, revision: str = HEAD) -> None:
    with closing(Database(url)) as database:
        migrate_database(database, Vault(keys), revision)


def differences(url: URL) -> list[Any]:
    with connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, SQLModel.metadata))


def names(url: URL) -> set[str | None]:
    """Return the names of all constraints and indexes."""
    found: set[str | None] = set()
    with connected(url) as connection:
        schema = inspect(connection)
        for table in SQLModel.metadata.tables:
            found.add(schema.get_pk_constraint(table)["name"])
            found |= {constraint["name"] for constraint in schema.get_unique_constraints(table)}
            found |= {constraint["name"] for constraint in schema.get_foreign_keys(table)}
            found |= {index["name"] for index in schema.get_indexes(table)}
    return found


def fill_unsealed(url: URL, keys: KeyFile, references: int = 3) -> None:
    """Bring a fresh database to 0001, and enroll templates 0, 1, ... there."""
    migrate(url, keys, "0001")
    with connected(url) as connection:
        connection.execute(text(f"INSERT INTO companies (name, created_at) VALUES ('withmind', '{MOMENT}')"))
        for user in ("'tamy', 1, 30", "'other', NULL, NULL"):
            connection.execute(
                text(
                    "INSERT INTO users (company_id, key, gender, age, created_at) "
                    f"SELECT id, {user}, '{MOMENT}' FROM companies"
                )
            )
        for number in range(references):
            connection.execute(
                text(
                    "INSERT INTO face_references (user_id, template, encoder_id, image_sha256, created_at) "
                    f"SELECT id, :template, 'e1', :digest, '{MOMENT}' FROM users WHERE key = :user"
                ),
                {
                    "template": pack(template(number)),
                    "digest": photo(number).photo_sha256,
                    "user": ("tamy", "other")[number % 2],
                },
            )


def check_enrollments(store: Store, references: int = 3) -> None:
    for first, user in ((0, "tamy"), (1, "other")):
        expected = [template(number) for number in range(first, references, 2)]
        found = references_of(store, "withmind", user)
        assert [one.encoder_id for one in found] == ["e1"] * len(expected)
        assert all(np.array_equal(one.vector, other.vector) for one, other in zip(found, expected, strict=True))
        assert store.enrollments.note_repetition(CALLER, photo(first, user), "e1")


def test_the_migrations_make_what_the_code_expects(database_url: URL, keys: KeyFile) -> None:
    migrate(database_url, keys)
    assert differences(database_url) == []
    assert select(database_url, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_constraints_and_indexes_have_the_names_of_the_convention(database_url: URL, keys: KeyFile) -> None:
    migrate(database_url, keys)
    given = names(database_url) - {None}  # SQLite keeps no name of the key that counts by itself (sqlite_autoincrement)
    assert all(re.match(r"pk_|uq_|fk_|ix_", str(name)) for name in given)
    with connected(URL.create("sqlite")) as connection:
        SQLModel.metadata.create_all(connection)
        schema = inspect(connection)
        expected = {
            item["name"]
            for table in SQLModel.metadata.tables
            for item in (
                schema.get_pk_constraint(table),
                *schema.get_unique_constraints(table),
                *schema.get_foreign_keys(table),
                *schema.get_indexes(table),
            )
        }
    assert given - {"pk_face_references"} == expected - {None}


def test_a_migration_that_is_not_needed_changes_nothing(store: Store, database_url: URL, keys: KeyFile) -> None:
    enroll(store, 1)
    before = rows(store, "SELECT * FROM face_references")
    with closing(Database(database_url)) as database:
        assert migrate_database(database, Vault(keys)) == HEAD
    assert rows(store, "SELECT * FROM face_references") == before


@pytest.mark.parametrize("references", [0, 3, 1203], ids=["none", "few", "several batches"])
def test_templates_that_lay_open_are_sealed(database_url: URL, keys: KeyFile, references: int) -> None:
    fill_unsealed(database_url, keys, references)
    people, enrolled = select(database_url, PEOPLE), select(database_url, ENROLLED)
    assert len(enrolled) == references
    with closing(open_store(database_url, keys, migrate=True)) as store:
        assert differences(database_url) == []
        assert select(database_url, PEOPLE) == people
        assert select(database_url, ENROLLED) == enrolled
        if references:
            check_enrollments(store, references)
        for column in ("template", "photo_digest"):
            sealed = {bytes(value) for (value,) in rows(store, f"SELECT {column} FROM face_references")}
            assert len(sealed) == references
            assert all(keys.current().encode() in value[:12] for value in sealed)
        tokens = rows(store, "SELECT token FROM users UNION SELECT token FROM companies")
        assert len(tokens) == 3
        assert enroll(store, references, limit=references + 5) == "enrolled"
        ((last,),) = rows(store, "SELECT max(id) FROM face_references")
        assert last > references
        assert store.audit.verify().sequence == (3 if references else 1)


def test_the_way_back_and_forth_keeps_enrollments(database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        for number in range(3):
            enroll(store, number, user=("tamy", "other")[number % 2], chip=chip_png(number))
    people, enrolled = select(database_url, PEOPLE), select(database_url, ENROLLED)
    migrate(database_url, keys, "0001")
    assert select(database_url, PEOPLE) == people
    assert select(database_url, ENROLLED) == enrolled
    opened = select(database_url, "SELECT template, image_sha256 FROM face_references ORDER BY id")
    expected = [(pack(template(number)), photo(number).photo_sha256) for number in range(3)]
    assert [(bytes(one), bytes(other)) for one, other in opened] == expected
    with connected(database_url) as connection:
        assert set(inspect(connection).get_table_names()) == {
            "alembic_version",
            "companies",
            "face_references",
            "users",
        }
    with closing(open_store(database_url, keys, migrate=True)) as store:
        assert differences(database_url) == []
        assert select(database_url, PEOPLE) == people
        assert select(database_url, ENROLLED) == enrolled
        check_enrollments(store)
        assert enroll(store, 10) == "enrolled"


def go_back_to_0002(url: URL, keys: KeyFile) -> None:
    """Make the database one that never was newer."""
    migrate(url, keys, "0002")
    with connected(url) as connection:
        connection.execute(text("DELETE FROM secrets WHERE name = 'api_keys'"))


def test_a_database_without_a_pepper_is_given_one(database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1, chip=chip_png(1))
        end = store.audit.verify()
    tables = ("companies", "users", "face_references", "analysis_events", "audit_events", "audit_head")
    before = [select(database_url, f"SELECT * FROM {table}") for table in tables]
    ((quality,),) = select(database_url, "SELECT quality FROM face_references")
    go_back_to_0002(database_url, keys)
    assert select(database_url, "SELECT name FROM secrets") == [("audit",)]
    with closing(open_store(database_url, keys, migrate=True)) as store:
        assert differences(database_url) == []
        rows(store, "UPDATE face_references SET via = 'v1', enrolled_by = 'test', quality = :it", it=quality)
        assert [select(database_url, f"SELECT * FROM {table}") for table in tables] == before
        assert store.audit.verify(end) == end
        secret = store.api_keys.create(CALLER, "withmind").secret
    with closing(open_store(database_url, keys)) as store:
        assert store.api_keys.authenticate(secret) is not None


def test_the_way_back_to_0002_keeps_api_keys_and_drops_answers(database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1)
        secret = store.api_keys.create(CALLER, "withmind").secret
        claim = store.idempotency.claim("actor", "key", b"asked")
        assert isinstance(claim, Claim)
        store.idempotency.complete(claim, 201, b"body", "withmind", "tamy")
    migrate(database_url, keys, "0002")
    with connected(database_url) as connection:
        assert not inspect(connection).has_table("idempotent_requests")
    with closing(open_store(database_url, keys, migrate=True)) as store:
        assert differences(database_url) == []
        assert store.api_keys.authenticate(secret) is not None
        assert isinstance(store.idempotency.claim("actor", "key", b"asked"), Claim)
        assert len(references_of(store, "withmind", "tamy")) == 1
        store.audit.verify()


def test_the_way_back_to_0003_drops_what_was_kept_of_an_enrollment(database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1, chip=chip_png(1))
        store.decisions.apply(CALLER, Applied(0.5, "e1", "", None, utc_now(), "test"), 0.6)
        (was,) = store.directory.user(CALLER, "withmind", "tamy").references  # type: ignore[union-attr]
    migrate(database_url, keys, "0003")
    assert {"via", "enrolled_by", "quality"}.isdisjoint(c["name"] for c in columns_of(database_url, "face_references"))
    with closing(open_store(database_url, keys, migrate=True)) as store:
        assert differences(database_url) == []
        (reference,) = store.directory.user(CALLER, "withmind", "tamy").references  # type: ignore[union-attr]
        assert reference == replace(was, via=None, enrolled_by=None, quality=None) != was
        # Not silently the default: it may be a looser one.
        with pytest.raises(StoreDamagedError):
            store.decisions.find("e1")
        store.decisions.withdraw(CALLER, "e1", 0.6)
        assert store.decisions.find("e1") is None
        store.audit.verify()
        enroll(store, 2)
        ((first,), (second,)) = rows(store, "SELECT id FROM face_references ORDER BY id")
        assert store.enrollments.remove(CALLER, "withmind", "tamy", second)
        assert store.enrollments.add(CALLER, photo(3), template(3), None, QUALITY, 5, {}).reference_id > second > first


def test_events_are_given_their_hour(database_url: URL, keys: KeyFile) -> None:
    """Whether an older version recorded them or this one: what is added up by it is what is added up by the moment."""
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1)
        for moment in ("1999-12-31 23:59:59.999999", "2026-03-01 00:00:00.000000"):
            statement = "INSERT INTO analysis_events (at, hour, operation, reason, matches, dismatches) "
            at = moment if store.database.is_sqlite else datetime.fromisoformat(moment + "+00:00")
            rows(store, statement + "VALUES (:at, 0, 'enroll', 'no_face', 0, 0)", at=at)
        migrate(database_url, keys, "0004")
        assert "hour" not in {column["name"] for column in columns_of(database_url, "analysis_events")}
        migrate(database_url, keys)
        hours = [hour for (hour,) in rows(store, "SELECT hour FROM analysis_events ORDER BY at")]
        assert hours == [262_967, 492_312, hour_of(utc_now())]
    assert differences(database_url) == []


def columns_of(url: URL, table: str) -> list[Any]:
    with connected(url) as connection:
        return list(inspect(connection).get_columns(table))


def test_the_keys_of_another_database_migrate_nothing(database_url: URL, keys: KeyFile, tmp_path: Path) -> None:
    """Sealed with them, the pepper would never open again."""
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1)
    go_back_to_0002(database_url, keys)
    before = select(database_url, "SELECT * FROM secrets")
    other = KeyFile(tmp_path / "other.keys")
    other.create()
    for wrong in (other, KeyFile(tmp_path / "none.keys")):
        with pytest.raises(KeysError):
            open_store(database_url, wrong, migrate=True)
        assert select(database_url, "SELECT * FROM secrets") == before
        assert select(database_url, "SELECT version_num FROM alembic_version") == [("0002",)]
    assert not (tmp_path / "none.keys").exists()
    with closing(open_store(database_url, keys, migrate=True)) as store:
        assert len(references_of(store, "withmind", "tamy")) == 1


def test_all_is_written_anew_only_where_templates_lay_open(
    database_url: URL, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    compacted: list[Database] = []

    def compact(database: Database) -> bool:
        compacted.append(database)
        return True

    monkeypatch.setattr(Database, "compact", compact)
    migrate(database_url, keys)
    migrate(database_url, keys, "0002")
    migrate(database_url, keys)
    migrate(database_url, keys, "0001")
    assert compacted == []
    migrate(database_url, keys, "0002")
    migrate(database_url, keys)
    assert len(compacted) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_planner_samples_nothing_that_is_sealed_or_names_somebody(database_url: URL, keys: KeyFile) -> None:
    migrate(database_url, keys)
    query = (
        "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND attstattarget = 0"
    )
    found = {f"{table}.{column}" for table, column in select(database_url, query)}
    assert found >= {
        "companies.name",
        "users.key",
        "face_references.template",
        "face_references.quality",
        "applied_decisions.value",
        "api_keys.label",
        "api_keys.digest",
        "idempotent_requests.digest",
        "idempotent_requests.fingerprint",
        "idempotent_requests.body",
    }


def test_a_way_back_without_the_keys_changes_nothing(database_url: URL, keys: KeyFile, tmp_path: Path) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 0)
    with pytest.raises(KeysError):
        migrate(database_url, KeyFile(tmp_path / "none"), "0001")
    assert not (tmp_path / "none").exists()
    with closing(open_store(database_url, keys)) as store:
        assert len(references_of(store, "withmind", "tamy")) == 1
        store.audit.verify()


def test_a_database_of_the_first_versions_is_taken_over(tmp_path: Path, keys: KeyFile) -> None:
    make_legacy_database(tmp_path / "data")
    url = sqlite_url(tmp_path / "data")
    people, enrolled = select(url, PEOPLE), select(url, ENROLLED)
    with closing(open_store(url, keys)) as store:
        assert select(url, PEOPLE) == people
        assert select(url, ENROLLED) == enrolled
        check_enrollments(store)
        assert enroll(store, 8, user="new", company="new") == "enrolled"
        assert rows(store, "SELECT created_at FROM users WHERE key = 'tamy'") == [(MOMENT,)]
        for statement, broken in (
            (
                "INSERT INTO companies (name, token, created_at) SELECT name, 'x', created_at FROM companies",
                r"UNIQUE constraint failed: companies\.name",
            ),
            (
                "INSERT INTO users (company_id, key, token, created_at) SELECT company_id, key, 'x', 'x' FROM users",
                r"UNIQUE constraint failed: users\.company_id, users\.key",
            ),
            ("UPDATE users SET token = 'same'", r"UNIQUE constraint failed: users\.token"),
            ("UPDATE companies SET token = NULL", r"NOT NULL constraint failed: companies\.token"),
        ):
            with pytest.raises(IntegrityError, match=broken):
                rows(store, statement)
        # Names had no length there; SQLite does not look at it.
        assert {change[0][0] if isinstance(change, list) else change[0] for change in differences(url)} <= {
            "modify_type"
        }
    migrate(url, keys, "0001")
    migrate(url, keys)
    with closing(open_store(url, keys)) as store:
        check_enrollments(store)


def test_templates_slipped_in_where_there_are_keys_are_not_sealed_unasked(tmp_path: Path, keys: KeyFile) -> None:
    keys.create()
    path = make_legacy_database(tmp_path / "data")
    before = path.read_bytes()
    with pytest.raises(SchemaError, match="run `face-api migrate`"):
        open_store(sqlite_url(tmp_path / "data"), keys)
    assert path.read_bytes() == before
    with closing(open_store(sqlite_url(tmp_path / "data"), keys, migrate=True)) as store:
        check_enrollments(store)


def test_of_templates_that_lay_open_no_byte_is_left(tmp_path: Path, keys: KeyFile) -> None:
    references = 300
    path = make_legacy_database(tmp_path / "data", references)
    secrets = [pack(template(number))[:64] for number in range(references)]
    before = path.read_bytes()
    assert all(secret in before for secret in secrets)
    with closing(open_store(sqlite_url(tmp_path / "data"), keys)):
        content = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert not any(secret[start : start + 16] in content for secret in secrets for start in (0, 16, 48))


def test_a_schema_of_a_newer_version_is_said_so(store: Store, database_url: URL, keys: KeyFile) -> None:
    rows(store, "UPDATE alembic_version SET version_num = '0099'")
    for migrating in (False, True):
        with pytest.raises(SchemaError, match=r"newer version of the service: its schema is 0099"):
            open_store(database_url, keys, migrate=migrating)
    rows(store, f"UPDATE alembic_version SET version_num = '{HEAD}'")
    open_store(database_url, keys).close()


def test_a_revision_that_is_not_known_is_refused(store: Store) -> None:
    for revision in ("0000", "9999", "x"):
        with pytest.raises(SchemaError):
            migrate_database(store.database, store.vault, revision)
    store.audit.verify()


def test_tables_of_somebody_else_are_refused_and_stay(database_url: URL, keys: KeyFile) -> None:
    Database(database_url).close()  # makes the file
    for table in ("face_references", "users", "companies", "secrets", "api_keys"):
        with connected(database_url) as connection:
            connection.execute(text(f"CREATE TABLE {table} (what VARCHAR(10))"))
            connection.execute(text(f"INSERT INTO {table} VALUES ('theirs')"))
        with pytest.raises(SchemaError, match="did not make"):
            open_store(database_url, keys, migrate=True)
        assert select(database_url, f"SELECT * FROM {table}") == [("theirs",)]
        with connected(database_url) as connection:
            assert inspect(connection).get_table_names() == [table]
            connection.execute(text(f"DROP TABLE {table}"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_is_migrated_by_command_only(database_url: URL, keys: KeyFile) -> None:
    with pytest.raises(SchemaError, match=r"has no schema yet: run `face-api migrate`") as failure:
        open_store(database_url, keys)
    assert str(database_url.password) not in str(failure.value)
    with connected(database_url) as connection:
        assert inspect(connection).get_table_names() == []
    fill_unsealed(database_url, keys)
    with pytest.raises(SchemaError, match=rf"has the schema 0001, and this version needs {HEAD}: run `face-api migr"):
        open_store(database_url, keys)


def test_a_migration_that_fails_leaves_the_old_schema(database_url: URL, keys: KeyFile, tmp_path: Path) -> None:
    fill_unsealed(database_url, keys)
    before = [select(database_url, sql) for sql in (PEOPLE, "SELECT * FROM face_references ORDER BY id")]
    failing = FailingKeys(tmp_path / "keys" / "face.keys")
    with pytest.raises(KeysError, match="does not answer"):
        migrate(database_url, failing)
    assert select(database_url, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert [select(database_url, sql) for sql in (PEOPLE, "SELECT * FROM face_references ORDER BY id")] == before
    with connected(database_url) as connection:
        assert len(inspect(connection).get_table_names()) == 4
    with closing(open_store(database_url, keys, migrate=True)) as store:
        check_enrollments(store)


def test_a_program_that_ends_while_it_migrates_leaves_the_old_schema(tmp_path: Path, keys: KeyFile) -> None:
    make_legacy_database(tmp_path / "data", 10)
    url = sqlite_url(tmp_path / "data")
    arguments = [str(tmp_path / "data"), str(tmp_path / "keys" / "face.keys")]
    ended = subprocess.run([sys.executable, "-c", DIE_WHILE_SEALING, *arguments], check=False)
    assert ended.returncode == 9
    assert select(url, "SELECT count(*) FROM face_references WHERE length(image_sha256) = 32") == [(10,)]
    # The key was made before: from then on only who asks for it has open templates sealed.
    with pytest.raises(SchemaError, match="run `face-api migrate`"):
        open_store(url, keys)
    with closing(open_store(url, keys, migrate=True)) as store:
        check_enrollments(store, 10)


def test_services_that_start_at_the_same_time_agree(database_url: URL, tmp_path: Path) -> None:
    arguments = [database_url.render_as_string(hide_password=False), str(tmp_path / "keys" / "face.keys")]
    command = [sys.executable, "-c", START, *arguments]
    services = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for service in services:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
    for service in services:
        assert service.stdin is not None
        service.stdin.write("\n")
        service.stdin.flush()
    said = [service.communicate() for service in services]
    assert [service.returncode for service in services] == [0, 0], said
    with closing(open_store(database_url, KeyFile(tmp_path / "keys" / "face.keys"))) as store:
        assert rows(store, "SELECT count(*) FROM audit_head") == [(1,)]
        assert rows(store, "SELECT name FROM secrets ORDER BY name") == [("api_keys",), ("audit",)]
        enroll(store, 1)
        store.audit.verify()


def test_rows_that_refer_to_nothing_are_refused_and_stay(tmp_path: Path, keys: KeyFile) -> None:
    path = make_legacy_database(tmp_path / "data")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE users SET company_id = 1234 WHERE id = 6")
        connection.commit()
    with pytest.raises(StoreError, match="refer to rows that are not there"):
        open_store(sqlite_url(tmp_path / "data"), keys)
    assert select(sqlite_url(tmp_path / "data"), "SELECT count(*) FROM face_references") == [(3,)]
