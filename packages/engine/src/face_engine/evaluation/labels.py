"""What a labelled set says: photos, whose they are, and what is wrong with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np
import numpy.typing as npt

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

MAX_PROBLEMS_LISTED = 1_000
"""A set with more is of another form than it was taken for."""

NO_FOLD = -1

PAIR = np.dtype([("reference", "<i4"), ("probe", "<i4"), ("mated", "?"), ("fold", "<i2")])
"""A pair: two photos by their numbers, whether they show one person, and the fold that it belongs to, or NO_FOLD."""

Pairs = npt.NDArray[np.void]
"""(n,) of PAIR."""

BLOCK_PAIRS = 32_768
"""At most so many pairs are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`place`: a file and line, `pairs.txt:17`, or a folder."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(slots=True)
class Problems:
    """What is wrong with a set: all are counted, the first MAX_PROBLEMS_LISTED are kept.

    Notes are of what may be wrong and does no harm; nothing is refused or left out for them.
    """

    count: int = 0
    listed: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def add(self, place: str, text: str) -> None:
        self.count += 1
        if len(self.listed) < MAX_PROBLEMS_LISTED:
            self.listed.append(Problem(place, text))

    def note(self, place: str, text: str) -> None:
        if len(self.notes) < MAX_PROBLEMS_LISTED:
            self.notes.append(Problem(place, text))

    @property
    def unlisted(self) -> int:
        return self.count - len(self.listed)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of the set.

    Args:
        file: relative to the set's folder, with slashes.
        sha256: of its bytes, 64 hexadecimal digits.
        person: whose it is; empty where only pairs are labelled.
        place: where the set names it first.
    """

    file: str
    sha256: str
    person: str
    place: str


class PairSource(Protocol):
    """The pairs of a set, in blocks, so that memory does not grow with them. Every walk gives the same ones."""

    @property
    def mated(self) -> int: ...

    @property
    def non_mated(self) -> int: ...

    def blocks(self) -> Iterator[Pairs]:
        """Return the pairs in their order, at most BLOCK_PAIRS at a time."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSet:
    """Photos and the pairs of them that are compared.

    Args:
        identities: (n_photos,) int32, equal for photos of one person. Where only pairs are labelled, photos that mated
            pairs connect are of one person.
        subgroups: for each column its value for every photo, empty where it is not known.
        folds: number of folds of the pairs; 0 where they have none.
        training: pairs on which a fold's tolerance is chosen in place of `pairs` (LFW's unrestricted protocol).
        problems: those that were skipped.
        form: what the set was read from, in words.
    """

    photos: Sequence[Photo]
    identities: npt.NDArray[np.int32]
    subgroups: Mapping[str, Sequence[str]]
    pairs: PairSource
    folds: int
    problems: Problems
    form: str
    training: PairSource | None = None

    @property
    def persons(self) -> int:
        return int(self.identities.max(initial=-1)) + 1


def numbered(names: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return a number for each name, (n,) int32: equal names have the same, by order of appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int32)


def is_text(name: str) -> bool:
    """Whether a file's name can be written into a report: on a disk it need not be UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def leaves_folder(file: str) -> bool:
    """Whether a relative path could lead out of the set's folder."""
    path = PurePosixPath(file)
    return path.is_absolute() or ".." in path.parts or "\\" in file or "\0" in file
