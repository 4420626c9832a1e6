"""`make bench`, its second part: what the store costs, with few users and with a million.

On SQLite in a temporary folder; `--database-url` takes a PostgreSQL database instead, which must be empty.
"""

import hashlib
import logging
import os
import resource
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import click
import numpy as np
from sqlalchemy import URL
from tqdm import tqdm

from face_api.store import (
    Caller,
    Database,
    Enrollment,
    EventFilter,
    KeyFile,
    Outcome,
    Profile,
    Store,
    Vault,
    open_store,
    parse_url,
    read_backup,
    restore_database,
    sqlite_url,
    utc_now,
)
from face_engine.matching import Comparison
from face_engine.types import Quality, Template
from fill_store import COMPANY, EVENT_DAYS, fill, fill_events, key_of

ENCODER_ID = "bench/1"
CALLER = Caller("bench", "bench")
CHIP_BYTES = 47_000
"""A chip as a PNG; its content does not matter here."""

FEW = 1_000
ROUNDS = 400
STATISTICS_ROUNDS = 5
HOUR_S, DAY_S = 3600, 86400
QUALITY = Quality(size=150.0, sharpness=0.2, brightness=0.5, turn=0.1, inside=1.0, reasons=())
TIMINGS_MS = {"decode": 10.0, "detect": 50.0, "align": 1.0, "encode": 6.0, "total": 70.0}


@click.command()
@click.option("--users", type=click.IntRange(FEW), default=1_000_000, show_default=True, help="How many are many.")
@click.option(
    "--events", type=click.IntRange(FEW), default=1_000_000, show_default=True, help=f"Over {EVENT_DAYS} days."
)
@click.option("--database-url", help="An empty PostgreSQL database; its tables stay.")
def main(users: int, events: int, database_url: str | None) -> None:
    """Measure the store's share of an enrollment and an analysis, and how it grows with the number of users."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        url = parse_url(database_url) if database_url else sqlite_url(folder)
        print(f"store: {url.drivername}, {FEW} and {users} users with a reference each; p50 and p95 of {ROUNDS}\n")
        few, many = _measure(url, folder, FEW), _measure(url, folder, users)
        if not database_url:
            print(f"{'a bare row with a chip, synced':34}{_row(_bare_inserts(folder))}\n")
        print(f"{'':34}{f'{FEW} users':>20}{f'{users} users':>22}{'p50 grows by':>16}")
        for what in few:
            ratio = statistics.median(many[what]) / statistics.median(few[what])
            print(f"{what:34}{_row(few[what])}{_row(many[what]):>22}{ratio:15.2f}x")
        if not database_url:
            size = sum(path.stat().st_size for path in folder.iterdir())
            print(f"\n{users} users take {size / 1e6:.0f} MB without chips; a chip as a PNG is about 47 kB")
        print(f"\n{events} events over {EVENT_DAYS} days")
        for what, times_ms in _measure_events(url, folder, events).items():
            print(f"{what:34}{_row(times_ms)}")
        print()
        _measure_backup(url, folder)


def _measure(url: URL, folder: Path, users: int) -> dict[str, list[float]]:
    with closing(open_store(url, KeyFile(folder / "face.keys"), patient=True, migrate=True)) as store:
        with tqdm(total=users, unit=" users", disable=None, leave=False) as bar:
            for count in fill(store, users, ENCODER_ID):
                bar.update(count)
        numbers = np.random.default_rng(users).integers(0, users, ROUNDS).tolist()
        for number in range(20):  # statements are compiled, pages are read
            _enroll(store, f"warm{number}{users}", number)
            _analyse(store, number)
        return {
            "lookup of a user's templates": [_timed(_look_up, store, number) for number in numbers],
            "analysis, lookup and record": [_timed(_analyse, store, number) for number in numbers],
            "enrollment of a new user, a chip": [
                _timed(_enroll, store, f"new{users}x{place}", number) for place, number in enumerate(numbers)
            ],
            "a page of 100 users": [_timed(_page, store, number) for number in numbers],
        }


def _measure_backup(url: URL, folder: Path) -> None:
    """Print what a backup and its restore, into SQLite, take; the service would serve meanwhile."""
    keys = KeyFile(folder / "face.keys")
    file = folder / "backup"
    with closing(open_store(url, keys, patient=True)) as store:
        start = time.perf_counter()
        with file.open("wb") as stream, store.archiver.snapshot(CALLER) as snapshot:
            snapshot.write(stream, lambda _: None)
        written_s = time.perf_counter() - start
    with file.open("rb") as stream, closing(Database(sqlite_url(folder / "restored"), patient=True)) as database:
        start = time.perf_counter()
        restore_database(database, Vault(keys), *read_backup(stream, keys), lambda _: None)
        restored_s = time.perf_counter() - start
    rows, size = sum(snapshot.head.rows.values()), file.stat().st_size
    start = time.perf_counter()
    shutil.copyfile(file, folder / "copy")
    with (folder / "copy").open("rb") as stream:
        os.fsync(stream.fileno())
    copied_s = time.perf_counter() - start
    print(f"a backup of {rows} rows, {size / 1e6:.0f} MB: {written_s:.0f} s, and restored {restored_s:.0f} s")
    print(f"that is {written_s / copied_s:.1f} and {restored_s / copied_s:.1f} times as long as to copy the file")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"the most memory that this program ever had: {memory / 1e3:.0f} MB")


def _measure_events(url: URL, folder: Path, events: int) -> dict[str, list[float]]:
    with closing(open_store(url, KeyFile(folder / "face.keys"), patient=True)) as store:
        with tqdm(total=events, unit=" events", disable=None, leave=False) as bar:
            for count in fill_events(store, events):
                bar.update(count)
        list_events = partial(store.events.page, CALLER)
        add_up = store.statistics.summary
        now = utc_now()
        pages = {
            "100 events, the newest": EventFilter(),
            "100 events, nearly the oldest": EventFilter(until=now - timedelta(days=EVENT_DAYS - 1)),
            "100 events of a company": EventFilter(COMPANY),
            "100 events of a user": EventFilter(COMPANY, key_of(0)),
            "events of a reason that has none": EventFilter(reason="nothing"),
        }
        summaries = {
            "statistics of a day, by the hour": (EventFilter(since=now - timedelta(days=1)), HOUR_S),
            "the same of a company": (EventFilter(COMPANY, since=now - timedelta(days=1)), HOUR_S),
            "statistics of all, by the day": (EventFilter(), DAY_S),
        }
        return {what: [_timed(list_events, wanted) for _ in range(ROUNDS // 20)] for what, wanted in pages.items()} | {
            what: [_timed(add_up, *asked) for _ in range(STATISTICS_ROUNDS)] for what, asked in summaries.items()
        }


def _look_up(store: Store, number: int) -> None:
    if not store.enrollments.references(COMPANY, key_of(number)):
        raise click.ClickException(f"{key_of(number)} is not there")


def _analyse(store: Store, number: int) -> None:
    _look_up(store, number)
    store.events.record(
        CALLER, COMPANY, key_of(number), Outcome("analyse", "compared", TIMINGS_MS, (Comparison(0.3, 0.6, 0),))
    )


def _enroll(store: Store, user: str, number: int) -> None:
    digest = hashlib.sha256(user.encode()).digest()
    enrollment = Enrollment(COMPANY, user, Profile(gender=number % 2, age=30), digest, "v1")
    template = Template(np.full(128, number, np.float32), ENCODER_ID)
    if not store.enrollments.note_repetition(CALLER, enrollment, ENCODER_ID):
        store.enrollments.add(CALLER, enrollment, template, os.urandom(CHIP_BYTES), QUALITY, 5, TIMINGS_MS)


def _page(store: Store, number: int) -> None:
    store.directory.users(CALLER, COMPANY, after=key_of(number), limit=100)


def _bare_inserts(folder: Path) -> list[float]:
    """Return the times in which one row of an enrollment's size is committed, and nothing else: the disk's share."""
    with closing(sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE bare (value BLOB)"):
            connection.execute(statement)
        return [
            _timed(connection.execute, "INSERT INTO bare VALUES (?)", (os.urandom(CHIP_BYTES),)) for _ in range(ROUNDS)
        ]


def _timed(call: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - start) * 1000


def _row(times_ms: list[float]) -> str:
    p95 = sorted(times_ms)[round(0.95 * (len(times_ms) - 1))]
    return f"{statistics.median(times_ms):8.2f} {p95:8.2f} ms"


if __name__ == "__main__":
    main()
