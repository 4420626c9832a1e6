"""Files that are there as a whole or not at all, whatever ends the program while it writes; and reading a photo."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

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


def _write(path: Path, data: bytes, *, replace: bool) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
        _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a new name last as well as the bytes behind it, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
