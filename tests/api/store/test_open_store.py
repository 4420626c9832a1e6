import base64
import logging
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import URL

from face_api.settings import Settings, SettingsError
from face_api.store import (
    GivenKeys,
    KeyFile,
    KeysError,
    Store,
    StoreDamagedError,
    location,
    open_configured,
    open_store,
    parse_url,
    sqlite_url,
)
from face_api.store.errors import KeyMissingError, SchemaError
from support.crash import wait_for_backends
from support.postgres import Postgres
from support.store import CALLER, enroll, references_of, rows

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def given(**keys: bytes) -> GivenKeys:
    return GivenKeys(",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keys.items()))


def check_message(message: str) -> None:
    assert "\n" not in message
    assert len(message) < 300
    assert not any(form in message for key in (OLD, NEW, OTHER) for form in (key.hex(), base64.b64encode(key).decode()))


def refused(url: URL, keys: GivenKeys | KeyFile, problem: type[KeysError] = KeysError) -> str:
    """Opening fails, whether it may migrate or not; return the message."""
    messages = set()
    for migrate in (False, True):
        with pytest.raises(problem) as failure:
            open_store(url, keys, migrate=migrate)
        messages.add(str(failure.value))
    (message,) = messages
    check_message(message)
    return message


def test_a_database_opens_again_with_its_keys(database_url: URL, keys: KeyFile) -> None:
    for number in range(3):
        with closing(open_store(database_url, keys, migrate=True)) as store:
            enroll(store, number)
            assert len(references_of(store, "withmind", "tamy")) == number + 1
            assert store.audit.verify().sequence == number + 1


def test_two_stores_share_a_database(store: Store, database_url: URL, keys: KeyFile) -> None:
    with closing(open_store(database_url, keys)) as other:
        enroll(store, 1)
        enroll(other, 2)
        assert len(references_of(store, "withmind", "tamy")) == 2
        assert other.audit.verify() == store.audit.verify()


def test_a_key_that_is_missing_is_named_with_what_to_do(database_url: URL) -> None:
    open_store(database_url, given(k1=OLD), migrate=True).close()
    message = refused(database_url, given(k2=NEW), KeyMissingError)
    assert "the sealing key k1 is needed, and there is only k2" in message
    assert "FACE_API_KEYS" in message
    open_store(database_url, given(k2=NEW, k1=OLD)).close()


def test_another_key_of_the_same_id_is_named(database_url: URL) -> None:
    open_store(database_url, given(k1=OLD), migrate=True).close()
    assert "the sealing key k1 is not the one of that id" in refused(database_url, given(k1=OTHER))
    assert "the sealing key k1 is not the one of that id" in refused(database_url, given(k2=NEW, k1=OTHER))


def test_an_older_key_of_some_references_must_be_there_and_right(database_url: URL) -> None:
    with closing(open_store(database_url, given(k1=OLD), migrate=True)) as store:
        for number in (1, 3, 4):
            enroll(store, number)
    both = given(k2=NEW, k1=OLD)
    with closing(open_store(database_url, both)) as store:
        enroll(store, 2)
        # The secrets go first in a rotation: then only references need the old key.
        assert store.resealer.begin(CALLER).references == 3
    assert "the sealing key k1 is needed, and there is only k2" in refused(database_url, given(k2=NEW), KeyMissingError)
    message = refused(database_url, given(k2=NEW, k1=OTHER))
    assert message.startswith("the sealing key k1 is not the one of that id that sealed references: give it in")
    with closing(open_store(database_url, both)) as store:
        list(store.resealer.run(store.resealer.begin(CALLER)))
    open_store(database_url, given(k2=NEW)).close()


def test_the_missing_key_file_of_a_database_is_not_made_anew(database_url: URL, keys: KeyFile, tmp_path: Path) -> None:
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1)
    path = tmp_path / "keys" / "face.keys"
    path.rename(tmp_path / "away")
    assert "keys/face.keys cannot be used: No such file" in refused(database_url, KeyFile(path))
    assert not path.exists()
    (tmp_path / "away").rename(path)
    with closing(open_store(database_url, KeyFile(path))) as store:
        assert len(references_of(store, "withmind", "tamy")) == 1


def test_the_key_file_of_another_database_is_refused(database_url: URL, keys: KeyFile, tmp_path: Path) -> None:
    open_store(database_url, keys, migrate=True).close()
    other = KeyFile(tmp_path / "other.keys")
    other.create()
    message = refused(database_url, other, KeyMissingError)
    assert keys.current() in message
    assert other.current() in message


def test_no_key_file_is_made_where_the_database_cannot_be_used(tmp_path: Path, keys: KeyFile) -> None:
    (tmp_path / "face.sqlite3").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(Exception, match="not a database"):
        open_store(sqlite_url(tmp_path), keys)
    assert not (tmp_path / "keys").exists()


def test_a_reference_that_was_damaged_does_not_keep_the_service_from_starting(
    store: Store, database_url: URL, keys: KeyFile
) -> None:
    enroll(store, 1, user="damaged")
    enroll(store, 2, user="whole")
    rows(
        store,
        "UPDATE face_references SET photo_digest = (SELECT max(photo_digest) FROM face_references), "
        "template = (SELECT max(template) FROM face_references)",
    )
    with closing(open_store(database_url, keys)) as reopened:
        outcomes = []
        for user in ("damaged", "whole"):
            try:
                outcomes.append(len(references_of(reopened, "withmind", user)))
            except StoreDamagedError:
                outcomes.append(-1)
        assert sorted(outcomes) == [-1, 1]


def test_a_sealed_audit_key_that_was_changed_is_refused(store: Store, database_url: URL, keys: KeyFile) -> None:
    rows(store, "UPDATE secrets SET value = :value", value=b"no sealed value")
    with pytest.raises((KeysError, StoreDamagedError)) as failure:
        open_store(database_url, keys)
    check_message(str(failure.value))


@pytest.mark.parametrize("name", ["audit", "api_keys"])
def test_a_key_of_the_databases_own_that_is_gone_is_not_made_anew(
    store: Store, database_url: URL, keys: KeyFile, name: str
) -> None:
    secret = store.api_keys.create(CALLER, None).secret
    ((key_id, value),) = rows(store, "SELECT key_id, value FROM secrets WHERE name = :name", name=name)
    rows(store, "DELETE FROM secrets WHERE name = :name", name=name)
    for migrate in (False, True):
        with pytest.raises(SchemaError, match="is gone from the database: somebody removed it") as failure:
            open_store(database_url, keys, migrate=migrate)
        check_message(str(failure.value))
    assert rows(store, "SELECT count(*) FROM secrets") == [(1,)]
    put_back = "INSERT INTO secrets (name, key_id, value) VALUES (:name, :key_id, :value)"
    rows(store, put_back, name=name, key_id=key_id, value=value)
    with closing(open_store(database_url, keys)) as reopened:
        assert reopened.api_keys.authenticate(secret) is not None


def test_one_secret_in_the_place_of_another_is_refused(store: Store, database_url: URL, keys: KeyFile) -> None:
    rows(store, "UPDATE secrets SET value = (SELECT value FROM secrets WHERE name = 'audit') WHERE name = 'api_keys'")
    with pytest.raises(KeysError) as failure:
        open_store(database_url, keys)
    check_message(str(failure.value))


def test_the_log_names_the_database_and_the_key_without_secrets(
    database_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="face_api"):
        open_store(database_url, given(k1=OLD), migrate=True).close()
    assert "sealed with the key k1" in caplog.text
    assert base64.b64encode(OLD).decode() not in caplog.text
    assert database_url.password is None or str(database_url.password) not in caplog.text


def test_settings_say_where_the_database_and_the_keys_are(tmp_path: Path, database_url: URL) -> None:
    text = SecretStr(database_url.render_as_string(hide_password=False))
    settings = Settings(data_dir=tmp_path / "here", database_url=text)
    with closing(open_configured(settings, migrate=True)) as store:
        enroll(store, 1)
        assert store.database.is_sqlite == (database_url.drivername == "sqlite")
    # The key file is in the data folder, wherever the database is.
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["face.keys"]
    key_text = SecretStr((tmp_path / "here" / "face.keys").read_text())
    open_configured(Settings(data_dir=tmp_path / "other", database_url=text, keys=key_text)).close()
    elsewhere = Settings(data_dir=tmp_path / "other", database_url=text, key_file=tmp_path / "here" / "face.keys")
    open_configured(elsewhere).close()
    assert not (tmp_path / "other").exists()


def test_the_default_is_a_sqlite_file_in_the_data_folder(tmp_path: Path) -> None:
    with closing(open_configured(Settings(data_dir=tmp_path / "here"))) as store:
        enroll(store, 1)
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"face.keys", "face.sqlite3"}


def test_settings_that_cannot_be_used_are_not_repeated(tmp_path: Path) -> None:
    wrong = SecretStr("mysql://user:s3cret-pa55@host/name")
    with pytest.raises(SettingsError, match="FACE_API_DATABASE_URL is neither") as failure:
        location(Settings(data_dir=tmp_path, database_url=wrong))
    assert "s3cret" not in str(failure.value)
    with pytest.raises(KeysError, match="FACE_API_KEYS: key number 1") as unusable:
        location(Settings(data_dir=tmp_path, keys=SecretStr("k1:s3cret-key")))
    assert "s3cret" not in str(unusable.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_reference_does_not_stop_the_start(
    database_url: URL, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where it is the last one of a former key, which a rotation had to leave."""
    with closing(open_store(database_url, keys, migrate=True)) as store:
        enroll(store, 1)
        enroll(store, 2, user="joe")
        rows(
            store, "UPDATE face_references SET photo_digest = template WHERE id = (SELECT min(id) FROM face_references)"
        )
        list(store.resealer.run(store.resealer.begin(CALLER)))
    with closing(open_store(database_url, keys)) as store:
        assert "reference 1 does not open" in caplog.text
        assert "tamy" not in caplog.text and "withmind" not in caplog.text
        assert len(references_of(store, "withmind", "joe")) == 1
        assert store.eraser.erase_user(CALLER, "withmind", "tamy")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_KR"])
def test_a_postgresql_database_of_another_encoding_is_refused_with_what_to_do(
    postgres: Postgres, keys: KeyFile, encoding: str
) -> None:
    url = postgres.new_database(encoding=encoding)
    for patient in (False, True):
        for migrate in (False, True):
            with pytest.raises(SchemaError) as failure:
                open_store(parse_url(url), keys, patient=patient, migrate=migrate)
            check_message(str(failure.value))
            assert f"has the encoding {encoding}, not UTF8" in str(failure.value)
            assert "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0" in str(failure.value)
    wait_for_backends(url)  # none of their connections is left open
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,)
    with pytest.raises(KeysError):
        keys.current()
    postgres.drop_database(url)


def test_a_client_encoding_of_the_environment_changes_no_text(
    postgres: Postgres, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    with closing(open_store(parse_url(url := postgres.new_database()), keys, migrate=True)) as store:
        store.api_keys.create(CALLER, None, "출입구")
        assert [key.label for key in store.api_keys.page(CALLER).items] == ["출입구"]
    postgres.drop_database(url)
