"""Backup: every row of one moment, sealed, in one file; and restore, from either database into either.

In the sealed stream are msgpack values: the head, a map, then arrays of a table's name, its columns and up to
BATCH_ROWS of its rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, BinaryIO, Self

import msgpack
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, MetaData, Table, func, insert, select
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from face_api.store.audit import AuditTrail, Caller, Checkpoint, Subject
from face_api.store.database import Database
from face_api.store.decisions import decisions_sealed_with, keys_of_decisions
from face_api.store.errors import KEY_REMEDY, BackupError, KeyMissingError, KeysError, SchemaError, StoreDamagedError
from face_api.store.idempotency import answers_sealed_with, keys_of_answers
from face_api.store.keys import Keys
from face_api.store.migrations import REVISIONS, revision_of
from face_api.store.people import keys_of_references, references_sealed_with
from face_api.store.sealed_stream import open_stream, seal_stream
from face_api.store.sealing import Sealed, Vault
from face_api.store.sequences import go_on_behind, last_id
from face_api.store.tables import AuditHead, Secret, table_of, utc_now

BATCH_ROWS = 200
"""At 47 kB for a chip 10 MB; a few times that is what a backup takes in memory."""

Batch = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""A table, its columns, and some of its rows."""

_Progress = Callable[[int], object]

_BATCH: TypeAdapter[Batch] = TypeAdapter(Batch)
_OTHER_VERSION = "it was made by another version of the service"

_OURS = SQLModel.metadata.tables.keys()
_MADE_WITH_THE_SCHEMA = {table_of(Secret).name, table_of(AuditHead).name}


@dataclass(frozen=True, slots=True)
class BackupHead:
    """What a backup says of itself."""

    made_at: datetime
    revision: str
    """Of the schema."""
    audit_end: str
    """sequence:hash of the last entry of its audit trail."""
    proofs: Mapping[str, Sealed | None]
    """By the id of each key that is needed, since it was there and sealed something in its rows: one of these values,
    which it opened. None: those were damaged."""
    rows: Mapping[str, int]
    """How many each table has."""
    last_ids: Mapping[str, int]
    """The largest id that each table has ever given to a row: one that was removed must not stand for another."""

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Raises BackupError where another version made it that this one does not know."""
        try:
            cls(**value)  # takes no other names, which the next line overlooks
            head = TypeAdapter(cls).validate_python(value)
            Checkpoint.parse(head.audit_end)
        except (TypeError, ValueError) as error:
            raise BackupError(_OTHER_VERSION) from error
        if head.revision not in REVISIONS:
            raise BackupError(f"it was made by a newer version of the service: its schema is {head.revision}")
        return head


class Archiver:
    """Makes backups while others read and write."""

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    @contextmanager
    def snapshot(self, caller: Caller) -> Iterator["Snapshot"]:
        """Hold what is there, the audit trail's entry of this backup included, until the block ends.

        On SQLite the write-ahead log grows by what others write meanwhile.

        Raises:
            AuditTrailBrokenError: the audit trail's head was changed.
            StoreError: the database cannot be read or written.
        """
        key_id, _ = self._vault.approve()
        with self._database.writing() as session:
            self._audit.append(session, caller, "backup", Subject(), {"key": key_id})
        with self._database.reading() as session:
            be_patient(session.connection())
            yield Snapshot.of(session, self._vault.keys)

    def note_restore(self, caller: Caller, head: BackupHead) -> Checkpoint:
        """Append to the restored audit trail from what it was restored; return its end. Raises StoreError."""
        details = {"made_at": head.made_at.isoformat(timespec="seconds"), "audit_end": head.audit_end}
        with self._database.writing() as session:
            return self._audit.append(session, caller, "restore", Subject(), details)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of one moment."""

    head: BackupHead
    _connection: Connection
    _tables: Sequence[Table]
    _keys: Keys

    @classmethod
    def of(cls, session: Session, keys: Keys) -> Self:
        """Return the snapshot that a session reads."""
        connection = session.connection()
        tables = _tables_of(connection)
        counts = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }
        end = connection.execute(select(col(AuditHead.sequence), col(AuditHead.hash))).one()
        head = BackupHead(
            made_at=utc_now(),
            revision=revision_of(connection) or "",
            audit_end=str(Checkpoint(*end)),
            proofs=_proofs(session, Vault(keys)),
            rows=counts,
            last_ids={table.name: last_id(connection, table) for table in tables if "id" in table.c},
        )
        return cls(head, connection, tables, keys)

    def write(self, file: BinaryIO, done: _Progress) -> str:
        """Write the backup, and return the id of the key that opens it.

        `done` is told of each batch how many rows it had.

        Raises:
            StoreError: the database cannot be read, or a value is not what was written.
            OSError: the file cannot be written.
        """
        return seal_stream(self._packed(done), file, self._keys)

    def _packed(self, done: _Progress) -> Iterator[bytes]:
        packer = msgpack.Packer(datetime=True)
        yield packer.pack(asdict(self.head))
        for table in self._tables:
            columns = table.columns.keys()
            result = self._connection.execute(select(table).execution_options(yield_per=BATCH_ROWS))
            try:
                for rows in result.partitions():
                    yield packer.pack((table.name, columns, [[_in_utc(value) for value in row] for row in rows]))
                    done(len(rows))
            except (TypeError, ValueError) as error:  # SQLite keeps a value of any type in any column
                raise StoreDamagedError(f"a row of {table.name} holds what the service never wrote there") from error


def _proofs(session: Session, vault: Vault) -> dict[str, Sealed | None]:
    secrets = session.scalars(select(Secret)).all()
    of_secrets = [secret.key_id for secret in secrets]
    key_ids = chain(of_secrets, keys_of_references(session), keys_of_answers(session), keys_of_decisions(session))
    proofs: dict[str, Sealed | None] = {}
    for key_id in sorted(set(key_ids)):
        samples = chain(
            [Sealed(secret.value, ("secret", secret.name)) for secret in secrets if secret.key_id == key_id],
            references_sealed_with(session, key_id).values(),
            decisions_sealed_with(session, key_id),
            answers_sealed_with(session, key_id),
        )
        with suppress(KeyMissingError):  # of answers: the service goes without them, and so does a restore
            proofs[key_id] = next(filter(vault.opens, samples), None)
    return proofs


def read_backup(file: BinaryIO, keys: Keys) -> tuple[BackupHead, Iterator[Batch]]:
    """Return what a backup says of itself, and its rows, each batch once it is known to be genuine.

    Raises (the iterator, too):
        BackupError: it is none, was changed or cut off, or another version made it.
        KeysError: a key that opened it, or what is sealed in its rows, is not there, or is another one of that id.
        OSError: it cannot be read.
    """
    values = _unpacked(file, keys)
    head = BackupHead.parse(next(values, None))
    vault = Vault(keys)
    for key_id, proof in head.proofs.items():
        keys.key(key_id)
        if proof is not None and not vault.opens(proof):
            raise KeysError(
                f"the sealing key {key_id} is not the one of that id that sealed what the backup holds: {KEY_REMEDY}"
            )
    return head, _batches(values, head.rows)


def _unpacked(file: BinaryIO, keys: Keys) -> Iterator[Any]:
    unpacker = msgpack.Unpacker(timestamp=3, max_buffer_size=0)  # it is ours: the key was needed to write it
    for chunk in open_stream(file, keys):
        unpacker.feed(chunk)
        try:
            yield from unpacker
        except ValueError as error:
            raise BackupError(_OTHER_VERSION) from error


def _batches(values: Iterator[Any], told: Mapping[str, int]) -> Iterator[Batch]:
    left = dict(told)
    for value in values:
        try:
            name, columns, rows = _BATCH.validate_python(value)
            left[name] -= len(rows)
        except (ValidationError, KeyError) as error:
            raise BackupError(_OTHER_VERSION) from error
        yield name, columns, rows
    if any(left.values()):
        raise BackupError("it has more rows than it tells of, or fewer: it was not written as it should")


def insert_backup(connection: Connection, head: BackupHead, batches: Iterator[Batch], done: _Progress) -> None:
    """Insert a backup's rows into a database of its schema, in place of those which the schema was made with.

    `done` is told of each batch how many rows it had.

    Raises:
        SchemaError: the database holds rows already.
        BackupError, OSError: see read_backup.
    """
    tables = {table.name: table for table in _tables_of(connection)}
    if not tables.keys() >= head.rows.keys() | head.last_ids.keys():
        raise BackupError(_OTHER_VERSION)
    if connection.dialect.name != "sqlite":  # where nobody else writes meanwhile anyway
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(tables)}")
    for table in tables.values():
        if table.name in _MADE_WITH_THE_SCHEMA:
            connection.execute(table.delete())
        elif connection.execute(select(table).limit(1)).first():
            raise SchemaError(f"the database is not empty: {table.name} has rows. Restore into a new one")
    for name, columns, rows in batches:
        if set(columns) != set(tables[name].columns.keys()):  # the statement would leave out those it does not know
            raise BackupError(_OTHER_VERSION)
        try:
            connection.execute(insert(tables[name]), [dict(zip(columns, row, strict=True)) for row in rows])
        except (TypeError, ValueError, OverflowError) as error:  # by the drivers, where a value is of another type
            raise BackupError(_OTHER_VERSION) from error
        done(len(rows))
    for name, last in head.last_ids.items():
        go_on_behind(connection, name, last)


def _tables_of(connection: Connection) -> Sequence[Table]:
    """Return our tables as the database has them, those before that others refer to."""
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: name in _OURS)
    return metadata.sorted_tables


def be_patient(connection: Connection) -> None:
    """Have PostgreSQL wait, in this transaction, for a file that takes its time."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
