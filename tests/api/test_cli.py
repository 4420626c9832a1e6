"""What the commands print, run in this process; end_to_end/test_store_cli.py runs the program itself."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from face_api.cli import main
from face_api.settings import Settings
from face_api.store import REVISIONS, open_configured
from support.store import enroll


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A store with three users, and so three audit entries."""
    with closing(open_configured(Settings(data_dir=tmp_path))) as store:
        for number in range(3):
            enroll(store, number, user=f"user{number}")
    return tmp_path


def run(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data-dir", str(data_dir)])


@pytest.mark.parametrize(
    ("options", "sequences"),
    [((), [1, 2, 3]), (("--limit", "2"), [2, 3]), (("--after", "0", "--limit", "1"), [1]), (("--after", "3"), [])],
)
def test_the_latest_audit_entries_are_listed_or_those_behind_one(
    data_dir: Path, options: tuple[str, ...], sequences: list[int]
) -> None:
    result = run(data_dir, "audit", "list", *options)
    assert result.exit_code == 0
    assert [json.loads(line)["sequence"] for line in result.stdout.splitlines()] == sequences


def test_a_prefix_is_of_users(data_dir: Path) -> None:
    assert run(data_dir, "list", "withmind", "--prefix", "user1").stdout.startswith("user1  1 reference")
    refused = run(data_dir, "list", "--prefix", "with")
    assert refused.exit_code == 2
    assert "--prefix needs a COMPANY" in refused.stderr


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_the_way_back_says_what_is_lost_and_asks_first(data_dir: Path, revision: str) -> None:
    arguments = "migrate", "--to", revision, "--data-dir", str(data_dir)
    refused = CliRunner().invoke(main, arguments, input="n\n")
    assert refused.exit_code == 1
    assert "lost." in refused.output or "dropped" in refused.output
    gone = CliRunner().invoke(main, arguments, input="y\n")
    assert gone.exit_code == 0
    assert f"the schema is {revision}; it was {REVISIONS[-1]}" in gone.output
    assert run(data_dir, "migrate").stdout == f"the schema is {REVISIONS[-1]}\n"
    assert run(data_dir, "list", "withmind").stdout.count("1 reference") == 3


def test_a_rotation_tells_to_copy_the_key_file(data_dir: Path) -> None:
    result = run(data_dir, "rotate")
    assert result.exit_code == 0
    assert "3 references are sealed again" in result.stdout
    assert "Copy the key file again" in result.stdout
