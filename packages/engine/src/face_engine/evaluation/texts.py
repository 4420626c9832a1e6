"""Text files that people wrote: lines and tables, with the numbers of the lines."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_engine.errors import DataSetError
from face_engine.evaluation.labels import Problems

MAX_FIELD_CHARACTERS = 4_096


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. `line`: where it ends in the file, from 1."""

    line: int
    values: dict[str, str]


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Return each line's number, from 1, and its text without surrounding blanks. Raises DataSetError."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for line, text in enumerate(stream, start=1):
                yield line, text.strip()
    except OSError as error:
        raise DataSetError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path.name}: is not UTF-8 text") from error


def columns_of(path: Path) -> list[str]:
    """Return the names in a CSV file's first line. Raises DataSetError."""
    first = next((text for _, text in lines_of(path)), "")
    try:
        return [name.strip() for name in next(csv.reader([first]), [])]
    except csv.Error as error:
        raise DataSetError(f"{path.name}:1: {error}") from error


def rows_of(path: Path, columns: Sequence[str], problems: Problems) -> Iterator[Row]:
    """Return a CSV file's rows, after its first line; rows of another length are problems.

    Raises:
        DataSetError: the file is no CSV.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            next(reader, None)
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(columns):
                    problems.add(f"{path.name}:{reader.line_num}", f"has {len(fields)} fields, not {len(columns)}")
                    continue
                yield Row(reader.line_num, dict(zip(columns, (text.strip() for text in fields), strict=True)))
    except csv.Error as error:
        raise DataSetError(f"{path.name}:{reader.line_num}: {error}") from error
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path.name}: is not UTF-8 text") from error
