"""The administrator's password: made on the first run, kept as an Argon2 hash, told once."""

import secrets
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from face_engine.files import replace_file

PASSWORD_GROUPS = 4
GROUP_LETTERS = 5
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without what looks alike: 100 bits in 4 groups of 5

MAX_PASSWORD = 200
"""Characters that are looked at."""

_hasher = PasswordHasher()  # argon2id with the second set of RFC 9106: 64 MiB, 3 passes


class PasswordFileError(Exception):
    """The file with the password's hash cannot be read or written; the message says which and why."""


def make_password(path: Path) -> str:
    """Make a new password in the place of the one that there may be, and return it: it is kept nowhere.

    Raises:
        PasswordFileError
    """
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LETTERS)) for _ in range(PASSWORD_GROUPS))
    password = "-".join(groups)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, (_hasher.hash(password) + "\n").encode())
    except OSError as error:
        raise PasswordFileError(f"{path} cannot be written: {error.strerror}") from error
    return password


def is_password(path: Path, given: str) -> bool:
    """Return whether this is the password. Takes some 50 ms and 64 MB, so that trying many costs much.

    Raises:
        PasswordFileError
    """
    try:
        known = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise PasswordFileError(f"{path} cannot be read") from error
    try:
        return _hasher.verify(known, given[:MAX_PASSWORD].encode("utf-8", "replace"))
    except InvalidHashError as error:
        raise PasswordFileError(f"{path} holds no hash of a password") from error
    except Argon2Error:
        return False
