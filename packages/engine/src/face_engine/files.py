"""Files that are there as a whole or not at all, whatever ends the program while it writes; and reading a photo."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from face_engine.errors import PhotoFileTooLargeError

MAX_PHOTO_BYTES = 100_000_000


def read_photo(path: Path) -> bytes:
    """Return a photo's file.

    Raises:
        PhotoFileTooLargeError: larger than MAX_PHOTO_BYTES; no more than that is read.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        data = stream.read(MAX_PHOTO_BYTES + 1)
    if len(data) > MAX_PHOTO_BYTES:
        raise PhotoFileTooLargeError(MAX_PHOTO_BYTES)
    return data


def replace_file(path: Path, data: bytes) -> None:
    """Write a file with owner-only rights; at any time there is the whole old one or the whole new one.

    Raises:
        OSError: it cannot be written; the old one, if any, is as it was.
    """
    _write(path, data, replace=True)


def create_file(path: Path, data: bytes) -> None:
    """Write a file as `replace_file` does, but only where there is none.

    Raises:
        FileExistsError: there is one; it is as it was.
        OSError: it cannot be written.
    """
    _write(path, data, replace=False)


@contextmanager
def creating_file(path: Path) -> Iterator[BinaryIO]:
    """A stream that is the file, with owner-only rights, once the block ends well; until then there is none.

    Raises:
        FileExistsError: there is one; it is as it was.
        OSError: it cannot be written.
    """
    with _writing(path, replace=False) as stream:
        yield stream


def _write(path: Path, data: bytes, *, replace: bool) -> None:
    with _writing(path, replace=replace) as stream:
        stream.write(data)


@contextmanager
def _writing(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(path)
        else:
            _give_name(temporary, path)
        _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _give_name(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links, such as a memory stick's. Nothing there does both in one step.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)


def _sync_folder(folder: Path) -> None:
    """Make a new name last as well as the bytes behind it, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
