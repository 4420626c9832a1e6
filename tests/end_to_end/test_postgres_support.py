"""The server that other tests rely on: what was committed outlives its crash, and nothing of it outlives its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg

from support.postgres import Postgres

ABANDONED = """
import os, signal
from support.postgres import Postgres
postgres = Postgres()
postgres.start()
print(postgres.data_dir, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_committed_rows_outlive_a_crash() -> None:
    with Postgres() as postgres:
        database = postgres.new_database()
        with psycopg.connect(database) as connection:
            connection.execute("CREATE TABLE numbers (number integer)")
        for number in range(3):
            with psycopg.connect(database) as connection:
                connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
            postgres.kill()
            postgres.start()
        with psycopg.connect(database) as connection:
            assert connection.execute("SELECT number FROM numbers ORDER BY number").fetchall() == [(0,), (1,), (2,)]
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
    assert not postgres.data_dir.exists()


def test_nothing_is_left_when_the_tests_are_killed() -> None:
    result = subprocess.run(
        [sys.executable, "-c", ABANDONED],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert result.returncode == -signal.SIGKILL
    data_dir = Path(result.stdout.strip())
    deadline = time.monotonic() + 30
    while data_dir.exists() or _processes(data_dir):
        assert time.monotonic() < deadline, (data_dir, _processes(data_dir))
        time.sleep(0.05)


def _processes(data_dir: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if str(data_dir) in (process.info["cmdline"] or [])]
