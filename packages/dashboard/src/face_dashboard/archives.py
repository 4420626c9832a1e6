"""A zip archive of photos that somebody uploaded, unpacked into a folder of its own, or refused as a whole.

Nothing that its directory says is believed: bytes are counted while they are unpacked, every name is judged before any
file is written, and a folder that is there is complete.
"""

import errno
import io
import os
import re
import shutil
import stat
import struct
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from face_dashboard.folders import UNPACKING
from face_dashboard.translations import PlainError

MAX_ARCHIVE_BYTES = 500_000_000
MAX_ENTRIES = 20_000
MAX_UNPACKED_BYTES = 2_000_000_000
MAX_ENTRY_BYTES = 25_000_000
MAX_DEPTH = 8
"""Folders and the file in them."""

MAX_NAME_BYTES = 200
"""Of a folder's or a file's name, in UTF-8."""

MAX_DIRECTORY_BYTES = 16_000_000
"""Of the archive's directory, which is in memory as a whole: some 100,000 entries, those that are ignored included."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".csv", ".txt"})
IGNORED_FOLDER = "__MACOSX"
IGNORED_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
RESOURCE_FORK = "._"

CHUNK_BYTES = 1 << 20

_END = struct.Struct("<4s4H2LH")  # of the zip format: the end of the directory, and where it is
_END_MARK, _ZIP64_MARK = b"PK\x05\x06", b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_MAX_COMMENT = 0xFFFF
_ENCRYPTED, _UTF8 = 0x1 | 0x40, 0x800

TOO_LARGE = "The archive has more than {limit} MB."
TOO_MANY = "The archive has more than {limit} entries."
TOO_MUCH = "Unpacked, the archive has more than {limit} MB."
ENTRY_TOO_LARGE = "`{name}` has more than {limit} MB."
NO_ARCHIVE = "This is no zip archive, or it is damaged."
ENCRYPTED = "The archive is encrypted: pack it without a password."
OTHER_METHOD = "The archive is compressed in a way that is not read here: pack it as an ordinary zip archive."
NO_TEXT = "`{name}` is a name that cannot be read: pack the archive with names in UTF-8."
LEAVES = "`{name}` would lie outside of the set's folder."
TOO_LONG = "`{name}` is too long a name, or lies in too many folders."
NO_FILE = "`{name}` is a link, or something else than a file or a folder."
OTHER_TYPE = "`{name}` is neither a photo (JPEG, PNG) nor a list (CSV, TXT)."
TWICE = "`{name}` comes twice, or differs from another name by nothing but upper and lower case."
EMPTY = "The archive holds no photo and no list."
EXISTS = "There is a set `{name}` already: choose another name."
NO_SPACE = "The disk of the dashboard is full."
NOT_WRITTEN = "The set cannot be written: {reason}."

MEGABYTE = 1_000_000
SHOWN_CHARACTERS = 80


class ArchiveError(PlainError):
    """An archive was refused."""


def unpack(archive: BinaryIO, folder: Path) -> int:
    """Unpack an archive into a folder that is made for it, and return the number of files.

    Photos (JPEG, PNG) and lists (CSV, TXT) are taken; what macOS and Windows add to archives is left out.

    Raises:
        ArchiveError: the archive is refused, or the disk; nothing of it is left then.
    """
    try:
        if os.path.lexists(folder):
            raise ArchiveError(EXISTS, name=folder.name)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=UNPACKING, dir=folder.parent))
        try:
            count = _unpack_into(archive, unfinished)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise ArchiveError(NO_SPACE) from error
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise ArchiveError(EXISTS, name=folder.name) from error
        if error.errno == errno.EINVAL:  # an offset before the beginning
            raise ArchiveError(NO_ARCHIVE) from error
        raise ArchiveError(NOT_WRITTEN, reason=error.strerror) from error
    return count


def _unpack_into(archive: BinaryIO, folder: Path) -> int:
    if archive.seek(0, io.SEEK_END) > MAX_ARCHIVE_BYTES:
        raise ArchiveError(TOO_LARGE, limit=MAX_ARCHIVE_BYTES // MEGABYTE)
    _check_directory(archive)
    try:
        with ZipFile(archive) as opened:
            files = list(_judged(opened.infolist()))
            if not files:
                raise ArchiveError(EMPTY)
            _write(opened, files, folder)
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error, zlib.error) as error:
        # ValueError: a name that says it is UTF-8 and is not, among others.
        raise ArchiveError(NO_ARCHIVE) from error
    return len(files)


def _check_directory(archive: BinaryIO) -> None:
    """Refuse a directory that would fill the memory before its entries could be counted."""
    size = archive.seek(0, io.SEEK_END)
    begin = archive.seek(max(0, size - _END.size - _MAX_COMMENT - _ZIP64_LOCATOR_BYTES))
    tail = archive.read(size - begin)
    place = len(tail) - _END.size  # where it is without a comment; zipfile looks there first
    if place < 0:
        raise ArchiveError(NO_ARCHIVE)
    if tail[place : place + 4] != _END_MARK or tail[-2:] != b"\0\0":
        place = tail.rfind(_END_MARK)
    if place < 0 or len(tail) - place < _END.size:
        raise ArchiveError(NO_ARCHIVE)
    directory_bytes = _END.unpack_from(tail, place)[5]
    is_zip64 = tail[max(0, place - _ZIP64_LOCATOR_BYTES) : place].startswith(_ZIP64_MARK)
    if is_zip64 or directory_bytes > MAX_DIRECTORY_BYTES:
        raise ArchiveError(TOO_MANY, limit=f"{MAX_ENTRIES:,}")


def _judged(entries: Sequence[ZipInfo]) -> Iterator[tuple[ZipInfo, PurePosixPath]]:
    """Return the files that are to be unpacked and where to, or refuse the archive."""
    known: dict[str, tuple[str, bool]] = {}  # each path's first spelling, and whether it is a folder
    count, declared = 0, 0
    for entry in entries:
        path = _path(entry)
        if path is None:
            continue
        count, declared = count + 1, declared + entry.file_size
        if count > MAX_ENTRIES:
            raise ArchiveError(TOO_MANY, limit=f"{MAX_ENTRIES:,}")
        if declared > MAX_UNPACKED_BYTES:
            raise ArchiveError(TOO_MUCH, limit=MAX_UNPACKED_BYTES // MEGABYTE)
        _check_kind(entry, path)
        folders = [path, *path.parents] if entry.is_dir() else path.parents
        for folder in folders:
            if known.setdefault(_on_any_disk(folder), (str(folder), True)) != (str(folder), True):
                raise ArchiveError(TWICE, name=_shown(str(path)))
        if not entry.is_dir():
            if _on_any_disk(path) in known:
                raise ArchiveError(TWICE, name=_shown(str(path)))
            known[_on_any_disk(path)] = str(path), False
            yield entry, path


def _path(entry: ZipInfo) -> PurePosixPath | None:
    """Return where an entry lies within the set; None where it is left out."""
    name = _name(entry)
    shown = _shown(name)
    if any(unicodedata.category(character) in {"Cc", "Cn", "Cs"} for character in name):
        raise ArchiveError(NO_TEXT, name=shown)
    parts = name.removesuffix("/").split("/")
    if "\\" in name or re.match("[A-Za-z]:", name) or any(part in {"", ".", ".."} for part in parts):
        raise ArchiveError(LEAVES, name=shown)
    if parts[0] == IGNORED_FOLDER or parts[-1] in IGNORED_FILES or parts[-1].startswith(RESOURCE_FORK):
        return None
    if len(parts) > MAX_DEPTH or any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise ArchiveError(TOO_LONG, name=shown)
    return PurePosixPath(*parts)


def _name(entry: ZipInfo) -> str:
    """Return an entry's name as who packed it reads it."""
    name = entry.orig_filename  # as it stands there: `filename` ends at a NUL
    if entry.flag_bits & _UTF8:
        return name
    # The format has no word for other letters: macOS writes UTF-8 all the same, Korean Windows its own code page.
    packed = name.encode("cp437")
    for encoding in ("utf-8", "cp949"):
        try:
            return packed.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ArchiveError(NO_TEXT, name=_shown(name))


def _check_kind(entry: ZipInfo, path: PurePosixPath) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG}:
        raise ArchiveError(NO_FILE, name=_shown(str(path)))
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(ENCRYPTED)
    if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise ArchiveError(OTHER_METHOD)
    is_hidden = any(part.startswith(".") for part in path.parts)
    if is_hidden or (not entry.is_dir() and path.suffix.lower() not in SUFFIXES):
        raise ArchiveError(OTHER_TYPE, name=_shown(str(path)))
    if entry.file_size > MAX_ENTRY_BYTES:
        raise ArchiveError(ENTRY_TOO_LARGE, name=_shown(str(path)), limit=MAX_ENTRY_BYTES // MEGABYTE)


def _write(opened: ZipFile, files: Sequence[tuple[ZipInfo, PurePosixPath]], folder: Path) -> None:
    """Write every file, and count what comes, whatever the directory said."""
    remaining = MAX_UNPACKED_BYTES
    for entry, path in files:
        target = folder / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        of_entry = MAX_ENTRY_BYTES
        with os.fdopen(descriptor, "wb") as written, opened.open(entry) as packed:
            while chunk := packed.read(CHUNK_BYTES):
                of_entry -= len(chunk)
                remaining -= len(chunk)
                if of_entry < 0:
                    raise ArchiveError(ENTRY_TOO_LARGE, name=_shown(str(path)), limit=MAX_ENTRY_BYTES // MEGABYTE)
                if remaining < 0:
                    raise ArchiveError(TOO_MUCH, limit=MAX_UNPACKED_BYTES // MEGABYTE)
                written.write(chunk)


def _on_any_disk(path: PurePosixPath) -> str:
    """Return the same text for all paths that some disk takes for one."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _shown(name: str) -> str:
    """Return a name that can stand between backticks."""
    text = "".join(character if character.isprintable() and character != "`" else "?" for character in name)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
