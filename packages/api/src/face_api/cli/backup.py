"""face-api backup and restore."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

import click
from tqdm import tqdm

from face_api.cli.common import (
    EXIT_INCOMPLETE,
    bar_of,
    data_dir_option,
    fail,
    hush_drivers,
    moment,
    opened_store,
    operator,
    plain_errors,
    read_settings,
)
from face_api.store import (
    AuditTrailBrokenError,
    BackupError,
    BackupHead,
    Batch,
    Checkpoint,
    Database,
    Keys,
    Vault,
    location,
    open_store,
    read_backup,
    restore_database,
)
from face_engine.files import creating_file

_TOLD = {"companies": "companies", "users": "users", "face_references": "references", "audit_events": "audit entries"}


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@data_dir_option
def backup_command(file: Path, data_dir: Path | None) -> None:
    """Write all that is stored to FILE, sealed, while the service serves.

    It holds what was acknowledged before it began, of one moment. It opens with the sealing keys alone, which are not
    in it: keep a copy of them elsewhere. FILE must not exist, and is there once it is whole.
    """
    if os.path.lexists(file):
        fail(f"{file} exists: name a new file")
    with (
        opened_store(data_dir) as store,
        _file_errors(file),
        creating_file(file) as stream,  # first: where it cannot be made the audit trail tells of no backup
        store.archiver.snapshot(operator()) as snapshot,
        _bar(snapshot.head, "backing up") as bar,
        _file_errors(file),  # before the store takes the file's errors for the database's
    ):
        key_id = snapshot.write(stream, bar.update)
        size = stream.tell()
    click.echo(f"{file}: {_summary(snapshot.head)}; {size:,} bytes, sealed with the key {key_id}")
    click.echo("Keep the sealing keys elsewhere, and this, the end of its audit trail:", err=True)
    click.echo(snapshot.head.audit_end)


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only read all of it: whether it is whole, and opens with the keys.")
@data_dir_option
def restore_command(file: Path, check: bool, data_dir: Path | None) -> None:
    """Put a backup back, all of it or nothing, into a new database: SQLite or PostgreSQL, whichever it was made from.

    Put the sealing keys in their place first, and start the service afterwards. Exit status 1: the audit trail in the
    backup is broken, and was when it was made.
    """
    settings = read_settings(data_dir=data_dir)
    hush_drivers()
    with plain_errors(), _file_errors(file), file.open("rb") as stream:
        url, keys = location(settings)
        if check:
            _check(file, stream, keys)
            return
        head, batches = read_backup(stream, keys)
        with closing(Database(url, patient=True)) as database, _bar(head, "restoring") as bar:
            restore_database(database, Vault(keys), head, _with_file_errors(file, batches), bar.update)
        with closing(open_store(url, keys, patient=True)) as store:
            try:
                store.audit.verify(Checkpoint.parse(head.audit_end))
                end = store.archiver.note_restore(operator(), head)
            except AuditTrailBrokenError as error:
                fail(f"all is restored, and {error}: it was so when the backup was made", EXIT_INCOMPLETE)
        click.echo(f"{store.database.name}: {_summary(head)}; the audit trail is whole")
    click.echo("Erase again whoever was erased since then, and revoke again the API keys that were revoked.", err=True)
    click.echo(str(end))


def _check(file: Path, stream: BinaryIO, keys: Keys) -> None:
    head, batches = read_backup(stream, keys)
    with _bar(head, "reading") as bar:
        for _, _, rows in batches:
            bar.update(len(rows))
    click.echo(f"{file}: whole, {_summary(head)}")


def _bar(head: BackupHead, what: str) -> "tqdm[NoReturn]":
    return bar_of(sum(head.rows.values()), what, "rows")


def _summary(head: BackupHead) -> str:
    counts = ", ".join(f"{head.rows.get(table, 0)} {what}" for table, what in _TOLD.items())
    return f"{counts}, as they were at {moment(head.made_at)}"


def _with_file_errors(file: Path, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Give what is read on, before the store takes the file's errors for the database's."""
    with _file_errors(file):
        yield from batches


@contextmanager
def _file_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        fail(f"{file}: {error}")
    except OSError as error:
        fail(f"{file}: {error.strerror or error}")
