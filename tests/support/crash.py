"""A server that is killed again and again while it writes; afterwards everything that it acknowledged must be there."""

import random
import re
import time
from contextlib import closing
from pathlib import Path

import psycopg

from face_api.store import KeyFile, Store, open_store, parse_url, sqlite_url
from support.load import LIGHT_SETTINGS, Ledger, callers
from support.server import LIGHT, Server, launch

ROUNDS = 20
CALLERS = 6
LOAD_S = 1.2
START_S = 2.0
EARLY_SHARE = 0.15
BACKENDS_TIMEOUT_S = 30.0

_UNEASY = re.compile(r'"level": "(WARNING|ERROR|CRITICAL)"|Traceback')


def survive_crashes(data_dir: Path, seed: int, rounds: int, database_url: str | None = None) -> Ledger:
    """Kill a server `rounds` times, at random moments under load or while it starts; check the store each time."""
    settings = LIGHT_SETTINGS | ({} if database_url is None else {"database_url": database_url})
    choice = random.Random(seed)  # noqa: S311 - repeatable
    ledger = Ledger()
    for number in range(rounds):
        if number == 0 or choice.random() < EARLY_SHARE:
            _kill_early(data_dir, settings, choice, at_first=number == 0)
        else:
            _kill_under_load(data_dir, settings, choice, ledger)
        if database_url is not None:
            wait_for_backends(database_url)
        if number:
            with closing(open_directly(data_dir, database_url)) as store:
                ledger.verify(store)
    server = Server(data_dir, LIGHT, **settings)
    try:
        _check_log(server.log)
    finally:
        server.stop()
    with closing(open_directly(data_dir, database_url)) as store:
        ledger.verify(store, all_users=True)
    return ledger


def open_directly(data_dir: Path, database_url: str | None = None) -> Store:
    """Open the store in this process."""
    url = sqlite_url(data_dir) if database_url is None else parse_url(database_url)
    return open_store(url, KeyFile(data_dir / "face.keys"), patient=True)


def _kill_early(data_dir: Path, settings: dict[str, object], choice: random.Random, *, at_first: bool) -> None:
    """Kill it while it starts; the first time, which makes key and schema, around the moment when it does so."""
    process = launch(data_dir, LIGHT, **settings)
    assert process.stderr
    try:
        if at_first:
            process.stderr.readline()
            time.sleep(choice.uniform(0, 0.04))
        else:
            time.sleep(choice.uniform(0, START_S))
    finally:
        process.kill()
        process.wait()
        rest = process.stderr.read()
        process.stderr.close()
    assert "Traceback" not in rest and "ERROR" not in rest, rest


def _kill_under_load(data_dir: Path, settings: dict[str, object], choice: random.Random, ledger: Ledger) -> None:
    server = Server(data_dir, LIGHT, **settings)
    try:
        with callers(ledger, [server], CALLERS, choice.getrandbits(32)):
            time.sleep(choice.uniform(0, LOAD_S))
            server.kill()
    finally:
        server.kill()
        server.client.close()
    _check_log(server.log)


def _check_log(log: list[str]) -> None:
    """Nothing that an operator would have to look into, except that a key was made."""
    uneasy = [line for line in log if _UNEASY.search(line) and "made a sealing key" not in line]
    assert not uneasy, "".join(uneasy)


def wait_for_backends(database_url: str) -> None:
    """Wait until PostgreSQL has noticed that a client is gone: until then, what it was told last may take effect."""
    deadline = time.monotonic() + BACKENDS_TIMEOUT_S
    with psycopg.connect(database_url, autocommit=True) as connection:
        while connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1"
        ).fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.01)
