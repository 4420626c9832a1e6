"""A report: a folder of files that are made together, and read again to compare it with another one.

results.json      every figure; results.schema.json says what it holds
report.html       the same for people, with figures; opens without a network
manifest.json     what it was made with and of
calibration.json  from a distance to an estimated FMR, and the recommended tolerance: for the service
photos.csv        what became of every photo
scores/           every pair and its distance
work/             encodings, only while the report is being made
"""

import csv
import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_engine.errors import EvaluationError, ReportError
from face_engine.evaluation.encodings import Encodings
from face_engine.evaluation.labels import LabelledSet
from face_engine.evaluation.scores import ScoreFiles
from face_engine.files import replace_file

PHOTO_COLUMNS = ("number", "file", "person", "identity", "outcome", "enrollment", "left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True)
class Report:
    """The folder of a report."""

    folder: Path

    @property
    def results_path(self) -> Path:
        return self.folder / "results.json"

    @property
    def html_path(self) -> Path:
        return self.folder / "report.html"

    @property
    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    @property
    def calibration_path(self) -> Path:
        return self.folder / "calibration.json"

    @property
    def photos_path(self) -> Path:
        return self.folder / "photos.csv"

    @property
    def scores(self) -> ScoreFiles:
        return ScoreFiles(self.folder / "scores")

    @property
    def _marker(self) -> Path:
        """What tells a report's folder from others, and is locked by who writes to it."""
        return self.folder / ".face-engine-report"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @contextmanager
    def being_written(self) -> Iterator[None]:
        """Make the folder, and keep every other process from writing to it.

        Raises:
            ReportError: it holds something else, or another process writes to it.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(self.folder.iterdir()) and not self._marker.is_file():
                raise ReportError(f"{self.folder} holds other files: name a new folder, or one of a former report")
            for path in (self._marker, self.work, self.scores.folder):
                if path.is_symlink():
                    raise ReportError(f"{path} is a symbolic link, which no evaluation made")
            lock = os.open(self._marker, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.work.mkdir(mode=0o700, exist_ok=True)
                self._remove_unfinished()
                try:
                    yield
                except EvaluationError:
                    if not any(self.work.glob("encodings-*")):  # nothing to go on with
                        self._remove_what_was_begun()
                    raise
            except BlockingIOError as error:
                raise ReportError(f"another evaluation is writing to {self.folder}") from error
            finally:
                os.close(lock)
        except OSError as error:
            raise ReportError(f"{error.filename or self.folder}: {error.strerror}") from error

    def check_replaces(self, data_set_hash: str) -> None:
        """Raise ReportError where the folder holds the finished report of another set."""
        if not (self.results_path.is_file() and self.manifest_path.is_file()):
            return
        finished = self.read_manifest()
        if finished.get("data_set", {}).get("hash") != data_set_hash:
            raise ReportError(
                f"{self.folder} holds the report of another set, of {finished.get('finished')}: name another folder, "
                "or replace it (--overwrite)"
            )

    def _remove_what_was_begun(self) -> None:
        with suppress(OSError):
            shutil.rmtree(self.work)
            if list(self.folder.iterdir()) == [self._marker]:
                self._marker.unlink()
                self.folder.rmdir()

    def _remove_unfinished(self) -> None:
        """Remove what a run that was killed had not finished writing (see files.replace_file)."""
        for path in (self.results_path, self.html_path, self.manifest_path, self.calibration_path, self.photos_path):
            for unfinished in self.folder.glob(f".{path.name}.*"):
                unfinished.unlink()
        for folder in (self.scores.folder, self.work):
            for unfinished in folder.rglob(".*.np[yz].*"):
                unfinished.unlink()

    def remove_work(self) -> None:
        """Remove what the report was made of: templates are as personal as photos."""
        shutil.rmtree(self.work)

    def read_results(self) -> dict[str, Any]:
        """Return results.json. Raises ReportError."""
        return _read_json(self.results_path)

    def read_manifest(self) -> dict[str, Any]:
        """Return manifest.json. Raises ReportError."""
        return _read_json(self.manifest_path)

    def read_identities(self) -> npt.NDArray[np.int32]:
        """Return whose each photo is, by the number of the person. Raises ReportError."""
        try:
            with self.photos_path.open(encoding="utf-8", newline="") as stream:
                rows = csv.reader(stream)
                place = next(rows).index("identity")  # the first one: a column of subgroups may have this name, too
                return np.array([int(row[place]) for row in rows], np.int32)
        except OSError as error:
            raise ReportError(f"{self.photos_path}: {error.strerror}") from error
        except (LookupError, StopIteration, ValueError, OverflowError, csv.Error) as error:
            raise ReportError(f"{self.photos_path}: is damaged") from error


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document, always the same bytes of the same one. Raises OSError."""
    replace_file(
        path,
        (json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode(errors="backslashreplace"),
    )


def write_photos(path: Path, labelled: LabelledSet, encodings: Encodings) -> None:
    """Write what became of every photo. Raises OSError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow([*PHOTO_COLUMNS, *labelled.subgroups])
    for number, photo in enumerate(labelled.photos):
        writer.writerow(
            [
                number,
                photo.file,
                photo.person,
                int(labelled.identities[number]),
                encodings.outcomes[number],
                encodings.enrollments[number],
                *encodings.boxes[number].tolist(),
                *(values[number] for values in labelled.subgroups.values()),
            ]
        )
    replace_file(path, text.getvalue().encode())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(f"{path}: is damaged") from error
    if not isinstance(document, dict):
        raise ReportError(f"{path}: is damaged")
    return document
