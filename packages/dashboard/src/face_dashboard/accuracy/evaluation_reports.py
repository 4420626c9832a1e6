"""The reports of evaluations: folders in a folder, what each says in short, and the comparison of two."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from face_dashboard.accuracy.orders import forget
from face_dashboard.folders import is_name, remove, subfolder, subfolders
from face_engine.calibration import load_calibration
from face_engine.errors import ReportError
from face_engine.evaluation.comparison import compare
from face_engine.evaluation.reports import Report
from face_engine.evaluation.results import SCHEMA

ALPHA = 0.05
"""How improbable a difference between two reports must be by chance to count."""

CACHED_HEADLINES = 500

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Headline:
    """What a report says in short; rates in 0 to 1, None where the set cannot tell them.

    Args:
        set_name: what the set is called in the report.
        data_set_hash: equal for two reports of the same pairs.
    """

    name: str
    finished: datetime
    set_name: str
    photos: int
    persons: int
    pairs: int
    tolerance: float
    fmr: float | None
    fnmr: float | None
    eer: float | None
    recommended: float | None
    target_fmr: float
    data_set_hash: str
    encoder_id: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """A report that cannot be read, and why."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Documents:
    """What a report says, as its files hold it."""

    results: Results
    manifest: Mapping[str, Any]

    @property
    def images(self) -> Path:
        """The folder of the set's photos, when the report was made."""
        return Path(self.manifest["data_set"]["images"])


def list_reports(reports_dir: Path) -> tuple[list[Headline], list[Damaged]]:
    """Return the finished reports, the newest first, and those that cannot be read."""
    finished, damaged = [], []
    for folder in subfolders(reports_dir):
        path = Report(folder).results_path
        try:
            status = path.stat()
        except OSError:
            continue
        try:
            finished.append(_headline(folder, status.st_mtime_ns, status.st_size))
        except (ReportError, LookupError, TypeError, ValueError) as error:
            damaged.append(Damaged(folder.name, str(error) if isinstance(error, ReportError) else repr(error)))
    return sorted(finished, key=lambda one: (one.finished, one.name), reverse=True), damaged


def find_report(reports_dir: Path, name: str) -> Report:
    """Return a report by its name. Raises ReportError where there is none."""
    folder = subfolder(reports_dir, name)
    if folder is None:
        raise ReportError(f"there is no report {name!r:.80}")
    return Report(folder)


def read_report(reports_dir: Path, name: str) -> Documents:
    """Return what a report says. Raises ReportError."""
    report = find_report(reports_dir, name)
    results = report.read_results()
    if results.get("schema") != SCHEMA:
        raise ReportError(f"{name}: its schema is {results.get('schema')!r:.80}, not {SCHEMA}")
    return Documents(results, report.read_manifest())


def read_calibration(reports_dir: Path, name: str) -> dict[str, Any] | None:
    """Return a report's calibration document; None where no non-mated pair was compared. Raises CalibrationError."""
    path = find_report(reports_dir, name).calibration_path
    return load_calibration(path).to_json() if path.exists() else None


def delete_report(reports_dir: Path, name: str) -> None:
    """Remove a report, finished or not, with the templates that an unfinished one holds, and its order.

    Raises:
        ReportError: another evaluation writes to it, the folder holds something else, or it cannot be removed.
    """
    folder = subfolder(reports_dir, name)
    try:
        if is_name(name):
            forget(reports_dir, name)
        if folder is None:
            return
        with Report(folder).being_written():
            remove(folder)
    except OSError as error:
        raise ReportError(f"{name} cannot be removed: {error.strerror}") from error


def compare_reports(reports_dir: Path, old: str, new: str, alpha: float = ALPHA) -> dict[str, Any]:
    """Return what changed from one report to the other, as `face-engine evaluate compare --json`.

    It reads every pair of both, which may take seconds. Raises ReportError.
    """
    return compare(find_report(reports_dir, old), find_report(reports_dir, new), alpha)


@lru_cache(CACHED_HEADLINES)
def _headline(folder: Path, _modified_ns: int, _size: int) -> Headline:
    """Return the headline of a report, read anew when its results have changed. Raises whatever a damaged one may."""
    documents = read_report(folder.parent, folder.name)
    results = documents.results
    data_set, at_tolerance, recommended = results["data_set"], results["at_tolerance"], results["recommended"]
    return Headline(
        name=folder.name,
        finished=datetime.fromisoformat(documents.manifest["finished"]),
        set_name=data_set["name"],
        photos=data_set["photos"],
        persons=data_set["persons"],
        pairs=data_set["pairs"],
        tolerance=at_tolerance["tolerance"],
        fmr=at_tolerance["fmr"]["value"],
        fnmr=at_tolerance["fnmr"]["value"],
        eer=results["eer"] and results["eer"]["value"],
        recommended=recommended["tolerance"] and recommended["tolerance"]["value"],
        target_fmr=recommended["fmr"],
        data_set_hash=data_set["hash"],
        encoder_id=results["settings"]["encoder_id"],
    )
