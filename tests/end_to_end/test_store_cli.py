"""The commands as operators meet them: real programs, on both databases where it matters."""

import json
import re
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import psycopg
import pytest

from face_api.store import Caller, Enrollment, Profile, Store
from face_engine.images import encode_png
from support.command import PROGRAM, Outcome, face_api
from support.crash import open_directly
from support.light_server import light_face
from support.postgres import Postgres
from support.server import environment_of
from support.store import references_of

CALLER = Caller("test")
ATTEMPTS = 5
REFERENCES = 1_500
"""So many that a rotation takes a while."""

COPY_REFERENCES = """
WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < 9)
INSERT INTO face_references (user_id, encoder_id, key_id, template, photo_digest, chip, created_at)
SELECT user_id, encoder_id, key_id, template, photo_digest, chip, created_at FROM face_references, copies
"""
"""Nine more of each: what is sealed says whose it is, not which row it is in."""


class Operator:
    """Runs commands on one database."""

    def __init__(self, data_dir: Path, database_url: str | None) -> None:
        self.data_dir, self.url = data_dir, database_url
        self.settings: dict[str, object] = {} if database_url is None else {"database_url": database_url}

    def __call__(self, *arguments: str | Path, typed: str | None = None, **settings: object) -> Outcome:
        return face_api(*arguments, "--data-dir", self.data_dir, typed=typed, **(self.settings | settings))

    def execute(self, statement: str) -> None:
        if self.url is None:
            with closing(sqlite3.connect(self.data_dir / "face.sqlite3")) as connection, connection:
                connection.execute(statement)
        else:
            with psycopg.connect(self.url) as server:
                server.execute(statement.encode())


@pytest.fixture(params=["sqlite", "postgresql"])
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Operator:
    if request.param == "sqlite":
        return Operator(tmp_path / "data", None)
    postgres: Postgres = request.getfixturevalue("postgres")
    return Operator(tmp_path / "data", postgres.new_database())


def enroll(store: Store, company: str, user: str, photos: int = 1, *, chip: bool = True) -> None:
    for number in range(photos):
        face = light_face(int(user.strip("user")), number)
        enrollment = Enrollment(company, user, Profile(1, 30), number.to_bytes(32, "big"), "contract")
        chip_png = encode_png(face.chip) if chip else None
        store.enrollments.add(CALLER, enrollment, face.template, chip_png, face.quality, 10_000, {})


def test_an_operators_day(operator: Operator, tmp_path: Path) -> None:
    problem = "there is no database" if operator.url is None else "has no schema yet: run `face-api migrate`"
    operator("list").expect_refusal(problem)
    assert operator("migrate").expect() == "the schema is 0005\n"
    assert stat.S_IMODE((operator.data_dir / "face.keys").stat().st_mode) == 0o600
    with closing(open_directly(operator.data_dir, operator.url)) as store:
        for user in ("user1", "user2", "user3"):
            enroll(store, "acme", user, photos=2)

    listed = operator("list", "acme", "--limit", "2")
    assert [line.split()[0] for line in listed.expect().splitlines()] == ["user1", "user2"]
    assert "2 references, male, 30 years, since " in listed.out
    assert listed.err == "There are more: --after user2\n"

    chips = tmp_path / "chips"
    view = operator("view", "acme", "user2", "--chips", chips).expect()
    assert view.count("with chip") == len(list(chips.iterdir())) == 2
    assert view.count(", through contract, good") == 2
    for path in chips.iterdir():
        assert str(path) in view
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        image = cv2.imread(str(path))
        assert image is not None and image.shape == (150, 150, 3)

    checkpoint = operator("audit", "verify").expect().strip()
    assert re.fullmatch(r"[0-9]+:[0-9a-f]{64}", checkpoint)

    refused = operator("erase", "acme", "user1")
    assert (refused.expect(1), refused.err.endswith("Aborted!\n")) == ("", True)
    erased = operator("erase", "acme", "user1", typed="y\n")
    receipt: dict[str, Any] = json.loads(erased.expect())
    removed = {"companies": 0, "users": 1, "references": 2, "chips": 2, "events": 2, "api_keys": 0, "answers": 0}
    assert (receipt["company"], receipt["user"], receipt["removed"]) == ("acme", "user1", removed)
    assert receipt["overwritten"] is (operator.url is None)
    assert ("`face-api compact` removes them" in erased.err) is (operator.url is not None)
    operator("erase", "acme", "user1", "--yes").expect_refusal("there is no user user1 of acme", 1)

    assert operator("purge", keep_events_days=0).expect().startswith("4 events ")
    assert operator("compact").expect() == "the database is compact\n"
    entries = [json.loads(line) for line in operator("audit", "list").expect().splitlines()]
    assert [entry["action"] for entry in entries] == ["enroll"] * 6 + ["list"] + ["view"] * 3 + ["erase", "purge"]
    assert [entry["user"] for entry in entries[2:6]] == ["user2", "user2", "user3", "user3"]
    assert not {entries[0]["user"], entries[1]["user"]} & {"user1", "user2", "user3"}

    operator("audit", "verify", "--expect", checkpoint).expect()
    operator.execute("UPDATE audit_events SET actor = 'somebody' WHERE sequence = 5")
    operator("audit", "verify").expect_refusal("the audit trail is broken at entry 5", 1)


def test_the_rest_of_the_day(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "data", None)
    with closing(open_directly(operator.data_dir)) as store:
        enroll(store, "acme", "user1", photos=2)
        enroll(store, "acme", "user2")
        enroll(store, "zeta", "user3")
        end = str(store.audit.verify())
    operator("list", "nobody").expect_refusal("there is no company nobody", 1)
    operator("view", "acme", "user9").expect_refusal("there is no user user9 of acme", 1)
    assert operator("list", "acme", "--after", "user1").expect().startswith("user2  1 reference, male")
    refused = operator("erase", "acme", typed="n\n")
    assert (refused.expect(1), refused.err.endswith("Aborted!\n")) == ("", True)
    whole = json.loads(operator("erase", "acme", "--yes").expect())
    assert (whole["user"], whole["removed"]["users"], whole["removed"]["companies"]) == (None, 2, 1)
    operator("erase", "acme", "--yes").expect_refusal("there is no company acme", 1)
    forged = end[:-4] + ("0000" if end[-4:] != "0000" else "1111")
    operator("audit", "verify", "--expect", forged).expect_refusal("it is not the one that is expected there", 1)


@pytest.mark.parametrize("command", [("list",), ("serve", "--port", "0")])
def test_keys_that_are_missing_or_wrong(tmp_path: Path, command: tuple[str, ...]) -> None:
    operator = Operator(tmp_path / "data", None)
    with closing(open_directly(operator.data_dir)) as store:
        enroll(store, "acme", "user1")
    key_file = operator.data_dir / "face.keys"
    key_id, _, key = key_file.read_text().splitlines()[-1].partition(":")
    aside = key_file.rename(tmp_path / "aside")
    wrong = "A" * 43 + "="
    operator(*command).expect_refusal(str(key_file))
    assert not key_file.exists()
    operator(*command, keys=f"{key_id}:{wrong}").expect_refusal(f"the sealing key {key_id} is not the one")
    if command == ("list",):
        operator(*command, keys=f"other:{wrong}").expect_refusal(f"the sealing key {key_id} is needed")
        broken = operator(*command, keys=f"{key_id}:{key[:-4]}")
        broken.expect_refusal("FACE_API_KEYS: key number 1 is not id:base64 of 32 bytes")
        assert key[:-4] not in broken.err
        assert operator(*command, key_file=aside).expect().startswith("acme")


@pytest.mark.parametrize(
    ("command", "url", "message"),
    [
        (("list",), "mysql://root:s3cret@127.0.0.1/faces", "FACE_API_DATABASE_URL is neither postgresql://"),
        (("serve",), "s3cret", "FACE_API_DATABASE_URL is no database URL"),
        (("serve", "--port", "0"), "postgresql://root:s3cret@127.0.0.1:1/faces", "onnection refused"),
        (("migrate",), "postgresql://root:s3cret@127.0.0.1:1/faces", "onnection refused"),
    ],
)
def test_a_database_that_is_not_there(tmp_path: Path, command: tuple[str, ...], url: str, message: str) -> None:
    refused = face_api(*command, "--data-dir", tmp_path, database_url=url)
    assert "s3cret" not in refused.err
    refused.expect_refusal(message)


def test_a_password_that_is_wrong_is_not_shown(tmp_path: Path, postgres: Postgres) -> None:
    url = re.sub(r":[^:@/]*@", ":s3cret@", postgres.new_database())
    refused = face_api("migrate", "--data-dir", tmp_path, database_url=url)
    assert "s3cret" not in refused.err
    refused.expect_refusal("password authentication failed")


@pytest.mark.parametrize(
    ("operator", "number"),
    [("sqlite", signal.SIGINT), ("sqlite", signal.SIGKILL), ("postgresql", signal.SIGKILL)],
    indirect=["operator"],
)
def test_a_rotation_that_is_interrupted_is_finished_later(operator: Operator, number: signal.Signals) -> None:
    operator("migrate").expect()
    key_file = operator.data_dir / "face.keys"
    with closing(open_directly(operator.data_dir, operator.url)) as store:
        enroll(store, "acme", "user1", REFERENCES // 10)
        operator.execute(COPY_REFERENCES)
        for _ in range(ATTEMPTS):  # one may be through before the signal comes
            before = _keys(key_file)
            status = _interrupt_rotation(operator, number, lambda: _keys(key_file) != before)  # noqa: B023 - ends first
            if status != 0:
                break
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 1)
        keys = _keys(key_file)
        assert keys[1:] == before
        assert len(references_of(store, "acme", "user1")) == REFERENCES
        operator("rotate").expect()
        assert _keys(key_file) == keys  # the same new key: an unfinished rotation makes no other
        assert store.resealer.former_keys(keys[0].partition(":")[0]) == []
        store.audit.verify()
    key_file.write_text(keys[0] + "\n")
    with closing(open_directly(operator.data_dir, operator.url)) as store:
        assert len(references_of(store, "acme", "user1")) == REFERENCES


def _keys(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def _interrupt_rotation(operator: Operator, number: signal.Signals, begun: Callable[[], bool]) -> int:
    process = subprocess.Popen(
        [PROGRAM, "rotate", "--data-dir", str(operator.data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_of(**operator.settings),
    )
    try:
        deadline = time.monotonic() + 60
        while not begun():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(0.01)
        process.send_signal(number)
        _out, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in error, error
    return process.returncode
