"""Labelled sets made for tests: files whose bytes alone matter, lists of them, and an engine that knows the answers."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from face_engine.errors import ImageError
from face_engine.evaluation.contents import Named
from face_engine.evaluation.labels import LabelledSet, Pairs, PairSource, Photo, Problems
from face_engine.evaluation.listed import ListedPair
from face_engine.types import Analysis, Face
from support.fakes import ENCODER_ID

Row = tuple[int, int, bool, int]
"""Reference, probe, mated, fold."""


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - it makes up lists


def text_file(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def photo_files(root: Path, contents: Mapping[str, str] | Iterable[str]) -> Path:
    """Write a file for each name, with the content that is given, or its own: equal ones are the same photo."""
    for name in contents:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents[name] if isinstance(contents, Mapping) else name)
    return root


def photo(file: str, person: str = "", content: str | bytes | None = None) -> Photo:
    data = file if content is None else content
    sha256 = hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()
    return Photo(file, sha256, person, f"{person}/")


def pair(line: int, reference: str, probe: str, *, mated: bool, fold: int = -1) -> ListedPair:
    """Return a line of a list; a file `NAME/...` is of the person NAME."""
    one, other = (Named(file, file.rpartition("/")[0], f"pairs:{line}") for file in (reference, probe))
    return ListedPair(line, one, other, mated, fold)


def rows(pairs: PairSource | Iterable[Pairs]) -> list[Row]:
    blocks = pairs if isinstance(pairs, Iterable) else pairs.blocks()
    return [row for block in blocks for row in block[["reference", "probe", "mated", "fold"]].tolist()]


def files_of(labelled: LabelledSet, pairs: PairSource | None = None) -> list[tuple[str, str, bool]]:
    """Return the pairs of a set, or others of its photos, by the names of the files."""
    names = [one.file for one in labelled.photos]
    return [(names[one], names[other], mated) for one, other, mated, _ in rows(pairs or labelled.pairs)]


def told(problems: Problems) -> list[str]:
    return [str(problem) for problem in problems.listed]


@dataclass
class PlantedAnalyser:
    """Answers each photo with the faces, or the failure, that the test planted for its bytes."""

    planted: dict[bytes, tuple[Face, ...] | ImageError] = field(default_factory=dict)
    analysed: list[bytes] = field(default_factory=list)
    encoder_id: str = ENCODER_ID

    def analyse(self, image_bytes: bytes) -> Analysis:
        self.analysed.append(image_bytes)
        answer = self.planted[image_bytes]
        if isinstance(answer, ImageError):
            raise answer
        return Analysis(640, 480, answer, {"decode": 1.0, "detect": 2.0, "align": 3.0, "encode": 4.0})
