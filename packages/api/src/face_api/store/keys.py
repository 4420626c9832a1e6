"""Sealing keys: where they come from.

A key has an id, which stands in front of everything that is sealed with it. The first of several is the current one:
it seals; the others open what was sealed before. As text, in FACE_API_KEYS or a file: `id:base64` of 32 bytes each,
separated by commas, blanks or lines; what follows a # is a comment.
"""

import base64
import binascii
import fcntl
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from face_api.store.errors import KeyMissingError, KeysError
from face_engine.files import create_file, replace_file

KEY_BYTES = 32  # AES-256

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_FILE_HEAD = """\
# Sealing keys of the face verification service. The first one seals; the others open what was sealed before.
# Without this file the enrollments cannot be read: keep a copy, apart from the copies of the database.
"""

logger = logging.getLogger(__name__)


class Keys(Protocol):
    """A source of sealing keys; asked for every value that is sealed or opened, so it keeps what it knows.

    A key management service implements it with data keys that it unwraps when they are first asked for. Whatever goes
    wrong is a KeysError. Safe to call from several threads.
    """

    def current(self) -> str:
        """Return the id of the key that seals. Raises KeysError."""
        ...

    def key(self, key_id: str) -> bytes:
        """Return a key: 32 bytes. Raises KeyMissingError where there is none of that id."""
        ...

    def create(self) -> None:
        """Make the first key, if there is none, for a database that holds nothing yet. Raises KeysError."""
        ...

    def renew(self) -> str | None:
        """Make a new current key and return its id; None where that is not the program's business but its operator's.

        The keys before it stay. Raises KeysError.
        """
        ...


class GivenKeys:
    """Keys that were handed over as text, in FACE_API_KEYS."""

    def __init__(self, text: str) -> None:
        self._keys = parse_keys(text, "FACE_API_KEYS")
        self._current = next(iter(self._keys))

    def current(self) -> str:
        return self._current

    def key(self, key_id: str) -> bytes:
        return _lookup(self._keys, key_id)

    def create(self) -> None:
        """There are keys already."""

    def renew(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A key file's content and its stamp, replaced as one: threads read it."""

    stamp: tuple[int, ...]
    keys: Mapping[str, bytes]


class KeyFile:
    """Keys in a file that only its owner may read; read again whenever it changed, so a new key needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _Seen((), {})

    def current(self) -> str:
        return next(iter(self._read()))

    def key(self, key_id: str) -> bytes:
        # Not needed while the file cannot be read for a moment, so tried only for a key that is new here.
        key = self._seen.keys.get(key_id)
        return _lookup(self._read(), key_id) if key is None else key

    def create(self) -> None:
        if self._path.exists():
            return
        with _file_errors(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another process was quicker, and its key is as good
                create_file(self._path, _to_text({_new_id(): secrets.token_bytes(KEY_BYTES)}))
                logger.warning("made a sealing key in %s: keep a copy elsewhere, nothing opens without it", self._path)

    def renew(self) -> str:
        self._read()  # says what is wrong with it, before anything is made
        new = _new_id()
        path = self._path.resolve()  # a link stays one
        # Two who renew at a time must not each put a file of their own over the other's.
        with _file_errors(path), _only_one(path.parent):
            for left_over in path.parent.glob(f".{path.name}.*"):
                left_over.unlink()  # by a program that was killed while it wrote
            keys = parse_keys(path.read_text(), str(path))
            replace_file(path, _to_text({new: secrets.token_bytes(KEY_BYTES), **keys}))
        return new

    def _read(self) -> Mapping[str, bytes]:
        with _file_errors(self._path):
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            seen = self._seen
            if stamp != seen.stamp:
                seen = self._seen = _Seen(stamp, parse_keys(self._path.read_text(), str(self._path)))
                if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    logger.warning("others than its owner may reach the sealing keys in %s: chmod 600", self._path)
        return seen.keys


def parse_keys(text: str, source: str) -> Mapping[str, bytes]:
    """Return the keys of a text by their ids, in its order; `source` is what a message calls the text.

    Raises:
        KeysError: there is none, one is malformed or of another length, or two have the same id.
    """
    keys: dict[str, bytes] = {}
    without_comments = "\n".join(line.partition("#")[0] for line in text.splitlines())
    for number, item in enumerate(re.split(r"[,\s]+", without_comments.strip()), start=1):
        key_id, colon, encoded = item.partition(":")
        key = b""
        if colon and _KEY_ID.fullmatch(key_id):
            with suppress(binascii.Error, ValueError):
                key = base64.b64decode(encoded, validate=True)
        if len(key) != KEY_BYTES:
            raise KeysError(
                f"{source}: key number {number} is not id:base64 of {KEY_BYTES} bytes, with an id of up to 32 letters, "
                f"digits, '.', '_' or '-'"
            )
        if key_id in keys:
            raise KeysError(f"{source}: the id {key_id} comes twice")
        keys[key_id] = key
    return keys


def _to_text(keys: Mapping[str, bytes]) -> bytes:
    lines = [f"{key_id}:{base64.b64encode(key).decode()}\n" for key_id, key in keys.items()]
    return (_FILE_HEAD + "".join(lines)).encode()


def _lookup(keys: Mapping[str, bytes], key_id: str) -> bytes:
    try:
        return keys[key_id]
    except KeyError:
        raise KeyMissingError(key_id, tuple(keys)) from None


def _new_id() -> str:
    return f"k{secrets.token_hex(4)}"


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no text"
        raise KeysError(f"the sealing keys in {path} cannot be used: {problem}") from error
