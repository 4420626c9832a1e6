"""The bytes of a set's photos: which files are there, and which are the same photo under two names."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_engine.evaluation.labels import Photo, Problems, leaves_folder
from face_engine.evaluation.progress import Progress


@dataclass(frozen=True, slots=True)
class Named:
    """A photo as the set names it: see Photo."""

    file: str
    person: str
    place: str


def found(root: Path, named: Sequence[Named], problems: Problems, progress: Progress) -> dict[str, Photo]:
    """Return the photos that can be read, by file; each other one is a problem."""
    photos: dict[str, Photo] = {}
    with progress(title="reading the set", total=len(named), unit="photo") as advance:
        for one in named:
            advance(1)
            if leaves_folder(one.file):
                problems.add(one.place, f"{one.file!r} is outside of the set's folder")
                continue
            try:
                photos[one.file] = Photo(one.file, sha256_of(root / one.file), one.person, one.place)
            except FileNotFoundError:
                problems.add(one.place, f"{one.file} is not there")
            except OSError as error:
                problems.add(one.place, f"{one.file} cannot be read: {error.strerror}")
    return photos


def unique(photos: Mapping[str, Photo], problems: Problems) -> dict[str, Photo]:
    """Return the photos without those that are there before, and without any of those that two persons share."""
    by_content: dict[str, list[Photo]] = {}
    for photo in photos.values():
        by_content.setdefault(photo.sha256, []).append(photo)
    kept: dict[str, Photo] = {}
    for same in by_content.values():
        first, *others = same
        if len({photo.person for photo in same}) > 1:
            for other in others:
                problems.add(
                    other.place,
                    f"{other.file} of {other.person} is the very photo {first.file} of {first.person} ({first.place})",
                )
            continue
        kept[first.file] = first
        for other in others:
            problems.add(other.place, f"{other.file} is the very photo {first.file} ({first.place})")
    return {file: photo for file, photo in photos.items() if file in kept}


def sha256_of(path: Path) -> str:
    """Return a regular file's SHA-256 in hexadecimal. Raises OSError."""
    if path.exists() and not path.is_file():
        raise OSError(0, "not a file")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
