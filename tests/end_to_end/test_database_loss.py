"""The database goes away under a server that serves: refusals meanwhile, service again soon, and nothing lost."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from support.command import face_api
from support.crash import open_directly
from support.load import LIGHT_SETTINGS, Ledger, callers
from support.postgres import Postgres
from support.server import LIGHT, running_server

CALLERS = 6
LOAD_S = 0.5
DOWN_S = 1.0
KILLS = 3
SERVICE_AGAIN_S = 10.0
REFUSAL_S = 5.0
"""Within which a request is answered while nothing listens at the database's address."""

HEALTH_S = 3.0
HANG_S = 16.0
HANG_REFUSAL_S = 20.0
"""Within which a request is answered while the database takes connections and says nothing."""


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """One that may be killed: no other test's."""
    with Postgres() as server:
        yield server


@pytest.fixture
def database_url(own_postgres: Postgres, tmp_path: Path) -> str:
    url = own_postgres.new_database()
    face_api("migrate", "--data-dir", tmp_path, database_url=url).expect()
    return url


def wait_for_success(ledger: Ledger, since: float) -> float:
    """Return the seconds until a request that began since then succeeded."""
    ledger.wait_until(lambda begun: any(attempt.acknowledged for attempt in begun), since)
    return min(attempt.ended for attempt in ledger.begun_since(since) if attempt.acknowledged) - since


def test_service_again_when_the_database_is_back(own_postgres: Postgres, database_url: str, tmp_path: Path) -> None:
    ledger = Ledger()
    waits, refusals = [], []
    with running_server(tmp_path, LIGHT, database_url=database_url, **LIGHT_SETTINGS) as server:
        with callers(ledger, [server], CALLERS, seed=1):
            for end in [own_postgres.kill] * KILLS + [own_postgres.stop]:
                time.sleep(LOAD_S)
                end()
                down = time.monotonic()
                time.sleep(DOWN_S)
                assert server.client.get("/healthz").status_code == 200
                meanwhile = ledger.begun_since(down)
                own_postgres.start()
                waits.append(wait_for_success(ledger, time.monotonic()))
                answered = [attempt for attempt in meanwhile if attempt.ended and attempt.ended < down + DOWN_S]
                assert answered
                assert {attempt.status for attempt in answered} == {503}
                assert {attempt.reason for attempt in answered} == {"store_unavailable"}
                refusals += [attempt.ended - attempt.started for attempt in answered]
            time.sleep(LOAD_S)
            again = time.monotonic()
            time.sleep(LOAD_S)
        late = [attempt for attempt in ledger.begun_since(again) if not attempt.acknowledged]
        assert not late, late
    longest = max(attempt.ended - attempt.started for attempt in ledger.attempts)
    figures = f"{waits=} s, longest refusal {max(refusals)} of {len(refusals)}, longest request {longest} s"
    print(figures, dict(ledger.checked))  # noqa: T201
    assert max(waits) < SERVICE_AGAIN_S
    assert longest < REFUSAL_S
    with closing(open_directly(tmp_path, database_url)) as store:
        ledger.verify(store, all_users=True)
    print(dict(ledger.checked))  # noqa: T201


@contextmanager
def hanging(postgres: Postgres) -> Iterator[None]:
    """Stop all processes of the server where they are; its port goes on taking connections."""
    postmaster = psutil.Process(int((postgres.data_dir / "postmaster.pid").read_text().split()[0]))
    postmaster.suspend()
    children = postmaster.children(recursive=True)
    try:
        for child in children:
            child.suspend()
        yield
    finally:
        for process in (*children, postmaster):
            if process.is_running():
                process.resume()


def test_a_database_that_hangs_holds_nobody_for_long(own_postgres: Postgres, database_url: str, tmp_path: Path) -> None:
    ledger = Ledger()
    with running_server(tmp_path, LIGHT, database_url=database_url, **LIGHT_SETTINGS) as server:
        with callers(ledger, [server], CALLERS, seed=2):
            time.sleep(LOAD_S)
            with hanging(own_postgres):
                began = time.monotonic()
                while time.monotonic() < began + HANG_S:
                    sent = time.monotonic()
                    assert server.client.get("/healthz").status_code == 200
                    assert time.monotonic() - sent < HEALTH_S
                    time.sleep(0.2)
                stuck = [attempt for attempt in ledger.attempts[:] if not attempt.ended]
            wait = wait_for_success(ledger, time.monotonic())
            time.sleep(LOAD_S)
        refused = [attempt for attempt in ledger.attempts if attempt.status == 503]
        took = [round(attempt.ended - attempt.started, 1) for attempt in ledger.attempts if attempt.ended > began]
        print(f"{len(refused)} refused, at most {max(took)} s, {len(stuck)} stuck; service {wait} s after")  # noqa: T201
        assert refused
        assert max(took) < HANG_REFUSAL_S, sorted(took)[-20:]
        assert wait < SERVICE_AGAIN_S
    with closing(open_directly(tmp_path, database_url)) as store:
        ledger.verify(store, all_users=True)
    print(dict(ledger.checked))  # noqa: T201
