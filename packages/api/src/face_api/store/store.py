"""Opens the store: the database, its schema, the sealing keys, and what works on them."""

import hmac
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, insert, select
from sqlalchemy.orm import Session

from face_api.settings import PREFIX, Settings, SettingsError
from face_api.store.api_keys import ApiKeys
from face_api.store.audit import AuditTrail
from face_api.store.backup import Archiver, BackupHead, Batch, be_patient, insert_backup
from face_api.store.database import Database, parse_url, sqlite_url
from face_api.store.decisions import DecisionStore
from face_api.store.directory import Directory
from face_api.store.enrollments import EnrollmentStore
from face_api.store.erasure import Eraser
from face_api.store.errors import (
    KEY_REMEDY,
    KeyMissingError,
    KeysError,
    SchemaError,
    StatementRefusedError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)
from face_api.store.events import EventLog
from face_api.store.idempotency import IdempotencyStore
from face_api.store.inspector import Inspector
from face_api.store.keys import GivenKeys, KeyFile, Keys
from face_api.store.migrations import FIRST_SEALED, HEAD, REVISIONS, UNSEALED, downgrade, revision_of, upgrade
from face_api.store.people import keys_of_references, references_sealed_with
from face_api.store.reencoding import Reencoder
from face_api.store.registry import Registry
from face_api.store.resealing import Resealer
from face_api.store.sealing import SAMPLES, Vault, key_id_of
from face_api.store.statistics import Statistics
from face_api.store.tables import AuditHead, Secret, table_of

AUDIT_KEY_BYTES = 32

logger = logging.getLogger(__name__)

_AUDIT_KEY = "audit"
_PEPPER = "api_keys"
_SECRETS = {_AUDIT_KEY: "the audit trail", _PEPPER: "the API keys"}


KEY_FILE_NAME = "face.keys"


@dataclass(frozen=True, slots=True)
class Store:
    """All that works on one database. Close it when done."""

    database: Database
    vault: Vault
    audit: AuditTrail
    api_keys: ApiKeys
    idempotency: IdempotencyStore
    events: EventLog
    statistics: Statistics
    registry: Registry
    inspector: Inspector
    enrollments: EnrollmentStore
    directory: Directory
    eraser: Eraser
    resealer: Resealer
    reencoder: Reencoder
    decisions: DecisionStore
    archiver: Archiver
    pseudonym_key: bytes
    """32 bytes of the database's own, for hashes by which a name is known again and cannot be found by trying."""

    def close(self) -> None:
        self.database.close()


def open_configured(settings: Settings, *, patient: bool = False, migrate: bool = False) -> Store:
    """Open the database that the settings name (see open_store).

    Raises:
        SettingsError: FACE_API_DATABASE_URL is no URL that is known here.
    """
    url, keys = location(settings)
    return open_store(url, keys, patient=patient, migrate=migrate)


def sqlite_file(settings: Settings) -> Path | None:
    """Return the file of the database that the settings name; None for PostgreSQL. Raises SettingsError, KeysError."""
    url, _ = location(settings)
    return Path(url.database or "") if url.drivername == "sqlite" else None


def location(settings: Settings) -> tuple[URL, Keys]:
    """Return where the settings say that the database is, and the keys. Raises SettingsError, KeysError."""
    if settings.database_url is None:
        url = sqlite_url(settings.data_dir)
    else:
        try:
            url = parse_url(settings.database_url.get_secret_value())
        except ValueError as error:
            raise SettingsError(f"{PREFIX}DATABASE_URL {error}") from error
    if settings.keys is not None:
        return url, GivenKeys(settings.keys.get_secret_value())
    return url, KeyFile(settings.key_file or settings.data_dir / KEY_FILE_NAME)


def open_store(url: URL, keys: Keys, *, patient: bool = False, migrate: bool = False) -> Store:
    """Open a database whose schema is this version's, with the keys that it was sealed with.

    Args:
        patient: for maintenance: statements may take as long as they need.
        migrate: bring the schema to this version first. For SQLite that is done anyway, but for templates that lie
            open where there are keys: those are sealed only when asked for.

    Raises:
        StoreUnavailableError: the database cannot be used.
        SchemaError: its schema is not this version's.
        KeysError: a key is missing, malformed, or not the one that it was.
    """
    database = Database(url, patient=patient)
    try:
        if migrate:
            migrate_database(database, Vault(keys))
        elif database.is_sqlite:
            _refuse_unsealed(database, keys)
            migrate_database(database, Vault(keys))
        else:
            _check_schema(database)
        vault = Vault(keys, lambda: _check_key(database, keys))
        vault.approve()
        with database.reading() as session:
            own_keys = _check_keys(session, vault)
        audit, pepper = AuditTrail(database, own_keys[_AUDIT_KEY]), own_keys[_PEPPER]
        decisions = DecisionStore(database, vault, audit)
        _check_decisions(decisions)
        statistics = Statistics(database)
        if late := statistics.fill_hours():
            logger.warning("%d events were written by an older version, which must not run beside this one", late)
        database.check_durability()
        try:
            audit.end()
        except StoreDamagedError as error:
            logger.error("%s: requests are refused until the database is restored", error)  # noqa: TRY400 - no bug
        logger.info("the store is %s, sealed with the key %s", database.name, keys.current())
    except StoreUnavailableError as error:
        database.close()
        raise StoreUnavailableError(f"the database {database.name} cannot be used: {error}") from error
    except StatementRefusedError as error:
        database.close()
        raise SchemaError(f"the database {database.name} is not as this version needs it: {error}") from error
    except StoreError:
        database.close()
        raise
    events = EventLog(database, audit)
    return Store(
        database,
        vault,
        audit,
        ApiKeys(database, audit, pepper),
        IdempotencyStore(database, vault, pepper),
        events,
        statistics,
        Registry(database),
        Inspector(database, audit),
        EnrollmentStore(database, vault, audit, events),
        Directory(database, vault, audit),
        Eraser(database, audit),
        Resealer(database, vault, audit),
        Reencoder(database, vault, audit),
        decisions,
        Archiver(database, vault, audit),
        hmac.digest(pepper, b"pseudonyms", "sha256"),
    )


def migrate_database(database: Database, vault: Vault, revision: str = HEAD) -> str | None:
    """Bring the schema to a revision, and return the one it had before. None: there was no schema.

    Raises:
        SchemaError: the revision is not known here, or the database holds something else.
        KeysError: something has to be sealed or opened on the way, and the keys are not there, or another database's.
    """
    if revision not in REVISIONS:
        raise SchemaError(f"there is no schema {revision}, only {', '.join(REVISIONS)}")
    before = _revision(database)
    if before == revision:
        return before
    with database.migrating() as connection:
        before = revision_of(connection)
        if before == revision:
            return before  # another process was quicker
        if before is None or before < FIRST_SEALED:
            vault.keys.create()
        else:
            _open_secret(connection, vault, _AUDIT_KEY)  # the keys of somebody else must seal nothing here
        _migrate(connection, vault, before, revision)
        if (before is None or before < FIRST_SEALED) and revision >= FIRST_SEALED:
            _begin_audit_trail(connection, vault)
    logger.info("the schema of %s was %s and is %s now", database.name, before or "not there", revision)
    if before == UNSEALED:
        database.compact()  # templates lay open
    return before


def restore_database(
    database: Database, vault: Vault, head: BackupHead, batches: Iterator[Batch], done: Callable[[int], object]
) -> None:
    """Put a backup's rows into a database that is new, or to which nothing was ever written: all of them, or none.

    None where it could not be opened afterwards, with these keys.

    Args:
        done: is told of each batch how many rows it had.

    Raises:
        SchemaError: the database is not empty.
        BackupError: see read_backup.
        KeysError: a key is missing, or not the one that it was.
        StoreUnavailableError: the database cannot be written, or the backup not be read.
    """
    with database.migrating() as connection:
        be_patient(connection)
        before = revision_of(connection)
        _migrate(connection, vault, before, head.revision)
        insert_backup(connection, head, batches, done)
        _migrate(connection, vault, head.revision, HEAD)
        with Session(connection) as session:
            _check_keys(session, vault)


def _migrate(connection: Connection, vault: Vault, before: str | None, revision: str) -> None:
    if before is None or before < revision:
        upgrade(connection, vault, revision)
    elif before > revision:
        downgrade(connection, vault, revision)


def _revision(database: Database) -> str | None:
    with database.reading() as session:
        return revision_of(session.connection())


def _refuse_unsealed(database: Database, keys: Keys) -> None:
    """Refuse to seal, unasked, templates that lie open where there are keys already.

    Who can write to the database but has no key could else have templates of their choice sealed by the next start.
    """
    if _revision(database) != UNSEALED:
        return
    try:
        keys.current()
    except KeysError:
        return  # no key yet: these are the enrollments of the first, unsealed versions
    raise SchemaError(
        f"the database {database.name} holds templates that lie open, and there are keys to seal them: run "
        "`face-api migrate` if you expect that, after an update for instance"
    )


def _begin_audit_trail(connection: Connection, vault: Vault) -> None:
    """Give a new database the key of its audit trail, and the trail its head, in the transaction of its schema.

    Never later: a trail that was removed must not begin again as if nothing had been.
    """
    key = secrets.token_bytes(AUDIT_KEY_BYTES)
    sealed = vault.seal(key, "secret", _AUDIT_KEY)
    connection.execute(insert(table_of(Secret)), {"name": _AUDIT_KEY, "key_id": key_id_of(sealed), "value": sealed})
    connection.execute(insert(table_of(AuditHead)), AuditTrail.first_head(key))


def _check_schema(database: Database) -> None:
    found = _revision(database)
    if found != HEAD:
        state = "has no schema yet" if found is None else f"has the schema {found}, and this version needs {HEAD}"
        raise SchemaError(f"the database {database.name} {state}: run `face-api migrate`")


def _check_key(database: Database, keys: Keys) -> None:
    """Raise KeysError where the keys are none of this database's: those of somebody else must seal nothing here."""
    with database.reading() as session:
        _open_secret(session.connection(), Vault(keys), _AUDIT_KEY)


def _open_secret(connection: Connection, vault: Vault, name: str) -> bytes:
    """Return a random key of the database's own. Raises SchemaError where it is gone, and KeysError."""
    secret = table_of(Secret)
    found = connection.execute(select(secret).where(secret.c.name == name)).one_or_none()
    if found is None:
        raise SchemaError(f"the key of {_SECRETS[name]} is gone from the database: somebody removed it")
    try:
        return vault.open(found.value, "secret", name)
    except StoreDamagedError as error:
        raise KeysError(
            f"the sealing key {found.key_id} is not the one of that id with which the database was sealed: {KEY_REMEDY}"
        ) from error
    except KeyMissingError:
        raise
    except KeysError as error:
        raise KeysError(f"{error}; the database is sealed with the key {found.key_id}: {KEY_REMEDY}") from error


def _check_keys(session: Session, vault: Vault) -> Mapping[str, bytes]:
    """Make sure that there is a key, and the right one, for every reference and the database's own keys; return these.

    By their names. Raises SchemaError where one is gone, and KeysError.
    """
    own_keys = {name: _open_secret(session.connection(), vault, name) for name in _SECRETS}
    for key_id in keys_of_references(session):
        samples = references_sealed_with(session, key_id)
        if any(map(vault.opens, samples.values())):
            continue
        if len(samples) == SAMPLES:
            raise KeysError(f"the sealing key {key_id} is not the one of that id that sealed references: {KEY_REMEDY}")
        # So few may be damaged as well, and the others are not to wait for them.
        for reference_id in samples:
            logger.error("reference %d does not open with the key %s", reference_id, key_id)
    return own_keys


def _check_decisions(decisions: DecisionStore) -> None:
    """Make sure that there is a key for each applied tolerance. Raises KeysError."""
    try:
        for encoder_id in decisions.encoders():
            decisions.find(encoder_id)
    except StoreDamagedError as error:
        logger.error("the applied tolerance: %s: photos are not analysed until another one is applied", error)  # noqa: TRY400 - no bug
