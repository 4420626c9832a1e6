import stat
from pathlib import Path

import pytest

from face_dashboard.signing_in.passwords import PasswordFileError, is_password, make_password


def test_the_password_is_kept_as_an_argon2_hash_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "admin-password"
    password = make_password(path)
    assert len(password) == 23
    kept = path.read_text()
    assert kept.startswith("$argon2id$")
    assert password not in kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_only_the_password_is_it(tmp_path: Path) -> None:
    path = tmp_path / "admin-password"
    password = make_password(path)
    assert is_password(path, password)
    for other in ("", password.upper(), password + "x", "\ud800", password * 1000):
        assert not is_password(path, other)


def test_a_new_password_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "admin-password"
    old, new = make_password(path), make_password(path)
    assert old != new
    assert is_password(path, new)
    assert not is_password(path, old)


@pytest.mark.parametrize("content", [None, b"", b"secret", b"\xff"])
def test_a_file_that_holds_no_hash_lets_nobody_in(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "admin-password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PasswordFileError, match="admin-password"):
        is_password(path, "secret")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(PasswordFileError, match="cannot be written"):
        make_password(tmp_path / "file" / "admin-password")
