"""Text files that people wrote: lines and tables, with the numbers of the lines."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_engine.errors import DataSetError
from face_engine.evaluation.labels import Problems

MAX_FIELD_CHARACTERS = 4_096

MAX_LINE_CHARACTERS = 1_000_000
"""A longer line is none that people wrote, and would be in memory as a whole."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. `line`: where it ends in the file, from 1."""

    line: int
    values: dict[str, str]


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Return each line's number, from 1, and its text without surrounding blanks. Raises DataSetError."""
    for line, text in enumerate(_read(path, newline=None), start=1):
        yield line, text.strip()


def columns_of(path: Path) -> list[str]:
    """Return the names in a CSV file's first row. Raises DataSetError."""
    _, names = next(_fields_of(path), (1, []))
    return [name.strip() for name in names]


def rows_of(path: Path, columns: Sequence[str], problems: Problems) -> Iterator[Row]:
    """Return a CSV file's rows, after its first one; rows of another length are problems.

    Raises:
        DataSetError: the file is no CSV.
    """
    rows = _fields_of(path)
    next(rows, None)
    for line, fields in rows:
        if not fields:
            continue
        if len(fields) != len(columns):
            problems.add(f"{path.name}:{line}", f"has {len(fields)} fields, not {len(columns)}")
            continue
        yield Row(line, dict(zip(columns, (text.strip() for text in fields), strict=True)))


def _fields_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.reader(_read(path, newline=""), strict=True)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise DataSetError(f"{path.name}:{reader.line_num}: {error}") from error


def _read(path: Path, newline: str | None) -> Iterator[str]:
    """Return a regular file's lines with their ends. Raises DataSetError."""
    try:
        if path.exists() and not path.is_file():
            raise DataSetError(f"{path}: is not a file")
        with path.open(encoding="utf-8-sig", newline=newline) as stream:
            while text := stream.readline(MAX_LINE_CHARACTERS + 1):
                if len(text) > MAX_LINE_CHARACTERS:
                    raise DataSetError(f"{path.name}: has a line of more than {MAX_LINE_CHARACTERS:,} characters")
                yield text
    except OSError as error:
        raise DataSetError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path.name}: is not UTF-8 text") from error
