"""Opens the embedded SQLite database so that what is committed is on disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection

from sqlalchemy import URL, Connection, Engine, event
from sqlmodel import Session, SQLModel, create_engine

BUSY_TIMEOUT_S = 10.0
DATABASE_NAME = "face.sqlite3"

_WRITE = "write"


def open_database(data_dir: Path) -> Engine:
    """Open the database in `data_dir`, made with owner-only rights where it is missing.

    Raises:
        OSError: the folder or the file cannot be made.
        sqlalchemy.exc.SQLAlchemyError: the file is no database, or cannot be written.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / DATABASE_NAME
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    with engine.execution_options(**{_WRITE: True}).begin() as connection:
        SQLModel.metadata.create_all(connection)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session on one consistent snapshot; it never waits for a writer."""
    with Session(engine) as session:
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session that holds the write lock from its start; what it did is on disk when the block ends well."""
    with Session(engine.execution_options(**{_WRITE: True})) as session, session.begin():
        yield session


def _configure(connection: SQLiteConnection, _record: object) -> None:
    # The driver must not begin transactions by itself: _begin chooses the kind.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails when another wrote in between, whatever the time-out.
    immediate = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
