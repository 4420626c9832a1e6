"""Whose each photo of an import is: told by its folder, by its name, or by a CSV file."""

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from face_dashboard.names import is_name
from face_dashboard.reasons import say
from face_dashboard.translations import PlainError

MAX_FILES = 10_000
"""Of an import: their photos are in the dashboard's memory until it is over."""

MAX_AGE = 150

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini"})
IGNORED_FOLDER = "__MACOSX"

DELIMITERS = ",;\t"
ENCODINGS = ("utf-8-sig", "cp949")
"""Of CSV files: UTF-8, and what Excel writes in Korea."""

NO_ID = say("Neither the folder nor the file is named as a user's id: 1 to 128 lower-case letters and digits.")
NO_PHOTO = say("This is no photo: JPEG and PNG are taken.")
TWO_FOLDERS = say("Another folder has the same name: are they one person? Put all photos of a user in one folder.")
NOT_LISTED = say("It is not in the CSV file.")
NOT_THERE = say("The CSV file lists it, but it was not chosen.")
AMBIGUOUS = say("Several of the files have this name: write the folder, too.")
LISTED_TWICE = say("The CSV file lists it twice.")
ID_INVALID = say("The id has other characters than lower-case letters and digits, or is missing.")
GENDER_INVALID = say("The gender is neither 0 (female) nor 1 (male).")
AGE_INVALID = say("The age is no whole number from 0 to 150.")

TOO_MANY = say("There are more than {limit} files: choose fewer at a time.")
NO_TEXT = say("The CSV file is no text: save it as CSV (UTF-8).")
NO_COLUMNS = say("The first line of the CSV file must name the columns `id` and `file`; `gender` and `age` may follow.")
NO_CSV = say("The CSV file cannot be read.")

_STEM = re.compile(r"([a-z0-9]{1,128})(?:[_-][0-9]{1,6})?")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,3}")


class PhotoListError(PlainError):
    """Nothing can be made of what was chosen."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo and whose it is. `index`: its place among the files that were chosen."""

    index: int
    file: str
    user: str
    gender: int | None = None
    age: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not sent, and why, in English; a catalogue has the other languages."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class PhotoList:
    """What was understood of the chosen files."""

    entries: Sequence[Entry]
    problems: Sequence[Problem]

    @property
    def users(self) -> int:
        return len({entry.user for entry in self.entries})


def of_folder(files: Sequence[str]) -> PhotoList:
    """Understand the files of a folder, which each begin with its name: `staff/tamy/1.jpg`, or `staff/tamy_2.jpg`.

    A folder within it is a user, and so is a file that lies in none. They are in the order of their names.

    Raises:
        PhotoListError: there are too many.
    """
    _check_count(files)
    entries: list[Entry] = []
    problems: list[Problem] = []
    folder_of: dict[str, PurePosixPath] = {}
    for index, path in _photos(files, problems):
        inner = PurePosixPath(*path.parts[1:]) if len(path.parts) > 1 else path
        if len(inner.parts) > 1:
            user = inner.parent.name
            is_other = folder_of.setdefault(user, inner.parent) != inner.parent
        else:
            stem = _STEM.fullmatch(inner.stem)
            user, is_other = stem[1] if stem else "", False
        if not is_name(user):
            problems.append(Problem(files[index], NO_ID))
        elif is_other:
            problems.append(Problem(files[index], TWO_FOLDERS))
        else:
            entries.append(Entry(index, files[index], user))
    return PhotoList(sorted(entries, key=lambda one: one.file), problems)


def of_csv(content: bytes, files: Sequence[str]) -> PhotoList:
    """Understand the files by a CSV file with the columns id and file, and, where they are known, gender and age.

    Args:
        files: their names, or their paths below any folder.

    Raises:
        PhotoListError: there are too many, or the CSV file is none.
    """
    _check_count(files)
    problems: list[Problem] = []
    rows = _rows(content)
    _check_count(rows)
    photos = list(_photos(files, problems))
    places = _places(photos)
    entries: list[Entry] = []
    listed: set[int] = set()
    for row in rows:
        found = places.get(_comparable(PurePosixPath(row["file"].replace("\\", "/"))), ())
        wrong = _wrong(row, found, listed)
        listed.update(found)
        if wrong is None:
            (index,) = found
            entries.append(Entry(index, files[index], row["id"], _whole(row["gender"]), _whole(row["age"])))
        else:
            problems.append(Problem(row["file"] or row["id"], wrong))
    problems += [Problem(files[index], NOT_LISTED) for index, _path in photos if index not in listed]
    return PhotoList(entries, problems)


def _wrong(row: Mapping[str, str], found: Sequence[int], listed: set[int]) -> str | None:
    if not found:
        return NOT_THERE
    if len(found) > 1:
        return AMBIGUOUS
    if found[0] in listed:
        return LISTED_TWICE
    if not is_name(row["id"]):
        return ID_INVALID
    if row["gender"] not in {"", "0", "1"}:
        return GENDER_INVALID
    if row["age"] and not (_WHOLE_NUMBER.fullmatch(row["age"]) and int(row["age"]) <= MAX_AGE):
        return AGE_INVALID
    return None


def _check_count(found: Sequence[object]) -> None:
    if len(found) > MAX_FILES:
        raise PhotoListError(TOO_MANY, limit=f"{MAX_FILES:,}")


def _photos(files: Sequence[str], problems: list[Problem]) -> list[tuple[int, PurePosixPath]]:
    """Return the photos with their places; other files are a problem, but for what systems leave in folders."""
    photos = []
    for index, file in enumerate(files):
        path = PurePosixPath(file)
        if path.name.startswith(".") or path.name.lower() in IGNORED_FILES or IGNORED_FOLDER in path.parts:
            continue
        if path.suffix.lower() in PHOTO_SUFFIXES:
            photos.append((index, path))
        else:
            problems.append(Problem(file, NO_PHOTO))
    return photos


def _places(photos: Sequence[tuple[int, PurePosixPath]]) -> Mapping[str, Sequence[int]]:
    """Return which files each path may mean: the whole one, or what is left below any of its folders.

    A file in no folder is meant by its bare name, whatever lies in folders.
    """
    places: dict[str, list[int]] = {}
    for index, path in photos:
        for start in range(len(path.parts)):
            places.setdefault(_comparable(PurePosixPath(*path.parts[start:])), []).append(index)
    for index, path in photos:
        if len(path.parts) == 1:
            places[_comparable(path)] = [index]
    return places


def _comparable(path: PurePosixPath) -> str:
    """Return a path as any system would spell it: macOS takes letters apart."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _rows(content: bytes) -> list[dict[str, str]]:
    """Return the rows as text by column, without spaces around it."""
    lines = _text(content).splitlines()
    head = next((line for line in lines if line.strip()), "")
    delimiter = max(DELIMITERS, key=head.count)
    try:
        rows = csv.reader(io.StringIO(_text(content), newline=""), delimiter=delimiter, strict=True)
        cells = ([cell.strip() for cell in row] for row in rows)
        filled = list(islice(filter(any, cells), MAX_FILES + 2))  # the names, and one that is too many
    except csv.Error as error:
        raise PhotoListError(NO_CSV) from error
    names = [name.lower() for name in filled[0]] if filled else []
    if not {"id", "file"} <= set(names):
        raise PhotoListError(NO_COLUMNS)
    empty = dict.fromkeys(("id", "file", "gender", "age"), "")
    return [empty | dict(zip(names, row, strict=False)) for row in filled[1:]]


def _text(content: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise PhotoListError(NO_TEXT)


def _whole(text: str) -> int | None:
    return int(text) if text else None
