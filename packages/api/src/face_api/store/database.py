"""One door to both databases: sessions that read a snapshot or write durably, and the translation of their errors."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from sqlite3 import SQLITE_BUSY, SQLITE_ERROR, OperationalError
from sqlite3 import Connection as SQLiteConnection
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    PendingRollbackError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from face_api.store.errors import SchemaError, StatementRefusedError, StoreError, StoreUnavailableError

DATABASE_NAME = "face.sqlite3"
BUSY_TIMEOUT_S = 10.0

POOL_SIZE = 8
POOL_OVERFLOW = 8
POOL_TIMEOUT_S = 5.0
SQLITE_OVERFLOW = 56
"""With the pool's more than the service has threads: here a reader waits for nobody, so for no connection either."""

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_S + 2.0
IDLE_TIMEOUT_S = 30.0
WRITERS_TIMEOUT_S = 2 * IDLE_TIMEOUT_S
POLL_S = 0.2
LOG_BYTES = 64 * 1024 * 1024
"""What SQLite's write-ahead log is cut to when it is begun anew, should readers have let it grow."""

SCRUBBED_BYTES = 256 * 1024 * 1024
"""A SQLite file of 230 MB was written anew in 1.1 seconds (two cores, an SSD)."""

SCRUB_REST = 20
"""So many times as long as it took to write the file anew it is not done again: everybody's writes wait meanwhile, and
a company's key may erase twenty users a second."""

SCRUB_REST_MAX_S = 60.0
"""Of that time some may have been spent on waiting for another process that wrote."""

SCRUB_WAIT_S = 0.5
"""An erasure waits for so much of that rest, in a thread that others may need; a longer one it leaves to `catch_up`."""

_T = TypeVar("_T")

_WRITE = "face_api_write"

logger = logging.getLogger(__name__)


def sqlite_url(data_dir: Path) -> URL:
    """Return the embedded default's URL."""
    return URL.create("sqlite", database=str(data_dir / DATABASE_NAME))


def parse_url(value: str) -> URL:
    """Return the URL of a SQLite file or a PostgreSQL database, with the driver that is used here.

    Raises:
        ValueError: it is of another kind; the message does not repeat it, since it may hold a password.
    """
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):  # the latter names what stands where the port should
        raise ValueError("is no database URL, such as postgresql://user:password@host/name") from None
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"} and url.database:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not url.query:
        return url
    raise ValueError("is neither postgresql://user:password@host/name nor sqlite:///path")


class Database:
    """A SQLite file, made with owner-only rights where it is missing, or a PostgreSQL database.

    Args:
        patient: for maintenance: statements may take as long as they need.

    Raises:
        StoreUnavailableError: the file or its folder cannot be made. Whether the database answers shows on first use.
    """

    def __init__(self, url: URL, *, patient: bool = False) -> None:
        self.is_sqlite = url.drivername == "sqlite"
        self.name = url.set(query={}).render_as_string(hide_password=True)  # a query may hold a password, too
        if self.is_sqlite:
            self._path = Path(url.database or "")
            self._engine = _open_sqlite(self._path)
            self._snapshots: Engine = self._engine
        else:
            self._engine = _open_postgresql(url, None if patient else STATEMENT_TIMEOUT_S)
            self._snapshots = self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._turn = threading.Lock()
        self._scrubbing = threading.Lock()
        self._scrubs = 0
        self._is_scrubbed = False
        self._rested_at = 0.0
        self._is_scrub_due = False
        self._writes = self._engine.execution_options(**{_WRITE: True})

    def close(self) -> None:
        self._engine.dispose()

    def ping(self) -> None:
        """Read something small. Raises StoreUnavailableError."""
        try:
            with self.reading() as session:
                session.execute(_PING).all()
        except StatementRefusedError as error:  # somebody removed the file, for instance
            raise StoreUnavailableError(str(error)) from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one consistent snapshot; it never waits for a writer. Raises StoreUnavailableError."""
        with _translated(), Session(self._snapshots) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are on disk when the block ends well, and undone otherwise.

        On SQLite it holds the lock on writing from its start. Raises StoreUnavailableError.
        """
        with (
            self._turn_to_write(),
            _translated(),
            Session(self._writes, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def taking_turns(self) -> Iterator[None]:
        """Around each transaction of a long row of them: afterwards, let others write for as long as it took.

        Who waits for SQLite's lock sleeps, and would hardly ever wake while it is free.
        """
        start = time.perf_counter()
        yield
        if self.is_sqlite:
            time.sleep(time.perf_counter() - start)

    def wait_for_writers(self) -> None:
        """Return when every transaction that has changed or held a row until now has ended, or should have long ago."""
        if self.is_sqlite:
            return  # there they have ended when a writing session begins
        end: int | None = None
        for _ in range(round(WRITERS_TIMEOUT_S / POLL_S)):
            with self.reading() as session:
                first_open, next_new = session.execute(_OPEN_TRANSACTIONS).one()
            end = next_new if end is None else end
            if first_open >= end:
                return
            time.sleep(POLL_S)
        logger.warning("a transaction has been open in the database for more than %.0f s", WRITERS_TIMEOUT_S)

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        """Let threads write to SQLite one after the other: it waits by sleeping, and some of them would starve."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise StoreUnavailableError("the database is busy: too many want to write")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A transaction that changes the schema while nobody else does. Raises StoreUnavailableError."""
        with _translated(), self._writes.connect() as connection:
            if not self.is_sqlite:
                with connection.begin():
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
                    yield connection
                return
            # SQLite changes a table by making it anew, and would take its removal for that of what refers to it.
            raw = connection.connection.driver_connection
            if raw is None:
                raise StoreUnavailableError("the connection was lost")
            raw.execute("PRAGMA foreign_keys = OFF")
            try:
                with connection.begin():
                    yield connection
                    if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                        raise StoreUnavailableError("rows of the database refer to rows that are not there")
            finally:
                if not connection.invalidated:  # as it is by Ctrl-C in the midst of a statement
                    raw.execute("PRAGMA foreign_keys = ON")

    def check_durability(self) -> None:
        """Warn where a PostgreSQL server is told to acknowledge what a power failure may take back."""
        if self.is_sqlite:
            return
        with self.reading() as session:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                if session.execute(text(f"SHOW {setting}")).scalar_one() == "off":
                    logger.warning("%s has %s off: a power failure may lose enrollments", self.name, setting)

    def scrub(self) -> bool:
        """Overwrite what was removed, as far as that does not stop everybody for long; tell whether nothing is left.

        SQLite zeroes what is removed (secure_delete), but neither copies in its write-ahead log, which is emptied here
        unless readers keep it from that for longer than the busy time-out, nor, rarely, those in the gaps of pages
        whose rows it had moved: a file of up to SCRUBBED_BYTES is therefore written anew, once for all who wait for it,
        and again only after a rest.
        PostgreSQL: see `compact`.
        """
        if not self.is_sqlite:
            return False
        begun_before = self._scrubs
        with self._scrubbing:
            # One that began after this was called has overwritten it, too: several who wait need but one.
            if self._scrubs == begun_before:
                rest_s = self._rested_at - time.monotonic()
                if rest_s > SCRUB_WAIT_S:
                    self._is_scrub_due = True
                    return False
                time.sleep(max(0.0, rest_s))
                self._scrubs += 1
                self._is_scrubbed = False
                try:
                    self._is_scrubbed = self._scrub()
                except (StoreUnavailableError, StatementRefusedError, OSError) as error:
                    logger.warning("what was removed may have left traces in the database's files: %s", error)
                self._is_scrub_due = not self._is_scrubbed
            return self._is_scrubbed

    def catch_up(self) -> None:
        """Scrub for the erasures of this process that could not, whether or not it has to rest."""
        if self._is_scrub_due:
            self._rested_at = 0.0
            self.scrub()

    def _scrub(self) -> bool:
        if self._path.stat().st_size > SCRUBBED_BYTES:
            self._empty_log()
            return False
        return self.compact()

    def compact(self) -> bool:
        """Write all tables anew, without what was removed; everybody else waits meanwhile.

        Returns:
            Whether nothing is left. False: a reader kept SQLite's log from being emptied; or it is PostgreSQL, whose
            log is its administrator's.
        """
        with _translated(), self._turn_to_write(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            if self.is_sqlite:
                # The copy that it makes would otherwise be in memory, all of it.
                connection.exec_driver_sql("PRAGMA temp_store = FILE")
                start = time.monotonic()
                try:
                    connection.exec_driver_sql("VACUUM")
                finally:
                    connection.exec_driver_sql("PRAGMA temp_store = MEMORY")
                end = time.monotonic()
                self._rested_at = end + min(SCRUB_REST * (end - start), SCRUB_REST_MAX_S)
            else:
                present = inspect(connection).get_table_names()
                for table in _ERASED_FROM:
                    if table not in present:
                        continue  # in an older schema
                    connection.exec_driver_sql(f"VACUUM FULL {table}")
        return self.is_sqlite and self._empty_log()

    def _empty_log(self) -> bool:
        with _translated(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            # SQLite would keep everybody from writing while it waits for readers, and not wait for another checkpoint.
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {POLL_S * 1000:.0f}")
            try:
                for _ in range(max(1, round(BUSY_TIMEOUT_S / POLL_S / 2))):
                    busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                    if not busy:
                        return True
                    time.sleep(POLL_S)
                return False
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")


_PING = text("SELECT version_num FROM alembic_version")
_ERASED_FROM = ("idempotent_requests", "face_references", "users", "companies", "analysis_events", "api_keys")

_OPEN_TRANSACTIONS = text(
    "SELECT CAST(CAST(pg_snapshot_xmin(now) AS text) AS bigint), CAST(CAST(pg_snapshot_xmax(now) AS text) AS bigint) "
    "FROM pg_current_snapshot() AS now"
)
_MIGRATION_LOCK = 0x66616365  # any number, as long as all of us take the same: "face"


def _open_sqlite(path: Path) -> Engine:
    with _translated(f"the database {path} cannot be used: "):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=SQLITE_OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        hide_parameters=True,  # a traceback in the log must not tell the values of a row
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: SQLiteConnection, _record: object) -> None:
    # The driver must not begin transactions by itself: _begin_sqlite chooses the kind.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
        f"journal_size_limit = {LOG_BYTES}",
        "temp_store = MEMORY",  # sorting, for instance, must not leave copies elsewhere
    ):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: SQLiteConnection) -> None:
    """Have a log written ahead, which stays so. SQLite does not wait for others who do the same with a new file."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except OperationalError as error:
            # The low byte: what it is busy with is told in the others.
            if error.sqlite_errorcode & 0xFF != SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    # A deferred transaction that reads and then writes fails when another wrote in between, whatever the time-out.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITE, False) else "BEGIN")


class _BoundedConnection(psycopg.Connection[Any]):
    """Gives up a server that has taken a statement and says nothing any more: neither it nor TCP would end the wait.

    The server's own statement_timeout comes first where the server is alive.
    """

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = ANSWER_TIMEOUT_S) -> _T:
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()  # what it is doing is unknown: nobody may use it again
            raise psycopg.OperationalError("the database does not answer") from error


def _connect_bounded(_dialect: object, _record: object, arguments: Any, parameters: Any) -> psycopg.Connection[Any]:
    return _BoundedConnection.connect(*arguments, **parameters)


def _open_postgresql(url: URL, statement_timeout_s: float | None) -> Engine:
    options = [f"-c {name}={value}" for name, value in _server_settings(statement_timeout_s)]
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted is found again by the next request
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "face-api",
            "client_encoding": "utf8",  # whatever PGCLIENTENCODING says, or the role's settings
            "options": " ".join(options),
            # A server that vanished without a word must not hold a request for the system's quarter of an hour.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": int(STATEMENT_TIMEOUT_S * 1000),
        },
    )
    if statement_timeout_s is not None:
        event.listen(engine, "do_connect", _connect_bounded)
    event.listen(engine, "connect", _refuse_encoding)
    return engine


def _refuse_encoding(connection: psycopg.Connection[Any], _record: object) -> None:
    """Raise SchemaError where the database counts other characters than we do, or has no place for some."""
    name, encoding = connection.info.dbname, connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SchemaError(
            f"the database {name} has the encoding {encoding}, not UTF8: make another one, "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _server_settings(statement_timeout_s: float | None) -> Iterator[tuple[str, str]]:
    yield "timezone", "UTC"
    # A client that was suspended must not keep everybody else from the rows it holds.
    yield "idle_in_transaction_session_timeout", f"{IDLE_TIMEOUT_S * 1000:.0f}"
    if statement_timeout_s is not None:
        yield "statement_timeout", f"{statement_timeout_s * 1000:.0f}"


@contextmanager
def _translated(prefix: str = "") -> Iterator[None]:
    """Translate the databases' errors at this one edge."""
    try:
        yield
    except StoreError:
        raise
    except (SQLAlchemyError, OSError) as error:
        if not isinstance(error, OSError) and _is_refusal(error):
            # Its traceback goes on, but the error itself would tell the values of a row to the log.
            raise StatementRefusedError(prefix + describe(error)).with_traceback(error.__traceback__) from None
        raise StoreUnavailableError(prefix + describe(error)) from error


def _is_refusal(error: SQLAlchemyError) -> bool:
    """Tell whether it is the statement that was wrong, and not the database."""
    if not isinstance(error, DBAPIError):
        return not isinstance(error, PoolTimeoutError | PendingRollbackError)
    if error.connection_invalidated:
        return False
    if isinstance(error, ProgrammingError | DataError | IntegrityError | NotSupportedError):
        return True
    # The code for a table that is not there, among other things. The driver has the same class for a full disk.
    return getattr(error.orig, "sqlite_errorcode", None) == SQLITE_ERROR


def describe(error: Exception) -> str:
    """Return an error's message without what a database adds to it: statements, parameters, the values of a row."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        with suppress(AttributeError):
            if message := error.orig.diag.message_primary:  # type: ignore[attr-defined] # psycopg's
                return str(message)
        return str(error.orig).partition("\n")[0]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition("\n")[0]
