"""Backup and restore as operators run them, on both databases: with writes going on, killed, and refused."""

import base64
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from face_api.store import GivenKeys, open_store, sqlite_url
from support.command import PROGRAM, face_api
from support.crash import open_directly
from support.light_server import light_photo
from support.load import LIGHT_SETTINGS, Attempt, Ledger, callers
from support.postgres import Postgres
from support.server import LIGHT, environment_of, running_server
from support.store import CALLER, enroll

CALLERS = 6
BACKUPS = 2
KILLS = 4
ENROLLED_BETWEEN = 30
REFERENCES = 3_000
"""So many that a backup and a restore take a while."""
FILE_LIMIT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
os.execv(sys.argv[1], sys.argv[1:])
"""

COPY_REFERENCES = """
WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < :copies)
INSERT INTO face_references (user_id, encoder_id, key_id, template, photo_digest, chip, created_at)
SELECT user_id, encoder_id, key_id, template, photo_digest, zeroblob(10000), created_at FROM face_references, copies
"""

END_SESSION = """
CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
CREATE TRIGGER end_session BEFORE INSERT ON face_references FOR EACH ROW EXECUTE FUNCTION end_session();
"""


class Place:
    """A database and its folder, beside which the key file of another one may be put."""

    def __init__(self, folder: Path, url: str | None, keys_of: "Place | None" = None) -> None:
        self.folder, self.url = folder, url
        self.settings: dict[str, object] = {} if url is None else {"database_url": url}
        folder.mkdir()
        if keys_of is not None:
            shutil.copy2(keys_of.folder / "face.keys", folder)

    def run(self, *arguments: str | Path) -> str:
        return face_api(*arguments, "--data-dir", self.folder, typed=None, **self.settings).expect()

    def refuse(self, text: str, *arguments: str | Path) -> None:
        face_api(*arguments, "--data-dir", self.folder, typed=None, **self.settings).expect_refusal(text)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Of an empty database; None for a SQLite file in the data folder."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").new_database()


def new_url(like: str | None, request: pytest.FixtureRequest) -> str | None:
    postgres: Postgres | None = None if like is None else request.getfixturevalue("postgres")
    return None if postgres is None else postgres.new_database()


def test_nothing_acknowledged_before_a_backup_is_missing_after_its_restore(
    request: pytest.FixtureRequest, tmp_path: Path, url: str | None
) -> None:
    def are_enough(attempts: Sequence[Attempt]) -> bool:
        return sum(attempt.reason == "enrolled" for attempt in attempts) >= ENROLLED_BETWEEN

    place = Place(tmp_path / "data", url)
    if url is not None:
        place.run("migrate")
    ledger = Ledger()
    taken: list[tuple[float, Path, str]] = []
    with (
        running_server(place.folder, LIGHT, **(LIGHT_SETTINGS | place.settings)) as server,
        callers(ledger, [server], CALLERS, seed=1),
    ):
        for number in range(BACKUPS):
            ledger.wait_until(are_enough, time.monotonic())
            begun = time.monotonic()
            file = tmp_path / f"{number}.backup"
            taken.append((begun, file, place.run("backup", file).splitlines()[-1]))
            assert ledger.begun_since(begun), "nothing was written meanwhile"
    for number, (begun, file, audit_end) in enumerate(taken):
        restored = Place(tmp_path / f"restored{number}", new_url(url, request), keys_of=place)
        restored.run("restore", file)
        restored.run("audit", "verify", "--expect", audit_end)
        with closing(open_directly(restored.folder, restored.url)) as store:
            known = ledger.as_of(begun)
            known.verify(store, all_users=True)
        assert known.checked["acknowledged: enroll enrolled"] >= (number + 1) * ENROLLED_BETWEEN
        print(file.stat().st_size, dict(known.checked))  # noqa: T201 - figures, where the test fails or is run with -s


def test_the_service_goes_on_with_what_was_restored(tmp_path: Path) -> None:
    place = Place(tmp_path / "data", None)
    photo, stranger = light_photo(1, 1, 2_000), light_photo(2, 1, 2_000)
    with running_server(place.folder, LIGHT, **LIGHT_SETTINGS) as server:
        assert server.enroll(photo).json() == {"result": "Success"}
    secret = place.run("keys", "create", "--company", "withmind").strip()
    place.run("backup", tmp_path / "backup")
    moved = Place(tmp_path / "moved", None, keys_of=place)
    moved.run("restore", tmp_path / "backup")
    with running_server(moved.folder, LIGHT, **(LIGHT_SETTINGS | {"auth": "keys"})) as server:
        assert server.analyse(photo).status_code == 401
        server.client.headers["Authorization"] = f"Bearer {secret}"
        assert server.analyse(photo).json() == {"result": {"person_1": "match"}}
        assert server.analyse(stranger).json() == {"result": {"person_1": "dismatch"}}
        assert server.enroll(light_photo(1, 2, 2_000)).json() == {"result": "Success"}
    moved.run("audit", "verify")


def fill(folder: Path) -> int:
    """Fill a SQLite store; return how many references it has."""
    with closing(open_directly(folder)) as store:
        for number in range(10):
            enroll(store, number, user=f"user{number}")
        with store.database.writing() as session:
            session.connection().exec_driver_sql(COPY_REFERENCES.replace(":copies", str(REFERENCES // 10 - 1)))
    return REFERENCES


def test_a_killed_backup_leaves_no_file_and_a_killed_restore_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, url: str | None
) -> None:
    place = Place(tmp_path / "data", None)
    references = fill(place.folder)
    file = tmp_path / "backup"
    choice = random.Random(1)  # noqa: S311 - repeatable
    start = time.monotonic()
    place.run("backup", file)
    backup_s = time.monotonic() - start
    target = Place(tmp_path / "target", url, keys_of=place)
    killed = 0
    for number in range(KILLS):
        other = tmp_path / f"{number}.backup"
        kill(choice.uniform(0.3, 0.9) * backup_s, place, "backup", other)
        if other.exists():  # it is there last of all
            place.run("restore", "--check", other)
        else:
            killed += 1
    assert killed
    start = time.monotonic()
    Place(tmp_path / "timed", new_url(url, request), keys_of=place).run("restore", file)
    restore_s = time.monotonic() - start
    for _ in range(KILLS):
        kill(choice.uniform(0.2, 0.5) * restore_s, target, "restore", file)
    outcome = face_api("restore", file, "--data-dir", target.folder, typed=None, **target.settings)
    if outcome.status:  # one of those was quick: then all is there
        outcome.expect_refusal("the database is not empty")
    with closing(open_directly(target.folder, target.url)) as store, store.database.reading() as session:
        counted = session.connection().exec_driver_sql("SELECT count(*) FROM face_references").scalar_one()
        assert counted == references
    target.run("audit", "verify")


def kill(after_s: float, place: Place, *arguments: str | Path) -> None:
    """Kill a command after so many seconds, unless it has ended."""
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments), "--data-dir", str(place.folder)],
        env=environment_of(**place.settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()


def test_what_cannot_be_done_is_told_in_a_line_and_changes_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path / "data", None)
    missing = tmp_path / "backup"
    place.refuse("there is no database", "backup", missing)
    with closing(open_directly(place.folder)) as store:
        enroll(store, 1)
    nowhere = tmp_path / "nowhere" / "backup"
    place.refuse(f"{nowhere}: No such file or directory", "backup", nowhere)
    too_long = tmp_path / ("n" * 300)
    place.refuse(f"{too_long}: File name too long", "backup", too_long)
    link = tmp_path / "link"
    link.symlink_to(nowhere)
    place.refuse("exists: name a new file", "backup", link)
    assert re.fullmatch(
        r".*/backup: 1 companies, 1 users, 1 references, 2 audit entries, as they were at .* UTC; [\d,]+ bytes, "
        r"sealed with the key k\w{8}\n2:\w{64}\n",
        place.run("backup", missing),
    )
    whole = missing.read_bytes()
    assert b"withmind" not in whole and missing.stat().st_mode & 0o777 == 0o600
    place.refuse("exists: name a new file", "backup", missing)
    place.refuse("the database is not empty", "restore", missing)
    assert missing.read_bytes() == whole

    other = Place(tmp_path / "other", None)
    other.refuse("face.keys cannot be used: No such file", "restore", missing)
    with closing(open_directly(other.folder)):
        pass
    other.refuse("is needed, and there is only", "restore", missing)

    new = Place(tmp_path / "new", None, keys_of=place)
    damaged = tmp_path / "damaged"
    for content, problem in ((whole[:-1], "cut off"), (whole[:-40] + whole[-39:], "changed"), (b"text", "no backup")):
        damaged.write_bytes(content)
        for check in ([], ["--check"]):
            new.refuse(problem, "restore", damaged, *check)
    assert "whole, 1 companies" in new.run("restore", "--check", missing)
    assert "1 references" in new.run("restore", missing)


def test_another_key_of_a_former_keys_id_is_told_by_check_and_restores_nothing(tmp_path: Path, url: str | None) -> None:
    place, target = Place(tmp_path / "data", None), Place(tmp_path / "target", url)
    first, second, other = (base64.b64encode(bytes([number]) * 32).decode() for number in range(3))
    with closing(open_store(sqlite_url(place.folder), GivenKeys(f"k1:{first}"))) as store:
        for number in range(30):
            enroll(store, number, user=f"user{number}")
    place.settings["keys"] = right = f"k2:{second},k1:{first}"
    with closing(open_store(sqlite_url(place.folder), GivenKeys(right))) as store:
        store.resealer.begin(CALLER)
    file = tmp_path / "backup"
    place.run("backup", file)
    target.settings["keys"] = f"k2:{second},k1:{other}"
    for check in (["--check"], []):
        target.refuse("the sealing key k1 is not the one of that id that sealed", "restore", file, *check)
    target.settings["keys"] = right
    assert "whole, 1 companies" in target.run("restore", "--check", file)
    assert "30 references" in target.run("restore", file)


def test_a_session_that_postgresql_ends_is_told_in_a_line(tmp_path: Path, postgres: Postgres) -> None:
    place = Place(tmp_path / "data", None)
    with closing(open_directly(place.folder)) as store:
        for number in range(3):  # of one alone, the driver has nothing in its pipeline
            enroll(store, number)
    place.run("backup", file := tmp_path / "backup")
    target = Place(tmp_path / "target", postgres.new_database(), keys_of=place)
    target.run("migrate")
    with psycopg.connect(str(target.url), autocommit=True) as connection:
        connection.execute(END_SESSION)
    target.refuse("connection", "restore", file)  # it was terminated, or closed: whichever is read first
    postgres.drop_database(str(target.url))


def test_no_command_uses_a_postgresql_database_of_another_encoding(tmp_path: Path, postgres: Postgres) -> None:
    place = Place(tmp_path / "data", None)
    with closing(open_directly(place.folder)) as store:
        enroll(store, 1)
    place.run("backup", file := tmp_path / "backup")
    target = Place(tmp_path / "target", postgres.new_database(encoding="SQL_ASCII"), keys_of=place)
    for command in (
        ("migrate",),
        ("migrate", "--to", "0004", "--yes"),
        ("serve", "--port", "0", "--workers", "2"),
        ("keys", "list"),
        ("restore", file),
    ):
        target.refuse("has the encoding SQL_ASCII, not UTF8: make another one, CREATE DATABASE", *command)
    postgres.drop_database(str(target.url))


def test_a_disk_that_is_full_leaves_no_file(tmp_path: Path) -> None:
    place = Place(tmp_path / "data", None)
    fill(place.folder)
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, PROGRAM, "backup", tmp_path / "backup", "--data-dir", place.folder],
        env=environment_of(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done
    assert done.stderr == f"face-api: {tmp_path / 'backup'}: File too large\n"
    assert not (tmp_path / "backup").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
