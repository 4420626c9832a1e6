"""Pairs that a file lists, one a line: kept on disk while they are checked and compared."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face_engine.evaluation.contents import Named, found, shared
from face_engine.evaluation.labels import BLOCK_PAIRS, PAIR, Pairs, Photo, Problems, numbered
from face_engine.evaluation.progress import Progress

LISTED = np.dtype([*((name, PAIR[name]) for name in PAIR.names or ()), ("line", "<i4"), ("kept", "?")])

KEYS_AT_A_TIME = 4_000_000
"""Pairs that are searched for equal ones in one go: 64 MB."""


@dataclass(frozen=True, slots=True)
class ListedPair:
    """A line of the file: two photos by their files, and the persons where the file names them."""

    line: int
    reference: Named
    probe: Named
    mated: bool
    fold: int


@dataclass(frozen=True, slots=True, eq=False)
class ListedPairs:
    """The pairs of a file that were kept, in its order; (n,) of LISTED on disk."""

    path: Path
    mated: int
    non_mated: int

    def blocks(self) -> Iterator[Pairs]:
        for block in _read(self.path):
            kept = block[block["kept"]]
            pairs = np.empty(len(kept), PAIR)
            for name in PAIR.names or ():
                pairs[name] = kept[name]
            yield pairs


def gather(
    lines: Iterable[ListedPair],
    list_file: Path,
    root: Path,
    spool: Path,
    problems: Problems,
    progress: Progress,
    known_persons: Mapping[str, str] | None = None,
) -> tuple[list[Photo], npt.NDArray[np.int32], ListedPairs]:
    """Check the listed pairs. Return the photos they name, whose each is, and the pairs.

    Args:
        lines: of the list, in order.
        list_file: named where a line is wrong.
        root: the folder of the photos.
        spool: a file to keep the pairs in; overwritten.
        known_persons: whose each photo is, by file, where another file labels them; a photo that it lacks is a problem.
    """
    named: dict[str, Named] = {}
    numbers: dict[str, int] = {}
    with spool.open("wb") as stream:
        for block in _packed(lines, named, numbers):
            stream.write(block.tobytes())  # numpy's own tofile tells nothing of a full disk
    if known_persons is not None:
        for one in [one for one in named.values() if one.file not in known_persons]:
            problems.add(one.place, f"{one.file} has no labels")
            del named[one.file]
        named = {file: Named(file, known_persons[file], one.place) for file, one in named.items()}
    photos = found(root, list(named.values()), problems, progress)
    shared(photos, problems.note)  # published lists have such photos; a pair of both is a problem

    by_number = [photos.get(file) for file in numbers]
    contents = numbered([photo.sha256 if photo else "" for photo in by_number])
    there = np.array([photo is not None for photo in by_number], bool)
    persons = _persons(by_number, contents, spool)
    _drop_wrong(spool, list_file, there, contents, persons, problems)
    _drop_repeated(spool, list_file, contents, problems)

    kept = np.zeros(len(by_number), bool)
    mated = non_mated = 0
    for block in _read(spool):
        pairs = block[block["kept"]]
        kept[pairs["reference"]] = kept[pairs["probe"]] = True
        is_mated = int(pairs["mated"].sum())
        mated += is_mated
        non_mated += len(pairs) - is_mated
    new_number = np.cumsum(kept, dtype=np.int32) - 1
    _renumber(spool, new_number)
    photos_kept = [photo for photo, is_kept in zip(by_number, kept, strict=True) if photo and is_kept]
    return photos_kept, numbered(persons[kept].tolist()), ListedPairs(spool, mated, non_mated)


def _packed(lines: Iterable[ListedPair], named: dict[str, Named], numbers: dict[str, int]) -> Iterator[Pairs]:
    rows: list[tuple[int, int, bool, int, int, bool]] = []
    for pair in lines:
        both = []
        for one in (pair.reference, pair.probe):
            named.setdefault(one.file, one)
            both.append(numbers.setdefault(one.file, len(numbers)))
        rows.append((both[0], both[1], pair.mated, pair.fold, pair.line, True))
        if len(rows) == BLOCK_PAIRS:
            yield np.array(rows, LISTED)
            rows = []
    yield np.array(rows, LISTED)


def _persons(photos: list[Photo | None], contents: npt.NDArray[np.int32], spool: Path) -> npt.NDArray[np.int32]:
    """Return whose each photo is, by the names or, where there are none, by the mated pairs that connect them."""
    if any(photo.person for photo in photos if photo):
        return numbered([photo.person if photo else "" for photo in photos])
    first_copy: dict[int, int] = {}
    parent = [
        number if photo is None else first_copy.setdefault(content, number)
        for number, (photo, content) in enumerate(zip(photos, contents.tolist(), strict=True))
    ]

    def root_of(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for block in _read(spool):
        mated = block[block["mated"]]
        for one, other in zip(mated["reference"].tolist(), mated["probe"].tolist(), strict=True):
            parent[max(root_of(one), root_of(other))] = min(root_of(one), root_of(other))
    return np.array([root_of(number) for number in range(len(photos))], np.int32)


def _drop_wrong(
    spool: Path,
    list_file: Path,
    there: npt.NDArray[np.bool_],
    contents: npt.NDArray[np.int32],
    persons: npt.NDArray[np.int32],
    problems: Problems,
) -> None:
    """Drop pairs of a photo with itself, with labels that contradict the persons, or of photos that are not there."""
    for stored in _mapped(spool):
        reference, probe, mated = stored["reference"], stored["probe"], stored["mated"]
        usable = there[reference] & there[probe]
        with_itself = usable & (contents[reference] == contents[probe])
        contradictory = usable & ~with_itself & (mated != (persons[reference] == persons[probe]))
        for line in stored["line"][with_itself].tolist():
            problems.add(f"{list_file.name}:{line}", "a photo is compared with itself, or with a copy of it")
        for line, is_mated in zip(stored["line"][contradictory].tolist(), mated[contradictory].tolist(), strict=True):
            said, known = ("mated", "different persons") if is_mated else ("non-mated", "one person")
            problems.add(f"{list_file.name}:{line}", f"is {said}, but its photos are of {known} by the other labels")
        stored["kept"] = usable & ~with_itself & ~contradictory


def _drop_repeated(spool: Path, list_file: Path, contents: npt.NDArray[np.int32], problems: Problems) -> None:
    """Drop pairs that were there before, in either order."""
    count = spool.stat().st_size // LISTED.itemsize
    parts = -(-count // KEYS_AT_A_TIME)
    for part in range(parts):
        keys, places = [], []
        start = 0
        for block in _read(spool):
            one, other = contents[block["reference"]].astype(np.int64), contents[block["probe"]].astype(np.int64)
            key = np.minimum(one, other) * (len(contents) + 1) + np.maximum(one, other)
            ours = np.flatnonzero(block["kept"] & (key % parts == part))
            keys.append(key[ours])
            places.append(ours + start)
            start += len(block)
        key, place = np.concatenate(keys), np.concatenate(places)
        order = np.argsort(key, kind="stable")
        is_repeated = np.zeros(len(order), bool)
        is_repeated[1:] = key[order][1:] == key[order][:-1]
        first = order[np.maximum.accumulate(np.where(is_repeated, 0, np.arange(len(order))))]
        repeated = np.flatnonzero(is_repeated)
        repeated = repeated[np.argsort(place[order[repeated]])]
        with closing(_Map(spool)) as mapped:
            for index in repeated.tolist():
                again, before = mapped.rows[place[order[index]]], mapped.rows[place[first[index]]]
                again["kept"] = False
                problems.add(f"{list_file.name}:{again['line']}", f"is the pair of line {before['line']} again")


def _renumber(spool: Path, new_number: npt.NDArray[np.int32]) -> None:
    for stored in _mapped(spool):
        stored["reference"], stored["probe"] = new_number[stored["reference"]], new_number[stored["probe"]]


def _read(spool: Path) -> Iterator[Pairs]:
    with spool.open("rb") as stream:
        while len(block := np.fromfile(stream, LISTED, BLOCK_PAIRS)):
            yield block


class _Map:
    """The file's pairs, where a few are to be changed."""

    def __init__(self, spool: Path) -> None:
        self.rows = np.memmap(spool, LISTED, "r+")

    def close(self) -> None:
        self.rows.flush()
        del self.rows


def _mapped(spool: Path) -> Iterator[Pairs]:
    """Return the pairs in blocks; what is changed in a block is written back."""
    with spool.open("r+b") as stream:
        while True:
            start = stream.tell()
            block = np.fromfile(stream, LISTED, BLOCK_PAIRS)
            if not len(block):
                return
            yield block
            end = stream.tell()
            stream.seek(start)
            stream.write(block.tobytes())
            stream.flush()
            stream.seek(end)
