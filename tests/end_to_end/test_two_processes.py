"""Two services on one database: what one of them does counts for the other at once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from face_api.store import Caller, Enrollment, KeyFile, Profile, Store, open_store, parse_url, sqlite_url
from support.command import face_api
from support.crash import open_directly
from support.light_server import light_face, light_photo
from support.load import (
    LIGHT_SETTINGS,
    LIMIT,
    MATCH,
    PHOTO_BYTES,
    SUCCESS,
    UNREGISTERED,
    Ledger,
    callers,
)
from support.postgres import Postgres
from support.server import LIGHT, Server, running_server
from support.store import references_of

ENROLLMENTS = 200
THREADS = 16
LOAD_S = 0.4
PAUSE_S = 4.0


def photo(person: int, number: int) -> bytes:
    return light_photo(person, number, PHOTO_BYTES)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    if request.param == "sqlite":
        return None
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.new_database()
    face_api("migrate", "--data-dir", tmp_path, database_url=url).expect()
    return url


@contextmanager
def two_servers(data_dir: Path, settings: dict[str, object]) -> Iterator[list[Server]]:
    """Start both at the same time: each may be the one that makes key and schema."""
    with ExitStack() as stack:
        begun = threading.Barrier(2)

        def start(_number: int) -> Server:
            begun.wait()
            return stack.enter_context(running_server(data_dir, LIGHT, **settings))

        with ThreadPoolExecutor(2) as pool:
            servers = list(pool.map(start, range(2)))
        yield servers


def test_two_services_on_one_database(tmp_path: Path, database_url: str | None) -> None:
    settings = LIGHT_SETTINGS | ({} if database_url is None else {"database_url": database_url})
    where = {} if database_url is None else {"database_url": database_url}
    with two_servers(tmp_path, settings) as servers:
        one, other = servers
        for person in range(10):
            assert one.enroll(photo(person, 0), company="both", id=f"user{person}").json() == SUCCESS
            assert other.analyse(photo(person, 1), company="both", id=f"user{person}").json() == MATCH
        _enroll_at_once(servers)
        with closing(open_directly(tmp_path, database_url)) as store:
            _check_limit(store)
        ledger = Ledger()
        with callers(ledger, servers, 4, seed=3):
            time.sleep(LOAD_S)
            keys_before = (tmp_path / "face.keys").read_text()
            rotated = face_api("rotate", "--data-dir", tmp_path, **where)
            time.sleep(LOAD_S)
        assert not ledger.wrong, ledger.wrong
        assert all(attempt.acknowledged for attempt in ledger.attempts)
        # What was being enrolled with the former key just then has to be sealed again.
        while rotated.status == 1 and "run this again" in rotated.err:
            rotated = face_api("rotate", "--data-dir", tmp_path, **where)
        rotated.expect()
        first_key = next(line for line in keys_before.splitlines() if not line.startswith("#"))
        now = (tmp_path / "face.keys").read_text()
        assert first_key in now
        (tmp_path / "face.keys").write_text(now.replace(first_key, ""))
        face_api("erase", "both", "user3", "--yes", "--data-dir", tmp_path, **where).expect()
        for server in servers:
            assert server.analyse(photo(3, 1), company="both", id="user3").json() == UNREGISTERED
            assert server.analyse(photo(4, 1), company="both", id="user4").json() == MATCH
    with closing(open_directly(tmp_path, database_url)) as store:
        store.audit.verify()
        for name, numbers in _expected(ledger).items():
            assert len(references_of(store, *name)) == len(numbers)
        with store.database.reading() as session:
            first, last, count = session.execute(
                text("SELECT min(sequence), max(sequence), count(*) FROM audit_events")
            ).one()
            assert (first, last) == (1, count)
    with two_servers(tmp_path, settings) as servers:
        for server in servers:
            assert server.enroll(photo(4, 2), company="both", id="user4").json() == SUCCESS
            assert server.analyse(photo(5, 1), company="both", id="user5").json() == MATCH


def _expected(ledger: Ledger) -> dict[tuple[str, str], tuple[int, ...]]:
    expected: dict[tuple[str, str], tuple[int, ...]] = {}
    for attempt in ledger.attempts:
        if attempt.operation == "enroll" and attempt.number not in expected.get(attempt.name, ()):
            expected[attempt.name] = (*expected.get(attempt.name, ()), attempt.number)[-LIMIT:]
    return expected


def _enroll_at_once(servers: list[Server]) -> None:
    """Enroll through both: new companies, new users, the same user and the same photo, all by both at the same time."""
    begun = threading.Barrier(THREADS)

    def enroll(number: int) -> tuple[object, str]:
        if number < THREADS:
            begun.wait()
        person, pair = number // 4, number // 2
        answer = servers[number % 2].enroll(
            photo(person, pair % 2), company=f"at{number // 8}", id=f"once{person}", gender="0"
        )
        return answer.json(), answer.headers["x-face-reason"]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(enroll, range(ENROLLMENTS)))
    assert [answer for answer, _ in answers] == [SUCCESS] * ENROLLMENTS
    # Of the two that sent the same photo one enrolled it, and the other was told that it is known.
    for pair in range(0, ENROLLMENTS, 2):
        assert sorted(reason for _, reason in answers[pair : pair + 2]) == ["already_enrolled", "enrolled"]
    with ThreadPoolExecutor(THREADS) as pool:  # one user, all at once, far beyond the limit
        again = pool.map(
            lambda number: servers[number % 2].enroll(photo(1, number), company="at0", id="once0").json(), range(20)
        )
        assert list(again) == [SUCCESS] * 20


def _check_limit(store: Store) -> None:
    counts = [len(references_of(store, f"at{person // 2}", f"once{person}")) for person in range(ENROLLMENTS // 4)]
    assert counts == [LIMIT] + [2] * (ENROLLMENTS // 4 - 1)


class _PausingKeys(KeyFile):
    """Seals with what was the current key a while ago, as a service does that is held up in between."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def current(self) -> str:
        key_id = super().current()
        self.asked.set()
        self.go_on.wait(PAUSE_S)
        return key_id


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_rotation_does_not_end_before_what_is_sealed_with_the_former_key(
    tmp_path: Path, database_url: str | None
) -> None:
    where = {} if database_url is None else {"database_url": database_url}
    with closing(open_directly(tmp_path, database_url)):
        pass
    keys = _PausingKeys(tmp_path / "face.keys")
    url = sqlite_url(tmp_path) if database_url is None else parse_url(database_url)
    with closing(open_store(url, keys, patient=True)) as store, ThreadPoolExecutor(1) as pool:
        enrolled = pool.submit(
            store.enrollments.add,
            Caller("test"),
            Enrollment("late", "user", Profile(), bytes(32), "v1"),
            light_face(1, 1).template,
            None,
            light_face(1, 1).quality,
            LIMIT,
            {},
        )
        assert keys.asked.wait(10)
        rotated = face_api("rotate", "--data-dir", tmp_path, **where)
        keys.go_on.set()
        assert enrolled.result().outcome == "enrolled"
        left = store.resealer.former_keys(KeyFile(tmp_path / "face.keys").current())
    # Either it says that it has to be run again, or there is nothing left for the former key to open.
    assert rotated.status == 1 or left == [], (rotated, left)
