"""The labelled sets of photos that the dashboard can evaluate: folders in a folder, and how each is laid out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_dashboard.folders import is_within, remove, subfolder, subfolders
from face_engine.evaluation.labels import PHOTO_SUFFIXES

Layout = Literal["lfw_pairs", "csv_pairs", "labels", "persons"]
"""What says whose a photo is: LFW's pairs.txt, a pairs.csv, a labels.csv, or a folder for each person."""

IMAGES = "images"
LISTS = ("pairs.txt", "pairs.csv", "labels.csv")

TWO_LISTS = "It has both a pairs.txt and a pairs.csv: remove one of them."
NO_LAYOUT = "It has neither a list (pairs.txt, pairs.csv, labels.csv) nor a folder for each person."
LEADS_OUT = "A link in it leads out of the folder."


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """A labelled set.

    Args:
        folder: all of it.
        images: where its photos are.
        layout: None where it cannot be evaluated; `problem` then says why.
        people: LFW's list of the persons, for the unrestricted protocol.
    """

    name: str
    folder: Path
    images: Path
    layout: Layout | None = None
    pairs: Path | None = None
    labels: Path | None = None
    people: Path | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    photos: int
    folders: int
    """That hold photos."""


def list_sets(sets_dir: Path) -> list[PhotoSet]:
    """Return every set, by its name."""
    return [_opened(folder) for folder in subfolders(sets_dir)]


def find_set(sets_dir: Path, name: str) -> PhotoSet | None:
    folder = subfolder(sets_dir, name)
    return None if folder is None else _opened(folder)


def delete_set(sets_dir: Path, name: str) -> None:
    """Remove a set with all its photos; nothing where there is none. Raises OSError."""
    folder = subfolder(sets_dir, name)
    if folder is not None:
        remove(folder)


def contents(images: Path) -> Contents:
    """Count the photos in a folder and below it, by the names of the files."""
    photos, folders = 0, 0
    for _, _, names in os.walk(images):
        here = sum(Path(name).suffix.lower() in PHOTO_SUFFIXES for name in names if not name.startswith("."))
        photos, folders = photos + here, folders + (here > 0)
    return Contents(photos, folders)


def _opened(folder: Path) -> PhotoSet:
    """Return a set, whose layout is found by what it holds."""
    root = _root(folder)
    known = {path.name: path for path in (root / name for name in (*LISTS, "people.txt")) if path.is_file()}
    images = root / IMAGES if (root / IMAGES).is_dir() and (known or len(_folders(root)) == 1) else root
    if not all(is_within(path, folder) for path in (*known.values(), images)):
        return PhotoSet(folder.name, folder, folder, problem=LEADS_OUT)
    labels, people = known.get("labels.csv"), known.get("people.txt")
    if "pairs.txt" in known and "pairs.csv" in known:
        return PhotoSet(folder.name, folder, images, problem=TWO_LISTS)
    if "pairs.txt" in known:
        return PhotoSet(folder.name, folder, images, "lfw_pairs", known["pairs.txt"], labels, people)
    if "pairs.csv" in known:
        return PhotoSet(folder.name, folder, images, "csv_pairs", known["pairs.csv"], labels)
    if labels is not None:
        return PhotoSet(folder.name, folder, images, "labels", labels=labels)
    if _folders(images):
        return PhotoSet(folder.name, folder, images, "persons")
    return PhotoSet(folder.name, folder, images, problem=NO_LAYOUT)


def _root(folder: Path) -> Path:
    """Return the folder itself, or the one in it that holds everything: an archive often packs its folder as well."""
    for _ in range(2):
        inside = _folders(folder)
        has_list = any((folder / name).is_file() for name in LISTS)
        if has_list or len(inside) != 1 or inside[0].name == IMAGES:
            return folder
        below = inside[0]
        if not _folders(below) and not any((below / name).is_file() for name in LISTS):
            return folder  # it is the folder of the only person
        folder = below
    return folder


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
