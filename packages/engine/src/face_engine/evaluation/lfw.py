"""The files of Labeled Faces in the Wild: pairs.txt and people.txt.

Huang, Ramesh, Berg and Learned-Miller: Labeled Faces in the Wild, technical report 07-49, University of Massachusetts,
2007; the protocols: Huang and Learned-Miller, technical report UM-CS-2014-003.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from face_engine.errors import DataSetError
from face_engine.evaluation.contents import Named
from face_engine.evaluation.labels import NO_FOLD, Problems
from face_engine.evaluation.listed import ListedPair
from face_engine.evaluation.texts import lines_of

PEOPLE_FIELDS = 2

MAX_FOLDS = 1_000
MAX_PHOTOS = 1_000_000
"""Of a people.txt: one line can name any number."""

MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class PairsHeader:
    """`per_fold` mated pairs and as many non-mated ones in each fold; one fold, as in pairsDevTest.txt, is none."""

    folds: int
    per_fold: int


def read_pairs_header(path: Path) -> PairsHeader | None:
    """Return the header of a pairs.txt, or None where the file does not begin as one.

    Raises:
        DataSetError: the file cannot be read, or the numbers can be none of folds and pairs.
    """
    first = next((text for _, text in lines_of(path)), "").split()
    if not first or not all(word.isdecimal() for word in first) or len(first) > 2:  # noqa: PLR2004 - folds and size
        return None
    if all(map(_is_number, first)):
        folds, per_fold = map(int, first if len(first) > 1 else ["1", *first])
        if 1 <= folds <= MAX_FOLDS and per_fold:
            return PairsHeader(folds, per_fold)
    raise DataSetError(f"{path.name}:1: is no number of folds, 1 to {MAX_FOLDS:,}, and number of pairs: {first!r:.80}")


def read_pairs(path: Path, header: PairsHeader, problems: Problems) -> Iterator[ListedPair]:
    """Return the pairs of a pairs.txt; lines of another form are problems.

    Raises:
        DataSetError: there are more or fewer lines than the header says.
    """
    expected = header.folds * 2 * header.per_fold
    count = 0
    for line, text in lines_of(path):
        if line == 1 or not text:
            continue
        place = f"{path.name}:{line}"
        fold = count // (2 * header.per_fold) if header.folds > 1 else NO_FOLD
        count += 1
        if count > expected:
            break
        fields = text.split("\t") if "\t" in text else text.split()
        match fields:
            case [name, one, other] if _is_number(one) and _is_number(other):
                reference, probe, mated = _named(name, one, place), _named(name, other, place), True
            case [name, one, other_name, other] if _is_number(one) and _is_number(other):
                reference, probe, mated = _named(name, one, place), _named(other_name, other, place), False
            case _:
                problems.add(place, f"is neither NAME N N nor NAME N NAME N: {text[:80]!r}")
                continue
        yield ListedPair(line, reference, probe, mated, fold)
    if count != expected:
        more = "more" if count > expected else f"{count:,}"
        raise DataSetError(
            f"{path.name}: its first line announces {header.folds} x 2 x {header.per_fold} pairs, and it has {more}"
        )


def read_people(path: Path) -> list[dict[str, list[str]]]:
    """Return the photos of each person, by fold, of a people.txt.

    Raises:
        DataSetError: it is none.
    """
    lines = ((line, text.split("\t") if "\t" in text else text.split()) for line, text in lines_of(path) if text)

    def number(wanted: str) -> int:
        line, fields = next(lines, (0, []))
        if len(fields) != 1 or not _is_number(fields[0]):
            raise DataSetError(f"{path.name}:{line or 'end'}: here the {wanted} should stand alone")
        return int(fields[0])

    folds = []
    photos = 0
    for _ in range(number("number of folds")):
        people: dict[str, list[str]] = {}
        for _ in range(number("number of persons of a fold")):
            line, fields = next(lines, (0, []))
            if len(fields) != PEOPLE_FIELDS or not _is_number(fields[1]):
                raise DataSetError(f"{path.name}:{line or 'end'}: is not NAME N")
            name, count = fields[0], int(fields[1])
            if name in people:
                raise DataSetError(f"{path.name}:{line}: {name} is in this fold before")
            photos += count
            if photos > MAX_PHOTOS:
                raise DataSetError(f"{path.name}:{line}: these are more than {MAX_PHOTOS:,} photos")
            people[name] = [file_of(name, str(photo)) for photo in range(1, count + 1)]
        folds.append(people)
    if extra := next(lines, None):
        raise DataSetError(f"{path.name}:{extra[0]}: there is more than its numbers announce")
    return folds


def file_of(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= MAX_DIGITS


def _named(name: str, number: str, place: str) -> Named:
    return Named(file_of(name, number), name, place)
