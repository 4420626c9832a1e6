import csv
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_engine.errors import DataSetError, ReportError
from face_engine.evaluation.encodings import ENCODED, ENROLLED, NO_FACE, Encodings
from face_engine.evaluation.formed import FormedPairs
from face_engine.evaluation.labels import LabelledSet, Problems
from face_engine.evaluation.reports import Report, write_json, write_photos
from support.labelled import photo

NAMES = ("ann/1.jpg", 'a "b", c/1.jpg', "김/1.jpg")


def labelled() -> tuple[LabelledSet, Encodings]:
    identities = np.array([0, 1, 1], np.int32)
    pairs = FormedPairs(np.arange(3, dtype=np.int32), identities, 100, 0)
    photos = [photo(name, name.split("/")[0]) for name in NAMES]
    found = LabelledSet(photos, identities, {"sex": ["f", "", "m"]}, pairs, 0, Problems(), "a test")
    encodings = Encodings(
        outcomes=[ENCODED, NO_FACE, ENCODED],
        enrollments=[ENROLLED, NO_FACE, "several_faces"],
        rows=np.array([0, -1, 1], np.int32),
        vectors=np.zeros((2, 128), np.float32),
        boxes=np.array([[1, 2, 3, 4], [0, 0, 0, 0], [-5, 6, 7, 8]], np.int32),
        timings_ms=np.zeros((3, 4)),
        seconds=1.0,
        encoded=3,
    )
    return found, encodings


def test_every_photo_is_told_of_whatever_its_name(tmp_path: Path) -> None:
    report = Report(tmp_path)
    write_photos(report.photos_path, *labelled())
    with report.photos_path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == list(NAMES)
    assert [row["outcome"] for row in rows] == [ENCODED, NO_FACE, ENCODED]
    assert [row["enrollment"] for row in rows] == [ENROLLED, NO_FACE, "several_faces"]
    assert [row["sex"] for row in rows] == ["f", "", "m"]
    assert [row["left"] for row in rows] == ["1", "0", "-5"]
    assert report.read_identities().tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "content", [b"", b"number,file\n0,x\n", b"identity\nabc\n", b"identity\n99999999999\n", b"\xff"]
)
def test_photos_that_are_damaged_are_told(tmp_path: Path, content: bytes) -> None:
    report = Report(tmp_path)
    report.photos_path.write_bytes(content)
    with pytest.raises(ReportError, match=r"photos\.csv: is damaged"):
        report.read_identities()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ReportError, match="holds other files"), Report(tmp_path).being_written():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_looks_like_a_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work" / "thesis").mkdir(parents=True)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ReportError, match="holds other files"), Report(tmp_path).being_written():
        pass
    assert (tmp_path / "work" / "thesis").is_dir()


@pytest.mark.parametrize("name", ["work", "scores", ".face-engine-report"])
def test_symbolic_links_are_not_followed(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    report = Report(tmp_path / "report")
    with report.being_written():
        report.remove_work()
    if name.startswith("."):
        precious.write_text("mine")
        (report.folder / name).unlink()
    else:
        precious.mkdir()
        (precious / "000000.npy").write_text("mine")
    (report.folder / name).symlink_to(precious)
    with pytest.raises(ReportError, match="is a symbolic link"), report.being_written():
        pass
    assert (precious if precious.is_file() else precious / "000000.npy").read_text() == "mine"


def test_a_column_of_any_name_leaves_the_identities_as_they_are(tmp_path: Path) -> None:
    report = Report(tmp_path)
    found, encodings = labelled()
    write_photos(report.photos_path, replace(found, subgroups={"identity": ["7", "x", "a\rb"]}), encodings)
    assert report.read_identities().tolist() == [0, 1, 1]


def test_a_report_may_be_written_again_and_leftovers_of_a_killed_run_go(tmp_path: Path) -> None:
    report = Report(tmp_path / "a" / "report")
    with report.being_written():
        write_json(report.manifest_path, {})
        report.scores.folder.mkdir()
        leftovers = [
            report.folder / ".results.json.abc123",
            report.scores.folder / ".000001.npy.abc123",
            report.work / ".000001.npz.abc123",
        ]
        for path in leftovers:
            path.write_bytes(b"half")
    with report.being_written():
        assert not any(path.exists() for path in leftovers)
        report.remove_work()
    assert {path.name for path in report.folder.iterdir()} == {".face-engine-report", "manifest.json", "scores"}
    with report.being_written():
        assert report.work.is_dir()


def _is_refused(folder: Path) -> bool:
    try:
        with Report(folder).being_written():
            return False
    except ReportError:
        return True


def test_the_finished_report_of_another_set_is_not_replaced(tmp_path: Path) -> None:
    report = Report(tmp_path)
    report.check_replaces("ab")  # there is none
    write_json(report.manifest_path, {"finished": "2026-01-02", "data_set": {"hash": "ab"}})
    report.check_replaces("cd")  # it was not finished
    write_json(report.results_path, {})
    report.check_replaces("ab")
    with pytest.raises(ReportError, match=r"another set, of 2026-01-02: .*--overwrite"):
        report.check_replaces("cd")


def test_a_refused_set_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataSetError), Report(tmp_path / "report").being_written():
        raise DataSetError("it is none")
    assert not (tmp_path / "report").exists()
    with pytest.raises(DataSetError), Report(tmp_path / "begun").being_written():
        (tmp_path / "begun" / "work" / "encodings-1").mkdir()
        raise DataSetError("a photo has changed")
    assert (tmp_path / "begun" / "work" / "encodings-1").is_dir()


def test_two_processes_do_not_write_to_one_report(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    with Report(folder).being_written(), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_is_refused, (folder,))
    assert not _is_refused(folder)


def test_a_file_in_the_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(ReportError, match="File exists"), Report(tmp_path / "report").being_written():
        pass


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="No space left"), Report(tmp_path / "report").being_written():
        raise OSError(28, "No space left on device", str(tmp_path))


@pytest.mark.parametrize("document", [{"value": 0.1, "name": "김"}, {}])
def test_a_document_is_read_as_it_was_written(tmp_path: Path, document: dict[str, Any]) -> None:
    report = Report(tmp_path)
    write_json(report.results_path, document)
    assert report.read_results() == document
    with pytest.raises(ReportError, match=r"manifest\.json: No such file"):
        report.read_manifest()


def test_what_json_has_no_word_for_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "results.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []
