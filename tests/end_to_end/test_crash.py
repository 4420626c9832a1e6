"""kill -9 at random moments of a server that enrolls: everything that it acknowledged is there, and nothing by half."""

from pathlib import Path

from support.command import face_api
from support.crash import ROUNDS, survive_crashes
from support.postgres import Postgres

POSTGRES_ROUNDS = 4


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    ledger = survive_crashes(tmp_path, 1, ROUNDS)
    print(dict(ledger.checked))  # noqa: T201 - figures, where the test fails or is run with -s
    assert ledger.checked["acknowledged: enroll enrolled"] > 50


def test_nothing_acknowledged_is_lost_on_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    face_api("migrate", "--data-dir", tmp_path, database_url=url).expect()
    ledger = survive_crashes(tmp_path, 1, POSTGRES_ROUNDS, url)
    print(dict(ledger.checked))  # noqa: T201
    assert ledger.checked["acknowledged: enroll enrolled"] > 5
