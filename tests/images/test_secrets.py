"""The program that makes the secrets of docker/compose.yaml, run as the container runs it but for the owner."""

import io
import re
import resource
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from face_api.store.keys import KEY_BYTES, parse_keys
from support.images import DOCKER, load

Make = Callable[..., int]

BY_CHANCE = {"sealing-keys", "database-password", "database-passfile", "limits-url", "limits-acl"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Run the program with these words, and what it is to read."""
    program = load(DOCKER / "make_secrets.py")
    monkeypatch.setattr(program, "FOLDER", folder)
    monkeypatch.setattr(program, "OWNER", -1)  # as it is: only root may give a file away

    def run(*words: str, given: bytes = b"") -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        status: int = program.main(list(words))
        return status

    return run


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_all_that_chance_can_make_is_made_for_its_owner_alone(folder: Path, make: Make) -> None:
    assert make() == 0
    assert set(contents(folder)) == BY_CHANCE
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o400}


def test_the_parts_fit_together(folder: Path, make: Make) -> None:
    make()
    found = contents(folder)
    [key] = parse_keys(found["sealing-keys"], "the secret").values()
    assert len(key) == KEY_BYTES
    assert found["database-passfile"] == f"*:*:face:face:{found['database-password']}"
    assert len(found["database-password"].strip()) == 64
    assert re.fullmatch(r"redis://face:[0-9a-f]{64}@redis:6379/0\n", found["limits-url"])
    assert "user default off\n" in found["limits-acl"]


def test_nothing_is_made_twice(folder: Path, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make()
    before = contents(folder)
    assert make() == 0
    assert contents(folder) == before
    assert capsys.readouterr().out.splitlines()[-1] == "all are there"


def test_two_services_have_two_of_each(folder: Path, make: Make) -> None:
    make()
    first = contents(folder)
    for path in folder.iterdir():
        path.unlink()
    make()
    assert not set(first.values()) & set(contents(folder).values())


def test_half_of_what_belongs_together_is_not_added_to(
    folder: Path, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new password file would not be the database's."""
    make()
    (folder / "database-passfile").unlink()
    assert make() == 1
    assert "only database-password is there" in capsys.readouterr().err
    assert not (folder / "database-passfile").exists()


def test_a_folder_that_an_engine_left_in_a_secrets_place_is_no_secret(folder: Path, make: Make) -> None:
    (folder / "sealing-keys").mkdir()
    assert make() == 0
    assert (folder / "sealing-keys").is_file()


def test_a_key_that_is_handed_over_is_kept_and_not_replaced(
    folder: Path, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make("keep", "dashboard-key", given=b"fk_one\n") == 0
    assert make("keep", "dashboard-key", given=b"fk_two\n") == 1
    assert "is there already" in capsys.readouterr().err
    assert contents(folder) == {"dashboard-key": "fk_one\n"}


@pytest.mark.parametrize("words", [("keep", "dashboard-key"), ("keep", "../elsewhere"), ("overwrite",)])
def test_what_cannot_be_kept_leaves_nothing(folder: Path, make: Make, words: tuple[str, ...]) -> None:
    """Such as what a command that failed wrote: nothing."""
    assert make(*words) == 1
    assert contents(folder) == {}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("tls-key", bytes.fromhex("3081870201003013ff")),  # DER
        ("tls-certificate", "-----BEGIN CERTIFICATE-----".encode("utf-16")),
        ("dashboard-key", b"the database does not answer\n"),
    ],
)
def test_what_is_of_another_form_is_refused_in_one_line_and_leaves_the_place_to_the_right_one(
    make: Make, capsys: pytest.CaptureFixture[str], name: str, given: bytes
) -> None:
    assert make("keep", name, given=given) == 1
    assert f"not kept as {name}" in capsys.readouterr().err
    right = {"tls-key": b"-----BEGIN PRIVATE KEY-----\n", "tls-certificate": b"-----BEGIN CERTIFICATE-----\n"}
    assert make("keep", name, given=right.get(name, b"fk_one\n")) == 0


def test_a_chain_is_kept_byte_for_byte_whatever_else_its_file_has(folder: Path, make: Make) -> None:
    """Such as a friendly name in Latin-1, which OpenSSL copies in front, and line ends of Windows."""
    chain = b"friendlyName: Z\xfcrich\r\n-----BEGIN CERTIFICATE-----\r\n"
    assert make("keep", "tls-certificate", given=chain) == 0
    assert (folder / "tls-certificate").read_bytes() == chain


@pytest.mark.parametrize("words", [(), ("certificate", "localhost")])
def test_a_full_disk_leaves_nothing_and_then_all_is_made(
    folder: Path,
    make: Make,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the half of a module's would be left for everybody
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))  # the sealing keys have 55 bytes
        assert make(*words) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert contents(folder) == {}
    assert make(*words) == 0


@pytest.mark.parametrize("name", ["한글", "a" * 70, ""])
def test_a_name_that_no_certificate_can_have_is_refused_in_one_line(
    folder: Path, make: Make, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert make("certificate", name) == 1
    assert capsys.readouterr().err.startswith("a certificate's NAME has ")
    assert contents(folder) == {}


def test_a_certificate_for_trying_out_can_be_served_with(folder: Path, make: Make) -> None:
    assert make("certificate", "localhost") == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls-certificate", folder / "tls-key")
    assert make("certificate", "localhost") == 1
