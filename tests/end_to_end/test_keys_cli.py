"""face-api keys as operators meet it: the first key before the first start, and what becomes of it."""

import json
import re
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from face_api.cli import main
from face_api.store import Identity
from support.command import Outcome, face_api
from support.crash import open_directly
from support.postgres import Postgres

SECRET = re.compile(r"fk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}\n")
MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC"

Run = Callable[..., Outcome]


def key_id_of(created: Outcome) -> str:
    """Return the id of a key that was made; its secret is all there is on standard output."""
    secret = SECRET.fullmatch(created.expect())
    assert secret, created
    return secret[1]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def run(data_dir: Path) -> Run:
    """Run the program."""

    def run(*arguments: str) -> Outcome:
        return face_api("keys", *arguments, "--data-dir", data_dir)

    return run


@pytest.fixture
def run_here(data_dir: Path) -> Run:
    """Run a command in this process: a program takes a second to start."""

    def run(*arguments: str) -> Outcome:
        result = CliRunner().invoke(main, [*arguments, "--data-dir", str(data_dir)])
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


def test_the_first_key_before_the_first_start(run: Run, data_dir: Path) -> None:
    run("list").expect_refusal("there is no database")
    run("revoke", "0" * 12).expect_refusal("there is no database")
    assert not data_dir.exists()
    created = run("create", "--admin")
    key_id = key_id_of(created)
    *_, told = created.err.splitlines()
    assert re.fullmatch(rf"{key_id}  an administrator's, since {MOMENT}\. Its secret is shown this once:", told)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()} == {
        "face.keys": 0o600,
        "face.sqlite3": 0o600,
    }
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    with closing(open_directly(data_dir)) as store:
        assert store.api_keys.any_active()
        assert store.api_keys.authenticate(created.out.strip()) == Identity(key_id, None)


def test_postgresql_is_not_migrated_unasked(data_dir: Path, postgres: Postgres) -> None:
    url = postgres.new_database()

    def run(*arguments: str) -> Outcome:
        return face_api(*arguments, "--data-dir", data_dir, database_url=url)

    run("keys", "create", "--admin").expect_refusal("has no schema yet: run `face-api migrate`")
    run("migrate").expect()
    created = run("keys", "create", "--company", "acme", "--label", "till")
    key_id = key_id_of(created)
    assert run("keys", "list").expect().startswith(f"{key_id}  of acme, 'till', since ")
    with closing(open_directly(data_dir, url)) as store:
        assert store.api_keys.authenticate(created.out.strip()) == Identity(key_id, "acme")
        assert "revoked" in run("keys", "revoke", key_id).expect()
        assert store.api_keys.authenticate(created.out.strip()) is None
        assert store.audit.verify().sequence == 3


def test_a_keys_life(run_here: Run, data_dir: Path) -> None:
    made = [
        run_here("keys", "create", "--company", "acme", "--label", "the till's"),
        run_here("keys", "create", "--company", "acme"),
        run_here("keys", "create", "--admin", "--label", "운영자"),
    ]
    key_ids = [key_id_of(created) for created in made]
    assert len(set(key_ids)) == 3
    assert "the till's" in made[0].err

    everything = run_here("keys", "list").expect()
    assert [line.split()[0] for line in everything.splitlines()] == sorted(key_ids)
    assert re.search(rf'^{key_ids[0]}  of acme, "the till\'s", since {MOMENT}$', everything, re.MULTILINE)
    assert re.search(rf"^{key_ids[1]}  of acme, since {MOMENT}$", everything, re.MULTILINE)
    assert re.search(rf"^{key_ids[2]}  an administrator's, '운영자', since {MOMENT}$", everything, re.MULTILINE)
    acme = sorted(key_ids[:2])
    page = run_here("keys", "list", "--company", "acme", "--limit", "1")
    assert [line.split()[0] for line in page.expect().splitlines()] == acme[:1]
    assert page.err == f"There are more: --after {acme[0]}\n"
    rest = run_here("keys", "list", "--company", "acme", "--after", acme[0])
    assert ([line.split()[0] for line in rest.expect().splitlines()], rest.err) == (acme[1:], "")
    assert run_here("keys", "list", "--company", "nobody").expect() == ""

    with closing(open_directly(data_dir)) as service:
        assert service.api_keys.authenticate(made[0].out.strip()) == Identity(key_ids[0], "acme")
        revoked = run_here("keys", "revoke", key_ids[0]).expect()
        assert service.api_keys.authenticate(made[0].out.strip()) is None
        assert service.api_keys.authenticate(made[1].out.strip()) is not None
    assert re.search(rf"since {MOMENT}, revoked {MOMENT}\n$", revoked)
    assert run_here("keys", "revoke", key_ids[0]).expect() == revoked
    assert run_here("keys", "list", "--company", "acme").expect().count("revoked") == 1
    run_here("keys", "revoke", "0" * 12).expect_refusal(f"there is no key {'0' * 12}", 1)
    run_here("keys", "revoke", "nonsense").expect_refusal("there is no key nonsense", 1)

    run_here("audit", "verify").expect()
    listed = run_here("audit", "list").expect()
    entries = [json.loads(line) for line in listed.splitlines()]
    acts = [(entry["action"], entry["company"], entry["key"]) for entry in entries if "key" in entry]
    assert acts == [
        ("create_key", "acme", key_ids[0]),
        ("create_key", "acme", key_ids[1]),
        ("create_key", None, key_ids[2]),
        ("revoke_key", "acme", key_ids[0]),
    ]
    assert all(entry["actor"].startswith("cli:") for entry in entries)

    files = b"".join(path.read_bytes() for path in data_dir.iterdir())
    for created, key_id in zip(made, key_ids, strict=True):
        secret = created.out.strip().removeprefix(f"fk_{key_id}_")
        assert key_id in everything
        assert secret.encode() not in files
        assert not any(secret in text for text in (created.err, everything, revoked, listed))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "either --company NAME or --admin"),
        (("--company", "acme", "--admin"), "either --company NAME or --admin"),
        (("--company", ""), "up to 128 lower-case letters and digits"),
        (("--company", "Acme"), "up to 128 lower-case letters and digits"),
        (("--company", "acme\n"), "up to 128 lower-case letters and digits"),
        (("--company", "a" * 129), "up to 128 lower-case letters and digits"),
        (("--admin", "--label", "x" * 129), "up to 128 printable characters"),
        (("--admin", "--label", "two\nlines"), "up to 128 printable characters"),
        (("--admin", "--label", "\x1b[2J"), "up to 128 printable characters"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is(
    run_here: Run, data_dir: Path, arguments: tuple[str, ...], problem: str
) -> None:
    refused = run_here("keys", "create", *arguments)
    assert refused.expect(2) == ""
    assert problem in refused.err
    assert not data_dir.exists()


def test_the_longest_names_are_taken(run_here: Run) -> None:
    key_id = key_id_of(run_here("keys", "create", "--company", "a1" * 64, "--label", "x" * 128))
    assert run_here("keys", "list").expect().startswith(f"{key_id}  of {'a1' * 64}, '{'x' * 128}', since ")
