"""The bytes of a set's photos: which files are there, and which are the same photo under two names."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def shared(photos: Mapping[str, Photo], tell: Callable[[str, str], None]) -> set[str]:
    """Return the SHA-256 of each photo that several persons have, and tell the place of each of its copies, and why."""
    found_shared: set[str] = set()
    for first, *others in _by_content(photos):
        if any(other.person != first.person for other in others):
            found_shared.add(first.sha256)
            for other in others:
                tell(
                    other.place,
                    f"{other.file} of {other.person} is the very photo {first.file} of {first.person} ({first.place})",
                )
    return found_shared


def unique(photos: Mapping[str, Photo], problems: Problems) -> dict[str, Photo]:
    """Return the photos without those whose bytes two persons share, and without those that are there before."""
    kept: dict[str, Photo] = {}
    of_several = shared(photos, problems.add)
    for first, *others in _by_content(photos):
        if first.sha256 in of_several:
            continue
        kept[first.file] = first
        for other in others:
            problems.add(other.place, f"{other.file} is the very photo {first.file} ({first.place})")
    return kept


def _by_content(photos: Mapping[str, Photo]) -> Iterable[list[Photo]]:
    """Return the photos of each content, by first appearance."""
    by_content: dict[str, list[Photo]] = {}
    for photo in photos.values():
        by_content.setdefault(photo.sha256, []).append(photo)
    return by_content.values()


def sha256_of(path: Path) -> str:
    """Return a regular file's SHA-256 in hexadecimal. Raises OSError."""
    if path.exists() and not path.is_file():
        raise OSError(0, "not a file")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
