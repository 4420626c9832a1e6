"""CSV files of labels: one of pairs, as deepface's tests use, and one of photos with persons and subgroups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_engine.errors import DataSetError
from face_engine.evaluation.contents import Named
from face_engine.evaluation.labels import NO_FOLD, Problems
from face_engine.evaluation.listed import ListedPair
from face_engine.evaluation.texts import columns_of, rows_of

PAIR_COLUMNS = ("file_x", "file_y", "decision")
DECISIONS = {"yes": True, "no": False}

FILE, PERSON = "file", "person"

MAX_SUBGROUPS = 50
"""Values of one column; more are no subgroups but something that each photo has of its own."""


@dataclass(frozen=True, slots=True)
class LabelledPhotos:
    """The rows of a CSV of photos: names, and for each subgroup column the value of each file."""

    named: Sequence[Named]
    subgroups: dict[str, dict[str, str]]


def read_pairs(path: Path, problems: Problems) -> Iterator[ListedPair]:
    """Return the pairs of a CSV file with the columns file_x, file_y and Decision (Yes or No); others are not read.

    Raises:
        DataSetError: it has other columns, or is no CSV.
    """
    columns = [name.lower() for name in columns_of(path)]
    if any(columns.count(name) != 1 for name in PAIR_COLUMNS):
        raise DataSetError(
            f"{path.name}:1: neither LFW's pairs.txt, which begins with numbers, nor a CSV with the columns "
            "file_x, file_y and Decision"
        )
    for row in rows_of(path, columns, problems):
        place = f"{path.name}:{row.line}"
        one, other, decision = (row.values[name] for name in PAIR_COLUMNS)
        mated = DECISIONS.get(decision.lower())
        if not one or not other:
            problems.add(place, "names no two files")
        elif mated is None:
            problems.add(place, f"its Decision is neither Yes nor No: {decision[:40]!r}")
        else:
            yield ListedPair(row.line, Named(one, "", place), Named(other, "", place), mated, NO_FOLD)


def read_photos(path: Path, problems: Problems) -> LabelledPhotos:
    """Return the photos of a CSV file with the columns file and person; every other column is one of subgroups.

    A file that comes twice is a problem: with the same labels its second row is left out, with others both are.

    Raises:
        DataSetError: it has other columns, or is no CSV.
    """
    columns = columns_of(path)
    lower = [name.lower() for name in columns]
    if lower.count(FILE) != 1 or lower.count(PERSON) != 1:
        raise DataSetError(f"{path.name}:1: a CSV of photos has the columns file and person, and any of subgroups")
    columns = [name.lower() if name.lower() in {FILE, PERSON} else name for name in columns]
    for name in columns:
        if name and columns.count(name) > 1:
            raise DataSetError(f"{path.name}:1: two columns are called {name}")
    by_file: dict[str, dict[str, str]] = {}
    places: dict[str, str] = {}
    contradictory: set[str] = set()
    for row in rows_of(path, columns, problems):
        place, file = f"{path.name}:{row.line}", row.values[FILE]
        if not file or not row.values[PERSON]:
            problems.add(place, "names no file, or no person")
        elif file not in by_file:
            by_file[file], places[file] = row.values, place
        elif row.values == by_file[file]:
            problems.add(place, f"{file} is labelled again, as in {places[file]}")
        else:
            problems.add(place, f"{file} has other labels in {places[file]}")
            contradictory.add(file)
    kept = {file: values for file, values in by_file.items() if file not in contradictory}
    subgroups = {name: {file: values[name] for file, values in kept.items()} for name in columns if name}
    del subgroups[FILE], subgroups[PERSON]
    for name in list(subgroups):
        distinct = len(set(subgroups[name].values()) - {""})
        if distinct > MAX_SUBGROUPS:
            problems.add(f"{path.name}:1", f"the column {name} has {distinct:,} values: too many for subgroups")
            del subgroups[name]
    return LabelledPhotos([Named(file, values[PERSON], places[file]) for file, values in kept.items()], subgroups)
