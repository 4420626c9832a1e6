"""Opens a labelled set: LFW's pairs.txt, a CSV of pairs, a CSV of photos, or a folder for each person."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from face_engine.errors import DataSetError, ProblemsFoundError
from face_engine.evaluation import lfw, tables
from face_engine.evaluation.contents import Named, found, unique
from face_engine.evaluation.formed import ChainedPairs, FormedPairs
from face_engine.evaluation.labels import (
    NO_FOLD,
    PHOTO_SUFFIXES,
    LabelledSet,
    Pairs,
    PairSource,
    Photo,
    Problems,
    is_text,
    numbered,
)
from face_engine.evaluation.listed import ListedPair, gather
from face_engine.evaluation.progress import Progress

FOLDS = 10
"""As many as LFW's View 2 has, where the set has none of its own."""

Protocol = Literal["restricted", "unrestricted"]
"""LFW's: whether a fold's tolerance is chosen on the listed pairs of the others, or on all pairs of their persons."""

OnProblem = Literal["refuse", "skip"]


@dataclass(frozen=True, slots=True)
class DataSetOptions:
    """Where the set is, and how it is read.

    Args:
        images: the folder of the photos.
        pairs: a pairs.txt or a CSV of pairs.
        labels: a CSV of photos; beside `pairs` it names persons and subgroups of the photos in them.
        people: a people.txt; beside a pairs.txt alone, for the unrestricted protocol.
        max_non_mated: where pairs are formed: of more non-mated ones a sample of so many.
        seed: of that sample, and of the folds where the set has none.
        name: what the set is called in the report.
    """

    images: Path
    pairs: Path | None = None
    labels: Path | None = None
    people: Path | None = None
    protocol: Protocol = "restricted"
    on_problem: OnProblem = "refuse"
    max_non_mated: int = 1_000_000
    seed: int = 0
    name: str = ""


def open_set(options: DataSetOptions, scratch: Path, progress: Progress) -> LabelledSet:
    """Read the labels, and every photo once for its SHA-256.

    Args:
        scratch: a folder that exists, where listed pairs are kept while the set is used.

    Raises:
        ProblemsFoundError: something is wrong and not to be skipped.
        DataSetError: the set cannot be read, or nothing of it is left.
    """
    if not options.images.is_dir():
        raise DataSetError(f"{options.images} is not a folder")
    problems = Problems()
    if options.pairs is not None:
        labelled = _listed(options, options.pairs, scratch / "listed-pairs", problems, progress)
    else:
        if options.people is not None or options.protocol != "restricted":
            raise DataSetError("people and the unrestricted protocol go with LFW's pairs.txt")
        labelled = _formed(options, problems, progress)
    if problems.count and options.on_problem == "refuse":
        raise ProblemsFoundError(problems.count, tuple(map(str, problems.listed)))
    if not labelled.pairs.mated and not labelled.pairs.non_mated:
        raise DataSetError("the set has no pair that can be compared")
    return labelled


def _formed(options: DataSetOptions, problems: Problems, progress: Progress) -> LabelledSet:
    subgroups: Mapping[str, Mapping[str, str]] = {}
    if options.labels is not None:
        table = tables.read_photos(options.labels, problems)
        named, subgroups = table.named, table.subgroups
        form = f"a CSV of photos, {options.labels.name}"
    else:
        named = _folders(options.images, problems)
        form = "a folder for each person"
    photos = list(unique(found(options.images, named, problems, progress), problems).values())
    identities = numbered([photo.person for photo in photos])
    all_photos = np.arange(len(photos), dtype=np.int32)
    folds = _dealt(int(identities.max(initial=-1)) + 1, options.seed)
    pairs = FormedPairs(all_photos, identities, options.max_non_mated, options.seed, folds)
    return LabelledSet(photos, identities, _by_photo(subgroups, photos), pairs, FOLDS, problems, form)


def _folders(images: Path, problems: Problems) -> list[Named]:
    """Return every JPEG and PNG, by its name, in the folder of each person."""
    try:
        paths = sorted(path for path in images.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataSetError(f"{images}: {error.strerror}") from error
    named: list[Named] = []
    for folder in paths:
        if not folder.is_dir():
            if folder.suffix.lower() in PHOTO_SUFFIXES:
                problems.note(f"{folder.name!r}", "is a photo in nobody's folder, and not used")
            continue
        if not is_text(folder.name):
            problems.add(f"{folder.name!r}", "the folder's name is not UTF-8")
            continue
        place, count = f"{folder.name}/", len(named)
        for path in _photo_files(folder, place, problems):
            file = path.relative_to(images).as_posix()
            if is_text(file):
                named.append(Named(file, folder.name, place))
            else:
                problems.add(place, f"the name of {file!r} is not UTF-8")
        if len(named) == count:
            problems.add(place, "has no JPEG or PNG file")
    return named


def _photo_files(folder: Path, place: str, problems: Problems) -> list[Path]:
    """Return the files in a folder and in those below it that are photos by their names; none that is hidden."""

    def unreadable(error: OSError) -> None:
        problems.add(place, f"{error.filename!r} cannot be read: {error.strerror}")

    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        files += [path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES]
    return sorted(files)


def _listed(
    options: DataSetOptions, pairs_file: Path, spool: Path, problems: Problems, progress: Progress
) -> LabelledSet:
    table = None if options.labels is None else tables.read_photos(options.labels, problems)
    known = None if table is None else {one.file: one.person for one in table.named}
    header = lfw.read_pairs_header(pairs_file)
    lines: Iterable[ListedPair]
    if header is not None:
        lines, form = lfw.read_pairs(pairs_file, header, problems), f"LFW's form, {pairs_file.name}"
    elif options.people is not None or options.protocol != "restricted":
        raise DataSetError("people and the unrestricted protocol go with LFW's pairs.txt")
    else:
        lines, form = tables.read_pairs(pairs_file, problems), f"a CSV of pairs, {pairs_file.name}"
    photos, identities, pairs = gather(lines, pairs_file, options.images, spool, problems, progress, known)
    if options.people is not None and options.protocol != "unrestricted":
        raise DataSetError("people go with the unrestricted protocol")
    folds = header.folds if header is not None and header.folds > 1 else 0
    if folds and (shared := _in_several_folds(pairs, identities)):
        problems.note(
            pairs_file.name, f"{shared:,} persons are in several folds, so accuracy's standard error is a little small"
        )
    training: PairSource | None = None
    if options.protocol == "unrestricted":
        if not folds:
            raise DataSetError("the unrestricted protocol needs a pairs.txt with folds")
        photos, identities, training = _training(options, photos, pairs, folds, problems, progress)
    source: PairSource = pairs
    if not folds:
        source, folds = DealtPairs(pairs, identities, _dealt(int(identities.max(initial=-1)) + 1, options.seed)), FOLDS
    subgroups = _by_photo(table.subgroups if table else {}, photos)
    return LabelledSet(photos, identities, subgroups, source, folds, problems, form, training)


def _in_several_folds(pairs: PairSource, identities: npt.NDArray[np.int32]) -> int:
    """Return how many persons have pairs in more than one fold: LFW's View 2 has none."""
    lowest = np.full(int(identities.max(initial=-1)) + 1, np.iinfo(np.int16).max, np.int16)
    highest = np.zeros_like(lowest)
    for block in pairs.blocks():
        for photos in (block["reference"], block["probe"]):
            np.minimum.at(lowest, identities[photos], block["fold"])
            np.maximum.at(highest, identities[photos], block["fold"])
    return int((lowest < highest).sum())


@dataclass(frozen=True, slots=True, eq=False)
class DealtPairs:
    """Listed pairs without folds of their own: dealt out by the identity of the reference.

    Args:
        identities: (n_photos,) int32.
        folds: (n_identities,) int16.
    """

    listed: PairSource
    identities: npt.NDArray[np.int32]
    folds: npt.NDArray[np.int16]

    @property
    def mated(self) -> int:
        return self.listed.mated

    @property
    def non_mated(self) -> int:
        return self.listed.non_mated

    def blocks(self) -> Iterator[Pairs]:
        for block in self.listed.blocks():
            block["fold"] = self.folds[self.identities[block["reference"]]]
            yield block


def _training(
    options: DataSetOptions, photos: list[Photo], pairs: PairSource, folds: int, problems: Problems, progress: Progress
) -> tuple[list[Photo], npt.NDArray[np.int32], PairSource]:
    """Return the set's photos, more of them where people.txt names more, and all pairs within each fold."""
    fold_of: dict[str, int] = {}
    listed = {photo.file: photo for photo in photos}
    others: dict[str, Photo] = {}
    if options.people is not None:
        people = lfw.read_people(options.people)
        if len(people) != folds:
            raise DataSetError(f"{options.people.name} has {len(people)} folds, and the pairs have {folds}")
        named = []
        for fold, of_fold in enumerate(people):
            for name, files in of_fold.items():
                if fold_of.setdefault(name, fold) != fold:
                    problems.add(options.people.name, f"{name} is in two folds")
                named += [Named(file, name, options.people.name) for file in files if file not in listed]
        for photo in photos:
            if photo.person not in fold_of:
                problems.add(photo.place, f"{photo.person} is not in {options.people.name}")
        others = found(options.images, named, problems, progress)
    else:
        for block in pairs.blocks():
            for number, fold in zip(block["reference"].tolist(), block["fold"].tolist(), strict=True):
                fold_of.setdefault(photos[number].person, fold)
            for number, fold in zip(block["probe"].tolist(), block["fold"].tolist(), strict=True):
                fold_of.setdefault(photos[number].person, fold)
    usable = unique({**listed, **others}, problems)
    photos = [*photos, *(photo for file, photo in others.items() if file in usable)]
    identities = numbered([photo.person for photo in photos])
    fold_of_photo = np.array(
        [fold_of.get(photo.person, NO_FOLD) if photo.file in usable else NO_FOLD for photo in photos], np.int16
    )
    sources = []
    for fold in range(folds):
        members = np.flatnonzero(fold_of_photo == fold).astype(np.int32)
        constant = np.full(int(identities.max(initial=-1)) + 1, fold, np.int16)
        sources.append(
            FormedPairs(members, identities[members], options.max_non_mated // folds, options.seed + fold, constant)
        )
    return photos, identities, ChainedPairs(sources)


def _dealt(identities: int, seed: int) -> npt.NDArray[np.int16]:
    """Return a fold for each identity, by a random order."""
    return (np.random.default_rng(seed).permutation(identities) % FOLDS).astype(np.int16)


def _by_photo(subgroups: Mapping[str, Mapping[str, str]], photos: Sequence[Photo]) -> dict[str, list[str]]:
    return {name: [values.get(photo.file, "") for photo in photos] for name, values in subgroups.items()}
